/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_RUSAGE_H
#define UFORK_KERNEL_RUSAGE_H

#include "lib/types.h"

struct timeval {
  i64 sec, usec;
};

/* struct rusage of the system-call ABI. */
struct rusage {
  struct timeval utime, stime;
  i64 maxrss, unused[13];
};

struct proc;
static inline struct timeval timeval_of_ns(u64 ns) {
  return (struct timeval){(i64)(ns / 1000000000), (i64)(ns % 1000000000 / 1000)};
}
/* Of a process that has ended, its reaped children included, as wait4 reports it. */
void rusage_of(struct proc *p, struct rusage *ru);

#endif
