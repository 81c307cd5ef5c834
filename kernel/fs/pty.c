/* SPDX-License-Identifier: MIT */
/*
 * Pseudo-terminals. A pair is one object: the slave is a terminal with a line discipline (line.h)
 * whose output is kept here for the master, and the master's writes are what is typed.
 *
 * Life: the master holds the slave's terminal, which holds the node in /dev/pts, in which all of
 * it is embedded; slaves that are open hold the terminal as well. Numbers are free again at the
 * end.
 */
#include "kernel/fs/pty.h"
#include "kernel/fs/devfs.h"
#include "kernel/fs/line.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"

#define OUT_SIZE 4096 /* a power of two */
#define PIECE 256

struct pty {
  struct line line; /* the slave's input and settings; its lock guards the output below, too */
  struct inode node;
  struct tty *tty;
  int index;
  bool locked;      /* TIOCSPTLCK; under ptys_lock */
  bool master_open; /* under ptys_lock */
  bool slave_seen;
  u32 slaves; /* open files */
  u32 out_tail, out_head;
  struct waitq out_q; /* the master's readers */
  char out[OUT_SIZE];
};

static struct spin ptys_lock;
static struct pty *ptys[PTY_MAX];

static struct pty *pty_of_line(struct line *l) { return container_of(l, struct pty, line); }
static struct pty *pty_of_tty(struct tty *t) { return pty_of_line(t->priv); }

/* ---- the slave's output ---------------------------------------------------------------------- */

static size_t out_room(struct line *l) {
  struct pty *p = pty_of_line(l);
  return OUT_SIZE - (p->out_head - p->out_tail);
}

static void out_put(struct line *l, const char *s, size_t n) {
  struct pty *p = pty_of_line(l);
  while (n-- > 0)
    p->out[p->out_head++ % OUT_SIZE] = *s++;
}

static void out_discard(struct line *l) {
  struct pty *p = pty_of_line(l);
  p->out_tail = p->out_head;
}

static void out_wake(struct line *l) {
  waitq_wake(&pty_of_line(l)->out_q, 0, POLLIN | POLLRDNORM, 0);
}

static const struct line_driver pty_driver = {
    .room = out_room, .put = out_put, .discard = out_discard, .wake = out_wake};

/* ---- the slave
 * ------------------------------------------------------------------------------------ */

static int slave_open(struct tty *t) {
  struct pty *p = pty_of_tty(t);
  int e = 0;
  spin_lock(&ptys_lock);
  if (!p->master_open)
    e = -EIO;
  spin_unlock(&ptys_lock);
  if (e < 0)
    return e;
  spin_lock(&p->line.lock);
  p->slaves++;
  p->slave_seen = true;
  spin_unlock(&p->line.lock);
  return 0;
}

static void slave_close(struct tty *t) {
  struct pty *p = pty_of_tty(t);
  spin_lock(&p->line.lock);
  bool last = --p->slaves == 0;
  spin_unlock(&p->line.lock);
  if (last)
    waitq_wake(&p->out_q, 0, POLLHUP, 0);
}

static void slave_release(struct tty *t) { inode_put(&pty_of_tty(t)->node); }

void pty_release_node(struct inode *i) {
  struct pty *p = container_of(i, struct pty, node);
  spin_lock(&ptys_lock);
  ptys[p->index] = NULL;
  spin_unlock(&ptys_lock);
  kfree(p);
}

int pty_open_slave(struct inode *i, struct file *f) {
  u32 n = (u32)(i->rdev & 0xff) | (u32)((i->rdev >> 12) & ~0xffUL);
  struct tty *t = NULL;
  int e = -EIO;
  spin_lock(&ptys_lock);
  struct pty *p = n < PTY_MAX ? ptys[n] : NULL;
  if (p && p->master_open && !p->locked && (i->ops != p->node.ops || i == &p->node)) {
    t = p->tty;
    tty_get(t);
  }
  spin_unlock(&ptys_lock);
  if (t) {
    e = tty_open(t, f);
    tty_put(t);
  }
  return e;
}

/* ---- nodes
 * ---------------------------------------------------------------------------------------- */

struct inode *pty_node(int n) {
  struct inode *i = NULL;
  spin_lock(&ptys_lock);
  if (n >= 0 && n < PTY_MAX && ptys[n] && ptys[n]->master_open)
    i = inode_get(&ptys[n]->node);
  spin_unlock(&ptys_lock);
  return i;
}

int pty_next(int n) {
  int found = -1;
  spin_lock(&ptys_lock);
  for (; n < PTY_MAX && found < 0; n++)
    if (ptys[n] && ptys[n]->master_open)
      found = n;
  spin_unlock(&ptys_lock);
  return found;
}

/* ---- the master
 * ------------------------------------------------------------------------------------- */

static size_t take_output(struct pty *p, char *to, size_t n) {
  size_t got = 0;
  spin_lock(&p->line.lock);
  while (got < n && p->out_tail != p->out_head)
    to[got++] = p->out[p->out_tail++ % OUT_SIZE];
  spin_unlock(&p->line.lock);
  return got;
}

static u32 output_bytes(struct pty *p) {
  spin_lock(&p->line.lock);
  u32 n = p->out_head - p->out_tail;
  spin_unlock(&p->line.lock);
  return n;
}

/* Slaves have been there and are gone. */
static bool other_closed(struct pty *p) {
  spin_lock(&p->line.lock);
  bool closed = p->slave_seen && p->slaves == 0;
  spin_unlock(&p->line.lock);
  return closed;
}

