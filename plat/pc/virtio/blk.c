/* SPDX-License-Identifier: MIT */
/*
 * Disks as block device nodes /dev/vda, /dev/vdb... Transfers go to the device at once through
 * bounce buffers; nothing is cached, so a read sees what any open file has written. fsync is a
 * flush of the device's own cache. Transfers that do not begin or end on a block read it, change
 * it and write it back; so that nobody's bytes are lost by that, writes go one at a time.
 */
#include "kernel/errno.h"
#include "kernel/fs/chrdev.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/pc/virtio/virtio.h"

#define F_RO (1UL << 5)
#define F_BLK_SIZE (1UL << 6)
#define F_FLUSH (1UL << 9)

#define T_IN 0
#define T_OUT 1
#define T_FLUSH 4

#define SECTOR 512u      /* unit of positions and sizes in requests */
#define TRANSFER KIB(64) /* at most, per request */
#define IN_FLIGHT 8u
#define CHAIN 3u
#define DISKS_MAX 26
#define MAJOR 254 /* Linux gives virtio disks a dynamic number, usually this one */
#define MINORS_PER_DISK 16

#define BLKROGET 0x125e
#define BLKGETSIZE 0x1260
#define BLKFLSBUF 0x1261
#define BLKSSZGET 0x1268
#define BLKBSZGET 0x80081270
#define BLKGETSIZE64 0x80081272

struct blk_header {
  u32 type, reserved;
  u64 sector;
};

struct blk_slot {
  struct vq_request req;
  struct blk_header header;
  u8 status;
  u8 *data; /* TRANSFER bytes, from the first use on */
};

struct blk {
  struct virtio_dev *dev;
  struct virtqueue *q;
  u64 bytes;
  u32 block; /* what the device reads and writes whole: a power of two, SECTOR to TRANSFER */
  bool read_only, can_flush;
  struct vq_slots slots;
  struct mutex write_lock;
  struct blk_slot slot[IN_FLIGHT];
  struct chrdev node;
  char name[8];
};

static unsigned n_disks;

/* ---- requests
 * --------------------------------------------------------------------------------------- */

static const int status_errors[] = {0, -EIO, -EOPNOTSUPP};

/* One request for n bytes of the slot's data. */
static int transfer(struct blk *b, struct blk_slot *s, u32 type, u64 at, size_t n) {
  struct vq_buf bufs[CHAIN] = {{&s->header, sizeof s->header}, {s->data, (u32)n}, {&s->status, 1}};
  unsigned n_out = type == T_OUT ? 2 : 1;
  s->header = (struct blk_header){.type = type, .sector = at / SECTOR};
  s->status = 0xff;
  if (n == 0)
    bufs[1] = bufs[2];
  int e = vq_submit(b->q, &s->req, bufs, n_out, (n ? CHAIN : CHAIN - 1) - n_out);
  if (e < 0)
    return -EIO;
  vq_kick(b->q);
  e = vq_wait(b->q, &s->req);
  if (e < 0)
    return e;
  u8 status = __atomic_load_n(&s->status, __ATOMIC_RELAXED);
  return status < ARRAY_LEN(status_errors) ? status_errors[status] : -EIO;
}

static int take_slot(struct blk *b, struct blk_slot **out) {
  struct blk_slot *s = &b->slot[vq_slot_take(&b->slots, b->q)];
  if (!s->data)
    s->data = plat_pages_alloc(TRANSFER / PAGE_SIZE, PAGE_SIZE);
  *out = s;
  if (s->data)
    return 0;
  vq_slot_give(&b->slots, (unsigned)(s - b->slot));
  return -ENOMEM;
}

static void give_slot(struct blk *b, struct blk_slot *s) {
  vq_slot_give(&b->slots, (unsigned)(s - b->slot));
}

/* ---- transfers: `span` is the sectors around [at, at + n)
 * -------------------------------------------- */

struct span {
  u64 from;
  size_t skip, n, len; /* wanted bytes begin after skip; len is whole blocks */
};

static struct span span_at(const struct blk *b, u64 at, u64 want) {
  struct span p = {.from = round_down(at, b->block), .skip = at % b->block};
  p.n = min_u64(min_u64(want, b->bytes - at), TRANSFER - p.skip);
  p.len = round_up(p.skip + p.n, b->block);
  return p;
}

static i64 read_span(struct blk *b, struct blk_slot *s, const struct span *p, struct uio *u) {
  int e = transfer(b, s, T_IN, p->from, p->len);
  return e < 0 ? e : uio_write_to(u, s->data + p->skip, p->n);
}

static i64 write_whole(struct blk *b, struct blk_slot *s, const struct span *p, struct uio *u) {
  i64 n = uio_read_from(u, s->data, p->n);
  if (n < 0)
    return n;
  if (n < (i64)p->n) /* user memory ended early: what is there may be part of a block */
    return -EFAULT;
  int e = transfer(b, s, T_OUT, p->from, p->len);
  return e < 0 ? e : n;
}

static i64 write_partial(struct blk *b, struct blk_slot *s, const struct span *p, struct uio *u) {
  i64 n = transfer(b, s, T_IN, p->from, p->len);
  if (n == 0)
    n = uio_read_from(u, s->data + p->skip, p->n);
  if (n > 0) {
    int e = transfer(b, s, T_OUT, p->from, p->len);
    n = e < 0 ? e : n;
  }
  return n;
}

