/* SPDX-License-Identifier: MIT */
#include "plat/pc/virtio/pci.h"
#include "kernel/errno.h"

#define ADDRESS_PORT 0xcf8
#define DATA_PORT 0xcfc

#define COMMAND 0x04
#define STATUS 0x06
#define HEADER_TYPE 0x0e
#define BAR0 0x10
#define SECONDARY_BUS 0x19
#define CAPABILITIES 0x34

#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define COMMAND_NO_INTX 0x400u
#define STATUS_CAPABILITIES 0x10u
#define CAPABILITIES_MAX 48 /* more do not fit in the 192 bytes for them */

static void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }

static u32 in32(u16 port) {
  u32 v;
  __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}

static void select(const struct pci_func *f, u32 at) {
  out32(ADDRESS_PORT, 0x80000000u | (u32)f->bus << 16 | (u32)(f->dev & 31) << 11 |
                          (u32)(f->func & 7) << 8 | (at & 0xfc));
}

u32 pci_read32(const struct pci_func *f, u32 at) {
  select(f, at);
  return in32(DATA_PORT);
}

u16 pci_read16(const struct pci_func *f, u32 at) {
  return (u16)(pci_read32(f, at) >> (at & 2) * 8);
}

u8 pci_read8(const struct pci_func *f, u32 at) { return (u8)(pci_read32(f, at) >> (at & 3) * 8); }

void pci_write32(const struct pci_func *f, u32 at, u32 v) {
  select(f, at);
  out32(DATA_PORT, v);
}

/* The other half is written back as it was read: its write-one-to-clear bits (only the status
   register has any) are masked out. */
void pci_write16(const struct pci_func *f, u32 at, u16 v) {
  u32 shift = (at & 2) * 8, old = pci_read32(f, at);
  if ((at & 0xfc) == COMMAND)
    old &= 0xffff;
  pci_write32(f, at, (old & ~(0xffffu << shift)) | (u32)v << shift);
}

bool pci_present(void) {
  u16 vendor = pci_read16(&(struct pci_func){0, 0, 0}, PCI_VENDOR);
  return vendor != 0xffff && vendor != 0;
}

/* ---- search
 * -------------------------------------------------------------------------------------- */

struct search {
  void (*found)(const struct pci_func *f, void *arg);
  void *arg;
  u64 seen[4]; /* buses */
};

static void scan_bus(struct search *s, u8 bus);

static void scan_function(struct search *s, const struct pci_func *f) {
  if ((pci_read8(f, HEADER_TYPE) & 0x7f) == 1)
    scan_bus(s, pci_read8(f, SECONDARY_BUS));
  else
    s->found(f, s->arg);
}

static void scan_device(struct search *s, u8 bus, u8 dev) {
  struct pci_func f = {bus, dev, 0};
  if (pci_read16(&f, PCI_VENDOR) == 0xffff)
    return;
  unsigned n = pci_read8(&f, HEADER_TYPE) & 0x80 ? 8 : 1;
  for (; f.func < n; f.func++)
    if (pci_read16(&f, PCI_VENDOR) != 0xffff)
      scan_function(s, &f);
}

static void scan_bus(struct search *s, u8 bus) {
  u64 bit = 1UL << (bus & 63);
  if (s->seen[bus >> 6] & bit)
    return;
  s->seen[bus >> 6] |= bit;
  for (u8 dev = 0; dev < 32; dev++)
    scan_device(s, bus, dev);
}

void pci_each(void (*found)(const struct pci_func *f, void *arg), void *arg) {
  struct search s = {.found = found, .arg = arg};
  scan_bus(&s, 0);
}

/* ---- a function
 * ------------------------------------------------------------------------------------- */

u32 pci_capability(const struct pci_func *f, u8 id, u32 after) {
  u32 at;
  if (!(pci_read16(f, STATUS) & STATUS_CAPABILITIES))
    return 0;
  at = pci_read8(f, after ? after + 1 : CAPABILITIES) & 0xfc;
  for (int k = 0; k < CAPABILITIES_MAX && at >= 0x40; k++) {
    u16 head = pci_read16(f, at);
    if ((u8)head == id)
      return at;
    at = head >> 8 & 0xfc;
  }
  return 0;
}

int pci_bar(const struct pci_func *f, unsigned n, u64 *at, u64 *size) {
  u32 reg = BAR0 + n * 4, low, low_size, high = 0, high_size = UINT32_MAX;
  bool wide;
  if (n > 5)
    return -ENODEV;
  low = pci_read32(f, reg);
  wide = (low & 6) == 4;
  if ((low & 1) || (wide && n == 5))
    return -ENODEV;
  u16 command = pci_read16(f, COMMAND);
  pci_write16(f, COMMAND, command & (u16)~COMMAND_MEMORY); /* deaf while the size is asked for */
  pci_write32(f, reg, UINT32_MAX);
  low_size = pci_read32(f, reg);
  pci_write32(f, reg, low);
  if (wide) {
    high = pci_read32(f, reg + 4);
    pci_write32(f, reg + 4, UINT32_MAX);
    high_size = pci_read32(f, reg + 4);
    pci_write32(f, reg + 4, high);
  }
  pci_write16(f, COMMAND, command);
  *at = (u64)high << 32 | (low & ~15u);
  *size = ~((u64)high_size << 32 | (low_size & ~15u)) + 1;
  return *at == 0 || *size == 0 || *size > GIB(1) || *at > (1UL << 52) - *size ? -ENODEV : 0;
}

void pci_enable(const struct pci_func *f) {
  u16 command = pci_read16(f, COMMAND);
  pci_write16(f, COMMAND, (u16)(command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX));
}
