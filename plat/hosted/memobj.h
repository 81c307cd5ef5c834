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
  bool host_file;   /* not memory of ours */
  struct list node; /* all objects, for accounting */
};

/* The bytes of an open host file as an object, for shared mappings; fd is duplicated. */
int memobj_from_host(int fd, struct memobj **out);

#define SEEK_DATA 3 /* Linux's, for lseek on an object */
#define SEEK_HOLE 4

/* Bytes of page frames that all objects hold. */
u64 memobj_bytes_used(void);

#endif
