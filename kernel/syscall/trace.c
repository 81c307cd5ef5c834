/* SPDX-License-Identifier: MIT */
#include "kernel/syscall/trace.h"
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/entry.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define STRING_SHOWN 48
#define MAX_NR 512

struct text {
  char *s;
  size_t size, len;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  t->len += (size_t)vfmt(t->s + t->len, t->size - t->len, format, ap);
  va_end(ap);
  if (t->len >= t->size)
    t->len = t->size - 1;
}

static void add_string(struct text *t, u64 uaddr) {
  char buf[STRING_SHOWN];
  i64 n = copy_string_from_user(buf, uaddr, sizeof buf);
  if (n == -EFAULT) {
    add(t, "0x%lx", uaddr);
    return;
  }
  if (n < 0) /* longer */
    copy_from_user(buf, uaddr, sizeof buf);
  size_t shown = n < 0 ? sizeof buf : (size_t)n;
  add(t, "\"");
  for (size_t i = 0; i < shown; i++) {
    unsigned char c = (unsigned char)buf[i];
    if (c == '\n')
      add(t, "\\n");
    else if (c < ' ' || c >= 127)
      add(t, "\\x%02x", c);
    else
      add(t, "%c", c);
  }
  add(t, n < 0 ? "\"..." : "\"");
}

static void add_argument(struct text *t, char kind, u64 v) {
  switch (kind) {
  case 'd':
    add(t, "%d", (int)v);
    break;
  case 'u':
    add(t, "%lu", v);
    break;
  case 'o':
    add(t, "0%o", (unsigned)v);
    break;
  case 's':
    add_string(t, v);
    break;
  case 'p':
    if (v == 0) {
      add(t, "NULL");
      break;
    }
    /* fall through */
  default:
    add(t, "0x%lx", v);
  }
}

void trace_call(const struct uregs *r, char *line, size_t size) {
  struct text t = {line, size, 0};
  const u64 args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
  const struct syscall_info *info = syscall_info(r->orig_rax);
  if (!info) {
    add(&t, "syscall_%lu(0x%lx, 0x%lx, 0x%lx)", r->orig_rax, args[0], args[1], args[2]);
    return;
  }
  add(&t, "%s(", info->name);
  for (int i = 0; i < 6 && info->kinds[i]; i++) {
    if (i > 0)
      add(&t, ", ");
    add_argument(&t, info->kinds[i], args[i]);
  }
  add(&t, ")");
}

static void print(const char *line, const char *result) {
  char out[TRACE_ARGS + 64];
  int n = fmt(out, sizeof out, "[%d] %s = %s\n", thread_current()->tid, line, result);
  plat_log(out, min_u64((u64)n, sizeof out - 1));
}

void trace_result(const char *line, i64 ret) {
  char result[40];
  if (ret < 0 && ret >= -4095)
    fmt(result, sizeof result, ret < -511 ? "? (restart)" : "-1 %s (%ld)", errno_name(-ret), -ret);
  else if (ret >= 0 && ret < 0x10000)
    fmt(result, sizeof result, "%ld", ret);
  else
    fmt(result, sizeof result, "0x%lx", ret);
  print(line, result);
}

void trace_no_return(const char *line) { print(line, "?"); }

void trace_unknown(u64 nr) {
  static u64 said[MAX_NR / 64];
  if (nr >= MAX_NR)
    return;
  u64 bit = 1UL << (nr % 64);
  if (!(__atomic_fetch_or(&said[nr / 64], bit, __ATOMIC_RELAXED) & bit))
    klog("system call %lu is not supported (ENOSYS)", nr);
}
