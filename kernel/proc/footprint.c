/* SPDX-License-Identifier: MIT */
/* What a process costs the kernel. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/fs_context.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/time/proc_timers.h"

static void add_threads(struct proc *p, struct proc_footprint *f) {
  struct thread *t;
  list_for_each(t, &p->threads, proc_node) {
    f->stacks += KSTACK_SIZE;
    f->structs += kmalloc_size(t->sig);
  }
}

void proc_footprint(struct proc *p, struct proc_footprint *f) {
  *f = (struct proc_footprint){.structs = kmalloc_size(p) + kmalloc_size(p->exe_path)};
  spin_lock(&p->lock);
  add_threads(p, f);
  f->structs += kmalloc_size(p->timers);
  f->structs += p->sighand->nqueued * sizeof(struct sigqueued);
  if (p->files)
    f->structs += fdtable_bytes(p->files);
  if (p->fs)
    f->structs += kmalloc_size(p->fs) * (1 + p->fs->lend.n_spares) /
                  __atomic_load_n(&p->fs->lend.refs, __ATOMIC_RELAXED);
  struct space *s = p->space;
  if (s)
    space_get(s);
  spin_unlock(&p->lock);
  if (!s)
    return;
  struct region_usage u;
  mutex_lock(&s->lock);
  space_usage(s, &u);
  u32 sharers = __atomic_load_n(&s->refs, __ATOMIC_RELAXED) - 1;
  u64 records = kmalloc_size(s) + vma_list_bytes(&s->vmas) + u.record_bytes;
  mutex_unlock(&s->lock);
  space_put(s);
  f->structs += records / (sharers ? sharers : 1);
  f->tables = u.table_bytes / (sharers ? sharers : 1);
  f->private_ = u.private_bytes;
  f->shared = u.shared_bytes;
}

u32 proc_max_pages(const struct proc *p) {
  const struct space *s = p->space;
  return s && s->peak > p->max_pages ? s->peak : p->max_pages;
}
