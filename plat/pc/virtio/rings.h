/* SPDX-License-Identifier: MIT */
/* The memory that driver and device share, as the virtio specification lays it out. */
#ifndef UFORK_PC_RINGS_H
#define UFORK_PC_RINGS_H

#include "lib/types.h"

#define VQ_DESC_NEXT 1
#define VQ_DESC_WRITE 2
#define VQ_AVAIL_NO_INTERRUPT 1
#define VQ_USED_NO_NOTIFY 1

struct vq_desc {
  u64 addr;
  u32 len;
  u16 flags, next;
};

struct vq_avail {
  u16 flags, idx;
  u16 ring[];
};

struct vq_used_elem {
  u32 id, len;
};

struct vq_used {
  u16 flags, idx;
  struct vq_used_elem ring[];
};

#endif
