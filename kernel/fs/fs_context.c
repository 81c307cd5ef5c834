/* SPDX-License-Identifier: MIT */
/* What a process's paths are relative to: cwd, root, umask. Threads share it; fork copies it. */
#include "kernel/fs/fs_context.h"
#include "kernel/fs/cred.h"
#include "kernel/fs/fdtable.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"

static struct fs_context *context_alloc(struct dentry *cwd, struct dentry *root, u32 umask) {
  struct fs_context *c = kmalloc_as(KMEM_FILE, sizeof *c);
  if (!c)
    return NULL;
  *c = (struct fs_context){.refs = 1, .umask = umask, .cwd = cwd, .root = root};
  return c;
}

struct fs_context *fs_context_create(const char *workdir) {
  struct fs_context *c;
  struct dentry *cwd, *root = vfs_root();
  if (path_walk(root, workdir ? workdir : "/", WALK_FOLLOW | WALK_DIRECTORY, &cwd) < 0) {
    dentry_put(root);
    return NULL;
  }
  c = context_alloc(cwd, root, 022);
  if (!c) {
    dentry_put(cwd);
    dentry_put(root);
  }
  return c;
}

struct fs_context *fs_context_fork(struct fs_context *c) {
  struct fs_context *copy;
  struct dentry *cwd, *root;
  spin_lock(&c->lock);
  cwd = dentry_get(c->cwd);
  root = dentry_get(c->root);
  spin_unlock(&c->lock);
  copy = context_alloc(cwd, root, c->umask);
  if (!copy) {
    dentry_put(cwd);
    dentry_put(root);
  }
  return copy;
}

void fs_context_get(struct fs_context *c) { __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED); }

void fs_context_put(struct fs_context *c) {
  if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  dentry_put(c->cwd);
  dentry_put(c->root);
  kfree_as(KMEM_FILE, c);
}

static struct fs_context *running(void) {
  struct proc *p = proc_current();
  return p ? p->fs : NULL;
}

static struct dentry *get_locked(struct fs_context *c, struct dentry **which) {
  struct dentry *d;
  spin_lock(&c->lock);
  d = dentry_get(*which);
  spin_unlock(&c->lock);
  return d;
}

struct dentry *fs_context_cwd(void) {
  struct fs_context *c = running();
  return c ? get_locked(c, &c->cwd) : vfs_root();
}

struct dentry *fs_context_root(void) {
  struct fs_context *c = running();
  return c ? get_locked(c, &c->root) : vfs_root();
}

u32 fs_context_umask(void) {
  struct fs_context *c = running();
  return c ? __atomic_load_n(&c->umask, __ATOMIC_RELAXED) : 0;
}

static void replace(struct fs_context *c, struct dentry **which, struct dentry *d) {
  struct dentry *old;
  spin_lock(&c->lock);
  old = *which;
  *which = d;
  spin_unlock(&c->lock);
  dentry_put(old);
}

/* ---- system calls -------------------------------------------------------------------- */

static int change_dir(struct dentry *d, struct dentry **which) {
  int e = S_ISDIR(d->inode->mode) ? inode_permission(d->inode, MAY_EXEC) : -ENOTDIR;
  if (e == 0)
    replace(running(), which, dentry_get(d));
  return e;
}

static int change_to_path(u64 uaddr, struct dentry **which) {
  struct pathname p;
  struct dentry *d;
  int e = pathname_get(&p, uaddr);
  if (e < 0)
    return e;
  e = path_walk(NULL, p.s, WALK_FOLLOW | WALK_DIRECTORY, &d);
  pathname_put(&p);
  if (e < 0)
    return e;
  e = change_dir(d, which);
  dentry_put(d);
  return e;
}

i64 sys_chdir(struct uregs *r) { return change_to_path(r->rdi, &running()->cwd); }

i64 sys_chroot(struct uregs *r) {
  if (!cred_is_root())
    return -EPERM;
  return change_to_path(r->rdi, &running()->root);
}

i64 sys_fchdir(struct uregs *r) {
  struct file *f = fd_get_path((int)r->rdi);
  int e;
  if (!f)
    return -EBADF;
  e = f->dentry ? change_dir(f->dentry, &running()->cwd) : -ENOTDIR;
  file_put(f);
  return e;
}

i64 sys_umask(struct uregs *r) {
  return __atomic_exchange_n(&running()->umask, (u32)r->rdi & 0777, __ATOMIC_RELAXED);
}
