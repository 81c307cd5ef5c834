/* SPDX-License-Identifier: MIT */
/*
 * Host directories as file systems. An inode is a handle (O_PATH descriptor) on one host object;
 * every operation is relative to a handle and names a single component that is never followed if it
 * is a link, so there is no way out of the tree whatever is renamed meanwhile: `..` and links are
 * the core's business, on its own names. Objects are opened for I/O through /proc/self/fd, which
 * opens exactly the object of the handle.
 *
 * While an inode lives its handle keeps the object's number from being used again, so that one
 * stat of a name tells whether it still leads there. An inode remembers the descriptor it was read
 * through last, for the next who opens it for reading.
 *
 * Objects that belong to the user who runs the instance are shown as root's.
 */
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/hostfile.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/offload.h"

#define HOST_O_NOFOLLOW 0400000
#define HOST_O_DIRECTORY 0200000
#define HOST_O_CLOEXEC 02000000
#define HOST_O_PATH 010000000
#define HOST_O_CREAT 0100
#define HOST_O_EXCL 0200
#define HOST_O_NONBLOCK 04000
#define UTIME_OMIT 0x3ffffffe
#define INODE_BUCKETS 256
#define NS 1000000000

struct host_super {
  struct super super;
  u32 euid, egid;
};

/* Changes whenever the host's answer to an open may. */
struct host_access {
  i64 ctime;
  u32 mode, uid, gid;
};

struct host_inode {
  struct inode inode;
  int handle;
  u64 host_dev;
  i64 ctime;                  /* the object's, when it was last looked at; atomic */
  struct spin lock;           /* reader */
  struct host_open *reader;   /* open for reading; NULL: never yet */
  struct host_access allowed; /* what the host's permission to open reader depended on */
  struct list node;           /* live inodes by (dev, ino), so that an object has one inode */
};

static struct spin live_lock;
static struct list live[INODE_BUCKETS];
static int proc_fd = -1; /* /proc/self/fd */

static const struct inode_ops host_inode_ops;

static struct host_inode *of(struct inode *i) { return container_of(i, struct host_inode, inode); }
static int handle_of(struct inode *i) { return of(i)->handle; }

static struct host_super *super_of(const struct inode *i) {
  return container_of(i->super, struct host_super, super);
}

/* ---- inodes ---------------------------------------------------------------------------------- */

static i64 ns_of(struct lx_timespec t) { return t.sec * NS + t.nsec; }
static u32 shown_uid(const struct host_super *s, u32 uid) { return uid == s->euid ? 0 : uid; }
static u32 shown_gid(const struct host_super *s, u32 gid) { return gid == s->egid ? 0 : gid; }
static u32 host_uid(const struct host_super *s, u32 uid) { return uid == 0 ? s->euid : uid; }
static u32 host_gid(const struct host_super *s, u32 gid) { return gid == 0 ? s->egid : gid; }

static int host_stat(int handle, struct lx_stat *st) {
  return (int)LX_RETRY(lx2(fstat, handle, st));
}

/* Mostly nothing has changed, and then nothing is written that other CPUs read. */
static void refresh(struct inode *i, const struct lx_stat *st) {
  struct host_super *s = super_of(i);
  u32 uid = shown_uid(s, st->uid), gid = shown_gid(s, st->gid);
  i64 ctime = ns_of(st->ctim);
  if (of(i)->ctime != ctime)
    __atomic_store_n(&of(i)->ctime, ctime, __ATOMIC_RELAXED);
  if (i->mode != st->mode)
    i->mode = st->mode;
  if (i->uid != uid)
    i->uid = uid;
  if (i->gid != gid)
    i->gid = gid;
  if (i->rdev != st->rdev)
    i->rdev = st->rdev;
}

static struct list *bucket(u64 dev, u64 ino) {
  struct list *b = &live[(ino ^ dev * 31) % INODE_BUCKETS];
  if (!b->next)
    list_init(b);
  return b;
}

/* The live inode of this object in this tree, with a reference. One whose last reference is just
   going is left alone. */
static struct host_inode *find_live(struct host_super *s, const struct lx_stat *st) {
  struct host_inode *h;
  list_for_each(h, bucket(st->dev, st->ino), node) {
    if (h->inode.ino != st->ino || h->host_dev != st->dev || h->inode.super != &s->super)
      continue;
    u32 refs = __atomic_load_n(&h->inode.refs, __ATOMIC_RELAXED);
    while (refs != 0)
      if (__atomic_compare_exchange_n(&h->inode.refs, &refs, refs + 1, false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED))
        return h;
  }
  return NULL;
}

