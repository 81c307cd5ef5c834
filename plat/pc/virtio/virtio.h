/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices (version 1.0), above two transports: memory-mapped (virtio_mmio.c) and PCI
 * (virtio_pci.c). A transport finds a device and calls virtio_add, which negotiates features and
 * hands it to the driver of its kind. Devices are found once, at boot, and never go away.
 */
#ifndef UFORK_PC_VIRTIO_H
#define UFORK_PC_VIRTIO_H

#include "plat/pc/virtio/virtqueue.h"

#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG 4
#define VIRTIO_ID_9P 9

#define VIRTIO_F_VERSION_1 (1UL << 32)

#define VIRTIO_S_ACKNOWLEDGE 1u
#define VIRTIO_S_DRIVER 2u
#define VIRTIO_S_DRIVER_OK 4u
#define VIRTIO_S_FEATURES_OK 8u
#define VIRTIO_S_NEEDS_RESET 0x40u
#define VIRTIO_S_FAILED 0x80u

#define VIRTIO_DEVS_MAX 32
#define VIRTIO_QUEUES_MAX 4

struct virtio_dev;

/* What a transport implements. Register accesses; callers serialise all but notify. */
struct virtio_ops {
  u8 (*get_status)(struct virtio_dev *d);
  void (*set_status)(struct virtio_dev *d, u8 status); /* 0: reset, complete on return */
  u64 (*get_features)(struct virtio_dev *d);
  void (*set_features)(struct virtio_dev *d, u64 features);
  u16 (*queue_max)(struct virtio_dev *d, u16 index); /* 0: there is no such queue */
  int (*queue_enable)(struct virtio_dev *d, const struct virtqueue *q);
  void (*notify)(struct virtio_dev *d, u16 index);
  /* Device configuration, byte-wise; -EIO beyond its end. */
  int (*read_config)(struct virtio_dev *d, u32 at, void *buf, u32 n);
  u32 (*generation)(struct virtio_dev *d);
};

struct virtio_driver {
  const char *name;
  u32 id;
  u64 features; /* what it can use beside VERSION_1 */
  /* Reads the configuration, makes queues. -errno: the device is left alone, nothing is kept. */
  int (*probe)(struct virtio_dev *d);
  /* The device is live: requests may be made. Boot context, no sleeping. */
  void (*start)(struct virtio_dev *d);
};

struct virtio_dev {
  const struct virtio_ops *ops;
  const struct virtio_driver *driver;
  char where[24]; /* for messages: mmio@ADDR, pci BB:DD.F */
  u32 id;
  u64 features; /* negotiated */
  u32 pending;  /* set by the interrupt handler, taken by the poller; atomic */
  u32 broken;   /* atomic */
  struct virtqueue *queues[VIRTIO_QUEUES_MAX];
  void *priv;                         /* the driver's */
  void (*poll)(struct virtio_dev *d); /* the driver's, after its queues have been polled; or NULL */
  volatile u8 *regs, *config, *notify; /* the transport's */
  u32 config_len;
  u32 notify_step; /* PCI: bytes between notification addresses */
  u32 notify_len;
  u16 notify_off[VIRTIO_QUEUES_MAX];
};

/* Finds all devices: PCI if there is a bus, else the slots of QEMU's microvm; and those named on
   the kernel's command line (`virtio_mmio.device=SIZE@ADDR:IRQ`, may be repeated). Once, on CPU 0,
   after device_map, irq_* and the kernel heap work. */
void virtio_init(const char *command_line);

/* For transports: takes a device found (*d filled: ops, id, where, transport fields; copied). Then
   the driver's interrupt handler is virtio_interrupt with the returned device. NULL: no driver, or
   the device refuses (said in the log). `attach` connects the interrupt, before requests are made.
 */
struct virtio_dev *virtio_add(const struct virtio_dev *d, int (*attach)(struct virtio_dev *d));
/* Something happened: from an interrupt handler of the transport, after acknowledging. */
void virtio_interrupt(struct virtio_dev *d);

/* For drivers. */
static inline bool virtio_has(const struct virtio_dev *d, u64 feature) {
  return (d->features & feature) != 0;
}
/* Makes queue `index` with at most `max` entries; -ENODEV: the device has none, -ENOMEM. */
int virtio_queue(struct virtio_dev *d, u16 index, u16 max, struct virtqueue **out);
/* Reads a consistent piece of the configuration; -EIO. */
int virtio_config(struct virtio_dev *d, u32 at, void *buf, u32 n);

/* The device broke the rules: says why, resets it. All requests fail. Any context. */
void virtio_break(struct virtio_dev *d, const char *why);
static inline bool virtio_is_broken(const struct virtio_dev *d) {
  return __atomic_load_n(&d->broken, __ATOMIC_RELAXED) != 0;
}
/* Asks a device that seems to hang whether it has given up; if so, breaks it. Thread context. */
void virtio_check(struct virtio_dev *d);
static inline void virtio_notify(struct virtio_dev *d, u16 index) { d->ops->notify(d, index); }

/* Polls the devices that interrupted since the last time: registered with io_poller_add. */
void virtio_poll(void *unused);

/* The transports' searches. PCI: false if there is no such bus. Slots are looked at only if the
   command line names no devices. */
bool virtio_pci_scan(void);
void virtio_mmio_scan(const char *command_line, bool microvm_slots);

extern const struct virtio_driver virtio_net, virtio_blk, virtio_console, virtio_rng, virtio_9p;
/* The table of drivers, NULL at the end: virtio.c knows only this. */
extern const struct virtio_driver *const virtio_drivers[];

#endif
