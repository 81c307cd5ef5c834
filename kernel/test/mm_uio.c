/* SPDX-License-Identifier: MIT */
/* Copies to and from user memory: limits, missing pages, strings, scatter/gather. */
#include "kernel/errno.h"
#include "kernel/mm/usercopy.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake_region.h"
#include "kernel/test/no_files.h"
#include <stdlib.h>
#include <string.h>

#define BUF 0x40000000u /* two pages, then nothing */
#define BUF_END (BUF + 2 * PAGE_SIZE)
#define RO (BUF + 0x10000)
#define LAST (SPACE_MMAP_HI - PAGE_SIZE)

static struct space *s;

static void map(u64 off, u64 len, int prot, int kind) {
  struct vma v = {.off = (u32)off, .len = (u32)len, .prot = (u8)prot, .kind = (u8)kind};
  mutex_lock(&s->lock);
  CHECK(space_map(s, &v) == 0);
  mutex_unlock(&s->lock);
}

static void limits(void) {
  char c[16];
  CHECK(copy_from_user(c, 0, 1) == -EFAULT);
  CHECK(copy_from_user(c, UF_DATA_LO - 1, 1) == -EFAULT);
  CHECK(copy_from_user(c, UF_REGION_SIZE, 1) == -EFAULT);
  CHECK(copy_from_user(c, UF_REGION_SIZE - 1, 2) == -EFAULT);
  CHECK(copy_from_user(c, (u64)-1, 1) == -EFAULT);
  CHECK(copy_from_user(c, (u64)-8, 16) == -EFAULT);
  CHECK(copy_from_user(c, BUF + UF_REGION_SIZE, 1) == -EFAULT); /* upper half of a register */
  CHECK(copy_to_user(BUF, c, (size_t)-1) == -EFAULT);
  CHECK(copy_from_user(c, (u64)-1, 0) == 0);
  CHECK(user_range(BUF, 1) == (void *)(region_base(s->region) + BUF));
  CHECK(user_range(BUF, UF_REGION_SIZE - BUF) != NULL);
  CHECK(user_range(BUF, UF_REGION_SIZE - BUF + 1) == NULL);
  CHECK(user_range((u64)-1, 2) == NULL);
  CHECK(user_range(0, 1) == NULL);
}

static void words(void) {
  u32 v, seen;
  CHECK(user_store32(BUF + 8, 7) == 0 && user_load32(BUF + 8, &v) == 0 && v == 7);
  CHECK(user_cmpxchg32(BUF + 8, 7, 9, &seen) == 0 && seen == 7);
  CHECK(user_cmpxchg32(BUF + 8, 7, 11, &seen) == 0 && seen == 9);
  CHECK(user_load32(BUF + 8, &v) == 0 && v == 9);
  CHECK(user_store64(BUF_END - 4, 1) == -EFAULT);
  CHECK(user_store32(RO, 1) == -EFAULT && user_load32(RO, &v) == 0);
  CHECK(user_load32(UF_REGION_SIZE - 2, &v) == -EFAULT);
  CHECK(clear_user(BUF, 2 * PAGE_SIZE) == 0 && user_load32(BUF + 8, &v) == 0 && v == 0);
  CHECK(clear_user(BUF, 2 * PAGE_SIZE + 1) == -EFAULT);
}

/* A string may end exactly where the memory ends; one without an end is EFAULT, not an overrun. */
static void strings(void) {
  char d[8192];
  CHECK(copy_to_user(BUF_END - 6, "hello", 6) == 0);
  CHECK(copy_string_from_user(d, BUF_END - 6, sizeof d) == 5 && strcmp(d, "hello") == 0);
  CHECK(copy_string_from_user(d, BUF_END - 6, 6) == 5);
  CHECK(copy_string_from_user(d, BUF_END - 6, 5) == -ENAMETOOLONG);
  CHECK(copy_to_user(BUF_END - 1, "x", 1) == 0);
  CHECK(copy_string_from_user(d, BUF_END - 6, sizeof d) == -EFAULT);
  CHECK(copy_string_from_user(d, BUF_END, sizeof d) == -EFAULT);
  memset(d, 'a', sizeof d);
  d[6000] = 0;
  CHECK(copy_to_user(BUF + 1, d, 6001) == 0); /* across a page */
  CHECK(copy_string_from_user(d, BUF + 1, sizeof d) == 6000);
  CHECK(copy_string_from_user(d, LAST, sizeof d) == -EFAULT); /* all 'b' to the region's end */
}

/* The main stack appears when the kernel touches it, within its limit. */
static void stack(void) {
  u64 top = SPACE_STACK_TOP, lo = top - SPACE_STACK_MIN_WINDOW;
  char c = 1;
  map(lo, SPACE_STACK_MIN_WINDOW, PROT_READ | PROT_WRITE, VMA_STACK);
  CHECK(copy_to_user(lo - 100, &c, 1) == 0);
  CHECK(copy_to_user(top - MIB(4), &c, 1) == 0);
  CHECK(copy_to_user(top - MIB(9), &c, 1) == -EFAULT);
  CHECK(user_populate(top - MIB(6), MIB(1), true) == 0);
  CHECK(user_populate(top - MIB(10), 1, true) == -EFAULT);
  CHECK(user_populate(RO, 10, true) == -EFAULT && user_populate(RO, 10, false) == 0);
  CHECK(user_populate(BUF, 2 * PAGE_SIZE + 1, false) == -EFAULT);
  test_proc.limits[RLIMIT_STACK].cur = MIB(16);
  CHECK(copy_to_user(top - MIB(9), &c, 1) == 0);
}

