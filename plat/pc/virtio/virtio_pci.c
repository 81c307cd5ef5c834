/* SPDX-License-Identifier: MIT */
/*
 * Virtio over PCI: the registers lie in base address registers, where capabilities of the function
 * say. One MSI-X message serves all queues of a device; there are no configuration interrupts.
 */
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "lib/fmt.h"
#include "plat/pc/irq.h"
#include "plat/pc/virtio/pci.h"
#include "plat/pc/virtio/virtio.h"

#define VENDOR_VIRTIO 0x1af4
#define TRANSITIONAL_LO 0x1000 /* kind in the subsystem id */
#define TRANSITIONAL_HI 0x103f
#define MODERN_LO 0x1040 /* plus the kind */
#define MODERN_HI 0x107f

#define CAP_VENDOR 0x09
#define CAP_MSIX 0x11
#define CFG_COMMON 1
#define CFG_NOTIFY 2
#define CFG_DEVICE 4

enum {
  DEVICE_FEATURES_SEL = 0x00,
  DEVICE_FEATURES = 0x04,
  DRIVER_FEATURES_SEL = 0x08,
  DRIVER_FEATURES = 0x0c,
  CONFIG_VECTOR = 0x10,
  STATUS = 0x14,
  GENERATION = 0x15,
  QUEUE_SEL = 0x16,
  QUEUE_SIZE = 0x18,
  QUEUE_VECTOR = 0x1a,
  QUEUE_ENABLE = 0x1c,
  QUEUE_NOTIFY_OFF = 0x1e,
  QUEUE_DESC = 0x20,
  QUEUE_DRIVER = 0x28,
  QUEUE_DEVICE = 0x30,
  COMMON_LEN = 0x38,
};
#define NO_VECTOR 0xffff
#define RESET_NS 1000000000

static u16 get16(volatile u8 *p) { return *(volatile u16 *)p; }
static u32 get32(volatile u8 *p) { return *(volatile u32 *)p; }
static void put16(volatile u8 *p, u16 v) { *(volatile u16 *)p = v; }
static void put32(volatile u8 *p, u32 v) { *(volatile u32 *)p = v; }

static void put64(volatile u8 *p, u64 v) {
  put32(p, (u32)v);
  put32(p + 4, (u32)(v >> 32));
}

/* ---- transport ------------------------------------------------------------------------------- */

static u8 pci_get_status(struct virtio_dev *d) { return d->regs[STATUS]; }

/* A reset is complete when the status reads zero. */
static void pci_set_status(struct virtio_dev *d, u8 status) {
  u64 end = plat_now() + RESET_NS;
  d->regs[STATUS] = status;
  while (status == 0 && d->regs[STATUS] != 0 && plat_now() < end)
    __builtin_ia32_pause();
}

static u64 pci_get_features(struct virtio_dev *d) {
  u64 f;
  put32(d->regs + DEVICE_FEATURES_SEL, 1);
  f = (u64)get32(d->regs + DEVICE_FEATURES) << 32;
  put32(d->regs + DEVICE_FEATURES_SEL, 0);
  return f | get32(d->regs + DEVICE_FEATURES);
}

static void pci_set_features(struct virtio_dev *d, u64 f) {
  put32(d->regs + DRIVER_FEATURES_SEL, 0);
  put32(d->regs + DRIVER_FEATURES, (u32)f);
  put32(d->regs + DRIVER_FEATURES_SEL, 1);
  put32(d->regs + DRIVER_FEATURES, (u32)(f >> 32));
}

static u16 pci_queue_max(struct virtio_dev *d, u16 index) {
  put16(d->regs + QUEUE_SEL, index);
  return get16(d->regs + QUEUE_SIZE);
}

static int pci_queue_enable(struct virtio_dev *d, const struct virtqueue *q) {
  put16(d->regs + QUEUE_SEL, q->index);
  d->notify_off[q->index] = get16(d->regs + QUEUE_NOTIFY_OFF);
  if ((u64)d->notify_off[q->index] * d->notify_step + 2 > d->notify_len)
    return -EIO;
  put16(d->regs + QUEUE_SIZE, q->size);
  put16(d->regs + QUEUE_VECTOR, 0);
  if (get16(d->regs + QUEUE_VECTOR) != 0)
    return -ENOSPC;
  put64(d->regs + QUEUE_DESC, q->desc_pa);
  put64(d->regs + QUEUE_DRIVER, q->avail_pa);
  put64(d->regs + QUEUE_DEVICE, q->used_pa);
  put16(d->regs + QUEUE_ENABLE, 1);
  return 0;
}

