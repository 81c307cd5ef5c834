/* SPDX-License-Identifier: MIT */
/* Linux's numbers for the mmap family, and what its files share. */
#ifndef UFORK_KERNEL_MMAN_H
#define UFORK_KERNEL_MMAN_H

#include "kernel/mm/space.h"

#define MAP_SHARED 0x1u
#define MAP_PRIVATE 0x2u
#define MAP_SHARED_VALIDATE 0x3u
#define MAP_TYPE 0xfu
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_GROWSDOWN 0x100u
#define MAP_NORESERVE 0x4000u
#define MAP_HUGETLB 0x40000u
#define MAP_SYNC 0x80000u
#define MAP_FIXED_NOREPLACE 0x100000u

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

#define MS_ASYNC 1u
#define MS_INVALIDATE 2u
#define MS_SYNC 4u

/* Where a mapping of len bytes goes: at addr exactly (fixed; not checked for what is there), at
   the hint addr if it is free, or in the lowest hole. Offset, or -ENOMEM, -EPERM (null guard). */
i64 mman_place(const struct space *s, u64 addr, u64 len, bool fixed);

/* Reads the contents of a private file mapping of the running process into [off, off+len), which
   is writable; what lies behind the end of the file stays zero. No locks held. */
int mman_fill(struct file *f, u64 file_off, u64 off, u64 len);

/* Rounds a length up to pages; 0 if it is 0 or larger than a region. */
static inline u64 mman_pages(u64 len) {
  return len > UF_REGION_SIZE ? 0 : round_up(len, PAGE_SIZE);
}

#endif