static i64 write_span(struct blk *b, struct blk_slot *s, const struct span *p, struct uio *u) {
  return p->skip == 0 && p->len == p->n ? write_whole(b, s, p, u) : write_partial(b, s, p, u);
}

static i64 blk_transfer(struct file *f, struct uio *u, u64 *pos,
                        i64 (*go)(struct blk *, struct blk_slot *, const struct span *,
                                  struct uio *)) {
  struct blk *b = f->priv;
  struct blk_slot *s;
  i64 done = 0, n = take_slot(b, &s);
  if (n < 0)
    return n;
  while (u->left > 0 && *pos < b->bytes) {
    struct span p = span_at(b, *pos, u->left);
    n = go(b, s, &p, u);
    if (n <= 0)
      break;
    done += n;
    *pos += (u64)n;
  }
  give_slot(b, s);
  return done ? done : n < 0 ? n : 0;
}

/* ---- open files
 * ------------------------------------------------------------------------------------- */

static i64 blk_read(struct file *f, struct uio *u, u64 *pos) {
  return blk_transfer(f, u, pos, read_span);
}

static i64 blk_write(struct file *f, struct uio *u, u64 *pos) {
  struct blk *b = f->priv;
  if (u->left > 0 && *pos >= b->bytes)
    return -ENOSPC;
  mutex_lock(&b->write_lock);
  i64 n = blk_transfer(f, u, pos, write_span);
  mutex_unlock(&b->write_lock);
  return n;
}

static i64 blk_seek(struct file *f, i64 off, int whence) {
  return seek_in_size(f, off, whence, ((struct blk *)f->priv)->bytes);
}

static int blk_sync(struct file *f, bool data_only) {
  struct blk *b = f->priv;
  struct blk_slot *s;
  (void)data_only;
  if (!b->can_flush)
    return 0; /* the device says that what it has written is safe */
  int e = take_slot(b, &s);
  if (e < 0)
    return e;
  e = transfer(b, s, T_FLUSH, 0, 0);
  give_slot(b, s);
  return e;
}

static i64 blk_ioctl(struct file *f, u32 cmd, u64 arg) {
  struct blk *b = f->priv;
  u64 value;
  switch (cmd) {
  case BLKGETSIZE64:
    return copy_to_user(arg, &b->bytes, sizeof b->bytes);
  case BLKGETSIZE:
    value = b->bytes / SECTOR;
    return copy_to_user(arg, &value, sizeof value);
  case BLKSSZGET:
  case BLKBSZGET:
    return copy_to_user(arg, &b->block, sizeof b->block);
  case BLKROGET:
    return copy_to_user(arg, &(u32){b->read_only}, sizeof(u32));
  case BLKFLSBUF:
    return blk_sync(f, false);
  default:
    return -ENOTTY;
  }
}

static const struct file_ops blk_ops = {
    .name = "block",
    .read = blk_read,
    .write = blk_write,
    .seek = blk_seek,
    .ioctl = blk_ioctl,
    .sync = blk_sync,
};

static int blk_open(struct chrdev *c, struct file *f) {
  struct blk *b = c->priv;
  if (b->read_only && (f->flags & O_ACCMODE) != O_RDONLY)
    return -EROFS;
  f->ops = &blk_ops;
  f->priv = b;
  return 0;
}

/* ---- start
 * ------------------------------------------------------------------------------------------- */

static int blk_setup(struct virtio_dev *d, struct blk *b) {
  u64 sectors;
  int e = virtio_config(d, 0, &sectors, sizeof sectors);
  if (e == 0 && sectors > (u64)INT64_MAX / SECTOR)
    e = -EIO;
  b->block = SECTOR;
  if (e == 0 && virtio_has(d, F_BLK_SIZE))
    e = virtio_config(d, 20, &b->block, sizeof b->block);
  if (e == 0 && (b->block < SECTOR || b->block > TRANSFER || (b->block & (b->block - 1)) ||
                 sectors * SECTOR % b->block))
    e = -EIO;
  if (e == 0)
    e = virtio_queue(d, 0, IN_FLIGHT * 4, &b->q);
  if (e == 0 && b->q->size < CHAIN)
    e = -EIO;
  if (e < 0)
    return e;
  b->dev = d;
  b->bytes = sectors * SECTOR;
  b->read_only = virtio_has(d, F_RO);
  b->can_flush = virtio_has(d, F_FLUSH);
  mutex_init(&b->write_lock);
  vq_slots_init(&b->slots, (unsigned)min_u64(IN_FLIGHT, b->q->size / CHAIN));
  for (unsigned k = 0; k < IN_FLIGHT; k++)
    vq_request_init(&b->slot[k].req, NULL, NULL);
  return 0;
}

static int blk_probe(struct virtio_dev *d) {
  struct blk *b = n_disks < DISKS_MAX ? kzalloc(sizeof *b) : NULL;
  if (!b)
    return -ENOMEM;
  int e = blk_setup(d, b);
  if (e < 0)
    return e;
  fmt(b->name, sizeof b->name, "vd%c", 'a' + (int)n_disks);
  b->node = (struct chrdev){.name = b->name,
                            .mode = S_IFBLK | 0660,
                            .rdev = MAKEDEV(MAJOR, n_disks * MINORS_PER_DISK),
                            .open = blk_open,
                            .priv = b};
  n_disks++;
  chrdev_register(&b->node);
  return 0;
}

const struct virtio_driver virtio_blk = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLK,
    .features = F_RO | F_BLK_SIZE | F_FLUSH,
    .probe = blk_probe,
};
