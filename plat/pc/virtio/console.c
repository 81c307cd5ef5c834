/* SPDX-License-Identifier: MIT */
/*
 * The virtio console as a further terminal, /dev/hvc0, with the core's line discipline. Output
 * waits for the device; input beyond what the line discipline holds is dropped, as on a serial
 * line. The first device only: a struct line writes to one place.
 */
#include "kernel/errno.h"
#include "kernel/fs/chrdev.h"
#include "kernel/fs/line.h"
#include "kernel/fs/vfs.h"
#include "kernel/signal/signal.h"
#include "lib/string.h"
#include "plat/pc/virtio/virtio.h"

#define F_SIZE (1UL << 0)
#define CHUNK 512u
#define INPUTS 8u
#define OUTPUTS 8u
#define MAJOR 229 /* hvc */
#define VMIN 6
#define VTIME 5
#define ICANON 2u
#define TCOFLUSH 1

struct chunk {
  struct vq_request req;
  struct list node; /* received */
  u8 bytes[CHUNK];
};

static struct console {
  struct virtio_dev *dev;
  struct virtqueue *rx, *tx;
  struct chunk in[INPUTS], out[OUTPUTS];
  struct list received; /* under the receive queue's lock */
  struct vq_slots outputs;
  struct mutex out_lock; /* keeps writes whole */
  struct spin lock;      /* line, echo, size */
  struct line line;
  u8 echo[CHUNK]; /* what the line discipline wants to write while `lock` is held */
  u32 n_echo;
  struct waitq waiters;
  struct tty *tty;
  struct kwinsize size;
  struct chrdev node;
} console;

/* ---- output -------------------------------------------------------------------------------------
 */

static int send(struct console *c, const u8 *bytes, u32 n) {
  u32 slot = vq_slot_take(&c->outputs, c->tx);
  struct chunk *k = &c->out[slot];
  struct vq_buf b = {k->bytes, n};
  memcpy(k->bytes, bytes, n);
  int e = vq_submit(c->tx, &k->req, &b, 1, 0);
  if (e == 0) {
    vq_kick(c->tx);
    e = vq_wait(c->tx, &k->req);
  }
  vq_slot_give(&c->outputs, slot);
  return e;
}

/* The line discipline writes here, with `lock` held: echo, or a program's output. */
static void collect(const char *text, size_t n) {
  struct console *c = &console;
  n = min_u64(n, CHUNK - c->n_echo);
  memcpy(c->echo + c->n_echo, text, n);
  c->n_echo += (u32)n;
}

static u32 take_collected(struct console *c, u8 out[CHUNK]) {
  u32 n = c->n_echo;
  memcpy(out, c->echo, n);
  c->n_echo = 0;
  return n;
}

/* A few bytes, translated as the settings say; at most twice as many come out. */
static int write_some(struct console *c, const u8 *text, u32 n) {
  u8 out[CHUNK];
  spin_lock(&c->lock);
  line_output(&c->line, text, n);
  n = take_collected(c, out);
  spin_unlock(&c->lock);
  return n ? send(c, out, n) : 0;
}

static i64 console_write(struct tty *t, struct uio *u, bool nonblock) {
  struct console *c = t->priv;
  u8 text[CHUNK / 2]; /* a newline becomes two bytes */
  i64 sum = 0, n = 0;
  (void)nonblock;
  mutex_lock(&c->out_lock);
  while (u->left > 0) {
    n = uio_read_from(u, text, min_u64(u->left, sizeof text));
    if (n <= 0)
      break;
    int e = write_some(c, text, (u32)n);
    if (e < 0) {
      n = e;
      break;
    }
    sum += n;
  }
  mutex_unlock(&c->out_lock);
  return sum ? sum : n;
}

/* ---- input --------------------------------------------------------------------------------------
 */

static void chunk_arrived(struct vq_request *r) {
  struct chunk *k = r->owner;
  if (r->error == 0)
    list_push_back(&console.received, &k->node);
}

static void offer(struct console *c, struct chunk *k) {
  struct vq_buf b = {k->bytes, CHUNK};
  vq_submit(c->rx, &k->req, &b, 0, 1); /* has room: the chunk has just left it */
}

