/* SPDX-License-Identifier: MIT */
/*
 * The memory of a µprocess as the core sees it: a region and the list of its mappings (VMAs).
 * Reference-counted (threads and vfork share it). `lock` (a sleeping mutex) serialises changes.
 *
 * Layout by region offset:
 *   UF_DATA_LO            image: rodata, data, bss
 *   ...                   brk heap, up to SPACE_BRK_MAX bytes after the image's end
 *   up to SPACE_STACK_TOP main stack, grows down, RLIMIT_STACK at most
 *   SPACE_MMAP_LO..HI     mmap area, lowest fit first
 */
#ifndef UFORK_KERNEL_SPACE_H
#define UFORK_KERNEL_SPACE_H

#include "kernel/plat.h"
#include "kernel/sched/sched.h"

#define SPACE_STACK_TOP 0x3ffff000u
#define SPACE_STACK_MIN_WINDOW 0x8000u /* mapped at exec; the rest by faults */
#define SPACE_BRK_MAX 0x400000u        /* beyond it brk fails and allocators use mmap */
#define SPACE_MMAP_LO 0x40000000u
#define SPACE_MMAP_HI 0xffff0000u

struct image;
struct file;

enum vma_kind { VMA_IMAGE, VMA_BRK, VMA_STACK, VMA_ANON, VMA_FILE_PRIVATE, VMA_SHARED };

struct vma {
  struct list node; /* in space->vmas, by offset */
  u32 off, len;
  int prot;
  enum vma_kind kind;
  struct memobj *obj; /* VMA_SHARED; reference held */
  u64 obj_off;
  struct file *file; /* file mappings, for /proc/PID/maps and SCM; reference held; may be NULL */
};

struct space {
  u32 refs;
  struct mutex lock;
  struct region *region;
  struct image *image; /* reference held */
  struct list vmas;
  u32 brk_lo, brk;  /* current break, offset */
  u32 stack_lo;     /* lowest mapped page of the main stack */
  u64 mapped_bytes; /* for RLIMIT_AS */
};

/* An empty space with a fresh region for `image` (takes its own reference). 0, -ENOMEM, -EAGAIN. */
int space_create(struct image *image, struct space **out);
void space_get(struct space *s);
void space_put(struct space *s);

/* fork: *out has the same mappings. The caller is the forking thread; its siblings are parked.
   sp: absolute user stack pointer. */
int space_fork(struct space *s, u64 sp, struct space **out);

/* A fault at offset `off`: true if it was resolved (stack growth), false: SIGSEGV. *code gets
   SEGV_MAPERR or SEGV_ACCERR. */
bool space_fault(struct space *s, u64 off, bool write, int *code);

/* If offset `off` lies in shared memory (VMA_SHARED): *obj and *at name it independently of the space (no
   reference is taken); otherwise they are left alone. */
void space_shared_key(struct space *s, u32 off, const void **obj, u64 *at);

/* Writes /proc/PID/maps lines through emit. */
void space_each_vma(struct space *s, void (*emit)(void *arg, const struct vma *v), void *arg);

/* For SysV/POSIX shm and file mappings: a file that can be mapped shared offers a memobj. */

#endif