static void vectors(void) {
  struct user_iov v[3] = {{BUF, 10}, {BUF + 100, 0}, {BUF + 200, 20}};
  char d[64];
  struct uio u;
  CHECK(copy_to_user(BUF + 1024, v, sizeof v) == 0);
  CHECK(uio_init_iovec(&u, BUF + 1024, 3) == 0 && u.left == 30);
  CHECK(uio_write_to(&u, "0123456789abcdefghijklmnopqrstuvwxyz", 15) == 15 && u.left == 15);
  CHECK(uio_write_to(&u, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26) == 15 && u.left == 0);
  CHECK(uio_write_to(&u, "x", 1) == 0);
  uio_destroy(&u);
  CHECK(copy_from_user(d, BUF, 10) == 0 && memcmp(d, "0123456789", 10) == 0);
  CHECK(copy_from_user(d, BUF + 200, 20) == 0 && memcmp(d, "abcdeABCDEFGHIJKLMNO", 20) == 0);

  CHECK(uio_init_iovec(&u, BUF + 1024, 3) == 0);
  size_t n;
  CHECK(uio_piece(&u, &n) == user_range(BUF, 10) && n == 10);
  uio_advance(&u, 10);
  CHECK(uio_piece(&u, &n) == user_range(BUF + 200, 20) && n == 20);
  CHECK(uio_read_from(&u, d, sizeof d) == 20 && memcmp(d, "abcdeABCDEFGHIJKLMNO", 20) == 0);
  CHECK(uio_piece(&u, &n) == NULL && n == 0);
  uio_destroy(&u);
}

static void bad_vectors(void) {
  struct user_iov many[20];
  struct uio u;
  for (int i = 0; i < 20; i++)
    many[i] = (struct user_iov){BUF + 4000, 1};
  CHECK(copy_to_user(BUF, many, sizeof many) == 0);
  CHECK(uio_init_iovec(&u, BUF, 20) == 0 && u.left == 20);
  uio_destroy(&u);
  CHECK(uio_init_iovec(&u, BUF, 1025) == -EINVAL);
  CHECK(uio_init_iovec(&u, BUF_END - 16, 2) == -EFAULT);
  many[19].base = UF_REGION_SIZE;
  CHECK(copy_to_user(BUF, many, sizeof many) == 0);
  CHECK(uio_init_iovec(&u, BUF, 20) == -EFAULT);
  many[19] = (struct user_iov){BUF, (u64)-1};
  CHECK(copy_to_user(BUF, many, sizeof many) == 0);
  CHECK(uio_init_iovec(&u, BUF, 20) == -EINVAL);
  for (int i = 0; i < 3; i++)
    many[i] = (struct user_iov){BUF, UF_REGION_SIZE - BUF};
  CHECK(copy_to_user(BUF, many, sizeof many) == 0);
  CHECK(uio_init_iovec(&u, BUF, 3) == 0 && u.left == 0x7ffff000);
  uio_destroy(&u);
}

/* What was copied before the missing page counts; only nothing at all is an error. */
static void partial(void) {
  struct uio u;
  char *d = calloc(1, 4 * PAGE_SIZE);
  CHECK(uio_init_user(&u, BUF + 100, 4 * PAGE_SIZE) == 0);
  CHECK(uio_write_to(&u, d, 4 * PAGE_SIZE) == 2 * PAGE_SIZE - 100);
  CHECK(uio_write_to(&u, d, 1) == -EFAULT);
  CHECK(uio_init_user(&u, BUF_END, 10) == 0 && uio_read_from(&u, d, 10) == -EFAULT);
  CHECK(uio_init_user(&u, UF_REGION_SIZE, 1) == -EFAULT);
  CHECK(uio_init_user(&u, UF_REGION_SIZE, 0) == 0);
  CHECK(uio_init_user(&u, BUF, (u64)-1) == -EFAULT);
  CHECK(uio_init_user(&u, 0xf0000000, 0x7ffff000) == 0 && u.left == 0x10000000);
  uio_init_kernel(&u, d, 10);
  CHECK(uio_write_to(&u, "hello world", 11) == 10 && memcmp(d, "hello worl", 10) == 0);
  free(d);
}

int main(void) {
  CHECK(space_create(NULL, &s) == 0);
  test_process(s);
  map(BUF, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, VMA_ANON);
  map(RO, PAGE_SIZE, PROT_READ, VMA_ANON);
  map(LAST, PAGE_SIZE, PROT_READ | PROT_WRITE, VMA_ANON);
  memset(user_range(LAST, PAGE_SIZE), 'b', PAGE_SIZE);
  TEST(limits);
  TEST(words);
  TEST(strings);
  TEST(stack);
  TEST(vectors);
  TEST(bad_vectors);
  TEST(partial);
  space_put(s);
  return check_summary("mm_uio");
}
