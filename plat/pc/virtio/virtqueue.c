/* SPDX-License-Identifier: MIT */
#include "plat/pc/virtio/virtqueue.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "plat/pc/frames.h"
#include "plat/pc/virtio/rings.h"
#include "plat/pc/virtio/virtio.h"

/* An interrupt that has not come by then is looked for: the device may be done all the same. */
#define LOST_INTERRUPT_NS 200000000

static bool may_sleep;

void vq_allow_sleep(void) { __atomic_store_n(&may_sleep, true, __ATOMIC_RELAXED); }

void vq_request_init(struct vq_request *r, void (*done)(struct vq_request *r), void *owner) {
  *r = (struct vq_request){.done = done, .owner = owner};
  waitq_init(&r->q);
}

/* ---- rings ----------------------------------------------------------------------------------- */

static void link_all_free(struct virtqueue *q) {
  for (u16 k = 0; k < q->size; k++)
    q->shadow[k].next = (u16)(k + 1);
  q->free_head = 0;
  q->n_free = q->size;
}

int vq_init(struct virtqueue *q, struct virtio_dev *dev, u16 index, u16 size) {
  size_t avail_at = size * sizeof(struct vq_desc);
  size_t used_at = round_up(avail_at + sizeof(struct vq_avail) + size * sizeof(u16) + 2, 64);
  size_t bytes = used_at + sizeof(struct vq_used) + size * sizeof(struct vq_used_elem) + 2;
  kassert(size > 0 && size <= VQ_SIZE_MAX && (size & (size - 1)) == 0);
  u8 *ring = plat_pages_alloc(round_up(bytes, PAGE_SIZE) / PAGE_SIZE, PAGE_SIZE);
  struct vq_shadow *shadow = kzalloc(size * sizeof *shadow);
  if (!ring || !shadow) {
    if (ring)
      plat_pages_free(ring, round_up(bytes, PAGE_SIZE) / PAGE_SIZE);
    kfree(shadow);
    return -ENOMEM;
  }
  *q = (struct virtqueue){.dev = dev,
                          .index = index,
                          .size = size,
                          .desc = (struct vq_desc *)ring,
                          .avail = (struct vq_avail *)(ring + avail_at),
                          .used = (struct vq_used *)(ring + used_at),
                          .desc_pa = phys_of(ring),
                          .avail_pa = phys_of(ring) + avail_at,
                          .used_pa = phys_of(ring) + used_at,
                          .shadow = shadow};
  link_all_free(q);
  return 0;
}

void vq_no_interrupts(struct virtqueue *q) { q->avail->flags = VQ_AVAIL_NO_INTERRUPT; }

/* Writes one descriptor of a chain and returns its number; buffers of the chain follow. */
static u16 put_desc(struct virtqueue *q, u16 at, const struct vq_buf *b, bool writable, bool more) {
  u16 next = q->shadow[at].next;
  q->desc[at] = (struct vq_desc){
      .addr = phys_of(b->data),
      .len = b->len,
      .flags = (u16)((writable ? VQ_DESC_WRITE : 0) | (more ? VQ_DESC_NEXT : 0)),
      .next = more ? next : 0,
  };
  return next;
}

int vq_submit_locked(struct virtqueue *q, struct vq_request *r, const struct vq_buf *bufs,
                     unsigned n_out, unsigned n_in) {
  unsigned n = n_out + n_in;
  u16 head = q->free_head, at = head;
  u32 in_len = 0;
  kassert(n > 0 && n <= VQ_CHAIN_MAX);
  if (q->broken || virtio_is_broken(q->dev))
    return -EIO;
  if (q->n_free < n)
    return -ENOSPC;
  for (unsigned k = 0; k < n; k++) {
    at = put_desc(q, at, &bufs[k], k >= n_out, k + 1 < n);
    in_len += k >= n_out ? bufs[k].len : 0;
  }
  q->free_head = at;
  q->n_free = (u16)(q->n_free - n);
  q->shadow[head].n_desc = (u16)n;
  q->shadow[head].in_len = in_len;
  q->shadow[head].req = r;
  r->len = 0;
  r->error = 0;
  __atomic_store_n(&r->is_done, 0, __ATOMIC_RELAXED);
  q->avail->ring[q->avail_idx & (q->size - 1)] = head;
  q->avail_idx++;
  __atomic_store_n(&q->avail->idx, q->avail_idx, __ATOMIC_RELEASE);
  return 0;
}

int vq_submit(struct virtqueue *q, struct vq_request *r, const struct vq_buf *bufs, unsigned n_out,
              unsigned n_in) {
  spin_lock(&q->lock);
  int e = vq_submit_locked(q, r, bufs, n_out, n_in);
  spin_unlock(&q->lock);
  return e;
}

/* The fence orders our index before the look at the device's wish. */
void vq_kick(struct virtqueue *q) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (!(__atomic_load_n(&q->used->flags, __ATOMIC_RELAXED) & VQ_USED_NO_NOTIFY))
    virtio_notify(q->dev, q->index);
}

/* ---- completion; the queue's lock is held ---------------------------------------------------- */

static void finish(struct vq_request *r, u32 len, int error) {
  r->len = len;
  r->error = error;
  if (r->done) {
    r->done(r);
    return;
  }
  __atomic_store_n(&r->is_done, 1, __ATOMIC_RELEASE);
  waitq_wake(&r->q, 0, 0, 0);
}