/* The inode for a handle, which it takes over in any case. */
static int inode_for(struct host_super *s, int handle, struct inode **out) {
  struct lx_stat st;
  int err = host_stat(handle, &st);
  struct host_inode *fresh = err ? NULL : kmalloc(sizeof(*fresh));
  if (!err && !fresh)
    err = -ENOMEM;
  if (err) {
    lx1(close, handle);
    return err;
  }
  spin_lock(&live_lock);
  struct host_inode *h = find_live(s, &st);
  if (!h) {
    h = fresh;
    fresh = NULL;
    inode_init(&h->inode, &s->super, &host_inode_ops, st.ino, st.mode);
    h->handle = handle;
    h->host_dev = st.dev;
    h->ctime = 0;
    h->lock = (struct spin)SPIN_INIT;
    h->reader = NULL;
    list_push_front(bucket(st.dev, st.ino), &h->node);
  }
  refresh(&h->inode, &st);
  spin_unlock(&live_lock);
  if (fresh) {
    kfree(fresh);
    lx1(close, handle);
  }
  *out = &h->inode;
  return 0;
}

#define LARGE_BLOCKS (4096u) /* of 512 bytes */

/* Of a large file that has been removed the last descriptor takes long to close. */
static void close_handle(int fd) {
  struct lx_stat st;
  if (lx2(fstat, fd, &st) == 0 && st.nlink == 0 && st.blocks >= LARGE_BLOCKS)
    offload_close(fd);
  else
    lx1(close, fd);
}

static void host_release(struct inode *i) {
  struct host_inode *h = of(i);
  spin_lock(&live_lock);
  list_remove(&h->node);
  spin_unlock(&live_lock);
  if (h->reader)
    host_open_put(h->reader);
  close_handle(h->handle);
  kfree(h);
}

/* ---- names ----------------------------------------------------------------------------------- */

static int host_lookup(struct inode *dir, const char *name, struct inode **out) {
  i64 fd = LX_RETRY(
      lx4(openat, handle_of(dir), name, HOST_O_PATH | HOST_O_NOFOLLOW | HOST_O_CLOEXEC, 0));
  return fd < 0 ? (int)fd : inode_for(super_of(dir), (int)fd, out);
}

static int host_revalidate(struct inode *dir, const char *name, struct inode *known) {
  struct lx_stat st;
  i64 err = LX_RETRY(
      lx4(newfstatat, handle_of(dir), name, &st, LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT));
  if (err < 0)
    return (int)err;
  if (st.ino != known->ino || st.dev != of(known)->host_dev || ((st.mode ^ known->mode) & S_IFMT))
    return -ESTALE;
  refresh(known, &st);
  return 0;
}

static int host_create(struct inode *dir, const char *name, u32 mode, struct inode **out) {
  i64 fd =
      LX_RETRY(lx4(openat, handle_of(dir), name,
                   O_RDWR | HOST_O_CREAT | HOST_O_EXCL | HOST_O_NOFOLLOW | HOST_O_CLOEXEC, mode));
  if (fd < 0)
    return (int)fd;
  lx1(close, fd);
  return host_lookup(dir, name, out);
}

static int host_mkdir(struct inode *dir, const char *name, u32 mode, struct inode **out) {
  i64 err = lx3(mkdirat, handle_of(dir), name, mode);
  return err < 0 ? (int)err : host_lookup(dir, name, out);
}

/* FIFOs and sockets live in the core; the host keeps their names. Devices are not for guests. */
static int host_mknod(struct inode *dir, const char *name, u32 mode, u64 rdev, struct inode **out) {
  (void)rdev;
  if (!S_ISFIFO(mode) && !S_ISSOCK(mode))
    return -EPERM;
  i64 err = lx_call6(259 /* mknodat */, (u64)handle_of(dir), (u64)name, mode, 0, 0, 0);
  return err < 0 ? (int)err : host_lookup(dir, name, out);
}

static int host_symlink(struct inode *dir, const char *name, const char *target,
                        struct inode **out) {
  i64 err = lx3(symlinkat, target, handle_of(dir), name);
  return err < 0 ? (int)err : host_lookup(dir, name, out);
}

struct proc_path {
  char s[24];
};
/* Name of a handle under /proc/self/fd. */
static struct proc_path proc_path(int handle) {
  struct proc_path p;
  fmt(p.s, sizeof(p.s), "%d", handle);
  return p;
}

