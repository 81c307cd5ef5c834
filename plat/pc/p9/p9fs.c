/* SPDX-License-Identifier: MIT */
#include "plat/pc/p9/p9fs.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define V9FS_MAGIC 0x01021997
#define BUCKETS 256
#define OPEN_EXCL 0200u
#define OPEN_NOFOLLOW 0400000u
#define OPEN_DIRECTORY 0200000u
#define OPEN_LARGEFILE 0100000u

static struct spin live_lock;
static struct list live[BUCKETS];

static const struct inode_ops p9_inode_ops;

static struct p9_super *super_of(const struct inode *i) {
  return container_of(i->super, struct p9_super, super);
}

/* ---- owners
 * ------------------------------------------------------------------------------------------ */

static u32 shown_uid(const struct p9_super *s, u32 uid) { return uid == s->uid ? 0 : uid; }
static u32 shown_gid(const struct p9_super *s, u32 gid) { return gid == s->gid ? 0 : gid; }
static u32 host_uid(const struct p9_super *s, u32 uid) { return uid == 0 ? s->uid : uid; }
static u32 host_gid(const struct p9_super *s, u32 gid) { return gid == 0 ? s->gid : gid; }

/* ---- inodes
 * ------------------------------------------------------------------------------------------- */

struct p9_fid *p9_inode_fid(struct p9_inode *n) {
  spin_lock(&n->lock);
  struct p9_fid *f = p9_fid_get(n->fid);
  spin_unlock(&n->lock);
  return f;
}

/* The inode's fid for a call that works on its name, with a reference. -ENOENT: the name is gone,
   and the server may know another object by it. */
static int named_fid(struct inode *i, struct p9_fid **out) {
  struct p9_inode *n = p9_inode_of(i);
  if (n->gone)
    return -ENOENT;
  *out = p9_inode_fid(n);
  return 0;
}

static void refresh(struct p9_inode *n, const struct p9_attr *a) {
  struct inode *i = &n->inode;
  spin_lock(&n->lock);
  n->last = *a;
  spin_unlock(&n->lock);
  i->mode = a->mode;
  i->uid = shown_uid(super_of(i), a->uid);
  i->gid = shown_gid(super_of(i), a->gid);
}

static struct list *bucket(u64 number) {
  struct list *b = &live[(number ^ number >> 17) % BUCKETS];
  if (!b->next)
    list_init(b);
  return b;
}

/* The live inode of this object in this tree, with a reference. One whose last reference is just
   going is left alone, as is one of another type: then the number is used again. */
static struct p9_inode *find_live(struct p9_super *s, const struct p9_qid *qid) {
  struct p9_inode *n;
  list_for_each(n, bucket(qid->path), node) {
    if (n->inode.ino != qid->path || n->inode.super != &s->super || n->last.qid.type != qid->type)
      continue;
    u32 refs = __atomic_load_n(&n->inode.refs, __ATOMIC_RELAXED);
    while (refs != 0)
      if (__atomic_compare_exchange_n(&n->inode.refs, &refs, refs + 1, false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED))
        return n;
  }
  return NULL;
}

static void init_inode(struct p9_inode *n, struct p9_super *s, struct p9_fid *fid,
                       const struct p9_attr *a) {
  *n = (struct p9_inode){.fid = fid, .last = *a};
  inode_init(&n->inode, &s->super, &p9_inode_ops, a->qid.path, a->mode);
  list_push_front(bucket(a->qid.path), &n->node);
}

/* Gives a known inode the fid that was just walked to: the old one. */
static struct p9_fid *change_fid(struct p9_inode *n, struct p9_fid *fid) {
  spin_lock(&n->lock);
  struct p9_fid *old = n->fid;
  n->fid = fid;
  spin_unlock(&n->lock);
  return old;
}

