/* SPDX-License-Identifier: MIT */
/*
 * The virtual file system: inodes (objects), dentries (names), mounts (trees), and the contract
 * between the core and a file system (tmpfs, devfs, procfs, the platform's hostfs).
 *
 * Division of labour. The core walks paths one component at a time, resolves `.`, `..`, symbolic
 * links and mount points itself, checks permissions and flags, and takes the locks. A file system
 * only ever sees one plain component (never empty, `.`, `..` or with a slash) relative to a
 * directory inode of its own, so it cannot be made to leave its tree as long as it does not
 * follow links itself.
 *
 * Locks: vfs_rename_lock (mutex) -> inode->lock of directories (parents before children, otherwise
 * by address) -> inode->lock of files -> dcache_lock (spin). The core holds dir->lock around
 * lookup, create, mknod, symlink, link, unlink, rmdir and rename (both directories); setattr is
 * called with the inode's lock held; getattr, readlink and open without locks.
 */
#ifndef UFORK_KERNEL_VFS_H
#define UFORK_KERNEL_VFS_H

#include "kernel/errno.h"
#include "kernel/fs/file.h"
#include "kernel/fs/lend.h"
#include "lib/list.h"

#define NAME_MAX 255
#define PATH_MAX 4096
#define SYMLINK_MAX 40 /* links followed in one walk before -ELOOP */

#define S_IFMT 0170000u
#define S_IFSOCK 0140000u
#define S_IFLNK 0120000u
#define S_IFREG 0100000u
#define S_IFBLK 0060000u
#define S_IFDIR 0040000u
#define S_IFCHR 0020000u
#define S_IFIFO 0010000u
#define S_ISUID 04000u
#define S_ISGID 02000u
#define S_ISVTX 01000u
#define S_ISREG(m) (((m)&S_IFMT) == S_IFREG)
#define S_ISDIR(m) (((m)&S_IFMT) == S_IFDIR)
#define S_ISLNK(m) (((m)&S_IFMT) == S_IFLNK)
#define S_ISFIFO(m) (((m)&S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m)&S_IFMT) == S_IFSOCK)
#define S_ISCHR(m) (((m)&S_IFMT) == S_IFCHR)
#define S_ISBLK(m) (((m)&S_IFMT) == S_IFBLK)

#define MAY_EXEC 1u
#define MAY_WRITE 2u
#define MAY_READ 4u

/* Device numbers as Linux encodes them in st_dev and st_rdev. */
#define MAKEDEV(major, minor)                                                                      \
  ((((u64)(major)&0xfff) << 8) | ((u64)(minor)&0xff) | (((u64)(minor) & ~0xffUL) << 12))

struct inode;
struct dentry;
struct mount;

/* What stat reports; times in nanoseconds since 1970. */
struct kstat {
  u64 dev, ino, rdev;
  u32 mode, nlink, uid, gid;
  u64 size, blocks; /* bytes; units of 512 bytes */
  u32 blksize;
  i64 atime, mtime, ctime, btime; /* btime 0: unknown */
  u64 version;                    /* changes whenever the content may have (file_identity) */
};

struct kstatfs {
  u64 type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, flags;
};

#define ATTR_MODE 1u /* permission bits, type unchanged */
#define ATTR_UID 2u
#define ATTR_GID 4u
#define ATTR_SIZE 8u
#define ATTR_ATIME 0x10u
#define ATTR_MTIME 0x20u
struct iattr {
  u32 valid; /* ATTR_* */
  u32 mode, uid, gid;
  u64 size;
  i64 atime, mtime;
};

#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u

/*
 * What a file system implements. Absent operations are -EPERM (namespace changes) or what the
 * comment says. `*out` gets one reference for the caller. Permissions, read-only mounts, sticky
 * bits and name lengths have been checked by the core.
 */
