/* SPDX-License-Identifier: MIT */
/* What the kernel itself is mapped as, and device registers. */
#include "kernel/kassert.h"
#include "lib/spin.h"
#include "plat/pc/irq.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/pc.h"
#include "plat/pc/tlb.h"

static void map(u64 va, paddr pa, u64 len, u64 rights) {
  if (pagetable_map(va, pa, len, rights) != 0)
    plat_panic("out of memory for the kernel's page table");
}

static void map_section(const char *from, const char *to, u64 rights) {
  map((u64)from, phys_of(from), (u64)(to - from), rights);
}

static void map_direct(paddr from, paddr to, u64 rights) {
  if (to > from)
    map(DIRECT_LO + from, from, to - from, rights);
}

void pagetable_init(paddr phys_top) {
  map_section(__kernel_start, __text_end, PT_RX);
  map_section(__text_end, __rodata_end, PT_R);
  map_section(__rodata_end, boot_guard, PT_RW);
  map_section(boot_guard_end, __data_end, PT_RW);
  map_section(__data_end, __kernel_end, PT_R); /* symbols */
  map_direct(0, phys_of(__kernel_start), PT_RW);
  map_direct(phys_of(__kernel_start), phys_of(__rodata_end), PT_R);
  map_direct(phys_of(__rodata_end), round_up(phys_top, MIB(2)), PT_RW);
  tlb_load_root(pagetable_root());
  frames_init_high();
}

/* ---- devices --------------------------------------------------------------------------------- */

static struct spin lock;
static u64 device_next = DEVICE_LO;

void *device_map(u64 p, size_t len) {
  u64 from = round_down(p, PAGE_SIZE), to = round_up(p + len, PAGE_SIZE);
  spin_lock(&lock);
  u64 va = device_next;
  int err = pagetable_map(va, from, to - from, PT_DEVICE);
  /* A page between two devices stays unmapped, and a range that failed half-way is not used again.
   */
  device_next = va + (to - from) + PAGE_SIZE;
  spin_unlock(&lock);
  return err ? NULL : (void *)(va + (p - from));
}
