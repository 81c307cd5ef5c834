/* SPDX-License-Identifier: MIT */
/* /proc/PID: maps, memory figures, arguments and environment. Addresses are region offsets, which
   is what pointers of the process hold. */
#include "kernel/fs/procfs.h"
#include "kernel/mm/image.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "lib/string.h"

/* The space with a reference: exec and exit replace it under the lock. */
static struct space *space_of(struct proc *p) {
  struct space *s;
  spin_lock(&p->lock);
  s = p->space;
  if (s)
    space_get(s);
  spin_unlock(&p->lock);
  return s;
}

/* By PID; NULL if there is no such process or it has ended. */
static struct space *space_of_pid(int pid, int *err) {
  struct proc *p = proc_find(pid);
  struct space *s;
  *err = -ESRCH;
  if (!p)
    return NULL;
  s = space_of(p);
  proc_put(p);
  *err = 0;
  return s;
}

static void count_vma(void *arg, const struct vma *v) {
  struct pfs_memory *m = arg;
  m->mapped += v->len;
  if (v->kind == VMA_STACK)
    m->stack += v->len;
  else if (!v->obj && (v->prot & PROT_WRITE))
    m->data += v->len;
}

void pfs_memory(struct proc *p, struct pfs_memory *m) {
  struct space *s = space_of(p);
  memset(m, 0, sizeof *m);
  if (!s)
    return;
  space_each_vma(s, count_vma, m);
  space_put(s);
  proc_footprint(p, &m->cost);
  m->resident = m->cost.private_ + m->cost.shared;
  m->peak = max_u64((u64)p->max_pages * PAGE_SIZE, m->resident);
  s = space_of(p); /* again: what is told about the footprint counts who holds it */
  if (!s)
    return;
  m->peak = max_u64((u64)s->peak * PAGE_SIZE, m->peak);
  space_put(s);
}

/* ---- mappings -------------------------------------------------------------------------------- */

struct vma_text {
  struct text *text;
  struct region *region;
  const char *image;
  char *path;      /* PATH_MAX bytes of scratch */
  bool with_pages; /* smaps */
};

static const char *vma_name(const struct vma *v, const char *image, char *buf) {
  if (v->file && v->file->dentry && vfs_path_of(v->file, buf, PATH_MAX) > 0)
    return buf;
  switch (v->kind) {
  case VMA_IMAGE:
    return image;
  case VMA_BRK:
    return "[heap]";
  case VMA_STACK:
    return "[stack]";
  default:
    return "";
  }
}

static u64 kib(u64 bytes) { return (bytes + 1023) >> 10; }

static void show_size(struct text *t, u64 bytes) {
  text_printf(t, "Size: %18lu kB\nKernelPageSize: %8lu kB\nMMUPageSize: %11lu kB\n", kib(bytes),
              PAGE_SIZE >> 10, PAGE_SIZE >> 10);
}

/* Pss counts shared memory in full for nobody: who else has it is not known here. */
static void show_resident(struct text *t, u64 private_, u64 shared) {
  text_printf(t,
              "Rss: %19lu kB\nPss: %19lu kB\nShared_Clean: %10lu kB\nShared_Dirty: %10u kB\n"
              "Private_Clean: %9u kB\nPrivate_Dirty: %9lu kB\n",
              kib(private_ + shared), kib(private_), kib(shared), 0, 0, kib(private_));
}

static void show_pages(const struct vma_text *x, const struct vma *v) {
  struct region_usage u;
  region_usage_of(x->region, v->off, vma_end(v), &u);
  show_size(x->text, v->len);
  show_resident(x->text, u.private_bytes, u.shared_bytes);
  text_printf(x->text, "Anonymous: %13lu kB\nSwap: %18u kB\n",
              v->obj ? 0UL : kib(u.private_bytes + u.shared_bytes), 0);
}

static void show_vma(void *arg, const struct vma *v) {
  struct vma_text *x = arg;
  text_printf(x->text, "%08x-%08lx %c%c-%c %08lx 00:00 0 %24s%s\n", v->off, vma_end(v),
              v->prot & PROT_READ ? 'r' : '-', v->prot & PROT_WRITE ? 'w' : '-',
              v->kind == VMA_SHARED ? 's' : 'p', v->obj_off, "", vma_name(v, x->image, x->path));
  if (x->with_pages)
    show_pages(x, v);
}

