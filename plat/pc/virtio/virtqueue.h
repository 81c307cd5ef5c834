/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues (virtio 1.0). A request is a chain of buffers that the device reads, then of
 * buffers that it writes; it belongs to the queue from vq_submit until it is done. Nothing that the
 * device writes is trusted: ids, lengths and indices are checked, and a device that breaks the
 * rules is reset and all its requests end with -EIO.
 *
 * Requests are completed by whoever polls the queue: the poller after an interrupt, or the waiting
 * thread itself as long as nothing may sleep (boot) and when an interrupt got lost.
 */
#ifndef UFORK_PC_VIRTQUEUE_H
#define UFORK_PC_VIRTQUEUE_H

#include "kernel/sched/sched.h"

struct virtio_dev;

#define VQ_SIZE_MAX 256
#define VQ_CHAIN_MAX 8

struct vq_buf {
  const void *data; /* memory of the direct map or the kernel image: never user memory */
  u32 len;
};

struct vq_request {
  /* Called with the queue's lock held when the request is done; may vq_submit_locked to the same
     queue, must not sleep. NULL: who waits in vq_wait is woken. */
  void (*done)(struct vq_request *r);
  void *owner;
  u32 len;   /* bytes the device wrote, at most those it was given */
  int error; /* 0 or -EIO: the device is out of order */
  u32 is_done;
  struct waitq q; /* lives as long as the request, which a waker may touch for a moment after it is
                     done: requests are parts of pools, never on a stack */
};
void vq_request_init(struct vq_request *r, void (*done)(struct vq_request *r), void *owner);

struct vq_desc;
struct vq_avail;
struct vq_used;

/* What the driver remembers of a descriptor, out of the device's reach. */
struct vq_shadow {
  u16 next;
  u16 n_desc;             /* of the chain that begins here */
  u32 in_len;             /* bytes the device may write to it */
  struct vq_request *req; /* NULL: no chain begins here */
};

struct virtqueue {
  struct spin lock;
  struct virtio_dev *dev;
  u16 index, size;
  u16 free_head, n_free;
  u16 avail_idx, used_idx;
  bool broken;
  u64 desc_pa, avail_pa, used_pa;
  struct vq_desc *desc;
  struct vq_avail *avail;
  struct vq_used *used;
  struct vq_shadow *shadow;
};

/* Allocates the rings of a queue with `size` entries (power of two, at most VQ_SIZE_MAX). -ENOMEM.
 */
int vq_init(struct virtqueue *q, struct virtio_dev *dev, u16 index, u16 size);

/* The device need not interrupt when it has done something here: the owner polls. Once, at boot. */
void vq_no_interrupts(struct virtqueue *q);

/* Queues r: n_out buffers to read, then n_in to write, together at most VQ_CHAIN_MAX and at least
   one. -ENOSPC: the queue is full; -EIO: the device is out of order. Any context. vq_kick tells the
   device. */
int vq_submit(struct virtqueue *q, struct vq_request *r, const struct vq_buf *bufs, unsigned n_out,
              unsigned n_in);
int vq_submit_locked(struct virtqueue *q, struct vq_request *r, const struct vq_buf *bufs,
                     unsigned n_out, unsigned n_in);
void vq_kick(struct virtqueue *q);

/* Completes what the device has done. Any context without the queue's lock. */
void vq_poll(struct virtqueue *q);

/* Waits until r is done: r->error. Thread context, or boot. Not interruptible: the device owns the
   buffers until then. */
int vq_wait(struct virtqueue *q, struct vq_request *r);
/* The same without ever sleeping, for at most `ns`: -ETIMEDOUT (r stays queued). */
int vq_wait_polling(struct virtqueue *q, struct vq_request *r, u64 ns);

/* From now on waiting threads sleep: interrupts are known to arrive. */
void vq_allow_sleep(void);

/* ---- a bounded set of requests in flight ----------------------------------------------------- */

#define VQ_SLOTS_MAX 32
struct vq_slots {
  struct spin lock;
  u32 free; /* bit mask */
  struct waitq q;
};
void vq_slots_init(struct vq_slots *s, unsigned n);
/* Takes a slot, waiting for one if need be (polls `q`, whose requests the slots stand for). */
unsigned vq_slot_take(struct vq_slots *s, struct virtqueue *q);
void vq_slot_give(struct vq_slots *s, unsigned slot);

#endif
