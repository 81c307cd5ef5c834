/* SPDX-License-Identifier: MIT */
/* Credentials as the file system sees them. */
#ifndef UFORK_KERNEL_FS_CRED_H
#define UFORK_KERNEL_FS_CRED_H

#include "kernel/fs/vfs.h"
#include "kernel/proc/proc.h"

/* Of the running process; NULL for the kernel itself (boot), which may everything. */
static inline const struct cred *cred_running(void) {
  struct proc *p = proc_current();
  return p ? &p->cred : NULL;
}

static inline u32 cred_fsuid(void) {
  const struct cred *c = cred_running();
  return c ? c->fsuid : 0;
}

static inline u32 cred_fsgid(void) {
  const struct cred *c = cred_running();
  return c ? c->fsgid : 0;
}

/* Is gid the file-system group or one of the supplementary groups? */
bool cred_in_group(const struct cred *c, u32 gid);

/* inode_permission for explicit credentials; c NULL: the kernel. */
int inode_permission_as(const struct inode *i, const struct cred *c, u32 may);

/* Does the running process own the inode, or may it act as if? */
static inline bool cred_owns(const struct inode *i) {
  u32 uid = cred_fsuid();
  return uid == 0 || uid == i->uid;
}

#endif
