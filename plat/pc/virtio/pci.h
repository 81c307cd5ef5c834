/* SPDX-License-Identifier: MIT */
/*
 * PCI by configuration mechanism 1 (ports 0xcf8 and 0xcfc): enough to find the functions of a
 * virtual machine and their capabilities. Addresses of the registers are the firmware's or the
 * monitor's choice; none are assigned here. Boot, one CPU.
 */
#ifndef UFORK_PC_PCI_H
#define UFORK_PC_PCI_H

#include "lib/types.h"

struct pci_func {
  u8 bus, dev, func;
};

bool pci_present(void);
/* Calls found for every function of every bus. */
void pci_each(void (*found)(const struct pci_func *f, void *arg), void *arg);

u32 pci_read32(const struct pci_func *f, u32 at); /* at: below 256; lower bits select within */
u16 pci_read16(const struct pci_func *f, u32 at);
u8 pci_read8(const struct pci_func *f, u32 at);
void pci_write32(const struct pci_func *f, u32 at, u32 v);
void pci_write16(const struct pci_func *f, u32 at, u16 v);

/* The next capability with this id after `after` (0: the first): its offset or 0. */
u32 pci_capability(const struct pci_func *f, u8 id, u32 after);

/* Memory of base address register n: -ENODEV if it is not memory or has no address. */
int pci_bar(const struct pci_func *f, unsigned n, u64 *at, u64 *size);

/* Registers may be read and written, the device may access memory, no INTx. */
void pci_enable(const struct pci_func *f);

#define PCI_VENDOR 0x00
#define PCI_DEVICE 0x02
#define PCI_SUBSYSTEM 0x2e

#endif
