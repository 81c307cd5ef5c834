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

/* Calls f for each run of [from, to) that the object has data in, until it returns an error. Moves
   the position of the host's file. */
int memobj_each_data(const struct memobj *o, u64 from, u64 to, int (*f)(void *arg, u64 at, u64 end),
                     void *arg);

/* Bytes of page frames that all objects hold. */
u64 memobj_bytes_used(void);

#endif