/* Echo from the poller, which must not wait: lost if the device is slow. */
static void send_echo(struct console *c, const u8 *bytes, u32 n) {
  static struct chunk echo = {.req = {.is_done = 1}};
  struct vq_buf b = {echo.bytes, n};
  vq_poll(c->tx);
  if (n == 0 || !__atomic_load_n(&echo.req.is_done, __ATOMIC_ACQUIRE))
    return;
  if (!echo.req.q.waiters.next)
    waitq_init(&echo.req.q);
  memcpy(echo.bytes, bytes, n);
  if (vq_submit(c->tx, &echo.req, &b, 1, 0) == 0)
    vq_kick(c->tx);
}

static void take_byte(struct console *c, u8 byte) {
  u8 out[CHUNK];
  spin_lock(&c->lock);
  int signo = line_input(&c->line, byte);
  u32 n = take_collected(c, out);
  int pgid = c->tty ? c->tty->fg_pgid : 0;
  spin_unlock(&c->lock);
  send_echo(c, out, n);
  if (signo > 0 && pgid > 0)
    signal_send_pgrp(pgid, signo, NULL);
}

static struct chunk *next_received(struct console *c) {
  spin_lock(&c->rx->lock);
  struct list *node = list_pop_front(&c->received);
  spin_unlock(&c->rx->lock);
  return node ? list_entry(node, struct chunk, node) : NULL;
}

static void console_poll_device(struct virtio_dev *d) {
  struct console *c = d->priv;
  struct chunk *k;
  bool any = false;
  while ((k = next_received(c))) {
    for (u32 at = 0; at < k->req.len; at++)
      take_byte(c, k->bytes[at]);
    offer(c, k);
    any = true;
  }
  if (!any)
    return;
  vq_kick(c->rx);
  waitq_wake(&c->waiters, 0, POLLIN, 0);
}

static bool readable(struct console *c) {
  spin_lock(&c->lock);
  bool yes = line_ready(&c->line);
  spin_unlock(&c->lock);
  return yes;
}

/* Waits as the settings say: VMIN 0 means not for ever. */
static int await_input(struct console *c, bool nonblock) {
  u64 deadline = UINT64_MAX;
  spin_lock(&c->lock);
  if (!(c->line.t.lflag & ICANON) && c->line.t.cc[VMIN] == 0)
    deadline = plat_now() + c->line.t.cc[VTIME] * 100000000UL;
  spin_unlock(&c->lock);
  if (readable(c))
    return 0;
  if (nonblock)
    return -EAGAIN;
  int e = waitq_wait_until(&c->waiters, readable(c), deadline);
  return e == -ETIMEDOUT ? 0 : e;
}

static i64 console_read(struct tty *t, struct uio *u, bool nonblock) {
  struct console *c = t->priv;
  u8 buf[CHUNK];
  int e = u->left ? await_input(c, nonblock) : 0;
  if (e < 0)
    return e;
  spin_lock(&c->lock);
  size_t n = line_ready(&c->line) ? line_take(&c->line, buf, min_u64(u->left, sizeof buf)) : 0;
  spin_unlock(&c->lock);
  return n ? uio_write_to(u, buf, n) : 0;
}

static u32 console_poll(struct tty *t, struct poller *p) {
  struct console *c = t->priv;
  poll_wait(p, &c->waiters);
  return POLLOUT | (readable(c) ? POLLIN : 0);
}

/* ---- settings
 * ------------------------------------------------------------------------------------ */

static int console_get_termios(struct tty *t, struct ktermios *k) {
  struct console *c = t->priv;
  spin_lock(&c->lock);
  *k = c->line.t;
  spin_unlock(&c->lock);
  return 0;
}

static int console_set_termios(struct tty *t, const struct ktermios *k, int when) {
  struct console *c = t->priv;
  spin_lock(&c->lock);
  if (when == 2)
    line_flush(&c->line);
  line_set(&c->line, k);
  spin_unlock(&c->lock);
  waitq_wake(&c->waiters, 0, POLLIN, 0);
  return 0;
}

