/* SPDX-License-Identifier: MIT */
#include "plat/hosted/pagemap.h"
#include "kernel/errno.h"
#include "plat/hosted/linux.h"

/* ioctl(PAGEMAP_SCAN), Linux 6.7; otherwise one word per page is read. */
#define PAGEMAP_SCAN 0xc0606610u
#define PAGE_IS_WRITTEN 2u
#define PAGE_IS_FILE 4u
#define PAGE_IS_PRESENT 8u
#define PAGE_IS_SWAPPED 16u
#define PAGE_IS_PFNZERO 32u /* read, never written: the host's page of zeros */
#define PM_PRESENT (1UL << 63)
#define PM_SWAPPED (1UL << 62)
#define PM_FILE (1UL << 61)
#define RUNS 128
#define WORDS 256

struct page_run {
  u64 start, end, categories;
};

struct scan_arg {
  u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
  u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

static int fd = -1;
static bool have_scan;

enum what { PRIVATE, WRITTEN, PRESENT };

static i64 scan(u64 start, u64 end, enum what what, struct page_run *runs, u64 *walk_end) {
  struct scan_arg a = {.size = sizeof(a),
                       .start = start,
                       .end = end,
                       .vec = (u64)runs,
                       .vec_len = RUNS,
                       .category_inverted = PAGE_IS_FILE | PAGE_IS_PFNZERO,
                       .category_mask = PAGE_IS_FILE | PAGE_IS_PFNZERO,
                       .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
                       .return_mask = PAGE_IS_FILE};
  if (what == WRITTEN) {
    a.category_inverted = 0;
    a.category_mask = a.return_mask = PAGE_IS_WRITTEN;
  }
  if (what == PRESENT) {
    a.category_inverted = 0;
    a.category_mask = a.return_mask = PAGE_IS_PRESENT;
  }
  i64 n = lx3(ioctl, fd, PAGEMAP_SCAN, &a);
  *walk_end = a.walk_end;
  return n;
}

int pagemap_init(void) {
  struct page_run runs[RUNS];
  u64 walk_end, here = (u64)runs & PAGE_MASK;
  i64 ret = lx4(openat, LX_AT_FDCWD, "/proc/self/pagemap", 02000000, 0);
  if (ret < 0)
    return (int)ret;
  fd = (int)ret;
  have_scan = scan(here, here + PAGE_SIZE, PRIVATE, runs, &walk_end) == 1;
  return 0;
}

bool pagemap_available(void) { return fd >= 0; }

static int each_scan(u64 at, u64 end, enum what what, int (*f)(void *, u64, u64), void *arg,
                     u64 *pages) {
  struct page_run runs[RUNS];
  while (at < end) {
    u64 next;
    i64 n = LX_RETRY(scan(at, end, what, runs, &next));
    if (n < 0)
      return (int)n;
    for (i64 i = 0; i < n; i++) {
      *pages += (runs[i].end - runs[i].start) / PAGE_SIZE;
      int err = f ? f(arg, runs[i].start, runs[i].end) : 0;
      if (err)
        return err;
    }
    at = next;
  }
  return 0;
}

static bool is_private(u64 word) { return (word & (PM_PRESENT | PM_SWAPPED)) && !(word & PM_FILE); }

static int each_word(u64 at, u64 end, int (*f)(void *, u64, u64), void *arg, u64 *pages) {
  u64 words[WORDS];
  while (at < end) {
    i64 got = LX_RETRY(
        lx4(pread64, fd, words, min_u64(WORDS, (end - at) / PAGE_SIZE) * 8, at / PAGE_SIZE * 8));
    if (got < 8)
      return got < 0 ? (int)got : -EIO;
    u64 n = (u64)got / 8;
    for (u64 i = 0; i < n;) {
      u64 first = i;
      while (i < n && is_private(words[i]))
        i++;
      *pages += i - first;
      int err = i > first && f ? f(arg, at + first * PAGE_SIZE, at + i * PAGE_SIZE) : 0;
      if (err)
        return err;
      if (i == first)
        i++;
    }
    at += n * PAGE_SIZE;
  }
  return 0;
}

int pagemap_each_private(u64 start, u64 end, int (*f)(void *arg, u64 from, u64 to), void *arg,
                         u64 *pages) {
  u64 unused = 0;
  pages = pages ? pages : &unused;
  return have_scan ? each_scan(start, end, PRIVATE, f, arg, pages)
                   : each_word(start, end, f, arg, pages);
}

int pagemap_each_present(u64 start, u64 end, int (*f)(void *arg, u64 from, u64 to), void *arg) {
  u64 unused = 0;
  return have_scan ? each_scan(start, end, PRESENT, f, arg, &unused) : 0;
}

int pagemap_each_written(u64 start, u64 end, int (*f)(void *arg, u64 from, u64 to), void *arg,
                         u64 *pages) {
  u64 unused = 0;
  return each_scan(start, end, WRITTEN, f, arg, pages ? pages : &unused);
}
