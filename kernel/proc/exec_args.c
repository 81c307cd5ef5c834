/* SPDX-License-Identifier: MIT */
#include "kernel/proc/exec_args.h"
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "lib/string.h"

#define FIRST_CAP 1024
#define STRING_MAX KIB(128) /* longest single string, as on Linux */

void exec_builder_init(struct exec_builder *b, size_t limit) {
  *b = (struct exec_builder){.limit = limit};
}

void exec_builder_free(struct exec_builder *b) { kfree(b->str.data); }

static int reserve(struct exec_builder *b, size_t more) {
  size_t cap = b->cap ? b->cap : FIRST_CAP;
  while (cap < b->str.size + more)
    cap *= 2;
  if (cap == b->cap)
    return 0;
  char *data = krealloc(b->str.data, cap);
  if (!data)
    return -ENOMEM;
  b->str.data = data;
  b->cap = cap;
  return 0;
}

static int check_limit(const struct exec_builder *b) {
  size_t pointers = (b->str.argc + b->str.envc + 2UL) * sizeof(u64);
  return b->str.size + pointers > b->limit ? -E2BIG : 0;
}

int exec_add(struct exec_builder *b, const char *s, unsigned *count) {
  size_t n = strlen(s) + 1;
  int err = reserve(b, n);
  if (err < 0)
    return err;
  memcpy(b->str.data + b->str.size, s, n);
  b->str.size += n;
  ++*count;
  return check_limit(b);
}

static int add_user_string(struct exec_builder *b, u64 uaddr) {
  for (;;) {
    size_t room = b->cap - b->str.size;
    i64 n =
        room > 0 ? copy_string_from_user(b->str.data + b->str.size, uaddr, room) : -ENAMETOOLONG;
    if (n >= 0) {
      b->str.size += (size_t)n + 1;
      return 0;
    }
    if (n != -ENAMETOOLONG)
      return (int)n;
    if (room > STRING_MAX || b->str.size + room > b->limit)
      return -E2BIG;
    int err = reserve(b, room + 1);
    if (err < 0)
      return err;
  }
}

int exec_add_user(struct exec_builder *b, u64 array, unsigned *count) {
  u64 uaddr;
  if (array == 0)
    return 0;
  for (;; array += sizeof uaddr) {
    if (copy_from_user(&uaddr, array, sizeof uaddr) < 0)
      return -EFAULT;
    if (uaddr == 0)
      return 0;
    int err = add_user_string(b, uaddr);
    ++*count;
    if (err == 0)
      err = check_limit(b);
    if (err < 0)
      return err;
  }
}

int exec_replace_first(struct exec_builder *b, const char *prefix, size_t size, unsigned count) {
  size_t first = strlen(b->str.data) + 1;
  int err = reserve(b, size);
  if (err < 0)
    return err;
  memmove(b->str.data + size, b->str.data + first, b->str.size - first);
  memcpy(b->str.data, prefix, size);
  b->str.size += size - first;
  b->str.argc += count - 1;
  return check_limit(b);
}