struct inode_ops {
  /* -ENOENT. May return the same inode as before or a fresh one with the same ino. */
  int (*lookup)(struct inode *dir, const char *name, struct inode **out);
  /* For volatile_names; NULL: lookup is asked each time. 0 if name in dir still leads to `known`,
     an earlier result of lookup, whose fields are brought up to date; otherwise an error, and
     lookup will be asked. Called without dir's lock. Names of a file system that has this are kept
     for a second or two after their last use, so releasing an inode must not sleep. */
  int (*revalidate)(struct inode *dir, const char *name, struct inode *known);
  /* A regular file that does not exist yet; mode holds permission bits, umask applied. -EEXIST. */
  int (*create)(struct inode *dir, const char *name, u32 mode, struct inode **out);
  int (*mkdir)(struct inode *dir, const char *name, u32 mode, struct inode **out);
  /* FIFO, socket or device: mode with type. The core implements their opening. */
  int (*mknod)(struct inode *dir, const char *name, u32 mode, u64 rdev, struct inode **out);
  int (*symlink)(struct inode *dir, const char *name, const char *target, struct inode **out);
  int (*link)(struct inode *dir, const char *name, struct inode *target);
  /* target is what lookup returned for name. rmdir: -ENOTEMPTY. */
  int (*unlink)(struct inode *dir, const char *name, struct inode *target);
  int (*rmdir)(struct inode *dir, const char *name, struct inode *target);
  /* Both directories belong to this file system. The core has checked types (directory over
     directory only) and loops; -ENOTEMPTY is the file system's. flags: RENAME_*. */
  int (*rename)(struct inode *olddir, const char *oldname, struct inode *newdir,
                const char *newname, u32 flags);

  /* The target without a final NUL; its length (cut to size). */
  i64 (*readlink)(struct inode *i, char *buf, size_t size);
  /* A link that is not a path (/proc/PID/cwd, fd/N): the dentry it leads to, with a reference, or
     -ENOLINK: there is none, `reopen` works instead. */
  int (*magic_link)(struct inode *i, struct dentry **out);
  /* Instead of open: an open file that exists already (/dev/fd/N, /dev/tty). */
  int (*reopen)(struct inode *i, u32 flags, struct file **out);

  /* Prepares a new open file: sets f->ops and f->priv (f->inode, dentry, flags are set). NULL:
     -ENXIO. O_TRUNC has been done by setattr, O_CREAT by create. */
  int (*open)(struct inode *i, struct file *f);
  /* NULL: from the inode's fields. */
  int (*getattr)(struct inode *i, struct kstat *st);
  /* Applies what a->valid says and updates the inode's fields. NULL: -EPERM. */
  int (*setattr)(struct inode *i, const struct iattr *a);
  int (*statfs)(struct inode *i, struct kstatfs *st);
  /* The last reference is gone: frees what the file system allocated, the inode included. */
  void (*release)(struct inode *i);
};

/* One file system instance. Lives for ever (nothing is unmounted). */
struct super {
  const char *type;    /* for /proc/mounts */
  u64 magic;           /* statfs f_type */
  u64 dev;             /* st_dev; set by super_init */
  bool read_only;      /* checked by the core */
  bool volatile_names; /* names change behind the core's back: every walk asks lookup again */
  void *priv;
};
void super_init(struct super *s, const char *type, u64 magic);

/* Embedded in the file system's own structure. mode, uid, gid are what permission checks use; the
   file system keeps them up to date (lookup, setattr). */
struct inode {
  u32 refs;
  u32 mode, uid, gid;
  const struct inode_ops *ops;
  struct super *super;
  u64 ino, rdev;
  struct mutex lock;
  struct lock_table *locks; /* advisory locks: fs/flock.c; NULL until used */
  void *ipc;                /* FIFO: struct pipe; bound socket: struct sock; under lock */
};
/* Initialises with one reference. */
void inode_init(struct inode *i, struct super *s, const struct inode_ops *ops, u64 ino, u32 mode);
struct inode *inode_get(struct inode *i);
void inode_put(struct inode *i);
/* Numbers for objects without a file system (pipes, sockets...): unique in the instance. */
u64 anon_ino(void);
/* stat of such an object: mode with type. */
void anon_stat(struct kstat *st, u64 ino, u32 mode);
/* Asks the file system, or fills st from the inode's fields. */
int inode_getattr(struct inode *i, struct kstat *st);
/* May the running process's fsuid/fsgid do this? 0 or -EACCES. */
int inode_permission(struct inode *i, u32 may);

