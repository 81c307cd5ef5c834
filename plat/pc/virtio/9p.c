/* SPDX-License-Identifier: MIT */
/* The transport of 9P: an export of the host is a device whose configuration tells its mount tag.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/pc/p9/client.h"
#include "plat/pc/virtio/virtio.h"

#define F_MOUNT_TAG (1UL << 0)
#define QUEUE 128

static int read_tag(struct virtio_dev *d, char tag[P9_TAG_MAX]) {
  u16 n;
  if (!virtio_has(d, F_MOUNT_TAG))
    return -EPROTONOSUPPORT;
  int e = virtio_config(d, 0, &n, sizeof n);
  if (e < 0)
    return e;
  if (n == 0 || n >= P9_TAG_MAX)
    return -ENAMETOOLONG;
  tag[n] = 0;
  e = virtio_config(d, 2, tag, n);
  if (e == 0 && (memchr(tag, 0, n) || strchr(tag, '/')))
    e = -EINVAL;
  return e;
}

static int p9_probe(struct virtio_dev *d) {
  struct virtqueue *q = NULL;
  char tag[P9_TAG_MAX];
  int e = read_tag(d, tag);
  if (e == 0)
    e = virtio_queue(d, 0, QUEUE, &q);
  if (e == 0 && q->size < 2 * P9_CHAIN)
    e = -ENOSPC;
  if (e < 0)
    return e;
  if (p9_find(tag, strlen(tag)))
    return -EEXIST;
  struct p9 *s = kzalloc(sizeof *s);
  if (!s)
    return -ENOMEM;
  p9_register(s, q, tag);
  return 0;
}

const struct virtio_driver virtio_9p = {
    .name = "virtio-9p",
    .id = VIRTIO_ID_9P,
    .features = F_MOUNT_TAG,
    .probe = p9_probe,
};