static int show_vmas(struct text *t, struct space *s, bool with_pages) {
  struct vma_text x = {t, s->region, image_path(s->image), kmalloc(PATH_MAX), with_pages};
  u32 lo, hi;
  if (!x.path)
    return -ENOMEM;
  image_text_range(s->image, &lo, &hi); /* not in the region, but the program sees it there */
  text_printf(t, "%08x-%08x r-xp 00000000 00:00 0 %24s%s\n", lo, hi, "", x.image);
  if (with_pages) /* which no process is charged with, nor is it in the totals */
    show_size(t, hi - lo);
  space_each_vma(s, show_vma, &x);
  kfree(x.path);
  return 0;
}

static int show_space(struct text *t, int pid, bool with_pages) {
  int e;
  struct space *s = space_of_pid(pid, &e);
  if (!s)
    return e;
  e = show_vmas(t, s, with_pages);
  space_put(s);
  return e;
}

int pfs_show_maps(struct text *t, const struct pfs_who *w) { return show_space(t, w->pid, false); }

int pfs_show_smaps(struct text *t, const struct pfs_who *w) { return show_space(t, w->pid, true); }

int pfs_show_smaps_rollup(struct text *t, const struct pfs_who *w) {
  struct proc *p = proc_find(w->pid);
  if (!p)
    return -ESRCH;
  struct pfs_memory m;
  pfs_memory(p, &m);
  proc_put(p);
  const struct proc_footprint *c = &m.cost;
  text_printf(t, "%08x-%08lx ---p 00000000 00:00 0 %24s[rollup]\n", UF_DATA_LO, UF_REGION_SIZE, "");
  show_resident(t, c->private_, c->shared);
  text_printf(t, "Swap: %18u kB\n", 0);
  text_printf(t, "KernelStructs: %9lu kB\nKernelStack: %11lu kB\nPageTables: %12lu kB\n",
              kib(c->structs), kib(c->stacks), kib(c->tables));
  return 0;
}

int pfs_show_statm(struct text *t, const struct pfs_who *w) {
  struct pfs_memory m;
  struct proc *p = proc_find(w->pid);
  if (!p)
    return -ESRCH;
  pfs_memory(p, &m);
  proc_put(p);
  text_printf(t, "%lu %lu %lu 0 0 %lu 0\n", m.mapped / PAGE_SIZE, m.resident / PAGE_SIZE,
              m.cost.shared / PAGE_SIZE, (m.data + m.stack) / PAGE_SIZE);
  return 0;
}

/* ---- strings
 * ------------------------------------------------------------------------------------- */

#define STRINGS_MAX KIB(256)

/* Another process's memory; what is not there (any more) ends the text. */
static int show_user_bytes(struct text *t, int pid, bool environment) {
  struct proc *p = proc_find(pid);
  struct space *s = p ? space_of(p) : NULL;
  char buf[256];
  u64 at, end;
  if (!p)
    return -ESRCH;
  at = environment ? p->env_start : p->arg_start;
  end = environment ? p->env_end : p->arg_end;
  if (end > at + STRINGS_MAX)
    end = at + STRINGS_MAX;
  if (s)
    region_begin(s->region); /* it may not have run yet */
  while (s && at < end && end <= UF_REGION_SIZE) {
    size_t n = min_u64(end - at, sizeof buf);
    u64 base = region_base(s->region);
    int err = plat_copy_in(buf, (void *)(base + at), n);
    if (region_base(s->region) != base) /* its own fork has moved it */
      continue;
    if (err < 0)
      break;
    text_add(t, buf, n);
    at += n;
  }
  if (s)
    space_put(s);
  proc_put(p);
  return 0;
}

int pfs_show_cmdline(struct text *t, const struct pfs_who *w) {
  return show_user_bytes(t, w->pid, false);
}

int pfs_show_environ(struct text *t, const struct pfs_who *w) {
  return show_user_bytes(t, w->pid, true);
}
