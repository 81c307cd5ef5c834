/* SPDX-License-Identifier: MIT */
/*
 * Network cards. Frames go in one buffer each, without offloads. A received frame is handed to the
 * stack from the poller; the buffer then goes back to the device. Sent frames are copied.
 */
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/pc/netdev.h"
#include "plat/pc/virtio/virtio.h"

#define F_MTU (1UL << 3)
#define F_MAC (1UL << 5)
#define HEADER 12 /* struct virtio_net_hdr with num_buffers */
#define ETHERNET 14
#define MTU_MAX 1500
#define BUFFER 2048
#define RING 128

struct net_frame {
  struct vq_request req;
  struct net *net;
  struct list node; /* received, or free to send */
  u8 *bytes;        /* BUFFER, header first */
};

struct net {
  struct netdev dev;
  struct virtqueue *rx, *tx;
  struct net_frame rx_frames[RING], tx_frames[RING];
  struct list received; /* under the receive queue's lock */
  struct list idle;     /* frames to send with; under the send queue's lock */
};

/* ---- receiving
 * ------------------------------------------------------------------------------------ */

/* The queue's lock is held. */
static void frame_arrived(struct vq_request *r) {
  struct net_frame *f = r->owner;
  if (r->error == 0)
    list_push_back(&f->net->received, &f->node);
}

static void offer(struct net *n, struct net_frame *f) {
  struct vq_buf b = {f->bytes, BUFFER};
  vq_submit(n->rx, &f->req, &b, 0, 1); /* has room: the frame has just left it */
}

static struct net_frame *next_received(struct net *n) {
  spin_lock(&n->rx->lock);
  struct list *node = list_pop_front(&n->received);
  spin_unlock(&n->rx->lock);
  return node ? list_entry(node, struct net_frame, node) : NULL;
}

static void deliver(struct net *n, const struct net_frame *f) {
  u32 len = f->req.len;
  if (n->dev.receive && len >= HEADER + ETHERNET)
    n->dev.receive(&n->dev, f->bytes + HEADER, len - HEADER);
}

static void net_poll(struct virtio_dev *d) {
  struct net *n = d->priv;
  struct net_frame *f;
  bool any = false;
  while ((f = next_received(n))) {
    deliver(n, f);
    offer(n, f);
    any = true;
  }
  if (any)
    vq_kick(n->rx);
}

/* ---- sending
 * ---------------------------------------------------------------------------------------- */

static void frame_sent(struct vq_request *r) {
  struct net_frame *f = r->owner;
  list_push_front(&f->net->idle, &f->node);
}

static struct net_frame *take_idle(struct net *n) {
  spin_lock(&n->tx->lock);
  struct list *node = list_pop_front(&n->idle);
  spin_unlock(&n->tx->lock);
  return node ? list_entry(node, struct net_frame, node) : NULL;
}

static void give_idle(struct net *n, struct net_frame *f) {
  spin_lock(&n->tx->lock);
  list_push_front(&n->idle, &f->node);
  spin_unlock(&n->tx->lock);
}

/* Bytes of the frame, 0 if it is too long. */
static u32 gather(struct net_frame *f, const struct netdev_part *parts, unsigned n) {
  u32 len = HEADER;
  memset(f->bytes, 0, HEADER);
  for (unsigned k = 0; k < n; k++) {
    if (parts[k].len > BUFFER - len)
      return 0;
    memcpy(f->bytes + len, parts[k].data, parts[k].len);
    len += (u32)parts[k].len;
  }
  return len;
}

static int net_send(struct netdev *d, const struct netdev_part *parts, unsigned n_parts) {
  struct net *n = container_of(d, struct net, dev);
  struct net_frame *f = take_idle(n);
  if (!f) { /* the device may have sent some meanwhile */
    vq_poll(n->tx);
    f = take_idle(n);
  }
  if (!f)
    return -ENOBUFS;
  u32 len = gather(f, parts, n_parts);
  struct vq_buf b = {f->bytes, len};
  int e = len ? vq_submit(n->tx, &f->req, &b, 1, 0) : -EMSGSIZE;
  if (e < 0) {
    give_idle(n, f);
    return -ENOBUFS;
  }
  vq_kick(n->tx);
  return 0;
}

/* ---- start
 * ------------------------------------------------------------------------------------------- */

static int make_frames(struct net *n, struct net_frame *frames, void (*done)(struct vq_request *)) {
  u8 *bytes = plat_pages_alloc(RING * BUFFER / PAGE_SIZE, PAGE_SIZE);
  if (!bytes)
    return -ENOMEM;
  for (unsigned k = 0; k < RING; k++) {
    frames[k].net = n;
    frames[k].bytes = bytes + k * BUFFER;
    vq_request_init(&frames[k].req, done, &frames[k]);
  }
  return 0;
}

static int read_config(struct virtio_dev *d, struct netdev *n) {
  u16 mtu;
  int e;
  n->mtu = MTU_MAX;
  if (virtio_has(d, F_MTU)) {
    e = virtio_config(d, 10, &mtu, sizeof mtu);
    if (e < 0 || mtu < 68)
      return -EIO;
    n->mtu = (u32)min_u64(mtu, MTU_MAX);
  }
  if (virtio_has(d, F_MAC))
    return virtio_config(d, 0, n->mac, sizeof n->mac);
  plat_random(n->mac, sizeof n->mac);
  n->mac[0] = (u8)((n->mac[0] & ~1) | 2); /* one station, locally administered */
  return 0;
}

static int net_setup(struct virtio_dev *d, struct net *n) {
  int e = read_config(d, &n->dev);
  list_init(&n->received);
  list_init(&n->idle);
  n->dev.send = net_send;
  if (e == 0)
    e = make_frames(n, n->rx_frames, frame_arrived);
  if (e == 0)
    e = make_frames(n, n->tx_frames, frame_sent);
  if (e == 0)
    e = virtio_queue(d, 0, RING, &n->rx);
  if (e == 0)
    e = virtio_queue(d, 1, RING, &n->tx);
  if (e < 0)
    return e;
  vq_no_interrupts(n->tx); /* frames that have been sent are taken back when more are needed */
  return netdev_register(&n->dev);
}

static int net_probe(struct virtio_dev *d) {
  struct net *n = kzalloc(sizeof *n);
  if (!n)
    return -ENOMEM;
  d->priv = n;
  d->poll = net_poll;
  return net_setup(d, n);
}

static void net_start(struct virtio_dev *d) {
  struct net *n = d->priv;
  for (unsigned k = 0; k < n->rx->size; k++)
    offer(n, &n->rx_frames[k]);
  for (unsigned k = 0; k < n->tx->size; k++)
    give_idle(n, &n->tx_frames[k]);
  vq_kick(n->rx);
}

const struct virtio_driver virtio_net = {
    .name = "virtio-net",
    .id = VIRTIO_ID_NET,
    .features = F_MTU | F_MAC,
    .probe = net_probe,
    .start = net_start,
};
