/* SPDX-License-Identifier: MIT */
/*
 * The text window. Code is written through the direct map, which is never executable; in the window
 * the same frames are never writable.
 */
#include "include/ufork/abi.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/plat.h"
#include "lib/string.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/tlb.h"

static int install_page(u64 va, const void *code) {
  paddr p = frame_alloc();
  if (p == 0)
    return -ENOMEM;
  memcpy(phys_ptr(p), code, PAGE_SIZE);
  int err = pagetable_map(va, p, PAGE_SIZE, PT_RX);
  if (err)
    frame_put(p);
  return err;
}

int plat_text_install(u32 addr, const void *code, size_t size) {
  kassert(addr >= UF_WINDOW_LO && addr + size <= UF_WINDOW_HI);
  for (size_t done = 0; done < size; done += PAGE_SIZE) {
    int err = install_page(addr + done, (const char *)code + done);
    if (err) {
      plat_text_remove(addr, done);
      return err;
    }
  }
  return 0;
}

/* Other CPUs may still fetch from their TLBs until the flush: no page is free before. */
static void remove_some(u64 va, u64 len) {
  paddr pages[32];
  unsigned n = 0;
  for (u64 off = 0; off < len; off += PAGE_SIZE) {
    u64 size;
    pages[n++] = pagetable_lookup(va + off, &size) & E_ADDR;
  }
  pagetable_unmap(va, len);
  tlb_flush_global(va, len / PAGE_SIZE);
  while (n > 0)
    if (pages[--n])
      frame_put(pages[n]);
}

void plat_text_remove(u32 addr, size_t size) {
  for (size_t done = 0; done < size;) {
    size_t step = min_u64(size - done, 32 * PAGE_SIZE);
    remove_some(addr + done, step);
    done += step;
  }
}
