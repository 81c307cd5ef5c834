/* SPDX-License-Identifier: MIT */
#include "plat/pc/virtio/virtio.h"
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"
#include "plat/pc/irq.h"

static struct virtio_dev *devs[VIRTIO_DEVS_MAX];
static unsigned n_devs;

/* ---- drivers' side --------------------------------------------------------------------------- */

int virtio_queue(struct virtio_dev *d, u16 index, u16 max, struct virtqueue **out) {
  u16 offered = index < VIRTIO_QUEUES_MAX ? d->ops->queue_max(d, index) : 0, size = 1;
  struct virtqueue *q;
  int e;
  if (offered == 0)
    return -ENODEV;
  while (size * 2 <= offered && size * 2 <= max && size * 2 <= VQ_SIZE_MAX)
    size = (u16)(size * 2);
  q = kzalloc(sizeof *q);
  if (!q)
    return -ENOMEM;
  e = vq_init(q, d, index, size);
  if (e == 0)
    e = d->ops->queue_enable(d, q);
  if (e < 0) {
    kfree(q);
    return e;
  }
  d->queues[index] = q;
  *out = q;
  return 0;
}

#define CONFIG_TRIES 16
int virtio_config(struct virtio_dev *d, u32 at, void *buf, u32 n) {
  for (int k = 0; k < CONFIG_TRIES; k++) {
    u32 before = d->ops->generation(d);
    int e = d->ops->read_config(d, at, buf, n);
    if (e < 0)
      return e;
    if (d->ops->generation(d) == before)
      return 0;
  }
  return -EIO;
}

void virtio_break(struct virtio_dev *d, const char *why) {
  if (__atomic_exchange_n(&d->broken, 1, __ATOMIC_SEQ_CST))
    return;
  klog("%s (%s): out of order: %s", d->driver->name, d->where, why);
  d->ops->set_status(d, 0);
  __atomic_store_n(&d->pending, 1, __ATOMIC_RELEASE); /* its other queues fail at the next poll */
  irq_defer();
}

/* ---- finding a driver ------------------------------------------------------------------------ */

static const struct virtio_driver *driver_for(u32 id) {
  for (unsigned k = 0; virtio_drivers[k]; k++)
    if (virtio_drivers[k]->id == id)
      return virtio_drivers[k];
  return NULL;
}

static void add_status(struct virtio_dev *d, u8 bits) {
  d->ops->set_status(d, d->ops->get_status(d) | bits);
}

static int negotiate(struct virtio_dev *d) {
  u64 offered;
  d->ops->set_status(d, 0);
  add_status(d, VIRTIO_S_ACKNOWLEDGE);
  add_status(d, VIRTIO_S_DRIVER);
  offered = d->ops->get_features(d);
  if (!(offered & VIRTIO_F_VERSION_1))
    return -EPROTONOSUPPORT;
  d->features = (offered & d->driver->features) | VIRTIO_F_VERSION_1;
  d->ops->set_features(d, d->features);
  add_status(d, VIRTIO_S_FEATURES_OK);
  return d->ops->get_status(d) & VIRTIO_S_FEATURES_OK ? 0 : -EPROTONOSUPPORT;
}

static int bring_up(struct virtio_dev *d, int (*attach)(struct virtio_dev *d)) {
  int e = negotiate(d);
  if (e == 0)
    e = attach ? attach(d) : 0;
  if (e == 0)
    e = d->driver->probe(d);
  return e;
}

struct virtio_dev *virtio_add(const struct virtio_dev *found, int (*attach)(struct virtio_dev *d)) {
  const struct virtio_driver *driver = driver_for(found->id);
  struct virtio_dev *d;
  int e;
  if (!driver || n_devs == VIRTIO_DEVS_MAX)
    return NULL;
  d = kmalloc(sizeof *d);
  if (!d)
    return NULL;
  *d = *found;
  d->driver = driver;
  e = bring_up(d, attach);
  if (e < 0) { /* its interrupt may be connected: the structure stays */
    klog("%s (%s): not usable: error %d", driver->name, d->where, -e);
    d->broken = 1;
    d->ops->set_status(d, 0);
    d->ops->set_status(d, VIRTIO_S_FAILED);
    return NULL;
  }
  add_status(d, VIRTIO_S_DRIVER_OK);
  __atomic_store_n(&devs[n_devs], d, __ATOMIC_RELEASE);
  __atomic_store_n(&n_devs, n_devs + 1, __ATOMIC_RELEASE);
  if (driver->start)
    driver->start(d);
  return d;
}

void virtio_init(const char *command_line) {
  bool pci = virtio_pci_scan();
  virtio_mmio_scan(command_line, !pci);
  io_poller_add(virtio_poll, NULL);
}

/* ---- interrupts
 * ---------------------------------------------------------------------------------- */

void virtio_interrupt(struct virtio_dev *d) {
  __atomic_store_n(&d->pending, 1, __ATOMIC_RELEASE);
  irq_defer();
}

void virtio_check(struct virtio_dev *d) {
  if (!virtio_is_broken(d) && (d->ops->get_status(d) & VIRTIO_S_NEEDS_RESET))
    virtio_break(d, "it asks to be reset");
}

static void poll_device(struct virtio_dev *d) {
  for (unsigned k = 0; k < VIRTIO_QUEUES_MAX; k++)
    if (d->queues[k])
      vq_poll(d->queues[k]);
  if (d->poll)
    d->poll(d);
}

void virtio_poll(void *unused) {
  unsigned n = __atomic_load_n(&n_devs, __ATOMIC_ACQUIRE);
  (void)unused;
  vq_allow_sleep();
  for (unsigned k = 0; k < n; k++)
    if (__atomic_exchange_n(&devs[k]->pending, 0, __ATOMIC_ACQ_REL))
      poll_device(devs[k]);
}