/* The inode for a fid, which it takes over in any case. */
static int inode_for(struct p9_super *s, struct p9_fid *fid, struct inode **out) {
  struct p9_attr a;
  int e = p9_getattr(fid, &a);
  struct p9_inode *fresh = e ? NULL : kmalloc(sizeof *fresh);
  if (!fresh) {
    p9_fid_put(fid);
    return e ? e : -ENOMEM;
  }
  spin_lock(&live_lock);
  struct p9_inode *n = find_live(s, &a.qid);
  if (n) {
    fid = change_fid(n, fid);
  } else {
    n = fresh;
    fresh = NULL;
    init_inode(n, s, fid, &a);
    fid = NULL;
  }
  spin_unlock(&live_lock);
  refresh(n, &a);
  p9_fid_put(fid);
  kfree(fresh);
  *out = &n->inode;
  return 0;
}

static void p9_release(struct inode *i) {
  struct p9_inode *n = p9_inode_of(i);
  spin_lock(&live_lock);
  list_remove(&n->node);
  spin_unlock(&live_lock);
  p9_fid_put(n->fid);
  kfree(n);
}

/* One of the object's names has been removed. If it was the last one, the number may soon belong to
   another object. */
static void lost_name(struct p9_inode *n) {
  spin_lock(&live_lock);
  spin_lock(&n->lock);
  if (S_ISDIR(n->inode.mode) || n->last.nlink <= 1) {
    n->gone = true;
    n->last.nlink = 0;
    list_remove(&n->node);
  } else {
    n->last.nlink--;
  }
  spin_unlock(&n->lock);
  spin_unlock(&live_lock);
}

/* ---- attributes
 * --------------------------------------------------------------------------------------- */

/* Asks the server, and makes sure that it talks about this object. */
static int fetch(const struct p9_inode *n, struct p9_fid *f, struct p9_attr *a) {
  int e = p9_getattr(f, a);
  if (e == -ENOENT)
    return -ESTALE;
  if (e == 0 && (a->qid.path != n->inode.ino || ((a->mode ^ n->inode.mode) & S_IFMT)))
    return -ESTALE;
  return e;
}

static void to_kstat(const struct inode *i, const struct p9_attr *a, struct kstat *st) {
  struct p9_super *s = super_of(i);
  *st = (struct kstat){.dev = i->super->dev,
                       .ino = i->ino,
                       .rdev = a->rdev,
                       .mode = a->mode,
                       .nlink = (u32)min_u64(a->nlink, UINT32_MAX),
                       .uid = shown_uid(s, a->uid),
                       .gid = shown_gid(s, a->gid),
                       .size = a->size,
                       .blocks = a->blocks,
                       .blksize = (u32)min_u64(max_u64(a->blksize, 512), MIB(1)),
                       .atime = a->atime,
                       .mtime = a->mtime,
                       .ctime = a->ctime};
  st->version = (u64)a->ctime ^ a->size << 40 ^ (u64)a->qid.version << 16;
}

/* A fid that leads to the object, with a reference, and what the server says about it. */
static int find_fid(struct p9_inode *n, struct p9_fid *open, struct p9_fid **out,
                    struct p9_attr *a) {
  struct p9_fid *f = p9_inode_fid(n);
  int e = n->gone ? -ESTALE : fetch(n, f, a);
  if (e == -ESTALE && open) {
    p9_fid_put(f);
    f = p9_fid_get(open);
    e = fetch(n, f, a);
  }
  if (e < 0)
    p9_fid_put(f);
  else
    *out = f;
  return e;
}

int p9_inode_stat(struct p9_inode *n, struct p9_fid *open, struct kstat *st) {
  struct p9_attr a;
  struct p9_fid *f;
  int e = find_fid(n, open, &f, &a);
  if (e == 0) {
    refresh(n, &a);
    p9_fid_put(f);
  } else if (e == -ESTALE) {
    spin_lock(&n->lock);
    a = n->last;
    spin_unlock(&n->lock);
    a.nlink = S_ISDIR(a.mode) || a.nlink <= 1 ? 0 : a.nlink;
    e = 0;
  }
  if (e == 0)
    to_kstat(&n->inode, &a, st);
  return e;
}

