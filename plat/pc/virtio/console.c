/* SPDX-License-Identifier: MIT */
/*
 * The virtio console as a further terminal, /dev/hvc0, with the core's line discipline. Output is
 * kept in a buffer until the device takes it; input beyond what the line discipline holds is
 * dropped, as on a serial line, but nothing before somebody has opened the terminal. The first
 * device only.
 *
 * Locks: line.lock (the line and the output buffer), then the queue's (its chunks).
 */
#include "kernel/errno.h"
#include "kernel/fs/chrdev.h"
#include "kernel/fs/line.h"
#include "kernel/fs/vfs.h"
#include "lib/string.h"
#include "plat/pc/virtio/virtio.h"

#define F_SIZE (1UL << 0)
#define CHUNK 512u
#define INPUTS 8u
#define OUTPUTS 8u
#define OUT_SIZE 4096u /* a power of two */
#define MAJOR 229      /* hvc */

struct chunk {
  struct vq_request req;
  struct list node; /* received or unused */
  u8 bytes[CHUNK];
};

static struct console {
  struct virtio_dev *dev;
  struct virtqueue *rx, *tx;
  struct chunk in[INPUTS], out[OUTPUTS];
  struct list received; /* under the receive queue's lock */
  struct list unused;   /* for output; under the send queue's lock */
  struct line line;
  u32 kept_tail, kept_head; /* output that the device has not been given yet (free-running) */
  char kept[OUT_SIZE];
  struct mutex open_lock;
  struct tty *tty; /* NULL until somebody opens it; atomic */
  struct chrdev node;
} console;

/* ---- output ---------------------------------------------------------------------------------- */

static void chunk_sent(struct vq_request *r) {
  struct chunk *k = r->owner;
  list_push_back(&console.unused, &k->node);
}

/* Gives the device a chunk of what is kept; false: there is none, or no chunk is unused. -EIO goes
   to *e. line.lock and the queue's lock held. */
static bool send_chunk(struct console *c, int *e) {
  struct list *node = c->kept_tail != c->kept_head ? list_pop_front(&c->unused) : NULL;
  if (!node)
    return false;
  struct chunk *k = list_entry(node, struct chunk, node);
  u32 n = 0;
  while (n < CHUNK && c->kept_tail != c->kept_head)
    k->bytes[n++] = (u8)c->kept[c->kept_tail++ % OUT_SIZE];
  struct vq_buf b = {k->bytes, n};
  *e = vq_submit_locked(c->tx, &k->req, &b, 1, 0); /* has room: as many entries as chunks */
  if (*e < 0)
    list_push_back(&c->unused, node);
  return *e == 0;
}

/* Gives the device what it can take: true if that was something. */
static bool send_some(struct console *c) {
  bool any = false;
  int e = 0;
  vq_poll(c->tx);
  spin_lock(&c->line.lock);
  spin_lock(&c->tx->lock);
  while (send_chunk(c, &e))
    any = true;
  spin_unlock(&c->tx->lock);
  spin_unlock(&c->line.lock);
  if (any)
    vq_kick(c->tx);
  if (e < 0) /* out of order for good */
    line_hang_up(&c->line);
  return any;
}

/* No locks held. */
static void pump(struct console *c) {
  bool any = false;
  while (send_some(c))
    any = true;
  if (any)
    waitq_wake(&c->line.out_q, 0, POLLOUT | POLLWRNORM, 0);
}

/* ---- the line's driver ----------------------------------------------------------------------- */

static size_t out_room(struct line *l) {
  struct console *c = container_of(l, struct console, line);
  return OUT_SIZE - (c->kept_head - c->kept_tail);
}

static void out_put(struct line *l, const char *s, size_t n) {
  struct console *c = container_of(l, struct console, line);
  while (n-- > 0)
    c->kept[c->kept_head++ % OUT_SIZE] = *s++;
}

static void out_discard(struct line *l) {
  struct console *c = container_of(l, struct console, line);
  c->kept_tail = c->kept_head;
}

static void out_wake(struct line *l) { pump(container_of(l, struct console, line)); }

static const struct line_driver console_driver = {
    .room = out_room, .put = out_put, .discard = out_discard, .wake = out_wake};

/* ---- input ----------------------------------------------------------------------------------- */

static void chunk_arrived(struct vq_request *r) {
  struct chunk *k = r->owner;
  if (r->error == 0)
    list_push_back(&console.received, &k->node);
}

static void offer(struct console *c, struct chunk *k) {
  struct vq_buf b = {k->bytes, CHUNK};
  vq_submit(c->rx, &k->req, &b, 0, 1); /* has room: the chunk has just left it */
}

static struct chunk *next_received(struct console *c) {
  spin_lock(&c->rx->lock);
  struct list *node = list_pop_front(&c->received);
  spin_unlock(&c->rx->lock);
  return node ? list_entry(node, struct chunk, node) : NULL;
}

static void console_poll_device(struct virtio_dev *d) {
  struct console *c = d->priv;
  struct tty *t = __atomic_load_n(&c->tty, __ATOMIC_ACQUIRE);
  struct chunk *k;
  bool any = false;
  pump(c);
  while (t && (k = next_received(c))) {
    line_input(t, (char *)k->bytes, k->req.len);
    offer(c, k);
    any = true;
  }
  if (any)
    vq_kick(c->rx);
}

/* ---- start
 * --------------------------------------------------------------------------------------- */

/* The terminal is made when it is first opened: by then the machine's console, which is the first
   one made, exists. */
static int console_open(struct chrdev *node, struct file *f) {
  struct console *c = node->priv;
  mutex_lock(&c->open_lock);
  if (!c->tty) {
    struct tty *t = tty_create(&line_tty_ops, &c->line);
    if (t)
      t->rdev = node->rdev;
    __atomic_store_n(&c->tty, t, __ATOMIC_RELEASE);
    virtio_interrupt(c->dev); /* there may be input */
  }
  mutex_unlock(&c->open_lock);
  return c->tty ? tty_open(c->tty, f) : -ENOMEM;
}

static void chunks_init(struct console *c) {
  list_init(&c->received);
  list_init(&c->unused);
  for (unsigned k = 0; k < INPUTS; k++)
    vq_request_init(&c->in[k].req, chunk_arrived, &c->in[k]);
  for (unsigned k = 0; k < OUTPUTS; k++) {
    vq_request_init(&c->out[k].req, chunk_sent, &c->out[k]);
    list_push_back(&c->unused, &c->out[k].node);
  }
}

static int console_setup(struct virtio_dev *d, struct console *c) {
  u16 size[2] = {0, 0}; /* columns, rows */
  int e = virtio_has(d, F_SIZE) ? virtio_config(d, 0, size, sizeof size) : 0;
  line_init(&c->line, &console_driver);
  c->line.tio.iflag |= IUTF8;
  c->line.size = (struct kwinsize){.row = size[1], .col = size[0]};
  mutex_init(&c->open_lock);
  chunks_init(c);
  if (e == 0)
    e = virtio_queue(d, 0, INPUTS, &c->rx);
  if (e == 0)
    e = virtio_queue(d, 1, OUTPUTS, &c->tx);
  return e == 0 && c->tx->size < OUTPUTS ? -ENOSPC : e;
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
