/* SPDX-License-Identifier: MIT */
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

/* The heap may not come near the stack. */
static u64 brk_max(const struct space *s) {
  return min_u64((u64)s->brk_lo + SPACE_BRK_MAX, SPACE_STACK_TOP - SPACE_STACK_MAX / 4);
}

static bool map_heap(struct space *s, u64 from, u64 to, u32 flags) {
  struct vma v = {.off = (u32)from,
                  .len = (u32)(to - from),
                  .prot = PROT_READ | PROT_WRITE,
                  .kind = VMA_BRK,
                  .flags = (u16)(VMA_MAY_WRITE | flags)};
  return to <= from || space_map(s, &v) == 0;
}

static bool grow(struct space *s, u64 from, u64 to) {
  u64 hot_end = (u64)s->brk_lo + SPACE_BRK_HOT;
  if (!vma_range_free(&s->vmas, from, to - from) || space_check_limits(s, to - from, true) != 0 ||
      !space_memory_fits(to - from) || !map_heap(s, from, min_u64(to, hot_end), 0))
    return false;
  if (map_heap(s, max_u64(from, hot_end), to, VMA_COLD))
    return true;
  if (from < hot_end)
    space_unmap(s, from, hot_end - from);
  return false;
}

static bool move_break(struct space *s, u64 to) {
  if (to < s->brk_lo || to > brk_max(s))
    return false;
  u64 old_end = round_up(s->brk, PAGE_SIZE), new_end = round_up(to, PAGE_SIZE);
  if (new_end > old_end && !grow(s, old_end, new_end))
    return false;
  if (new_end < old_end && space_unmap(s, new_end, old_end - new_end) != 0)
    return false;
  s->brk = (u32)to;
  return true;
}

/* Linux's convention: the break as it is afterwards, moved or not. */
i64 sys_brk(struct uregs *r) {
  struct space *s = proc_current()->space;
  mutex_lock(&s->lock);
  if (r->rdi && r->rdi + SPACE_LOOK_FROM <= s->brk)
    space_look(s);
  move_break(s, r->rdi);
  i64 brk = s->brk;
  mutex_unlock(&s->lock);
  return brk;
}
