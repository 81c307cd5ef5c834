/* SPDX-License-Identifier: MIT */
/* How much memory a region takes, as the host sees it. */
#include "plat/hosted/linux.h"
#include "plat/hosted/region.h"

#define PAGEMAP_BATCH 512
#define PM_PRESENT (1UL << 63)
#define PM_SWAPPED (1UL << 62)
#define PM_FILE (1UL << 61)

static void count_range(i64 fd, struct region *r, u32 off, u32 end, struct region_usage *u) {
  u64 entries[PAGEMAP_BATCH];
  while (off < end) {
    u64 n = min_u64(PAGEMAP_BATCH, pages_of(off, end));
    i64 got = lx4(pread64, fd, entries, n * 8, (r->base + off) / PAGE_SIZE * 8);
    if (got < 8)
      return;
    for (i64 i = 0; i < got / 8; i++) {
      if (!(entries[i] & (PM_PRESENT | PM_SWAPPED)))
        continue;
      if (entries[i] & PM_FILE)
        u->shared_bytes += PAGE_SIZE;
      else
        u->private_bytes += PAGE_SIZE;
    }
    off += (u32)(got / 8 * (i64)PAGE_SIZE);
  }
}

void region_usage(struct region *r, struct region_usage *u) {
  *u = (struct region_usage){0, 0};
  i64 fd = lx4(openat, LX_AT_FDCWD, "/proc/self/pagemap", 02000000, 0);
  if (fd < 0)
    return;
  for (u32 i = 0; i < r->map.n; i++)
    if (r->map.v[i].kind != EXTENT_EMPTY)
      count_range(fd, r, r->map.v[i].off, r->map.v[i].end, u);
  lx1(close, fd);
}