static void pci_notify(struct virtio_dev *d, u16 index) {
  put16(d->notify + (size_t)d->notify_off[index] * d->notify_step, index);
}

static int pci_read_config(struct virtio_dev *d, u32 at, void *buf, u32 n) {
  if (at > d->config_len || n > d->config_len - at)
    return -EIO;
  for (u32 k = 0; k < n; k++)
    ((u8 *)buf)[k] = d->config[at + k];
  return 0;
}

static u32 pci_generation(struct virtio_dev *d) { return d->regs[GENERATION]; }

static const struct virtio_ops pci_ops = {
    .get_status = pci_get_status,
    .set_status = pci_set_status,
    .get_features = pci_get_features,
    .set_features = pci_set_features,
    .queue_max = pci_queue_max,
    .queue_enable = pci_queue_enable,
    .notify = pci_notify,
    .read_config = pci_read_config,
    .generation = pci_generation,
};

/* ---- interrupts
 * ---------------------------------------------------------------------------------- */

static const struct pci_func *attaching; /* of the device that virtio_add is called for */

static void pci_interrupt(void *arg) { virtio_interrupt(arg); }

/* Maps [at, at + len) of base address register n. */
static volatile u8 *map_bar(const struct pci_func *f, unsigned n, u32 at, u64 len) {
  u64 base, size;
  if (pci_bar(f, n, &base, &size) < 0 || at > size || len > size - at)
    return NULL;
  return device_map(base + at, len);
}

static int pci_attach(struct virtio_dev *d) {
  const struct pci_func *f = attaching;
  u32 cap = pci_capability(f, CAP_MSIX, 0), table = cap ? pci_read32(f, cap + 4) : 0, data;
  volatile u8 *entry = cap ? map_bar(f, table & 7, table & ~7u, 16) : NULL;
  u64 addr;
  if (!entry)
    return -ENXIO;
  int vector = irq_vector_take(d->driver->name, pci_interrupt, d);
  if (vector < 0)
    return vector;
  irq_msi(vector, &addr, &data);
  put64(entry, addr);
  put32(entry + 8, data);
  put32(entry + 12, 0);
  pci_write16(f, cap + 2, 0x8000); /* on, nothing masked */
  put16(d->regs + CONFIG_VECTOR, NO_VECTOR);
  return 0;
}

/* ---- search
 * ---------------------------------------------------------------------------------------- */

/* The registers of one kind: *len bytes of them are mapped. NULL: there are none. `step`: the
   capability's own extra field. */
static volatile u8 *find_registers(const struct pci_func *f, u8 kind, u32 *len, u32 *step) {
  for (u32 cap = pci_capability(f, CAP_VENDOR, 0); cap; cap = pci_capability(f, CAP_VENDOR, cap)) {
    if (cap > 256 - 20 || pci_read8(f, cap + 3) != kind)
      continue;
    *len = (u32)min_u64(pci_read32(f, cap + 12), MIB(1));
    *step = pci_read32(f, cap + 16);
    volatile u8 *p = map_bar(f, pci_read8(f, cap + 4), pci_read32(f, cap + 8), *len);
    if (p)
      return p;
  }
  return NULL;
}

static u32 kind_of(const struct pci_func *f) {
  u16 device = pci_read16(f, PCI_DEVICE);
  if (pci_read16(f, PCI_VENDOR) != VENDOR_VIRTIO)
    return 0;
  if (device >= TRANSITIONAL_LO && device <= TRANSITIONAL_HI)
    return pci_read16(f, PCI_SUBSYSTEM);
  return device >= MODERN_LO && device <= MODERN_HI ? device - MODERN_LO : 0;
}

static void found(const struct pci_func *f, void *unused) {
  struct virtio_dev d = {.ops = &pci_ops, .id = kind_of(f)};
  u32 len = 0, step;
  (void)unused;
  if (d.id == 0)
    return;
  fmt(d.where, sizeof d.where, "pci %02x:%02x.%x", f->bus, f->dev, f->func);
  pci_enable(f);
  d.regs = find_registers(f, CFG_COMMON, &len, &step);
  d.notify = find_registers(f, CFG_NOTIFY, &d.notify_len, &d.notify_step);
  d.config = find_registers(f, CFG_DEVICE, &d.config_len, &step);
  if (!d.config)
    d.config_len = 0;
  if (!d.regs || len < COMMON_LEN || !d.notify) {
    klog("virtio device at %s: no registers of version 1.0", d.where);
    return;
  }
  attaching = f;
  virtio_add(&d, pci_attach);
}

bool virtio_pci_scan(void) {
  if (!pci_present())
    return false;
  pci_each(found, NULL);
  return true;
}
