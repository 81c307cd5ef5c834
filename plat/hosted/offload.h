/* SPDX-License-Identifier: MIT */
/*
 * Host calls that wait for a disk run on host threads of their own, so that the vCPU goes on with
 * other µprocesses while the caller sleeps as in any other system call.
 */
#ifndef UFORK_HOSTED_OFFLOAD_H
#define UFORK_HOSTED_OFFLOAD_H

#include "lib/types.h"

#define OFFLOAD_THREADS 4

/* A worker; runs on a helper's stack (cpu_run_helper). Never returns. */
_Noreturn void offload_run(void);

/* The host call `nr` with up to four arguments, repeated after EINTR; its result. The calling
   thread sleeps meanwhile, uninterruptibly, as for a disk. Arguments must not point into user
   memory. No locks held that a spinning CPU may want. */
i64 offload_call(u64 nr, u64 a, u64 b, u64 c, u64 d);

/* Closes fd, whose file may be large and gone from its directory, so that the host has to free it
   now: a worker does it some time later, or the caller if the workers are far behind. */
void offload_close(int fd);

#endif
