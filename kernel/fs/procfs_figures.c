/* SPDX-License-Identifier: MIT */
/*
 * /proc/ufork: how much there is of everything that an instance can leak. When the same processes
 * are there as before, doing the same, the figures are what they were, but for `blocks` and the
 * `slabs`, which are caches, and so for `memory`. Regions that are kept warm would blur them: they
 * are given back first.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/procfs.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/sig.h"

static void add_descriptors(struct proc *p, void *sum) {
  struct fdtable *files;
  spin_lock(&p->lock);
  files = p->files;
  if (files)
    fdtable_get(files);
  spin_unlock(&p->lock);
  if (!files)
    return;
  for (int fd = 0; (fd = fdtable_next(files, fd)) >= 0; fd++)
    ++*(u64 *)sum;
  fdtable_put(files);
}

#define CLASSES 32

int pfs_show_figures(struct text *t, const struct pfs_who *w) {
  struct {
    unsigned size;
    u64 objects;
  } class[CLASSES];
  unsigned ids, threads, classes = 0;
  u64 descriptors = 0, sigs = thread_sigs(), heap = kmalloc_used(), spare;
  (void)w;
  region_trim();
  proc_trim();
  /* Before anything is printed, which takes memory. Cached thread blocks keep one object each. */
  while (classes < CLASSES && kmalloc_class(classes, &class[classes].size, &class[classes].objects))
    if (class[classes++].size >= sizeof(struct thread_sig) && sigs) {
      class[classes - 1].objects -= sigs;
      heap -= sigs * class[classes - 1].size;
      sigs = 0;
    }
  pids_count(&ids, &threads);
  proc_for_each(add_descriptors, &descriptors);
  text_printf(t, "processes %u\nthreads %u\npids %u\nregions %u\ndescriptors %lu\n", proc_count(),
              threads, ids, region_count(), descriptors);
  text_printf(t, "memory %lu\ntmpfs %lu\nblocks %lu\nslabs %lu\nheap %lu\n", plat_mem_used(),
              tmpfs_bytes_used(), thread_blocks(&spare) * KSTACK_SIZE, kmalloc_pages() * PAGE_SIZE,
              heap);
  for (unsigned i = 0; i < classes; i++)
    text_printf(t, "heap-%u %lu\n", class[i].size, class[i].objects);
  return 0;
}