static int p9_getattr_op(struct inode *i, struct kstat *st) {
  return p9_inode_stat(p9_inode_of(i), NULL, st);
}

int p9_inode_set(struct p9_inode *n, struct p9_fid *open, const struct iattr *a) {
  struct p9_super *s = super_of(&n->inode);
  struct iattr h = *a;
  struct p9_attr now;
  struct p9_fid *f;
  if (S_ISLNK(n->inode.mode) && (a->valid & ATTR_MODE))
    return -EOPNOTSUPP;
  int e = find_fid(n, open, &f, &now);
  if (e < 0)
    return e;
  h.uid = host_uid(s, a->uid);
  h.gid = host_gid(s, a->gid);
  e = p9_setattr(f, &h);
  if (e == 0 && fetch(n, f, &now) == 0)
    refresh(n, &now);
  p9_fid_put(f);
  return e;
}

static int p9_setattr_op(struct inode *i, const struct iattr *a) {
  return p9_inode_set(p9_inode_of(i), NULL, a);
}

void p9_inode_reaches(struct p9_inode *n, u64 end) {
  spin_lock(&n->lock);
  n->last.size = max_u64(n->last.size, end);
  spin_unlock(&n->lock);
}

static int p9_statfs_op(struct inode *i, struct kstatfs *st) {
  struct p9_fid *f = p9_inode_fid(p9_inode_of(i));
  int e = p9_statfs(f, st);
  p9_fid_put(f);
  st->type = V9FS_MAGIC;
  st->fsid = i->super->dev;
  st->namelen = min_u64(st->namelen, NAME_MAX);
  return e;
}

static i64 p9_readlink_op(struct inode *i, char *buf, size_t size) {
  struct p9_fid *f;
  i64 n = named_fid(i, &f);
  if (n < 0)
    return n;
  n = p9_readlink(f, buf, size);
  p9_fid_put(f);
  return n;
}

/* ---- names
 * -------------------------------------------------------------------------------------------- */

static int lookup_fid(struct p9_super *s, struct p9_fid *dir, const char *name,
                      struct inode **out) {
  struct p9_qid qid;
  struct p9_fid *f;
  int e = p9_walk(dir, name, &f, &qid);
  return e < 0 ? e : inode_for(s, f, out);
}

static int p9_lookup(struct inode *dir, const char *name, struct inode **out) {
  struct p9_fid *d;
  int e = named_fid(dir, &d);
  if (e < 0)
    return e;
  e = lookup_fid(super_of(dir), d, name, out);
  p9_fid_put(d);
  return e;
}

/* After a call that made a name: its inode. Gives the directory's fid back. */
static int made(struct inode *dir, struct p9_fid *d, int e, const char *name, struct inode **out) {
  if (e == 0)
    e = lookup_fid(super_of(dir), d, name, out);
  p9_fid_put(d);
  return e;
}

static int p9_create_op(struct inode *dir, const char *name, u32 mode, struct inode **out) {
  struct p9_fid *d, *f;
  struct p9_qid qid;
  int e = named_fid(dir, &d);
  if (e < 0)
    return e;
  e = p9_walk(d, NULL, &f, &qid);
  if (e == 0) {
    e = p9_create(f, name, O_RDWR | OPEN_EXCL | OPEN_NOFOLLOW | OPEN_LARGEFILE, mode,
                  super_of(dir)->gid);
    p9_fid_put(f);
  }
  return made(dir, d, e, name, out);
}

static int p9_mkdir_op(struct inode *dir, const char *name, u32 mode, struct inode **out) {
  struct p9_fid *d;
  int e = named_fid(dir, &d);
  return e < 0 ? e : made(dir, d, p9_mkdir(d, name, mode, super_of(dir)->gid), name, out);
}

