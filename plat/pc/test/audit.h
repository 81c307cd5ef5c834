/* SPDX-License-Identifier: MIT */
/* Counts all references anew and compares. */
#ifndef UFORK_PC_TEST_AUDIT_H
#define UFORK_PC_TEST_AUDIT_H

#include "plat/pc/memobj.h"
#include "plat/pc/region.h"

struct audit_set {
  struct region **regions;
  unsigned n_regions;
  struct memobj **objects;
  unsigned n_objects;
};

/* NULL if references, write bits, maps of used entries and counts are as they must be, and no frame
   is held that nobody knows of; otherwise what is wrong. */
const char *audit(const struct audit_set *s);

/* Frames of the page table above the regions, which stay. */
u64 audit_upper_frames(void);

#endif
