/* SPDX-License-Identifier: MIT */
/* What a process's paths are relative to: cwd, root, umask. Threads share it; fork copies it. */
#include "kernel/fs/fs_context.h"
#include "kernel/fs/cred.h"
#include "kernel/fs/fdtable.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"

static void context_init(struct fs_context *c, struct dentry *cwd, struct dentry *root, u32 umask) {
  lend_init(&c->lend);
  c->umask = umask;
  c->cwd = cwd;
  c->root = root;
}

static struct fs_context *context_alloc(struct dentry *cwd, struct dentry *root, u32 umask) {
  struct fs_context *c = kmalloc_as(KMEM_FILE, sizeof *c);
  if (!c)
    return NULL;
  context_init(c, cwd, root, umask);
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

static struct fs_context *context_copy(struct fs_context *c) {
  struct fs_context *copy;
  struct dentry *cwd, *root;
  spin_lock(&c->lend.lock);
  cwd = dentry_get(c->cwd);
  root = dentry_get(c->root);
  spin_unlock(&c->lend.lock);
  copy = context_alloc(cwd, root, c->umask);
  if (!copy) {
    dentry_put(cwd);
    dentry_put(root);
  }
  return copy;
}

struct fs_context *fs_context_fork(struct fs_context *c) {
  return likely(lend_out(&c->lend, sizeof *c)) ? c : context_copy(c);
}

void fs_context_get(struct fs_context *c) { lend_get(&c->lend); }

static __attribute__((noinline)) void destroy(struct fs_context *c) {
  dentry_put(c->cwd);
  dentry_put(c->root);
  lend_free_spares(&c->lend);
  kfree_as(KMEM_FILE, c);
}

void fs_context_put(struct fs_context *c) {
  if (c && lend_put(&c->lend))
    destroy(c);
}

void fs_context_leave(struct fs_context *c) {
  if (c && lend_leave(&c->lend))
    destroy(c);
}

static struct fs_context *running(void) {
  struct proc *p = proc_current();
  return p ? p->fs : NULL;
}

static __attribute__((noinline)) struct fs_context *take_back(struct proc *p,
                                                              struct fs_context *c) {
  spin_lock(&c->lend.lock);
  struct fs_context *mine = lend_take_back(&c->lend);
  if (mine)
    context_init(mine, dentry_get(c->cwd), dentry_get(c->root), c->umask);
  spin_unlock(&c->lend.lock);
  if (!mine)
    return c;
  spin_lock(&p->lock);
  p->fs = mine;
  spin_unlock(&p->lock);
  fs_context_put(c);
  return mine;
}

struct fs_context *fs_context_own(void) {
  struct proc *p = proc_current();
  return unlikely(p->fs->lend.lent) ? take_back(p, p->fs) : p->fs;
}

static struct dentry *get_locked(struct fs_context *c, struct dentry **which) {
  struct dentry *d;
  spin_lock(&c->lend.lock);
  d = dentry_get(*which);
  spin_unlock(&c->lend.lock);
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

enum which { CWD, ROOT };

static void replace(enum which which, struct dentry *d) {
  struct fs_context *c = fs_context_own();
  struct dentry **at = which == CWD ? &c->cwd : &c->root, *old;
  spin_lock(&c->lend.lock);
  old = *at;
  *at = d;
  spin_unlock(&c->lend.lock);
  dentry_put(old);
}

/* ---- system calls -------------------------------------------------------------------- */

static int change_dir(struct dentry *d, enum which which) {
  int e = S_ISDIR(d->inode->mode) ? inode_permission(d->inode, MAY_EXEC) : -ENOTDIR;
  if (e == 0)
    replace(which, dentry_get(d));
  return e;
}

static int change_to_path(u64 uaddr, enum which which) {
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

i64 sys_chdir(struct uregs *r) { return change_to_path(r->rdi, CWD); }

i64 sys_chroot(struct uregs *r) {
  if (!cred_is_root())
    return -EPERM;
  return change_to_path(r->rdi, ROOT);
}

i64 sys_fchdir(struct uregs *r) {
  struct file *f = fd_get_path((int)r->rdi);
  int e;
  if (!f)
    return -EBADF;
  e = f->dentry ? change_dir(f->dentry, CWD) : -ENOTDIR;
  file_put(f);
  return e;
}

i64 sys_umask(struct uregs *r) {
  return __atomic_exchange_n(&fs_context_own()->umask, (u32)r->rdi & 0777, __ATOMIC_RELAXED);
}