static int console_get_winsize(struct tty *t, struct kwinsize *w) {
  struct console *c = t->priv;
  spin_lock(&c->lock);
  *w = c->size;
  spin_unlock(&c->lock);
  return 0;
}

static int console_set_winsize(struct tty *t, const struct kwinsize *w) {
  struct console *c = t->priv;
  spin_lock(&c->lock);
  c->size = *w;
  spin_unlock(&c->lock);
  return 0;
}

static int console_flush(struct tty *t, int queue) {
  struct console *c = t->priv;
  spin_lock(&c->lock);
  if (queue != TCOFLUSH)
    line_flush(&c->line);
  spin_unlock(&c->lock);
  return 0;
}

static i64 console_input_bytes(struct tty *t) {
  struct console *c = t->priv;
  spin_lock(&c->lock);
  i64 n = (i64)line_bytes(&c->line);
  spin_unlock(&c->lock);
  return n;
}

static const struct tty_ops console_ops = {
    .read = console_read,
    .write = console_write,
    .poll = console_poll,
    .get_termios = console_get_termios,
    .set_termios = console_set_termios,
    .get_winsize = console_get_winsize,
    .set_winsize = console_set_winsize,
    .flush = console_flush,
    .input_bytes = console_input_bytes,
};

/* ---- start
 * --------------------------------------------------------------------------------------- */

/* The terminal is made when it is first opened: by then the machine's console, which is the first
   one made, exists. */
static int console_open(struct chrdev *node, struct file *f) {
  struct console *c = node->priv;
  int e = 0;
  mutex_lock(&c->out_lock);
  if (!c->tty) {
    struct tty *t = tty_create(&console_ops, c);
    if (t)
      t->rdev = node->rdev;
    spin_lock(&c->lock);
    c->tty = t;
    spin_unlock(&c->lock);
  }
  if (!c->tty)
    e = -ENOMEM;
  mutex_unlock(&c->out_lock);
  return e < 0 ? e : tty_open(c->tty, f);
}

static int console_setup(struct virtio_dev *d, struct console *c) {
  u16 size[2]; /* columns, rows */
  int e = virtio_has(d, F_SIZE) ? virtio_config(d, 0, size, sizeof size) : 0;
  if (e == 0 && virtio_has(d, F_SIZE))
    c->size = (struct kwinsize){.row = size[1], .col = size[0]};
  list_init(&c->received);
  mutex_init(&c->out_lock);
  waitq_init(&c->waiters);
  line_init(&c->line, collect);
  vq_slots_init(&c->outputs, OUTPUTS);
  for (unsigned k = 0; k < INPUTS; k++)
    vq_request_init(&c->in[k].req, chunk_arrived, &c->in[k]);
  for (unsigned k = 0; k < OUTPUTS; k++)
    vq_request_init(&c->out[k].req, NULL, NULL);
  if (e == 0)
    e = virtio_queue(d, 0, INPUTS, &c->rx);
  if (e == 0)
    e = virtio_queue(d, 1, 2 * OUTPUTS, &c->tx);
  return e == 0 && c->tx->size < 2 * OUTPUTS ? -ENOSPC : e;
}

static int console_probe(struct virtio_dev *d) {
  struct console *c = &console;
  if (c->dev)
    return -EBUSY;
  int e = console_setup(d, c);
  if (e < 0)
    return e;
  c->dev = d;
  d->priv = c;
  d->poll = console_poll_device;
  c->node = (struct chrdev){.name = "hvc0",
                            .mode = S_IFCHR | 0600,
                            .rdev = MAKEDEV(MAJOR, 0),
                            .open = console_open,
                            .priv = c};
  chrdev_register(&c->node);
  return 0;
}

static void console_start(struct virtio_dev *d) {
  struct console *c = d->priv;
  for (unsigned k = 0; k < c->rx->size; k++)
    offer(c, &c->in[k]);
  vq_kick(c->rx);
}

const struct virtio_driver virtio_console = {
    .name = "virtio-console",
    .id = VIRTIO_ID_CONSOLE,
    .features = F_SIZE,
    .probe = console_probe,
    .start = console_start,
};
