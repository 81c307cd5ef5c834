/* SPDX-License-Identifier: MIT */
#include "plat/pc/test/fakedev.h"
#include "kernel/errno.h"
#include "plat/pc/frames.h"
#include "plat/pc/irq.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*fake_pollers[8])(void *arg);
unsigned fake_n_pollers, fake_deferred;
u64 fake_random_state = 1;

u32 fake_random(u32 n) {
  fake_random_state = fake_random_state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(fake_random_state >> 33) % n;
}

/* ---- the rest of the platform
 * ------------------------------------------------------------------------ */

void irq_defer(void) { fake_deferred++; }
void io_poller_add(void (*poll)(void *arg), void *arg) {
  (void)arg;
  fake_pollers[fake_n_pollers++ % 8] = poll;
}
bool virtio_pci_scan(void) { return false; }
void virtio_mmio_scan(const char *command_line, bool microvm_slots) {
  (void)command_line, (void)microvm_slots;
}

/* ---- registers
 * ---------------------------------------------------------------------------------------- */

static struct fakedev *of(struct virtio_dev *d) { return (struct fakedev *)d->regs; }

static u8 get_status(struct virtio_dev *d) { return of(d)->status; }

static void set_status(struct virtio_dev *d, u8 s) {
  struct fakedev *f = of(d);
  f->status = s;
  if (f->refuse_features)
    f->status &= (u8)~VIRTIO_S_FEATURES_OK;
  if (s == 0) {
    f->resets++;
    memset(f->queues, 0, sizeof f->queues);
  }
}

static u64 get_features(struct virtio_dev *d) { return of(d)->features; }

static void set_features(struct virtio_dev *d, u64 features) {
  if (features & ~of(d)->features)
    abort(); /* a driver must not accept what was not offered */
}

static u16 queue_max(struct virtio_dev *d, u16 index) {
  return index < VIRTIO_QUEUES_MAX ? of(d)->queue_max[index] : 0;
}

static int queue_enable(struct virtio_dev *d, const struct virtqueue *q) {
  of(d)->queues[q->index].q = q;
  return 0;
}

static int read_config(struct virtio_dev *d, u32 at, void *buf, u32 n) {
  struct fakedev *f = of(d);
  if (at > f->config_len || n > f->config_len - at)
    return -EIO;
  memcpy(buf, f->config + at, n);
  return 0;
}

static u32 generation(struct virtio_dev *d) {
  (void)d;
  return 0;
}

static void notify(struct virtio_dev *d, u16 index) {
  struct fakedev *f = of(d);
  f->kicks++;
  if (!f->hold)
    fake_work(f, index, false);
}

static const struct virtio_ops fake_ops = {
    .get_status = get_status,
    .set_status = set_status,
    .get_features = get_features,
    .set_features = set_features,
    .queue_max = queue_max,
    .queue_enable = queue_enable,
    .notify = notify,
    .read_config = read_config,
    .generation = generation,
};

const struct virtio_ops *fake_operations(void) { return &fake_ops; }

struct virtio_dev *fake_add(struct fakedev *f, u32 id) {
  struct virtio_dev d = {.ops = &fake_ops, .where = "fake", .id = id, .regs = (u8 *)f};
  f->dev = virtio_add(&d, NULL);
  return f->dev;
}

/* ---- rings
 * ------------------------------------------------------------------------------------------- */

static void take_available(struct fakedev *f, unsigned queue) {
  struct fake_queue *k = &f->queues[queue];
  u16 idx = __atomic_load_n(&k->q->avail->idx, __ATOMIC_ACQUIRE);
  for (; k->seen != idx; k->seen++) {
    if (k->n_held == VQ_SIZE_MAX)
      abort();
    k->held[k->n_held++] = k->q->avail->ring[k->seen & (k->q->size - 1)];
  }
}

void fake_push_used(struct fakedev *f, unsigned queue, u32 id, u32 len) {
  struct vq_used *used = f->queues[queue].q->used;
  used->ring[used->idx & (f->queues[queue].q->size - 1)] = (struct vq_used_elem){id, len};
  __atomic_store_n(&used->idx, (u16)(used->idx + 1), __ATOMIC_RELEASE);
}

void fake_jump_used(struct fakedev *f, unsigned queue, u16 by) {
  f->queues[queue].q->used->idx += by;
}

/* The bytes of a chain that the device may read, or those it may write: in both directions. */
static u32 chain_bytes(const struct virtqueue *q, u16 head, bool writable, u8 *bytes, bool store,
                       u32 limit) {
  u32 n = 0;
  for (u16 at = head;; at = q->desc[at].next) {
    const struct vq_desc *d = &q->desc[at];
    if (at >= q->size || d->len == 0)
      abort();
    if (!!(d->flags & VQ_DESC_WRITE) == writable) {
      u32 piece = (u32)min_u64(d->len, limit - n);
      if (n + piece > FAKE_BYTES_MAX)
        abort();
      if (store)
        memcpy(phys_ptr(d->addr), bytes + n, piece);
      else if (bytes)
        memcpy(bytes + n, phys_ptr(d->addr), piece);
      n += piece;
    }
    if (!(d->flags & VQ_DESC_NEXT))
      return n;
  }
}

static void serve_chain(struct fakedev *f, unsigned queue, u16 head) {
  static u8 out[FAKE_BYTES_MAX], in[FAKE_BYTES_MAX];
  const struct virtqueue *q = f->queues[queue].q;
  u32 n = chain_bytes(q, head, false, out, false, FAKE_BYTES_MAX);
  u32 cap = chain_bytes(q, head, true, NULL, false, FAKE_BYTES_MAX);
  u32 len = f->serve(f, queue, out, n, in, cap);
  if (len > cap)
    abort();
  chain_bytes(q, head, true, in, true, len);
  if (f->lie) {
    fake_push_used(f, queue, f->lie_id, f->lie_len);
    fake_jump_used(f, queue, f->lie_jump);
    return;
  }
  fake_push_used(f, queue, head, len);
}

void fake_work(struct fakedev *f, unsigned queue, bool shuffle) {
  struct fake_queue *k = &f->queues[queue];
  if (!k->q)
    return;
  take_available(f, queue);
  while (k->n_held > 0 && !(f->keep_rx && queue == 0)) {
    unsigned at = shuffle ? fake_random(k->n_held) : 0;
    u16 head = k->held[at];
    memmove(&k->held[at], &k->held[at + 1], (k->n_held - at - 1) * sizeof k->held[0]);
    k->n_held--;
    serve_chain(f, queue, head);
  }
}

bool fake_receive(struct fakedev *f, const void *bytes, u32 n, u32 len) {
  struct fake_queue *k = &f->queues[0];
  if (!k->q)
    return false;
  take_available(f, 0);
  if (k->n_held == 0)
    return false;
  u16 head = k->held[--k->n_held];
  chain_bytes(k->q, head, true, (u8 *)bytes, true, n);
  fake_push_used(f, 0, head, len);
  return true;
}
