/* SPDX-License-Identifier: MIT */
/* Names for addresses: scripts/symbols.py puts a sorted table of functions into the image. */
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/kstack.h"
#include "plat/pc/pc.h"

#define DEPTH_MAX 32

/* __symbols: u32 n, u32 offsets from KERNEL_LO [n], u32 positions of the names [n], the names. */
extern const u32 __symbols[], __symbols_end[];

static const char *name_of(u64 addr, u64 *offset) {
  u32 n = (u64)__symbols == (u64)__symbols_end ? 0 : __symbols[0];
  const u32 *starts = __symbols + 1, *positions = starts + n;
  u32 at = (u32)(addr - KERNEL_LO), lo = 0, hi = n;
  while (lo < hi) { /* the last that starts at or before addr */
    u32 mid = (lo + hi) / 2;
    if (starts[mid] <= at)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo == 0)
    return NULL;
  *offset = at - starts[lo - 1];
  return (const char *)(positions + n) + positions[lo - 1];
}

void log_address(u64 addr) {
  char line[160];
  u64 offset;
  const char *name =
      addr >= (u64)__kernel_start && addr < (u64)__text_end ? name_of(addr, &offset) : NULL;
  int n = name ? fmt(line, sizeof line, "ufork:   %p %s+0x%lx\n", (void *)addr, name, offset)
               : fmt(line, sizeof line, "ufork:   %p\n", (void *)addr);
  plat_log(line, min_u64((u64)n, sizeof line - 1));
}

static bool is_stack(const u64 *frame) {
  u64 a = (u64)frame;
  bool in_image = a >= (u64)__kernel_start && a + 16 <= (u64)__data_end;
  bool in_guard = a + 16 > (u64)boot_guard && a < (u64)boot_guard_end;
  return a % 8 == 0 && (kstack_holds(a) || (in_image && !in_guard));
}

void log_backtrace(const u64 *frame) {
  for (int i = 0; i < DEPTH_MAX && is_stack(frame) && frame[1]; i++) {
    log_address(frame[1] - 1);
    if (frame[0] <= (u64)frame)
      break;
    frame = (const u64 *)frame[0];
  }
}
