/* SPDX-License-Identifier: MIT */
#include "kernel/klog.h"
#include "kernel/plat.h"
#include "lib/fmt.h"
#include "lib/string.h"

void klog(const char *format, ...) {
  static const char prefix[] = "ufork: ";
  char line[KLOG_MAX];
  va_list ap;

  memcpy(line, prefix, sizeof prefix - 1);
  size_t room = sizeof line - sizeof prefix; /* one byte is left for the newline */
  va_start(ap, format);
  int n = vfmt(line + sizeof prefix - 1, room, format, ap);
  va_end(ap);
  size_t len = sizeof prefix - 1 + min_u64((u64)n, room - 1);
  line[len++] = '\n';
  plat_log(line, len);
}
