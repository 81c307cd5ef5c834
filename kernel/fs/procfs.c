/* SPDX-License-Identifier: MIT */
/* /proc: nodes as inodes, generated texts as files, tables as directories. */
#include "kernel/fs/procfs.h"
#include "kernel/fs/cred.h"
#include "kernel/mm/kmalloc.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define PROC_MAGIC 0x9fa0
#define LINK_MAX 4096

struct pfs_inode {
  struct inode inode;
  const struct pfs_node *node;
  struct pfs_who who;
};

static struct super pfs_super;
static const struct inode_ops dir_ops, text_ops, link_ops, magic_ops, fd_ops;

static struct pfs_inode *of(struct inode *i) { return container_of(i, struct pfs_inode, inode); }

/* ---- inodes ------------------------------------------------------------------------------- */

static const struct inode_ops *ops_of(const struct pfs_node *n) {
  if (S_ISDIR(n->mode))
    return &dir_ops;
  if (S_ISREG(n->mode))
    return &text_ops;
  return n->reopen ? &fd_ops : n->magic ? &magic_ops : &link_ops;
}

/* Stable as long as the process, thread or descriptor lives. */
static u64 ino_of(const struct pfs_node *n, const struct pfs_who *w) {
  return ((u64)n >> 3 & 0xffff) | (u64)(u32)w->pid << 16 | (u64)(u32)w->id << 32;
}

static void take_owner(struct inode *i, int pid) {
  struct proc *p = pid ? proc_find(pid) : NULL;
  if (!p)
    return;
  i->uid = p->cred.euid;
  i->gid = p->cred.egid;
  proc_put(p);
}

static struct inode *new_inode(const struct pfs_node *n, struct pfs_who who) {
  struct pfs_inode *i = kmalloc(sizeof *i);
  if (!i)
    return NULL;
  inode_init(&i->inode, &pfs_super, ops_of(n), ino_of(n, &who), n->mode);
  i->node = n;
  i->who = who;
  take_owner(&i->inode, who.pid);
  return &i->inode;
}

static void pfs_release(struct inode *i) { kfree(of(i)); }

static int pfs_getattr(struct inode *i, struct kstat *st) {
  struct pfs_inode *p = of(i);
  i64 now = (i64)plat_walltime();
  *st = (struct kstat){.dev = i->super->dev,
                       .ino = i->ino,
                       .mode = i->mode,
                       .nlink = S_ISDIR(i->mode) ? 2 : 1,
                       .uid = i->uid,
                       .gid = i->gid,
                       .blksize = 1024,
                       .atime = now,
                       .mtime = now,
                       .ctime = now};
  if (S_ISLNK(i->mode) && !p->node->reopen)
    st->size = 64;
  return 0;
}

static int check_owner(struct inode *i) {
  return of(i)->node->owner_only && !cred_owns(i) ? -EACCES : 0;
}

/* ---- directories ---------------------------------------------------------------------------- */

static int parse_number(const char *s) {
  int n = 0;
  if (!*s || (s[0] == '0' && s[1]))
    return -1;
  for (; *s; s++) {
    if (*s < '0' || *s > '9' || n > 100000000)
      return -1;
    n = n * 10 + (*s - '0');
  }
  return n;
}

/* The entry number n of a directory: a process, or something of the process. */
static struct pfs_who below(const struct pfs_who *w, int n) {
  return w->pid ? (struct pfs_who){w->pid, n} : (struct pfs_who){n, 0};
}

static int pfs_lookup(struct inode *dir, const char *name, struct inode **out) {
  struct pfs_inode *d = of(dir);
  const struct pfs_node *n = d->node->children;
  struct pfs_who who = d->who;
  int number = d->node->next ? parse_number(name) : -1;
  if (number >= 0) {
    if (d->node->next(&d->who, number) != number)
      return -ENOENT;
    n = d->node->numbered;
    who = below(&d->who, number);
  } else {
    while (n && n->name && strcmp(n->name, name) != 0)
      n++;
    if (!n || !n->name)
      return -ENOENT;
  }
  *out = new_inode(n, who);
  return *out ? 0 : -ENOMEM;
}

/* Positions: 0 and 1 are the dots, then the fixed entries, then numbers. */
static int emit_fixed(struct file *f, struct uio *u, u64 *fixed) {
  struct pfs_inode *d = of(f->inode);
  u64 k = 2;
  int e = 0;
  if (f->pos == 0 && (e = dirent_emit(u, f->inode->ino, 1, S_IFDIR, ".")) == 0)
    f->pos = 1;
  if (e == 0 && f->pos == 1 && (e = dirent_emit(u, f->inode->ino, 2, S_IFDIR, "..")) == 0)
    f->pos = 2;
  for (const struct pfs_node *n = d->node->children; n && n->name; n++, k++) {
    if (e < 0 || f->pos > k)
      continue;
    e = dirent_emit(u, ino_of(n, &d->who), k + 1, n->mode, n->name);
    if (e == 0)
      f->pos = k + 1;
  }
  *fixed = k;
  return e;
}

