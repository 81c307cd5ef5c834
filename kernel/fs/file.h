/* SPDX-License-Identifier: MIT */
/*
 * Open files: what a descriptor refers to. Shared by dup and fork, reference-counted (file_get/put;
 * the last put calls ops->release). `pos` is protected by pos_lock for files that have a position.
 */
#ifndef UFORK_KERNEL_FILE_H
#define UFORK_KERNEL_FILE_H

#include "kernel/mm/usercopy.h"
#include "kernel/sched/sched.h"

/* Linux's open flags and poll bits. */
#define O_ACCMODE 3
#define O_RDONLY 0
#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0100
#define O_EXCL 0200
#define O_NOCTTY 0400
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_DIRECTORY 0200000
#define O_NOFOLLOW 0400000
#define O_CLOEXEC 02000000
#define O_PATH 010000000
#define POLLIN 1u
#define POLLPRI 2u
#define POLLOUT 4u
#define POLLERR 8u
#define POLLHUP 0x10u
#define POLLNVAL 0x20u
#define POLLRDNORM 0x40u
#define POLLWRNORM 0x100u
#define POLLRDHUP 0x2000u

struct file;
struct inode;
struct dentry;
struct memobj;
struct kstat;

/* A poller collects the queues of the files it polls: file ops call poll_wait(p, q) for each queue
   whose wake-up may change the answer. p is NULL when only the current answer is wanted. */
struct poller;
void poll_wait(struct poller *p, struct waitq *q);

struct file_ops {
  const char *name; /* "pipe"...; for /proc/PID/fd links "pipe:[ino]"; with : or / as it is */
  /* Transfer at *pos (ignored by streams); bytes or -errno. Blocks unless O_NONBLOCK. */
  i64 (*read)(struct file *f, struct uio *u, u64 *pos);
  i64 (*write)(struct file *f, struct uio *u, u64 *pos);
  /* write with O_APPEND at f->pos, without pos_lock: for file systems that know the position
     themselves, and keep what is written in one piece. NULL: write does it. */
  i64 (*append)(struct file *f, struct uio *u);
  /* The same for streams that want it shorter: the user's buffer [uaddr, uaddr + n) is not empty
     and lies in the region; the access mode has been checked. NULL: read and write do. */
  i64 (*read_user)(struct file *f, u64 uaddr, u64 n);
  i64 (*write_user)(struct file *f, u64 uaddr, u64 n);
  /* Writes up to n bytes that `in`, which may be read, has at *pos (advanced) without a copy in the
     core; bytes, 0 at in's end, or -errno. -EOPNOTSUPP, or NULL: not between these two, and
     nothing was done. */
  i64 (*send_file)(struct file *f, struct file *in, u64 *pos, u64 n);
  i64 (*seek)(struct file *f, i64 off, int whence); /* NULL: -ESPIPE */
  u32 (*poll)(struct file *f, struct poller *p);    /* POLL* ready now; NULL: always in|out */
  i64 (*ioctl)(struct file *f, u32 cmd, u64 arg);   /* NULL: -ENOTTY */
  i64 (*readdir)(struct file *f, struct uio *u);    /* linux_dirent64 records; NULL: -ENOTDIR */
  int (*stat)(struct file *f, struct kstat *st);    /* NULL: the inode's */
  int (*truncate)(struct file *f, u64 size);
  int (*sync)(struct file *f, bool data_only);
  /* sync_file_range(2), arguments checked, flags not 0; NULL: sync(f, true), which does more. */
  int (*sync_range)(struct file *f, u64 off, u64 n, u32 flags);
  int (*set_flags)(struct file *f, u32 flags); /* F_SETFL changed O_NONBLOCK, O_APPEND... */
  /* A memory object whose bytes are the file's, for MAP_SHARED (reference for the caller); NULL:
   * -ENODEV. */
  int (*memobj)(struct file *f, struct memobj **out);
  /* A shared mapping is to come, writable or not: -EPERM, or *may_write (mprotect may make it so)
     taken back. If it stays true the mapping counts as one (VMA_COUNTED). NULL: nothing to say. */
  int (*may_map)(struct file *f, bool write, bool *may_write);
  /* VMA_COUNTED mappings: one more (1) or less (-1); the space's lock is held. */
  void (*mapped)(struct file *f, int change);
  int (*flush)(struct file *f); /* each close() of a descriptor, which returns the result */
  void (*release)(struct file *f);
};

