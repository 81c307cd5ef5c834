/* SPDX-License-Identifier: MIT */
/* The host's entropy for plat_random: at boot, and again whenever much has been taken. */
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "plat/pc/irq.h"
#include "plat/pc/random.h"
#include "plat/pc/virtio/virtio.h"

#define SEED_BYTES 64
#define BOOT_WAIT_NS 100000000

static struct rng {
  struct virtqueue *q;
  struct vq_request req;
  u32 asked; /* the request is the device's */
  u8 seed[SEED_BYTES];
} rng;

static void seed_arrived(struct vq_request *r) {
  random_add(rng.seed, r->len);
  __atomic_store_n(&r->is_done, 1, __ATOMIC_RELEASE);
  __atomic_store_n(&rng.asked, 0, __ATOMIC_RELEASE);
}

static bool ask(void) {
  struct vq_buf b = {rng.seed, SEED_BYTES};
  if (__atomic_exchange_n(&rng.asked, 1, __ATOMIC_ACQ_REL))
    return false;
  if (vq_submit(rng.q, &rng.req, &b, 0, 1) < 0)
    return false; /* out of order: never again */
  vq_kick(rng.q);
  return true;
}

static void refill(void *unused) {
  (void)unused;
  if (random_wants_more())
    ask();
}

static int rng_probe(struct virtio_dev *d) {
  if (rng.q)
    return -EBUSY; /* one is enough */
  vq_request_init(&rng.req, seed_arrived, NULL);
  return virtio_queue(d, 0, 8, &rng.q);
}

static void rng_start(struct virtio_dev *d) {
  if (ask() && vq_wait_polling(rng.q, &rng.req, BOOT_WAIT_NS) == -ETIMEDOUT)
    klog("%s (%s): no entropy from the host yet", d->driver->name, d->where);
  io_poller_add(refill, NULL);
}

const struct virtio_driver virtio_rng = {
    .name = "virtio-rng",
    .id = VIRTIO_ID_RNG,
    .probe = rng_probe,
    .start = rng_start,
};