static int emit_numbered(struct file *f, struct uio *u, u64 fixed) {
  struct pfs_inode *d = of(f->inode);
  while (d->node->next) {
    int n = d->node->next(&d->who, (int)(f->pos - fixed)), e;
    struct pfs_who who = below(&d->who, n);
    char name[12];
    if (n < 0)
      break;
    fmt(name, sizeof name, "%d", n);
    e = dirent_emit(u, ino_of(d->node->numbered, &who), fixed + (u64)n + 1, d->node->numbered->mode,
                    name);
    if (e < 0)
      return e;
    f->pos = fixed + (u64)n + 1;
  }
  return 0;
}

static i64 pfs_readdir(struct file *f, struct uio *u) {
  u64 before = u->left, fixed;
  int e = emit_fixed(f, u, &fixed);
  if (e == 0)
    e = emit_numbered(f, u, fixed);
  return before != u->left ? (i64)(before - u->left) : e;
}

static i64 pfs_dir_seek(struct file *f, i64 off, int whence) {
  return whence > 1 ? -EINVAL : seek_in_size(f, off, whence, 0);
}

static const struct file_ops dir_file_ops = {
    .name = "proc", .seek = pfs_dir_seek, .readdir = pfs_readdir};

/* ---- texts: generated when read from the start ----------------------------------------------- */

struct generated {
  struct mutex lock;
  struct text text;
  bool made;
};

static int generate(struct file *f, struct generated *g) {
  struct pfs_inode *i = of(f->inode);
  int e;
  g->text.len = 0;
  e = i->node->show(&g->text, &i->who);
  if (e == 0 && g->text.failed)
    e = -ENOMEM;
  g->made = e == 0;
  return e;
}

static i64 text_read(struct file *f, struct uio *u, u64 *pos) {
  struct generated *g = f->priv;
  i64 n = 0;
  mutex_lock(&g->lock);
  if (*pos == 0 || !g->made)
    n = generate(f, g);
  if (n == 0 && *pos < g->text.len)
    n = uio_write_to(u, g->text.buf + *pos, g->text.len - *pos);
  mutex_unlock(&g->lock);
  if (n > 0)
    *pos += (u64)n;
  return n;
}

static i64 text_seek(struct file *f, i64 off, int whence) {
  return whence > 1 ? -EINVAL : seek_in_size(f, off, whence, 0);
}

static void text_release(struct file *f) {
  struct generated *g = f->priv;
  text_free(&g->text);
  kfree(g);
}

static const struct file_ops text_file_ops = {
    .name = "proc", .read = text_read, .seek = text_seek, .release = text_release};

static int pfs_open(struct inode *i, struct file *f) {
  struct generated *g;
  if (S_ISDIR(i->mode)) {
    f->ops = &dir_file_ops;
    return 0;
  }
  if ((f->flags & O_ACCMODE) != O_RDONLY || check_owner(i) < 0)
    return -EACCES;
  g = kzalloc(sizeof *g);
  if (!g)
    return -ENOMEM;
  mutex_init(&g->lock);
  f->priv = g;
  f->ops = &text_file_ops;
  return 0;
}

/* ---- links ----------------------------------------------------------------------------------- */

static i64 pfs_readlink(struct inode *i, char *buf, size_t size) {
  struct pfs_inode *p = of(i);
  char *text;
  i64 e = check_owner(i);
  if (e < 0)
    return e;
  text = kmalloc(LINK_MAX);
  e = text ? p->node->target(&p->who, text, LINK_MAX) : -ENOMEM;
  if (e >= 0) {
    e = (i64)strnlen(text, size);
    memcpy(buf, text, (size_t)e);
  }
  kfree(text);
  return e;
}

static int pfs_magic_link(struct inode *i, struct dentry **out) {
  int e = check_owner(i);
  return e < 0 ? e : of(i)->node->magic(&of(i)->who, out);
}

static int pfs_reopen(struct inode *i, u32 flags, struct file **out) {
  return of(i)->node->reopen(&of(i)->who, flags, out);
}

static const struct inode_ops dir_ops = {
    .lookup = pfs_lookup, .open = pfs_open, .getattr = pfs_getattr, .release = pfs_release};
static const struct inode_ops text_ops = {
    .open = pfs_open, .getattr = pfs_getattr, .release = pfs_release};
static const struct inode_ops link_ops = {
    .readlink = pfs_readlink, .getattr = pfs_getattr, .release = pfs_release};
static const struct inode_ops magic_ops = {.readlink = pfs_readlink,
                                           .magic_link = pfs_magic_link,
                                           .getattr = pfs_getattr,
                                           .release = pfs_release};
static const struct inode_ops fd_ops = {.readlink = pfs_readlink,
                                        .magic_link = pfs_magic_link,
                                        .reopen = pfs_reopen,
                                        .getattr = pfs_getattr,
                                        .release = pfs_release};

int procfs_boot(void) {
  struct inode *root;
  struct dentry *at;
  int e;
  super_init(&pfs_super, "proc", PROC_MAGIC);
  pfs_super.volatile_names = true;
  root = new_inode(&pfs_root, (struct pfs_who){0, 0});
  if (!root)
    return -ENOMEM;
  e = path_walk(NULL, "/proc", WALK_DIRECTORY, &at);
  if (e < 0)
    return e;
  e = vfs_mount(at, root, "proc", false);
  dentry_put(at);
  return e;
}