/* Takes the chain at `head` back: its request. */
static struct vq_request *free_chain(struct virtqueue *q, u16 head, u32 *in_len) {
  struct vq_shadow *s = &q->shadow[head];
  struct vq_request *r = s->req;
  u16 last = head;
  for (u16 k = 1; k < s->n_desc; k++)
    last = q->shadow[last].next;
  q->shadow[last].next = q->free_head;
  q->free_head = head;
  q->n_free = (u16)(q->n_free + s->n_desc);
  *in_len = s->in_len;
  s->req = NULL;
  return r;
}

/* Ends everything with -EIO. The device has been reset and does not touch memory any more. */
static void fail_all(struct virtqueue *q) {
  q->broken = true;
  for (u16 k = 0; k < q->size; k++) {
    u32 in_len;
    if (q->shadow[k].req)
      finish(free_chain(q, k, &in_len), 0, -EIO);
  }
}

static void break_queue(struct virtqueue *q, const char *why) {
  virtio_break(q->dev, why);
  fail_all(q);
}

static void complete_one(struct virtqueue *q) {
  const struct vq_used_elem *e = &q->used->ring[q->used_idx & (q->size - 1)];
  u32 id = __atomic_load_n(&e->id, __ATOMIC_RELAXED),
      len = __atomic_load_n(&e->len, __ATOMIC_RELAXED);
  u32 in_len;
  if (id >= q->size || !q->shadow[id].req) {
    break_queue(q, "it completed a request that was never made");
    return;
  }
  q->used_idx++;
  struct vq_request *r = free_chain(q, (u16)id, &in_len);
  finish(r, (u32)min_u64(len, in_len), 0);
}

void vq_poll(struct virtqueue *q) {
  spin_lock(&q->lock);
  while (!q->broken) {
    u16 n = (u16)(__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) - q->used_idx);
    if (virtio_is_broken(q->dev))
      fail_all(q);
    else if (n > q->size)
      break_queue(q, "it completed more requests than there are");
    else if (n == 0)
      break;
    else
      complete_one(q);
  }
  spin_unlock(&q->lock);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_done(const struct vq_request *r) {
  return __atomic_load_n(&r->is_done, __ATOMIC_ACQUIRE) != 0;
}

static void sleep_once(struct virtqueue *q, struct vq_request *r) {
  struct waiter w = {.thread = NULL};
  int e = 0;
  waitq_prepare(&r->q, &w, THREAD_UNINTERRUPTIBLE);
  if (!is_done(r))
    e = schedule_until(plat_now() + LOST_INTERRUPT_NS);
  waitq_finish(&w);
  if (e == -ETIMEDOUT) {
    virtio_check(q->dev);
    vq_poll(q);
  }
}

int vq_wait(struct virtqueue *q, struct vq_request *r) {
  vq_poll(q); /* some devices are done before the notification returns */
  while (!is_done(r)) {
    if (__atomic_load_n(&may_sleep, __ATOMIC_RELAXED)) {
      sleep_once(q, r);
      continue;
    }
    vq_poll(q);
    plat_relax();
  }
  return r->error;
}

int vq_wait_polling(struct virtqueue *q, struct vq_request *r, u64 ns) {
  u64 end = plat_now() + ns;
  for (;;) {
    vq_poll(q);
    if (is_done(r))
      return r->error;
    if (plat_now() > end)
      return -ETIMEDOUT;
    plat_relax();
  }
}

/* ---- slots
 * --------------------------------------------------------------------------------------- */

void vq_slots_init(struct vq_slots *s, unsigned n) {
  kassert(n > 0 && n <= VQ_SLOTS_MAX);
  s->lock = (struct spin)SPIN_INIT;
  s->free = n == 32 ? UINT32_MAX : (1u << n) - 1;
  waitq_init(&s->q);
}

static int try_take(struct vq_slots *s) {
  int slot = -1;
  spin_lock(&s->lock);
  if (s->free) {
    slot = __builtin_ctz(s->free);
    s->free &= s->free - 1;
  }
  spin_unlock(&s->lock);
  return slot;
}

/* Slots are given back by threads whose requests are done, so a waiter may rely on being woken. */
unsigned vq_slot_take(struct vq_slots *s, struct virtqueue *q) {
  struct waiter w = {.exclusive = true};
  int slot = try_take(s);
  if (slot >= 0)
    return (unsigned)slot;
  kassert(__atomic_load_n(&may_sleep, __ATOMIC_RELAXED));
  for (;;) {
    waitq_prepare(&s->q, &w, THREAD_UNINTERRUPTIBLE);
    slot = try_take(s);
    if (slot >= 0)
      break;
    if (schedule_until(plat_now() + LOST_INTERRUPT_NS) == -ETIMEDOUT) {
      waitq_finish(&w);
      vq_poll(q);
    }
  }
  waitq_finish(&w);
  return (unsigned)slot;
}

void vq_slot_give(struct vq_slots *s, unsigned slot) {
  spin_lock(&s->lock);
  s->free |= 1u << slot;
  spin_unlock(&s->lock);
  waitq_wake(&s->q, 1, 0, 0);
}
