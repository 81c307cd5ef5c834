/* SPDX-License-Identifier: MIT */
/*
 * The file system layer on the host: user memory is host memory, memory objects are heap blocks,
 * one process with one thread that is root, and no host files. Tests call system calls with CALL.
 */
#ifndef UFORK_TEST_FS_ENV_H
#define UFORK_TEST_FS_ENV_H

#include "kernel/fs/vfs.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

extern struct proc env_proc;
extern unsigned env_signals[65];       /* sent to the process, by number */
extern bool env_copy_fails;            /* user copies are -EFAULT */
extern struct boot_args env_boot_args; /* what env_boot boots with: nothing unless a test says so */

/* Memory whose addresses pass for region offsets, for buffers of reads and writes. Never freed. */
void *env_user_memory(size_t n);

/* Boots the file systems and gives the process a table and a context. */
void env_boot(void);

#define CALL6(name, a, b, c, d, e, f, ...)                                                         \
  sys_##name(&(struct uregs){.rdi = (u64)(a),                                                      \
                             .rsi = (u64)(b),                                                      \
                             .rdx = (u64)(c),                                                      \
                             .r10 = (u64)(d),                                                      \
                             .r8 = (u64)(e),                                                       \
                             .r9 = (u64)(f)})
#define CALL(name, ...) CALL6(name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
