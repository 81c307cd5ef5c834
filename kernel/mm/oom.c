/* SPDX-License-Identifier: MIT */
/* Memory has run out where nobody can be told: at the first touch of a page that was promised. */
#include "kernel/klog.h"
#include "kernel/mm/image_internal.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/sig.h"

bool kernel_reclaim(void) { return image_cache_shrink(UINT64_MAX); }

void kernel_out_of_memory(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  if (signal_fatal_pending())
    return; /* has been said, or it ends anyway */
  klog("out of memory: process %d (%s) killed; %lu of %lu KiB in use", p->pid, me->name,
       plat_mem_used() / 1024, plat_mem_limit() / 1024);
  signal_send_proc(p, SIGKILL, NULL);
}
