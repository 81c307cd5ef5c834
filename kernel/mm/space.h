/* SPDX-License-Identifier: MIT */
/*
 * The memory of a µprocess as the core sees it: a region and the list of its mappings (VMAs).
 * Reference-counted (threads and vfork share it). `lock` (a sleeping mutex) serialises changes of
 * the list and of the region. User memory is never touched with it held: a fault takes it.
 *
 * Layout by region offset:
 *   UF_DATA_LO            image: rodata, data, bss
 *   ...                   brk heap, up to SPACE_BRK_MAX bytes after the image's end
 *   up to SPACE_STACK_TOP main stack, grows down, RLIMIT_STACK at most
 *   SPACE_MMAP_LO..HI     mmap area, lowest fit first
 */
#ifndef UFORK_KERNEL_SPACE_H
#define UFORK_KERNEL_SPACE_H

#include "kernel/mm/vma.h"
#include "kernel/plat.h"
#include "kernel/sched/sched.h"

#define SPACE_STACK_TOP 0x3ffff000u
#define SPACE_STACK_MIN_WINDOW 0x8000u /* mapped at exec; the rest by faults */
#define SPACE_STACK_MAX 0x4000000u     /* whatever RLIMIT_STACK says */
#define SPACE_STACK_GAP 0x10000u       /* left free between the stack and what is below it */
#define SPACE_BRK_HOT 0x400000u        /* of the heap; the rest is of class REGION_COLD */
/* Beyond it brk fails and allocators use mmap, whose area platforms fork in larger units. */
#define SPACE_BRK_MAX 0x2000000u
#define SPACE_MMAP_LO 0x40000000u
#define SPACE_MMAP_HI 0xffff0000u

#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4

#define SEGV_MAPERR 1
#define SEGV_ACCERR 2

struct image;
struct file;

struct space {
  u32 refs;
  struct mutex lock;
  struct region *region;
  struct image *image; /* reference held */
  struct vma_list vmas;
  u32 brk_lo, brk; /* start of the heap, current break; offsets */
  u32 stack_hint;  /* where in the list fork last found the stack; children inherit it */
  u32 mmap_hint;   /* no hole in [SPACE_MMAP_LO, mmap_hint) */
  u32 retry_off;   /* page of the last fault that was told to try again, */
  u32 retry_count; /* and how often in a row without a change: a platform's bug must not loop for
                      ever */
  u32 changes;     /* of mappings so far */
  u32 resident;    /* pages when that was looked at last, by whomever; children inherit it */
  u32 peak;        /* and at most; lock held to write */
  u64 look_at;     /* space_look does nothing before */
  u32 retry_changes;
};

/* Spaces that there are, and that there were at most (about). For --stats. */
struct space_counts {
  u32 live, peak;
};
struct space_counts space_counts(void);

/* An empty space with a fresh region for `image` (takes its own reference). 0, -ENOMEM, -EAGAIN. */
int space_create(struct image *image, struct space **out);
void space_get(struct space *s);
/* Do others hold it as well: processes, or for a moment somebody who looks at it? */
static inline bool space_is_shared(const struct space *s) {
  return __atomic_load_n(&s->refs, __ATOMIC_RELAXED) > 1;
}
/* How much memory it takes. s->lock held. */
void space_usage(struct space *s, struct region_usage *u);
/*
 * Platforms find out what is resident by walking page tables, so it is not followed all the time:
 * space_look does it, for the sake of s->peak, and not again before twenty times as long as it
 * took. It is called when a space forks for the first time, before it gives much up, when somebody
 * asks, and at the end of a process that has run for a while; what comes and goes in between is
 * not seen. s->lock held.
 */
void space_look(struct space *s);
/* The same without the lock; `anew`: however long ago the last look was. */
void space_note_peak(struct space *s, bool anew);
#define SPACE_LOOK_FROM MIB(1) /* as much is much */
void space_put(struct space *s);

/* fork: *out has the same mappings. The caller is the forking thread; its siblings are parked.
   sp: absolute user stack pointer; below_sp: what lies below it on the main stack is in use, too.
   may_move: the base of s may have changed, even if it fails. */
int space_fork(struct space *s, u64 sp, bool below_sp, bool may_move, struct space **out);

/* A fault at offset `off`: true if it was resolved (by the platform, by stack growth, or by another
   thread meanwhile), false: SIGSEGV. *code gets SEGV_MAPERR or SEGV_ACCERR. */
bool space_fault(struct space *s, u64 off, bool write, int *code);
/* Resolves what faults in [off, off+len) would do; -EFAULT if one could not be resolved. */
int space_populate(struct space *s, u64 off, u64 len, bool write);

/* Calls emit for each mapping in order, with the lock held: it must not sleep on user memory. For
   /proc/PID/maps and statm. */
void space_each_vma(struct space *s, void (*emit)(void *arg, const struct vma *v), void *arg);
/* If memory at off is shared between spaces: what identifies it everywhere, its memory object and
   the offset there (no reference is taken). Otherwise false, and the results are left alone. */
bool space_shared_key(struct space *s, u64 off, const void **owner, u64 *at);
/* Bytes mapped in all. */
u64 space_mapped_bytes(struct space *s);

/* ---- with the lock held, for kernel/mm ---------------------------------------------------- */

/* What the region gets for PROT_*: writing implies reading. */
static inline int space_region_prot(int prot) {
  return prot & PROT_WRITE ? REGION_READ | REGION_WRITE : prot & REGION_READ;
}

/* Maps *v, whose range is free, in region and list; takes over v's references on success. */
int space_map(struct space *s, const struct vma *v);
/* Unmaps what there is in the range. */
int space_unmap(struct space *s, u64 off, u64 len);
/* The same, but its process may still be able to touch it for a while (region_unmap). */
int space_unmap_lazily(struct space *s, u64 off, u64 len);
/* Changes the protection of a fully mapped range; -EACCES, -ENOMEM. */
int space_protect(struct space *s, u64 off, u64 len, int prot);

/* May `bytes` more private memory be promised? Like Linux's default heuristic this refuses only
   what cannot fit beside the memory in use now; what is promised but untouched does not count. */
bool space_memory_fits(u64 bytes);
/* Gives back what is kept for later: warm regions, thread blocks, free objects. Context: thread. */
void space_trim(void);
/* RLIMIT_AS and RLIMIT_DATA for `bytes` more, of which private writable ones count as data. */
int space_check_limits(const struct space *s, u64 bytes, bool data);

#endif