/* FIFOs and sockets live in the core; the host keeps their names. Devices are not for guests. */
static int p9_mknod_op(struct inode *dir, const char *name, u32 mode, u64 rdev,
                       struct inode **out) {
  struct p9_fid *d;
  (void)rdev;
  if (!S_ISFIFO(mode) && !S_ISSOCK(mode))
    return -EPERM;
  int e = named_fid(dir, &d);
  if (e < 0)
    return e;
  e = p9_mknod(d, name, mode, super_of(dir)->gid);
  if (e == -ENXIO) /* QEMU, unless it maps modes: it handles no special files of the host */
    e = -EPERM;
  return made(dir, d, e, name, out);
}

static int p9_symlink_op(struct inode *dir, const char *name, const char *target,
                         struct inode **out) {
  struct p9_fid *d;
  int e = named_fid(dir, &d);
  return e < 0 ? e : made(dir, d, p9_symlink(d, name, target, super_of(dir)->gid), name, out);
}

static int p9_link_op(struct inode *dir, const char *name, struct inode *target) {
  struct p9_inode *n = p9_inode_of(target);
  struct p9_fid *d = NULL, *t = NULL;
  struct p9_attr a;
  int e = named_fid(dir, &d);
  if (e == 0)
    e = named_fid(target, &t);
  if (e == 0)
    e = p9_link(d, name, t);
  if (e == 0 && fetch(n, t, &a) == 0)
    refresh(n, &a);
  p9_fid_put(d);
  p9_fid_put(t);
  return e;
}

static int remove_name(struct inode *dir, const char *name, struct inode *target, bool directory) {
  struct p9_fid *d;
  int e = named_fid(dir, &d);
  if (e < 0)
    return e;
  e = p9_unlink(d, name, directory);
  p9_fid_put(d);
  if (e == 0)
    lost_name(p9_inode_of(target));
  return e;
}

static int p9_unlink_op(struct inode *dir, const char *name, struct inode *target) {
  return remove_name(dir, name, target, false);
}

static int p9_rmdir_op(struct inode *dir, const char *name, struct inode *target) {
  return remove_name(dir, name, target, true);
}

/* The live inode that `name` leads to, with a reference, or NULL. */
static struct p9_inode *known_child(struct p9_super *s, struct p9_fid *dir, const char *name) {
  struct p9_inode *n;
  struct p9_qid qid;
  struct p9_fid *f;
  if (p9_walk(dir, name, &f, &qid) < 0)
    return NULL;
  p9_fid_put(f);
  spin_lock(&live_lock);
  n = find_live(s, &qid);
  spin_unlock(&live_lock);
  return n;
}

/* The protocol has no flags: nothing else could keep them atomically. */
static int p9_rename_op(struct inode *olddir, const char *oldname, struct inode *newdir,
                        const char *newname, u32 flags) {
  struct p9_fid *from = NULL, *to = NULL;
  struct p9_inode *victim = NULL;
  int e = flags ? -EINVAL : named_fid(olddir, &from);
  if (e == 0)
    e = named_fid(newdir, &to);
  if (e == 0) {
    victim = known_child(super_of(newdir), to, newname);
    e = p9_rename(from, oldname, to, newname);
  }
  if (victim && e == 0)
    lost_name(victim);
  if (victim)
    inode_put(&victim->inode);
  p9_fid_put(from);
  p9_fid_put(to);
  return e;
}

/* ---- opening
 * ------------------------------------------------------------------------------------------ */

static int open_fid(struct p9_inode *n, struct p9_fid *f, u32 flags) {
  struct p9_qid qid;
  int e = p9_open(f, flags | OPEN_NOFOLLOW | OPEN_LARGEFILE, &qid);
  return e == 0 && qid.path != n->inode.ino ? -ESTALE : e;
}

