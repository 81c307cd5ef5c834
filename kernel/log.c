/* SPDX-License-Identifier: MIT */
#include "kernel/panic.h"
#include "kernel/plat.h"

#define LINE_MAX 512

static void log_line(const char *format, va_list ap) {
  char line[LINE_MAX];
  int n = fmt(line, sizeof line, "ufork: ");
  n += vfmt(line + n, sizeof line - (size_t)n, format, ap);
  if (n > LINE_MAX - 2)
    n = LINE_MAX - 2;
  line[n++] = '\n';
  plat_log(line, (size_t)n);
}

void klog(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  log_line(format, ap);
  va_end(ap);
}

void kpanic(const char *format, ...) {
  char line[LINE_MAX];
  va_list ap;
  va_start(ap, format);
  vfmt(line, sizeof line, format, ap);
  va_end(ap);
  plat_panic(line);
}

void kassert_failed(const char *file, int line, const char *cond) {
  kpanic("%s:%d: assertion failed: %s", file, line, cond);
}
