/* SPDX-License-Identifier: MIT */
/* Memory objects: memory files of the host. Also what lazy segments keep their pages in. */
#ifndef UFORK_HOSTED_MEMOBJ_H
#define UFORK_HOSTED_MEMOBJ_H

#include "kernel/plat.h"
#include "lib/list.h"

struct memobj {
  u32 refs;
  int fd;
  u64 size;
  struct list node; /* all objects, for accounting */
};

/* Bytes of page frames that all objects hold. */
u64 memobj_bytes_used(void);

#endif
