/* SPDX-License-Identifier: MIT */
/*
 * Locking and syncing memory. The kernel never pages anything out and a shared mapping *is* the
 * file's contents, so after checking the arguments there is nothing left to do. (What lies beneath
 * a hosted instance may still page it out: the table says so.)
 */
#include "kernel/errno.h"
#include "kernel/mm/mman.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

#define MLOCK_ONFAULT 1u
#define MCL_CURRENT 1u
#define MCL_FUTURE 2u
#define MCL_ONFAULT 4u

/* -ENOMEM unless all of the range is mapped. */
static int check_mapped(u64 addr, u64 len) {
  struct space *s = proc_current()->space;
  u64 off = round_down(addr, PAGE_SIZE);
  u64 bytes = mman_pages(len + (addr - off));
  if (len == 0)
    return 0;
  if (len > UF_REGION_SIZE || bytes == 0 || off > UF_REGION_SIZE || bytes > UF_REGION_SIZE - off)
    return -ENOMEM;
  mutex_lock(&s->lock);
  bool full = vma_range_full(&s->vmas, off, bytes);
  mutex_unlock(&s->lock);
  return full ? 0 : -ENOMEM;
}

static int lock_range(u64 addr, u64 len) {
  u64 limit = proc_current()->limits[RLIMIT_MEMLOCK].cur;
  if (!cred_is_root() && limit == 0)
    return -EPERM;
  if (!cred_is_root() && len > limit)
    return -ENOMEM;
  return check_mapped(addr, len);
}

i64 sys_mlock(struct uregs *r) { return lock_range(r->rdi, r->rsi); }

i64 sys_mlock2(struct uregs *r) {
  return r->rdx & ~(u64)MLOCK_ONFAULT ? -EINVAL : lock_range(r->rdi, r->rsi);
}

i64 sys_munlock(struct uregs *r) { return check_mapped(r->rdi, r->rsi); }

i64 sys_mlockall(struct uregs *r) {
  u64 flags = r->rdi;
  if (flags == 0 || flags == MCL_ONFAULT || flags & ~(u64)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
    return -EINVAL;
  struct proc *p = proc_current();
  u64 limit = p->limits[RLIMIT_MEMLOCK].cur;
  if (cred_is_root())
    return 0;
  if (limit == 0)
    return -EPERM;
  return flags & MCL_CURRENT && space_mapped_bytes(p->space) > limit ? -ENOMEM : 0;
}

i64 sys_munlockall(struct uregs *r) {
  (void)r;
  return 0;
}

i64 sys_msync(struct uregs *r) {
  u64 flags = r->rdx;
  if (r->rdi & (PAGE_SIZE - 1) || flags & ~(u64)(MS_ASYNC | MS_INVALIDATE | MS_SYNC) ||
      (flags & MS_ASYNC && flags & MS_SYNC))
    return -EINVAL;
  return check_mapped(r->rdi, r->rsi);
}
