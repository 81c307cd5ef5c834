/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses (symbols.py puts a sorted table of functions into the image), and who called.
 * There are no frame pointers, which would cost three instructions of each function: the stack is
 * searched for return addresses. One whose call names a function found below it is certain;
 * another, after an indirect call or left over from an earlier one, is marked.
 */
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/kstack.h"
#include "plat/pc/pc.h"

#define DEPTH_MAX 32

/* __symbols: u32 n, u32 offsets from KERNEL_LO [n], u32 positions of the names [n], the names. */
extern const u32 __symbols[], __symbols_end[];

/* The number of the function that addr lies in, or -1. */
static i64 find_function(u64 addr) {
  u32 n = (u64)__symbols == (u64)__symbols_end ? 0 : __symbols[0];
  const u32 *starts = __symbols + 1;
  u32 at = (u32)(addr - KERNEL_LO), lo = 0, hi = n;
  while (lo < hi) { /* the last that starts at or before addr */
    u32 mid = (lo + hi) / 2;
    if (starts[mid] <= at)
      lo = mid + 1;
    else
      hi = mid;
  }
  return (i64)lo - 1;
}

static u64 start_of(i64 function) { return KERNEL_LO + __symbols[1 + function]; }

static const char *name_of(i64 function) {
  const u32 *positions = __symbols + 1 + __symbols[0];
  return (const char *)(positions + __symbols[0]) + positions[function];
}

static bool is_text(u64 addr) { return addr >= (u64)__kernel_start && addr < (u64)__text_end; }

static void log_place(u64 addr, const char *mark) {
  char line[160];
  i64 f = is_text(addr) ? find_function(addr) : -1;
  int n = f >= 0 ? fmt(line, sizeof line, "ufork:   %p %s+0x%lx%s\n", (void *)addr, name_of(f),
                       addr - start_of(f), mark)
                 : fmt(line, sizeof line, "ufork:   %p\n", (void *)addr);
  plat_log(line, min_u64((u64)n, sizeof line - 1));
}

void log_address(u64 addr) { log_place(addr, ""); }

/* ---- callers --------------------------------------------------------------------------------- */

/* Is there a call right before addr? *target: what it calls, 0 if a register or memory says so. */
static bool follows_call(u64 addr, u64 *target) {
  const u8 *at = (const u8 *)addr;
  static const u8 lengths[] = {2, 3, 4, 6, 7}; /* of `call *...`, prefixes aside */
  *target = 0;
  if (at[-5] == 0xe8) {
    i32 distance;
    memcpy(&distance, at - 4, sizeof distance);
    *target = addr + (u64)(i64)distance;
    return true;
  }
  for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
    const u8 *call = at - lengths[i];
    if (call[0] == 0xff && (call[1] & 0x38) == 0x10)
      return true;
  }
  return false;
}

static bool is_stack(const u64 *at) {
  u64 a = (u64)at;
  bool in_image = a >= (u64)__kernel_start && a + 16 <= (u64)__data_end;
  bool in_guard = a + 16 > (u64)boot_guard && a < (u64)boot_guard_end;
  return a % 8 == 0 && (kstack_holds(a) || (in_image && !in_guard));
}

static bool starts(i64 function, u64 target) {
  return function >= 0 && start_of(function) == target;
}

void log_backtrace(u64 pc, const u64 *sp) {
  const u64 *end = (const u64 *)(((u64)sp | (KSTACK_SPAN - 1)) + 1);
  i64 last = is_text(pc) ? find_function(pc) : -1, sure = last;
  for (u32 n = 0; n < DEPTH_MAX && sp < end; sp++) {
    u64 target; /* the stack pointer may be in the guard below the stack */
    if (!is_stack(sp) || !is_text(*sp) || !follows_call(*sp, &target))
      continue;
    bool calls_it = starts(last, target) || starts(sure, target);
    log_place(*sp - 1, calls_it ? "" : " ?");
    last = find_function(*sp - 1);
    if (calls_it)
      sure = last;
    n++;
  }
}
