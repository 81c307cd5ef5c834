/* SPDX-License-Identifier: MIT */
/* memfd_create: a tmpfs file without a name. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/syscall/syscall.h"

#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 0x10u
#define MFD_FLAGS (MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)
#define MFD_NAME_MAX 249

static int open_nameless(const char *name, u32 flags, struct file **out) {
  bool noexec = flags & MFD_NOEXEC_SEAL;
  struct inode *i = tmpfs_new_file(noexec ? 0666 : 0777);
  struct dentry *d = i ? dentry_new_root(i, name) : NULL;
  int e;
  if (!d) {
    inode_put(i);
    return -ENOMEM;
  }
  if (noexec)
    tmp_inode(i)->reg.seals = F_SEAL_EXEC;
  else if (flags & MFD_ALLOW_SEALING)
    tmp_inode(i)->reg.seals = 0;
  d->deleted = true;
  e = vfs_open_dentry(d, O_RDWR, out);
  dentry_put(d);
  return e;
}

i64 sys_memfd_create(struct uregs *r) {
  char name[6 + MFD_NAME_MAX + 1] = "memfd:";
  struct file *f;
  i64 e = copy_string_from_user(name + 6, r->rdi, MFD_NAME_MAX + 1);
  if (e < 0)
    return e == -ENAMETOOLONG ? -EINVAL : e;
  if (((u32)r->rsi & ~MFD_FLAGS) || (~(u32)r->rsi & (MFD_EXEC | MFD_NOEXEC_SEAL)) == 0)
    return -EINVAL;
  e = open_nameless(name, (u32)r->rsi, &f);
  if (e < 0)
    return e;
  e = fd_install(f, (r->rsi & MFD_CLOEXEC) ? O_CLOEXEC : 0, 0);
  if (e < 0)
    file_put(f);
  return e;
}
