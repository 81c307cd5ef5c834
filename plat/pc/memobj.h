/* SPDX-License-Identifier: MIT */
/*
 * Memory objects: a tree of frames with 512 children per node, as high as the size needs. The
 * object holds one reference to each of its frames, every page-table entry that maps one holds
 * another.
 *
 * A frame that is still mapped when its range is punched or cut off stays in the object, zeroed:
 * whoever maps it goes on sharing it with whoever maps it later.
 */
#ifndef UFORK_PC_MEMOBJ_H
#define UFORK_PC_MEMOBJ_H

#include "kernel/plat.h"
#include "lib/spin.h"
#include "plat/pc/frames.h"

struct memobj {
  u32 refs; /* atomic */
  struct spin lock;
  u64 size;        /* bytes */
  unsigned height; /* of the tree; 0: root is the frame of page 0 */
  paddr root;      /* 0: nothing there */
};

/* The frame of page `index`, with a reference for the caller; made (zeros) if `make`. 0: beyond
   the end, not there, or no memory. Takes the object's lock. */
paddr memobj_frame(struct memobj *o, u64 index, bool make);
/* Does the object reach as far as page `index`? */
bool memobj_has(struct memobj *o, u64 index);

#endif