/* ---- directory records: fs/dirent.c ---------------------------------------------------- */

/* Appends one linux_dirent64 to a read of a directory. next: value of f->pos to continue after it.
   0, -EINVAL when it does not fit (stop; return what has been written, or -EINVAL if nothing), or
   -EFAULT. mode: only its type is used. */
int dirent_emit(struct uio *u, u64 ino, u64 next, u32 mode, const char *name);

/* ---- dentries: fs/dcache.c --------------------------------------------------------------- */

/* A name in a tree. Exists while someone uses it (or a little longer, see inode_ops.revalidate);
   holds its parent, its inode. The root of a mounted tree is its own parent. */
struct dentry {
  u32 refs;
  u32 hash;
  struct dentry *hash_next, **hash_link; /* hash_link NULL: not in the hash; dcache_lock */
  struct dentry *parent;                 /* reference held; changed by rename under dcache_lock */
  struct inode *inode;                   /* reference held, never NULL */
  struct mount *mnt;                     /* the mount it lies in */
  struct mount *mounted;                 /* the mount whose root lies over it, or NULL */
  struct list recent;                    /* in the list of names kept, or empty; dcache_lock */
  u32 recent_round;                      /* when it was used last; dcache_lock */
  bool deleted;
  u32 len;
  char *name; /* inline_name or kmalloc'd; dcache_lock */
  char inline_name[40];
};
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* A dentry outside of any mount (memfd, a host file run directly): its own parent. Takes over the
   inode reference. NULL: no memory. */
struct dentry *dentry_new_root(struct inode *i, const char *name);
/* Child of directory dir, whose lock the caller holds; asks the file system if need be. Does not
   cross mounts. *out gets a reference. -ENOENT. */
int dentry_child(struct dentry *dir, const char *name, struct dentry **out);
/* The same without asking the file system: NULL if nobody uses the name now. */
struct dentry *dentry_find(struct dentry *dir, const char *name);
/* The child as it was used a moment ago, if it still is what the name leads to; NULL: ask
   dentry_child. dir's lock is not needed. */
struct dentry *dentry_current(struct dentry *dir, const char *name);
/* The name is gone; dir's lock held. */
void dentry_delete(struct dentry *d);
/* d now is called name in dir; both directories locked, vfs_rename_lock held. -ENOMEM. */
int dentry_move(struct dentry *d, struct dentry *dir, const char *name);
/* The parent as it is now, with a reference. */
struct dentry *dentry_parent(struct dentry *d);
/* Is d in the tree below (or equal to) top? Call with vfs_rename_lock held. */
bool dentry_is_below(struct dentry *d, struct dentry *top);
extern struct spin dcache_lock;
extern struct mutex vfs_rename_lock;

/* ---- mounts: fs/mount.c ------------------------------------------------------------------ */

struct mount {
  struct list node;
  struct dentry *root;
  struct dentry *covered; /* the dentry below the root; NULL for `/` */
  const char *source;
  bool read_only;
};
/* Lays the tree of root (reference taken over on success) over `at` (its own reference is taken), a
   directory over a directory or a file over a file; at NULL: becomes `/`. */
int vfs_mount(struct dentry *at, struct inode *root, const char *source, bool read_only);
/* `/`, with a reference. */
struct dentry *vfs_root(void);
/* Calls emit for every mount with its guest path. */
void vfs_each_mount(void (*emit)(void *arg, const struct mount *m, const char *path), void *arg);

/* ---- paths: fs/path.c -------------------------------------------------------------------- */

