/* SPDX-License-Identifier: MIT */
/*
 * The other side of a virtqueue, for tests on the host: a device that works on a queue when it is
 * notified, and can be told to break the rules.
 */
#ifndef UFORK_PC_TEST_FAKEDEV_H
#define UFORK_PC_TEST_FAKEDEV_H

#include "plat/pc/virtio/rings.h"
#include "plat/pc/virtio/virtio.h"

#define FAKE_BYTES_MAX (160 * 1024)

struct fakedev;
/* Serves one chain: n bytes of `out`, may fill up to cap bytes of `in`; the bytes filled. */
typedef u32 (*fake_serve)(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap);

struct fake_queue {
  const struct virtqueue *q; /* NULL: not enabled */
  u16 seen;                  /* of the available ring */
  u16 held[VQ_SIZE_MAX];     /* chains taken and not served yet */
  unsigned n_held;
};

struct fakedev {
  struct virtio_dev *dev;
  fake_serve serve;
  void *priv;
  u64 features;
  u8 config[256];
  u32 config_len;
  u16 queue_max[VIRTIO_QUEUES_MAX]; /* 0: there is no such queue */
  struct fake_queue queues[VIRTIO_QUEUES_MAX];
  u8 status;
  bool refuse_features;
  bool hold;    /* take chains, but serve them only when fake_work is called */
  bool keep_rx; /* queue 0 is for receiving: its chains are held for fake_receive */
  unsigned kicks, resets;
  /* Instead of the right used element. */
  bool lie;
  u32 lie_id, lie_len;
  u16 lie_jump; /* added to the used index beside the one */
};

/* Offers the device to its driver; NULL if it was not accepted. */
struct virtio_dev *fake_add(struct fakedev *f, u32 id);
const struct virtio_ops *fake_operations(void);
/* Takes what is available and serves all, in random order if `shuffle`. */
void fake_work(struct fakedev *f, unsigned queue, bool shuffle);
/* Completes a held chain of queue 0 with these bytes; false if none is there. len: what is
   reported. */
bool fake_receive(struct fakedev *f, const void *bytes, u32 n, u32 len);
/* Completes with an arbitrary element. */
void fake_push_used(struct fakedev *f, unsigned queue, u32 id, u32 len);
void fake_jump_used(struct fakedev *f, unsigned queue, u16 by);

extern void (*fake_pollers[8])(void *arg); /* registered with io_poller_add */
extern unsigned fake_n_pollers, fake_deferred;

u32 fake_random(u32 n);
extern u64 fake_random_state;

#endif
