/* SPDX-License-Identifier: MIT */
/*
 * Pipes: a ring of bytes with readers and writers. Writes of at most PIPE_BUF bytes are atomic. The
 * ring starts with one page and grows to its capacity when it has to hold more.
 */
#ifndef UFORK_KERNEL_PIPE_H
#define UFORK_KERNEL_PIPE_H

#include "kernel/fs/file.h"

#define PIPE_BUF 4096u
#define PIPE_CAPACITY 65536u
#define PIPE_CAPACITY_MAX (1u << 20)

struct pipe {
  u32 refs;
  struct mutex lock;     /* all below but the queues */
  struct thread *reader; /* the first that waits for data; woken with the lock held. Others: rd */
  struct waitq rd, wr;   /* readers wait for data, writers for room (FIFO: openers as well) */
  u32 readers, writers;  /* open ends */
  u32 reader_opens, writer_opens; /* ever, for FIFO opens that wait for the other side */
  u32 head, tail;                 /* bytes ever written and read, modulo 2^32 */
  u32 size;                       /* of ring, a power of two; 0: none yet */
  u32 capacity;                   /* power of two */
  u8 *ring;
  u64 ino;
};

/* No ends yet; one reference. NULL: no memory. */
struct pipe *pipe_create(void);
void pipe_get(struct pipe *p);
void pipe_put(struct pipe *p);

/* Makes f an end of p (which end: its access mode); takes a reference on p. */
void pipe_attach(struct pipe *p, struct file *f);

/* fcntl F_SETPIPE_SZ, F_GETPIPE_SZ: capacity, or -EBADF if f is no pipe, -EBUSY, -EPERM. */
i64 pipe_set_capacity(struct file *f, u64 size);
i64 pipe_capacity(struct file *f);

#endif
