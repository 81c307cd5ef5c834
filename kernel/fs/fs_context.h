/* SPDX-License-Identifier: MIT */
/* Working directory, root and umask of the running process; `/`, `/` and 0 for the kernel. */
#ifndef UFORK_KERNEL_FS_CONTEXT_H
#define UFORK_KERNEL_FS_CONTEXT_H

#include "kernel/fs/vfs.h"

struct dentry *fs_context_cwd(void);  /* a reference */
struct dentry *fs_context_root(void); /* a reference */
u32 fs_context_umask(void);

#endif
