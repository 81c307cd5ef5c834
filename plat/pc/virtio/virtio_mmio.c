/* SPDX-License-Identifier: MIT */
/*
 * Virtio over memory-mapped registers: the 24 slots of QEMU's microvm, and devices that the command
 * line names, as Firecracker passes them (`virtio_mmio.device=4K@0xd0000000:5`).
 */
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/pc/irq.h"
#include "plat/pc/virtio/virtio.h"

#define SLOTS_AT 0xfeb00000UL
#define SLOT_SIZE 0x200u
#define SLOTS 24u
#define SLOTS_GSI 24u

enum {
  MAGIC = 0x00,
  VERSION = 0x04,
  DEVICE_ID = 0x08,
  DEVICE_FEATURES = 0x10,
  DEVICE_FEATURES_SEL = 0x14,
  DRIVER_FEATURES = 0x20,
  DRIVER_FEATURES_SEL = 0x24,
  QUEUE_SEL = 0x30,
  QUEUE_NUM_MAX = 0x34,
  QUEUE_NUM = 0x38,
  QUEUE_READY = 0x44,
  QUEUE_NOTIFY = 0x50,
  INTERRUPT_STATUS = 0x60,
  INTERRUPT_ACK = 0x64,
  STATUS = 0x70,
  QUEUE_DESC = 0x80,
  QUEUE_DRIVER = 0x90,
  QUEUE_DEVICE = 0xa0,
  GENERATION = 0xfc,
  CONFIG = 0x100,
};
#define MAGIC_VALUE 0x74726976u

/* Where a device's registers are and how it interrupts. */
struct place {
  u64 at, size;
  u32 gsi;
  bool level; /* microvm's lines are level-triggered; other monitors pulse them */
};

static u32 get(volatile u8 *regs, u32 at) { return *(volatile u32 *)(regs + at); }
static void put(volatile u8 *regs, u32 at, u32 v) { *(volatile u32 *)(regs + at) = v; }

/* ---- transport ------------------------------------------------------------------------------- */

static u8 mmio_get_status(struct virtio_dev *d) { return (u8)get(d->regs, STATUS); }

static void mmio_set_status(struct virtio_dev *d, u8 status) { put(d->regs, STATUS, status); }

static u64 mmio_get_features(struct virtio_dev *d) {
  u64 f;
  put(d->regs, DEVICE_FEATURES_SEL, 1);
  f = (u64)get(d->regs, DEVICE_FEATURES) << 32;
  put(d->regs, DEVICE_FEATURES_SEL, 0);
  return f | get(d->regs, DEVICE_FEATURES);
}

static void mmio_set_features(struct virtio_dev *d, u64 f) {
  put(d->regs, DRIVER_FEATURES_SEL, 0);
  put(d->regs, DRIVER_FEATURES, (u32)f);
  put(d->regs, DRIVER_FEATURES_SEL, 1);
  put(d->regs, DRIVER_FEATURES, (u32)(f >> 32));
}

static u16 mmio_queue_max(struct virtio_dev *d, u16 index) {
  put(d->regs, QUEUE_SEL, index);
  return (u16)min_u64(get(d->regs, QUEUE_NUM_MAX), 0x8000);
}

static void put_address(struct virtio_dev *d, u32 at, u64 pa) {
  put(d->regs, at, (u32)pa);
  put(d->regs, at + 4, (u32)(pa >> 32));
}

static int mmio_queue_enable(struct virtio_dev *d, const struct virtqueue *q) {
  put(d->regs, QUEUE_SEL, q->index);
  if (get(d->regs, QUEUE_READY))
    return -EBUSY;
  put(d->regs, QUEUE_NUM, q->size);
  put_address(d, QUEUE_DESC, q->desc_pa);
  put_address(d, QUEUE_DRIVER, q->avail_pa);
  put_address(d, QUEUE_DEVICE, q->used_pa);
  put(d->regs, QUEUE_READY, 1);
  return 0;
}

static void mmio_notify(struct virtio_dev *d, u16 index) { put(d->regs, QUEUE_NOTIFY, index); }

static int mmio_read_config(struct virtio_dev *d, u32 at, void *buf, u32 n) {
  if (at > d->config_len || n > d->config_len - at)
    return -EIO;
  for (u32 k = 0; k < n; k++)
    ((u8 *)buf)[k] = d->config[at + k];
  return 0;
}

static u32 mmio_generation(struct virtio_dev *d) { return get(d->regs, GENERATION); }