#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR 0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define AT_NO_AUTOMOUNT 0x800u
#define AT_EMPTY_PATH 0x1000u
#define AT_EACCESS 0x200u

#define WALK_FOLLOW 1u     /* follow a link in the last component */
#define WALK_DIRECTORY 2u  /* -ENOTDIR unless it is one */
#define WALK_NO_LINKS 4u   /* RESOLVE_NO_SYMLINKS: -ELOOP */
#define WALK_NO_MAGIC 8u   /* RESOLVE_NO_MAGICLINKS: -ELOOP */
#define WALK_NO_XDEV 0x10u /* RESOLVE_NO_XDEV: -EXDEV */
#define WALK_BENEATH 0x20u /* RESOLVE_BENEATH: -EXDEV when it leaves the start */
#define WALK_CREATE 0x80u  /* open(O_CREAT): a slash at the end is -EISDIR */
#define WALK_IN_ROOT 0x40u /* RESOLVE_IN_ROOT: the start is `/` */

/* The name of a path that may not exist yet: its directory and last component. */
struct path_last {
  struct dentry *dir; /* reference held */
  char name[NAME_MAX + 1];
  bool trailing_slash;
  /* The path ends in `.`, `..` or is `/`: dir is the object itself and name is ".", ".." or "/". */
  bool special;
};

/* Start of a relative path: dirfd's directory or the cwd; a reference. -EBADF, -ENOTDIR. */
int path_start(int dirfd, const char *path, struct dentry **out);
/* Walks `path` (kernel string) from `start` (ignored for absolute paths). *out gets a reference. */
int path_walk(struct dentry *start, const char *path, u32 flags, struct dentry **out);
int path_walk_last(struct dentry *start, const char *path, u32 flags, struct path_last *out);
void path_last_put(struct path_last *l);
/* The dentry of one component of directory dir, permission checked, no links followed. -ENOENT. */
int path_step(struct dentry *dir, const char *name, struct dentry **out);
/* Guest path of d as seen from the running process's root; length (without NUL) or -ENAMETOOLONG.
 */
i64 path_of(struct dentry *d, char *buf, size_t size);

/* A path argument copied from user space. Short ones need no allocation. */
struct pathname {
  char *s;
  char inline_buf[256];
};
int pathname_get(struct pathname *p, u64 uaddr); /* -EFAULT, -ENAMETOOLONG, -ENOENT if empty */
int pathname_get_empty_ok(struct pathname *p, u64 uaddr);
void pathname_put(struct pathname *p);

/* ---- context of a process: fs/fs_context.c ----------------------------------------------- */

struct fs_context {
  struct lend lend; /* its lock: cwd, root */
  u32 umask;
  struct dentry *cwd, *root;
};

/* ---- open files: fs/file.c --------------------------------------------------------------- */

/* Transfers at a given position: access mode, RLIMIT_FSIZE; the position is advanced. */
i64 file_read_at(struct file *f, struct uio *u, u64 *pos);
i64 file_write_at(struct file *f, struct uio *u, u64 *pos);
/* out->ops->send_file, or -EOPNOTSUPP; pos NULL: in's own position. */
i64 file_send(struct file *out, struct file *in, u64 *pos, u64 n);
int file_getattr(struct file *f, struct kstat *st);
u32 file_poll(struct file *f, struct poller *p);
/* lseek for a file of a known size: moves f->pos (pos_lock is held by the caller of ops->seek). */
i64 seek_in_size(struct file *f, i64 off, int whence, u64 size);

/* ---- opening: fs/open.c ------------------------------------------------------------------ */

/* Opens an inode reached as d (permission has not been checked). flags as in open(2). */
int vfs_open_dentry(struct dentry *d, u32 flags, struct file **out);
int vfs_openat(int dirfd, const char *path, u32 flags, u32 mode, u32 walk, struct file **out);

/* ---- namespace changes by the kernel itself (boot): fs/namei.c ---------------------------- */

int vfs_mkdir_p(const char *path, u32 mode); /* existing directories are fine */

#endif
