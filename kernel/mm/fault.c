/* SPDX-License-Identifier: MIT */
/* What becomes of an access to a page that is not there: only the main stack grows by itself. */
#include "kernel/errno.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"

#define GROWTH_MAX 0x40000u /* a growing stack doubles in steps up to this */
#define RETRY_MAX 64

static bool allowed(const struct vma *v, bool write) {
  return write ? v->prot & PROT_WRITE : v->prot != 0;
}

/* Lowest offset the stack may reach now: its limit, and a gap to what is mapped below it. */
static u64 stack_floor(const struct space *s, u32 stack_index) {
  u64 limit = min_u64(proc_current()->limits[RLIMIT_STACK].cur, SPACE_STACK_MAX);
  u64 floor = SPACE_STACK_TOP - round_down(limit, PAGE_SIZE);
  u64 below = stack_index > 0 ? vma_end(&s->vmas.v[stack_index - 1]) : UF_DATA_LO;
  return max_u64(floor, below + SPACE_STACK_GAP);
}

/* Extends the stack down to the page at `off`, some further to save faults. */
static bool grow_stack(struct space *s, u64 off) {
  u32 i = vma_index(&s->vmas, off);
  if (i == s->vmas.n || s->vmas.v[i].kind != VMA_STACK || s->vmas.v[i].prot == 0)
    return false;
  const struct vma *stack = &s->vmas.v[i];
  u64 floor = stack_floor(s, i);
  if (off < floor)
    return false;
  u64 step = min_u64(stack->len, GROWTH_MAX);
  u64 lo = min_u64(off, max_u64(floor, stack->off - step));
  struct vma v = {.off = lo,
                  .len = stack->off - lo,
                  .prot = stack->prot,
                  .kind = VMA_STACK,
                  .flags = stack->flags};
  return space_check_limits(s, v.len, true) == 0 && space_map(s, &v) == 0;
}

/* The mapping allows what just failed: another thread changed it meanwhile, so trying again helps.
 */
static bool may_retry(struct space *s, u64 page) {
  if (s->retry_off != page || s->retry_changes != s->changes)
    s->retry_count = 0;
  s->retry_off = page;
  s->retry_changes = s->changes;
  return ++s->retry_count <= RETRY_MAX;
}

static bool fault_locked(struct space *s, u64 page, bool write, int *code) {
  if (region_fault(s->region, page, write))
    return true;
  const struct vma *v = vma_find(&s->vmas, page);
  if (v == NULL) {
    *code = SEGV_MAPERR;
    return grow_stack(s, page);
  }
  *code = SEGV_ACCERR;
  return v->obj == NULL && allowed(v, write) && may_retry(s, page);
}

bool space_fault(struct space *s, u64 off, bool write, int *code) {
  *code = SEGV_MAPERR;
  if (off < UF_DATA_LO || off >= UF_REGION_SIZE)
    return false;
  mutex_lock(&s->lock);
  bool ok = fault_locked(s, round_down(off, PAGE_SIZE), write, code);
  mutex_unlock(&s->lock);
  return ok;
}

static bool populate_page(struct space *s, u64 page, bool write) {
  const struct vma *v = vma_find(&s->vmas, page);
  if (v == NULL)
    return grow_stack(s, page);
  if (!allowed(v, write))
    return false;
  region_fault(s->region, page, write); /* its own copy-on-write, if there is any */
  return true;
}

int space_populate(struct space *s, u64 off, u64 len, bool write) {
  int err = 0;
  mutex_lock(&s->lock);
  for (u64 page = round_down(off, PAGE_SIZE); page < off + len && err == 0; page += PAGE_SIZE)
    err = populate_page(s, page, write) ? 0 : -EFAULT;
  mutex_unlock(&s->lock);
  return err;
}