/* Regular files and directories only: no device or FIFO of the host. */
static int p9_open_op(struct inode *i, struct file *f) {
  bool directory = S_ISDIR(i->mode);
  struct p9_fid *d, *fid;
  struct p9_qid qid;
  if (!S_ISREG(i->mode) && !directory)
    return -ENXIO;
  int e = named_fid(i, &d);
  if (e < 0)
    return e;
  e = p9_walk(d, NULL, &fid, &qid);
  p9_fid_put(d);
  if (e < 0)
    return e;
  e = open_fid(p9_inode_of(i), fid, directory ? O_RDONLY | OPEN_DIRECTORY : f->flags & O_ACCMODE);
  if (e < 0) {
    p9_fid_put(fid);
    return e;
  }
  f->ops = directory ? &p9_dir_ops : &p9_file_ops;
  f->priv = fid;
  return 0;
}

static const struct inode_ops p9_inode_ops = {
    .lookup = p9_lookup,
    .create = p9_create_op,
    .mkdir = p9_mkdir_op,
    .mknod = p9_mknod_op,
    .symlink = p9_symlink_op,
    .link = p9_link_op,
    .unlink = p9_unlink_op,
    .rmdir = p9_rmdir_op,
    .rename = p9_rename_op,
    .readlink = p9_readlink_op,
    .open = p9_open_op,
    .getattr = p9_getattr_op,
    .setattr = p9_setattr_op,
    .statfs = p9_statfs_op,
    .release = p9_release,
};

/* ---- mounting
 * ----------------------------------------------------------------------------------------- */

/* The export's root, attached as its owner: what the guest makes then belongs to him. */
static int attach(struct p9_super *s, struct p9_fid **out) {
  struct p9_attr a;
  int e = p9_attach(s->session, 0, out);
  if (e < 0)
    return e;
  e = p9_getattr(*out, &a);
  if (e == 0 && a.uid == 0) {
    s->gid = a.gid;
    return 0;
  }
  p9_fid_put(*out);
  if (e < 0)
    return e;
  s->uid = a.uid;
  s->gid = a.gid;
  return p9_attach(s->session, a.uid, out);
}

/* The next component of a path into name: 1, 0 at the end, -EINVAL, -ENAMETOOLONG. */
static int next_component(const char **path, char name[NAME_MAX + 1]) {
  const char *p = *path;
  size_t n = 0;
  while (*p == '/')
    p++;
  while (p[n] && p[n] != '/')
    n++;
  *path = p + n;
  if (n > NAME_MAX)
    return -ENAMETOOLONG;
  memcpy(name, p, n);
  name[n] = 0;
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return -EINVAL;
  return n > 0;
}

/* Walks on from *i, whose reference is exchanged. No links are followed. */
static int descend(const char *path, struct inode **i) {
  char name[NAME_MAX + 1];
  int more;
  while ((more = next_component(&path, name)) > 0) {
    struct inode *child;
    int e = S_ISDIR((*i)->mode) ? p9_lookup(*i, name, &child) : -ENOTDIR;
    if (e < 0)
      return e;
    inode_put(*i);
    *i = child;
  }
  return more;
}

static int mount(struct p9_super *s, const char *path, struct inode **out) {
  struct p9_fid *root;
  int e = p9_start(s->session);
  if (e == 0)
    e = attach(s, &root);
  if (e == 0)
    e = inode_for(s, root, out);
  if (e < 0)
    return e;
  e = descend(path, out);
  if (e < 0)
    inode_put(*out);
  return e;
}

/* host_path: the mount tag of an export, or TAG/PATH for something in it. */
int plat_hostfs(const char *host_path, bool read_only, struct inode **out) {
  const char *slash;
  while (*host_path == '/')
    host_path++;
  slash = strchr(host_path, '/');
  size_t n = slash ? (size_t)(slash - host_path) : strlen(host_path);
  struct p9 *session = p9_find(host_path, n);
  if (!session)
    return -ENODEV;
  struct p9_super *s = kzalloc(sizeof *s);
  if (!s)
    return -ENOMEM;
  super_init(&s->super, "9p", V9FS_MAGIC);
  s->super.read_only = read_only;
  s->super.volatile_names = true;
  s->session = session;
  int e = mount(s, host_path + n, out);
  if (e < 0)
    kfree(s);
  return e;
}
