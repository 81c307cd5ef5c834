/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables. A slot is a file pointer with the close-on-exec bit in bit 0. Small tables
 * live inside struct fdtable, and fork lends them (lend.h).
 */
#ifndef UFORK_KERNEL_FDTABLE_H
#define UFORK_KERNEL_FDTABLE_H

#include "kernel/fs/file.h"
#include "kernel/fs/lend.h"
#include "kernel/proc/proc.h"

#define FD_INLINE 24
#define FD_CLOEXEC_BIT 1UL
#define FD_RESERVED 2UL /* a slot without a file that nobody else can have: fd_reserve */
#define FD_TABLE_MAX (1u << 20)

struct fdtable {
  struct lend lend; /* its lock: slots */
  bool keyed;       /* record locks may name it as their owner: not lent any more */
  u32 cap;          /* slots there are */
  u32 end;          /* one past the highest descriptor in use */
  u32 lowest;       /* nothing is free below it */
  u64 *slots;       /* those from `end` on are free, whatever is in them */
  u64 inline_slots[FD_INLINE];
};

static inline struct file *fd_slot_file(u64 slot) {
  return (struct file *)(slot & ~(FD_CLOEXEC_BIT | FD_RESERVED));
}

/*
 * A descriptor's file for the length of one system call. If nobody else can close it meanwhile
 * (one thread, one process on the table, or a lent one) no lock and no reference is taken.
 */
struct fdref {
  struct file *f; /* NULL: -EBADF */
  bool owned;
};
static inline bool fd_table_is_ours(const struct proc *p) {
  struct fdtable *t = p->files;
  return p->nthreads == 1 && (lend_is_alone(&t->lend) || t->lend.lent);
}
static inline struct fdref fd_borrow(int fd) {
  struct proc *p = proc_current();
  struct fdtable *t = p->files;
  if (likely(fd_table_is_ours(p))) {
    struct file *f = (unsigned)fd < t->end ? fd_slot_file(t->slots[fd]) : NULL;
    if (unlikely(f && (f->flags & O_PATH)))
      f = NULL;
    return (struct fdref){f, false};
  }
  return (struct fdref){fd_get(fd), true};
}
/* As fd_borrow, if there is nothing to return; NULL: no such descriptor, or ask fd_borrow. */
static inline struct file *fd_borrow_only(int fd) {
  struct proc *p = proc_current();
  struct fdtable *t = p->files;
  if (unlikely(!fd_table_is_ours(p) || (unsigned)fd >= t->end))
    return NULL;
  struct file *f = fd_slot_file(t->slots[fd]);
  return likely(f && !(f->flags & O_PATH)) ? f : NULL;
}
static inline void fd_return(struct fdref r) {
  if (unlikely(r.owned))
    file_put(r.f);
}

/* The running process's table, which it may change; everybody who changes a slot gets it from here.
   It may be another than before. */
struct fdtable *fdtable_own(void);
/* Puts f (reference taken over) at exactly fd, closing what is there. fd or -EBADF, -ENOMEM;
 * -EBUSY: it is reserved. */
int fd_install_at(struct file *f, u32 flags, int fd);
/* Gives back the file at descriptor fd of any process's table with a reference, or NULL. */
struct file *fdtable_file(struct fdtable *t, int fd, bool *cloexec);
/* The lowest descriptor in use >= from, or -1. */
int fdtable_next(struct fdtable *t, int from);
unsigned fdtable_capacity(struct fdtable *t);
/* Bytes that the table takes for each who shares it, with open files that nobody else has. */
u64 fdtable_bytes(struct fdtable *t);

#endif