static i64 master_read(struct file *f, struct uio *u, u64 *pos) {
  struct pty *p = f->priv;
  char piece[PIECE];
  i64 done = 0;
  (void)pos;
  while (u->left > 0) {
    size_t n = take_output(p, piece, min_u64(sizeof piece, u->left));
    i64 e;
    if (n > 0) {
      waitq_wake(&p->line.out_q, 0, POLLOUT | POLLWRNORM, 0);
      e = uio_write_to(u, piece, n);
      if (e < 0)
        return done ? done : e;
      done += e;
      continue;
    }
    if (done > 0)
      break;
    if (other_closed(p))
      return -EIO;
    if (f->flags & O_NONBLOCK)
      return -EAGAIN;
    e = waitq_wait(&p->out_q, output_bytes(p) > 0 || other_closed(p));
    if (e < 0)
      return e;
  }
  return done;
}

static bool can_type(struct pty *p) {
  spin_lock(&p->line.lock);
  bool yes = line_has_room(&p->line);
  spin_unlock(&p->line.lock);
  return yes;
}

static i64 master_write(struct file *f, struct uio *u, u64 *pos) {
  struct pty *p = f->priv;
  char piece[PIECE];
  i64 done = 0;
  (void)pos;
  while (u->left > 0) {
    i64 n = uio_read_from(u, piece, sizeof piece), typed = 0;
    if (n < 0)
      return done ? done : n;
    while (typed < n) {
      size_t k = line_input(p->tty, piece + typed, (size_t)(n - typed));
      int e = 0;
      typed += (i64)k;
      done += (i64)k;
      if (typed < n)
        e = f->flags & O_NONBLOCK ? -EAGAIN : waitq_wait(&p->line.room_q, can_type(p));
      if (e < 0)
        return done ? done : e;
    }
  }
  return done;
}

static u32 master_poll(struct file *f, struct poller *w) {
  struct pty *p = f->priv;
  poll_wait(w, &p->out_q);
  poll_wait(w, &p->line.room_q);
  return (output_bytes(p) > 0 ? POLLIN | POLLRDNORM : 0) |
         (can_type(p) ? POLLOUT | POLLWRNORM : 0) | (other_closed(p) ? POLLHUP : 0);
}

#define TCFLSH 0x540b
#define FIONREAD 0x541b
#define TIOCGPTN 0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCSIG 0x40045436u
#define TIOCGPTLCK 0x80045439u

static i64 set_lock(struct pty *p, u64 arg) {
  u32 on;
  if (user_load32(arg, &on) < 0)
    return -EFAULT;
  spin_lock(&ptys_lock);
  p->locked = on != 0;
  spin_unlock(&ptys_lock);
  return 0;
}

/* A signal as if its character had been typed. */
static i64 send_signal(struct pty *p, u64 signo) {
  if (signo != SIGINT && signo != SIGQUIT && signo != SIGTSTP)
    return -EINVAL;
  signal_send_pgrp(__atomic_load_n(&p->tty->fg_pgid, __ATOMIC_RELAXED), (int)signo, NULL);
  return 0;
}

/* The master's input is the slave's output, and the other way round. */
static i64 flush(struct pty *p, u64 queue) {
  static const int others[] = {1, 0, 2};
  return queue < 3 ? p->tty->ops->flush(p->tty, others[queue]) : -EINVAL;
}

static i64 master_ioctl(struct file *f, u32 cmd, u64 arg) {
  struct pty *p = f->priv;
  switch (cmd) {
  case TIOCGPTN:
    return user_store32(arg, (u32)p->index);
  case TIOCSPTLCK:
    return set_lock(p, arg);
  case TIOCGPTLCK:
    return user_store32(arg, p->locked);
  case TIOCSIG:
    return send_signal(p, arg);
  case FIONREAD:
    return user_store32(arg, output_bytes(p));
  case TCFLSH:
    return flush(p, arg);
  default:
    return tty_ioctl_master(p->tty, cmd, arg);
  }
}

static void master_release(struct file *f) {
  struct pty *p = f->priv;
  spin_lock(&ptys_lock);
  p->master_open = false;
  spin_unlock(&ptys_lock);
  line_hang_up(&p->line);
  tty_hang_up(p->tty);
  tty_put(p->tty);
}

static const struct file_ops master_ops = {
    .name = "ptmx",
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
    .release = master_release,
};

/* ---- making a pair
 * -------------------------------------------------------------------------------------
 */

static struct tty_ops slave_ops;

static void slave_ops_init(void) {
  slave_ops = line_tty_ops;
  slave_ops.open = slave_open;
  slave_ops.close = slave_close;
  slave_ops.release = slave_release;
}

/* The lowest free number, or -ENOSPC. */
static int claim_number(struct pty *p) {
  int n = -ENOSPC;
  spin_lock(&ptys_lock);
  if (!slave_ops.open)
    slave_ops_init();
  for (int k = 0; k < PTY_MAX && n < 0; k++) {
    if (!ptys[k]) {
      ptys[k] = p;
      n = k;
    }
  }
  spin_unlock(&ptys_lock);
  return n;
}

int pty_open_master(struct file *f) {
  struct pty *p = kzalloc(sizeof *p);
  if (!p)
    return -ENOMEM;
  p->index = claim_number(p);
  if (p->index < 0) {
    kfree(p);
    return -ENOSPC;
  }
  line_init(&p->line, &pty_driver);
  waitq_init(&p->out_q);
  devpts_init_node(&p->node, p->index);
  p->locked = true;
  p->tty = tty_alloc(&slave_ops, &p->line);
  if (!p->tty) {
    inode_put(&p->node);
    return -ENOMEM;
  }
  p->tty->rdev = p->node.rdev;
  p->tty->takes_sessions = true;
  f->ops = &master_ops;
  f->priv = p;
  spin_lock(&ptys_lock);
  p->master_open = true;
  spin_unlock(&ptys_lock);
  return 0;
}
