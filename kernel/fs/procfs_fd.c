/* SPDX-License-Identifier: MIT */
/* /proc/PID: links to open files, working directory, root and program. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/fs_context.h"
#include "kernel/fs/procfs.h"
#include "lib/fmt.h"
#include "lib/string.h"

/* A process's table with a reference: exit and exec replace it under the lock. */
static struct fdtable *table_of(int pid) {
  struct proc *p = proc_find(pid);
  struct fdtable *t;
  if (!p)
    return NULL;
  spin_lock(&p->lock);
  t = p->files;
  if (t)
    fdtable_get(t);
  spin_unlock(&p->lock);
  proc_put(p);
  return t;
}

int pfs_next_fd(const struct pfs_who *w, int from) {
  struct fdtable *t = table_of(w->pid);
  int fd = t ? fdtable_next(t, from) : -1;
  fdtable_put(t);
  return fd;
}

static struct file *file_of(const struct pfs_who *w) {
  struct fdtable *t = table_of(w->pid);
  struct file *f = t ? fdtable_file(t, w->id, NULL) : NULL;
  fdtable_put(t);
  return f;
}

static int fd_target(const struct pfs_who *w, char *buf, size_t size) {
  struct file *f = file_of(w);
  struct kstat st;
  i64 e = 0;
  if (!f)
    return -ENOENT;
  if (f->dentry)
    e = vfs_path_of(f, buf, size);
  else if (strchr(f->ops->name, ':') || strchr(f->ops->name, '/') || file_getattr(f, &st) < 0)
    str_copy(buf, f->ops->name, size);
  else
    fmt(buf, size, "%s:[%lu]", f->ops->name, st.ino);
  file_put(f);
  return e < 0 ? (int)e : 0;
}

static int fd_magic(const struct pfs_who *w, struct dentry **out) {
  struct file *f = file_of(w);
  int e = -ENOLINK;
  if (!f)
    return -ENOENT;
  if (f->dentry) {
    *out = dentry_get(f->dentry);
    e = 0;
  }
  file_put(f);
  return e;
}

/* A pipe or socket cannot be opened anew: the open file itself is shared, as dup does. */
static int fd_reopen(const struct pfs_who *w, u32 flags, struct file **out) {
  struct file *f = file_of(w);
  u32 have, want = flags & O_ACCMODE;
  if (!f)
    return -ENOENT;
  have = f->flags & O_ACCMODE;
  if (!(flags & O_PATH) && have != O_RDWR && have != want) {
    file_put(f);
    return -EACCES;
  }
  *out = f;
  return 0;
}

const struct pfs_node pfs_fd_link = {.name = "",
                                     .mode = S_IFLNK | 0777,
                                     .target = fd_target,
                                     .magic = fd_magic,
                                     .reopen = fd_reopen};

/* ---- directories
 * ----------------------------------------------------------------------------------- */

static int context_dentry(int pid, bool root, struct dentry **out) {
  struct proc *p = proc_find(pid);
  struct fs_context *c;
  if (!p)
    return -ENOENT;
  spin_lock(&p->lock);
  c = p->fs;
  if (c)
    fs_context_get(c);
  spin_unlock(&p->lock);
  proc_put(p);
  if (!c)
    return -ENOENT;
  spin_lock(&c->lend.lock);
  *out = dentry_get(root ? c->root : c->cwd);
  spin_unlock(&c->lend.lock);
  fs_context_put(c);
  return 0;
}

int pfs_cwd_magic(const struct pfs_who *w, struct dentry **out) {
  return context_dentry(w->pid, false, out);
}

int pfs_root_magic(const struct pfs_who *w, struct dentry **out) {
  return context_dentry(w->pid, true, out);
}

static int context_path(int pid, bool root, char *buf, size_t size) {
  struct dentry *d;
  i64 e = context_dentry(pid, root, &d);
  if (e == 0) {
    e = path_of(d, buf, size);
    dentry_put(d);
  }
  return e < 0 ? (int)e : 0;
}

int pfs_cwd_target(const struct pfs_who *w, char *buf, size_t size) {
  return context_path(w->pid, false, buf, size);
}

int pfs_root_target(const struct pfs_who *w, char *buf, size_t size) {
  return context_path(w->pid, true, buf, size);
}

int pfs_exe_target(const struct pfs_who *w, char *buf, size_t size) {
  struct proc *p = proc_find(w->pid);
  int e = -ENOENT;
  if (!p)
    return -ENOENT;
  spin_lock(&p->lock);
  if (p->exe_path) {
    str_copy(buf, p->exe_path->s, size);
    e = 0;
  }
  spin_unlock(&p->lock);
  proc_put(p);
  return e;
}
