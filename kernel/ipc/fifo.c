/* SPDX-License-Identifier: MIT */
/* FIFOs: a pipe that hangs on an inode; opening one end waits for the other. */
#include "kernel/ipc/fifo.h"
#include "kernel/ipc/pipe.h"

/* The pipe of the inode with a reference. It lives as long as somebody has it open. */
static struct pipe *pipe_of(struct inode *i) {
  struct pipe *p;
  mutex_lock(&i->lock);
  p = i->ipc;
  if (!p && (p = pipe_create()))
    i->ipc = p; /* the inode's reference, dropped by inode_put */
  if (p)
    pipe_get(p);
  mutex_unlock(&i->lock);
  return p;
}

static int wait_other_side(struct pipe *p, u32 mode, bool nonblock) {
  u32 seen;
  if (mode == O_RDWR)
    return 0;
  if (mode == O_RDONLY) {
    seen = p->writer_opens;
    if (p->writers > 0 || nonblock)
      return 0;
    return waitq_wait(&p->rd, p->writer_opens != seen);
  }
  if (p->readers > 0)
    return 0;
  if (nonblock)
    return -ENXIO;
  seen = p->reader_opens;
  return waitq_wait(&p->wr, p->reader_opens != seen);
}

int fifo_open(struct inode *i, struct file *f) {
  struct pipe *p = pipe_of(i);
  const struct file_ops *before = f->ops;
  int e;
  if (!p)
    return -ENOMEM;
  pipe_attach(p, f);
  e = wait_other_side(p, f->flags & O_ACCMODE, f->flags & O_NONBLOCK);
  if (e < 0) {
    f->ops->release(f);
    f->ops = before;
    f->priv = NULL;
  }
  pipe_put(p);
  return e;
}