static const struct virtio_ops mmio_ops = {
    .get_status = mmio_get_status,
    .set_status = mmio_set_status,
    .get_features = mmio_get_features,
    .set_features = mmio_set_features,
    .queue_max = mmio_queue_max,
    .queue_enable = mmio_queue_enable,
    .notify = mmio_notify,
    .read_config = mmio_read_config,
    .generation = mmio_generation,
};

/* ---- interrupts
 * ---------------------------------------------------------------------------------- */

static const struct place *attaching; /* of the device that virtio_add is called for */

static void mmio_interrupt(void *arg) {
  struct virtio_dev *d = arg;
  u32 why = get(d->regs, INTERRUPT_STATUS);
  if (why == 0)
    return;
  put(d->regs, INTERRUPT_ACK, why);
  virtio_interrupt(d);
}

static int mmio_attach(struct virtio_dev *d) {
  int vector = irq_vector_take(d->driver->name, mmio_interrupt, d);
  return vector < 0 ? vector : irq_route_gsi(attaching->gsi, vector, attaching->level);
}

/* ---- search
 * ---------------------------------------------------------------------------------------- */

/* False: there is no device. */
static bool add_place(const struct place *p) {
  struct virtio_dev d = {.ops = &mmio_ops};
  d.regs = device_map(p->at, p->size);
  if (!d.regs || get(d.regs, MAGIC) != MAGIC_VALUE || get(d.regs, DEVICE_ID) == 0)
    return false;
  fmt(d.where, sizeof d.where, "mmio@%lx", p->at);
  if (get(d.regs, VERSION) != 2) {
    klog("virtio device at %s: only version 1.0 is supported (QEMU: -global "
         "virtio-mmio.force-legacy=false)",
         d.where);
    return true;
  }
  d.id = get(d.regs, DEVICE_ID);
  d.config = d.regs + CONFIG;
  d.config_len = (u32)(p->size - CONFIG);
  attaching = p;
  virtio_add(&d, mmio_attach);
  return true;
}

/* A decimal or hexadecimal number; *s moves behind it. */
static bool parse_number(const char **s, u64 *out) {
  u64 base = 10, v = 0;
  const char *p = *s;
  if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
    base = 16;
    p += 2;
  }
  const char *first = p;
  for (;; p++) {
    u64 digit = *p >= '0' && *p <= '9'   ? (u64)(*p - '0')
                : *p >= 'a' && *p <= 'f' ? (u64)(*p - 'a' + 10)
                : *p >= 'A' && *p <= 'F' ? (u64)(*p - 'A' + 10)
                                         : 16;
    if (digit >= base)
      break;
    if (v > (UINT64_MAX - digit) / base)
      return false;
    v = v * base + digit;
  }
  *out = v;
  *s = p;
  return p != first;
}

static u64 suffix(const char **s) {
  u64 unit = **s == 'K' || **s == 'k' ? KIB(1) : **s == 'M' || **s == 'm' ? MIB(1) : 1;
  *s += unit != 1;
  return unit;
}

/* SIZE@ADDR:IRQ[:ID], up to a space. */
static bool parse_place(const char *s, struct place *p) {
  u64 gsi, unit;
  if (!parse_number(&s, &p->size))
    return false;
  unit = suffix(&s);
  if (p->size > MIB(1) / unit)
    return false;
  p->size *= unit;
  if (*s++ != '@' || !parse_number(&s, &p->at) || *s++ != ':' || !parse_number(&s, &gsi))
    return false;
  if (gsi > 255 || p->size < SLOT_SIZE || p->at % 4 || p->at > (1UL << 52) - p->size)
    return false;
  p->gsi = (u32)gsi;
  p->level = p->at >= SLOTS_AT && p->at < SLOTS_AT + SLOTS * SLOT_SIZE;
  return *s == 0 || *s == ' ' || *s == ':';
}

static unsigned scan_command_line(const char *line) {
  static const char option[] = "virtio_mmio.device=";
  unsigned n = 0;
  for (const char *s = line; s && *s; s = strchr(s, ' ')) {
    struct place p;
    while (*s == ' ')
      s++;
    if (strncmp(s, option, sizeof option - 1) != 0)
      continue;
    if (parse_place(s + sizeof option - 1, &p))
      n += add_place(&p);
    else
      klog("command line: cannot read %.60s", s);
  }
  return n;
}

static void scan_slots(void) {
  for (u32 k = 0; k < SLOTS; k++) {
    struct place p = {SLOTS_AT + k * SLOT_SIZE, SLOT_SIZE, SLOTS_GSI + k, true};
    add_place(&p);
  }
}

void virtio_mmio_scan(const char *command_line, bool microvm_slots) {
  if (scan_command_line(command_line) == 0 && microvm_slots)
    scan_slots();
}