static int host_link(struct inode *dir, const char *name, struct inode *target) {
  struct proc_path p = proc_path(handle_of(target));
  return (int)lx5(linkat, proc_fd, p.s, handle_of(dir), name, 0x400 /* AT_SYMLINK_FOLLOW */);
}

static int host_unlink(struct inode *dir, const char *name, struct inode *target) {
  (void)target;
  return (int)lx3(unlinkat, handle_of(dir), name, 0);
}

static int host_rmdir(struct inode *dir, const char *name, struct inode *target) {
  (void)target;
  return (int)lx3(unlinkat, handle_of(dir), name, LX_AT_REMOVEDIR);
}

static int host_rename(struct inode *olddir, const char *oldname, struct inode *newdir,
                       const char *newname, u32 flags) {
  return (int)lx5(renameat2, handle_of(olddir), oldname, handle_of(newdir), newname, flags);
}

static i64 host_readlink(struct inode *i, char *buf, size_t size) {
  return lx4(readlinkat, handle_of(i), "", buf, size);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int host_getattr(struct inode *i, struct kstat *st) {
  struct lx_stat h;
  behind_settle_all();
  int err = host_stat(handle_of(i), &h);
  if (err)
    return err;
  refresh(i, &h);
  *st = (struct kstat){.dev = i->super->dev ^ h.dev << 20,
                       .ino = h.ino,
                       .rdev = h.rdev,
                       .mode = h.mode,
                       .nlink = (u32)h.nlink,
                       .uid = i->uid,
                       .gid = i->gid,
                       .size = (u64)h.size,
                       .blocks = (u64)h.blocks,
                       .blksize = (u32)h.blksize,
                       .atime = ns_of(h.atim),
                       .mtime = ns_of(h.mtim),
                       .ctime = ns_of(h.ctim)};
  st->version = (u64)st->ctime ^ st->size << 40;
  return 0;
}

/* Opens the object itself for I/O. Regular files and directories only: no host device or FIFO. */
static i64 reopen(struct inode *i, u32 flags) {
  if (!S_ISREG(i->mode) && !S_ISDIR(i->mode))
    return -ENXIO;
  struct proc_path p = proc_path(handle_of(i));
  return LX_RETRY(lx4(openat, proc_fd, p.s, flags | HOST_O_CLOEXEC | HOST_O_NONBLOCK, 0));
}

static int set_size(struct inode *i, u64 size) {
  i64 fd = reopen(i, O_WRONLY);
  if (fd < 0)
    return (int)fd;
  i64 err = LX_RETRY(lx2(ftruncate, fd, size));
  lx1(close, fd);
  return (int)err;
}

static struct lx_timespec time_arg(const struct iattr *a, u32 which, i64 ns) {
  if (!(a->valid & which))
    return (struct lx_timespec){0, UTIME_OMIT};
  i64 sec = ns / NS, rest = ns % NS;
  return rest < 0 ? (struct lx_timespec){sec - 1, rest + NS} : (struct lx_timespec){sec, rest};
}

static int host_setattr(struct inode *i, const struct iattr *a) {
  struct host_super *s = super_of(i);
  struct proc_path p = proc_path(handle_of(i));
  i64 err = 0;
  behind_settle_all();
  if (a->valid & ATTR_SIZE)
    err = set_size(i, a->size);
  if (err == 0 && (a->valid & (ATTR_UID | ATTR_GID))) {
    u32 uid = a->valid & ATTR_UID ? host_uid(s, a->uid) : (u32)-1;
    u32 gid = a->valid & ATTR_GID ? host_gid(s, a->gid) : (u32)-1;
    err = lx5(fchownat, handle_of(i), "", uid, gid, LX_AT_EMPTY_PATH);
  }
  if (err == 0 && (a->valid & ATTR_MODE))
    err = S_ISLNK(i->mode) ? -EOPNOTSUPP : lx3(fchmodat, proc_fd, p.s, a->mode & 07777);
  if (err == 0 && (a->valid & (ATTR_ATIME | ATTR_MTIME))) {
    struct lx_timespec ts[2] = {time_arg(a, ATTR_ATIME, a->atime),
                                time_arg(a, ATTR_MTIME, a->mtime)};
    err = S_ISLNK(i->mode) ? 0 : lx4(utimensat, proc_fd, p.s, ts, 0);
  }
  struct lx_stat st;
  if (host_stat(handle_of(i), &st) == 0)
    refresh(i, &st);
  return (int)err;
}

static int host_statfs(struct inode *i, struct kstatfs *st) {
  struct {
    u64 type, bsize, blocks, bfree, bavail, files, ffree;
    u32 fsid[2];
    u64 namelen, frsize, flags, spare[4];
  } h;
  i64 err = lx2(fstatfs, handle_of(i), &h);
  if (err < 0)
    return (int)err;
  *st = (struct kstatfs){.type = h.type,
                         .bsize = h.bsize,
                         .blocks = h.blocks,
                         .bfree = h.bfree,
                         .bavail = h.bavail,
                         .files = h.files,
                         .ffree = h.ffree,
                         .fsid = i->super->dev,
                         .namelen = h.namelen,
                         .flags = h.flags};
  return 0;
}

static struct host_access access_of(struct inode *i) {
  return (struct host_access){__atomic_load_n(&of(i)->ctime, __ATOMIC_RELAXED), i->mode, i->uid,
                              i->gid};
}

static bool same_access(const struct host_access *a, const struct host_access *b) {
  return a->ctime == b->ctime && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

/* The descriptor the file was read through before, unless the host might refuse it now. */
static struct host_open *open_again(struct inode *i) {
  struct host_inode *h = of(i);
  struct host_access now = access_of(i);
  struct host_open *o = NULL;
  spin_lock(&h->lock);
  if (h->reader && same_access(&h->allowed, &now))
    o = host_open_get(h->reader);
  spin_unlock(&h->lock);
  return o;
}

static void remember_reader(struct inode *i, const struct host_access *allowed,
                            struct host_open *o) {
  struct host_inode *h = of(i);
  spin_lock(&h->lock);
  struct host_open *old = h->reader;
  h->reader = host_open_get(o);
  h->allowed = *allowed;
  spin_unlock(&h->lock);
  if (old)
    host_open_put(old);
}

/* Readers of a file may share a descriptor: its position is not used, a directory's is. */
static int host_open(struct inode *i, struct file *f) {
  bool dir = S_ISDIR(i->mode);
  bool shared = S_ISREG(i->mode) && (f->flags & (O_ACCMODE | O_APPEND)) == O_RDONLY;
  struct host_access allowed = access_of(i);
  struct host_open *o = shared ? open_again(i) : NULL;
  if (!o) {
    i64 fd = reopen(i, dir ? O_RDONLY | HOST_O_DIRECTORY : f->flags & (O_ACCMODE | O_APPEND));
    int err = fd < 0 ? (int)fd : host_open_create((int)fd, &o);
    if (err)
      return err;
    o->appends = f->flags & O_APPEND && !shared;
    if (shared)
      remember_reader(i, &allowed, o);
  }
  f->ops = dir ? &host_dir_ops : &host_file_ops;
  f->priv = o;
  return 0;
}

static const struct inode_ops host_inode_ops = {
    .lookup = host_lookup,
    .revalidate = host_revalidate,
    .create = host_create,
    .mkdir = host_mkdir,
    .mknod = host_mknod,
    .symlink = host_symlink,
    .link = host_link,
    .unlink = host_unlink,
    .rmdir = host_rmdir,
    .rename = host_rename,
    .readlink = host_readlink,
    .open = host_open,
    .getattr = host_getattr,
    .setattr = host_setattr,
    .statfs = host_statfs,
    .release = host_release,
};

/* ---- mounting -------------------------------------------------------------------------------- */

int plat_hostfs(const char *host_path, bool read_only, struct inode **out) {
  if (proc_fd < 0) {
    i64 fd = lx4(openat, LX_AT_FDCWD, "/proc/self/fd",
                 HOST_O_PATH | HOST_O_DIRECTORY | HOST_O_CLOEXEC, 0);
    if (fd < 0)
      return (int)fd;
    proc_fd = (int)fd;
  }
  i64 fd = lx4(openat, LX_AT_FDCWD, host_path, HOST_O_PATH | HOST_O_CLOEXEC, 0);
  if (fd < 0)
    return (int)fd;
  struct host_super *s = kzalloc(sizeof(*s));
  if (!s) {
    lx1(close, fd);
    return -ENOMEM;
  }
  super_init(&s->super, "hostfs", 0x01021997);
  s->super.read_only = read_only;
  s->super.volatile_names = true;
  s->euid = (u32)lx_call6(107 /* geteuid */, 0, 0, 0, 0, 0, 0);
  s->egid = (u32)lx_call6(108 /* getegid */, 0, 0, 0, 0, 0, 0);
  int err = inode_for(s, (int)fd, out);
  if (err)
    kfree(s);
  return err;
}