struct file {
  u32 refs;
  u32 flags; /* O_* without O_CLOEXEC; atomic */
  const struct file_ops *ops;
  struct inode *inode;   /* reference held; NULL for pipes, sockets, eventfds... */
  struct dentry *dentry; /* where it was opened; reference held; may be NULL */
  struct mutex pos_lock;
  u64 pos;
  void *priv;                /* owned by ops */
  struct list epoll_watches; /* fs/epoll.c */
  struct spin epoll_lock;
  bool epoll_watched;       /* by some epoll, now or earlier */
  struct file_async *async; /* fs/async.c; NULL until SIGIO is asked for; set once */
  u32 in_flight;            /* Unix sockets: references from packets on their way (ipc/unix_gc.c) */
};

/* The last reference but those of packets has gone from a file in flight; set by ipc/unix_gc.c. */
extern void (*file_only_in_flight)(void);

/* One reference; ops->release takes over priv. NULL: no memory (the caller still owns all it
 * passed). */
struct file *file_alloc(const struct file_ops *ops, u32 flags, void *priv);
void file_get(struct file *f);
void file_put(struct file *f);

/* Positioned and sequential transfers on an open file, from inside the kernel (exec, sendfile):
 * honours access mode. */
i64 file_pread_kernel(struct file *f, void *buf, size_t n, u64 pos);
i64 file_read(struct file *f, struct uio *u);
i64 file_write(struct file *f, struct uio *u);

/* ---- descriptor tables: kernel/fs/fdtable.c -------------------------------------------- */

struct fdtable *fdtable_create(void);
/* A copy: same files, same close-on-exec bits. -ENOMEM. */
int fdtable_copy(struct fdtable *t, struct fdtable **out);
/* The same for a child of the running process, which may get t itself for a while. */
int fdtable_fork(struct fdtable *t, struct fdtable **out);
/* For processes that share t for good; for a moment's look at t. */
void fdtable_get(struct fdtable *t);
void fdtable_put(struct fdtable *t); /* the last put closes everything */
/* A process does not hold t any more. NULL is fine. */
void fdtable_leave(struct fdtable *t);
/* Makes the running process's table its own, for exec or a thread that is going to share it. */
int fdtable_unshare(void);
void fdtable_close_on_exec(void); /* of the running process's own table */

/* File of the running process's descriptor with a reference, or NULL (-EBADF). O_PATH files only
 * via fd_get_path. */
struct file *fd_get(int fd);
struct file *fd_get_path(int fd);
/* Installs f (taking over the caller's reference) at the lowest free descriptor >= from. fd or
   -EMFILE; on error the caller keeps the reference. flags: O_CLOEXEC. */
int fd_install(struct file *f, u32 flags, int from);
/* For what cannot be given back when there is no descriptor: reserves the lowest free one, which
 * then is neither free nor open (close and others say -EBADF, dup2 -EBUSY), until it is filled
 * (taking over a reference) or released. fd or as fd_install. */
int fd_reserve(void);
void fd_fill(int fd, struct file *f, u32 flags);
void fd_release(int fd);
int fd_close(int fd);

/* ---- paths: kernel/fs/path.c ------------------------------------------------------------ */

/* Mounts the boot file systems (tmpfs /, /dev, /proc, root tree, --dir). Once, before µprocess 1.
 */
struct boot_args;
int vfs_boot(const struct boot_args *b);

struct fs_context *
fs_context_create(const char *workdir); /* cwd; NULL: no memory or no such directory */
struct fs_context *fs_context_fork(struct fs_context *c);
/* For processes that share it for good; for a moment's look at it. */
void fs_context_get(struct fs_context *c);
void fs_context_put(struct fs_context *c);
void fs_context_leave(struct fs_context *c); /* a process does not hold it any more; NULL is fine */
/* The running process's, not lent any more. */
struct fs_context *fs_context_own(void);

/* Opens a guest path (relative to the running process's cwd; dirfd AT_FDCWD) or a boot path; kernel
   string. Checks permissions. vfs_open_exec: also a regular file with an execute bit, -EACCES
   otherwise. */
int vfs_open(const char *path, u32 flags, u32 mode, struct file **out);
int vfs_open_exec(int dirfd, const char *path, int flags, struct file **out);
/* A host file as an open file, for `ufork run ./prog` before any mount (path given by the command
 * line). */
int vfs_open_host(const char *host_path, struct file **out);
/* The name that such a file has in the guest. */
void vfs_host_program(const char *host_path, char *path, size_t size);
/* Absolute guest path of an open file's dentry or of the cwd; length or -errno. */
i64 vfs_path_of(struct file *f, char *buf, size_t size);

/* Identity for caches: changes whenever the content may have. */
struct file_identity {
  u64 fs, ino, size, mtime_ns, version;
};
int file_identity(struct file *f, struct file_identity *id);

#endif
