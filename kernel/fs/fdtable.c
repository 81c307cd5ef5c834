/* SPDX-License-Identifier: MIT */
#include "kernel/fs/fdtable.h"
#include "kernel/errno.h"
#include "kernel/fs/flock.h"
#include "kernel/kassert.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

static void table_init(struct fdtable *t) {
  lend_init(&t->lend);
  t->keyed = false;
  t->cap = FD_INLINE;
  t->end = t->lowest = 0;
  t->slots = t->inline_slots;
}

struct fdtable *fdtable_create(void) {
  struct fdtable *t = kmalloc_as(KMEM_FILE, sizeof *t);
  if (!t)
    return NULL;
  table_init(t);
  return t;
}

/* Slots for n descriptors in all, without changing the table. */
static u64 *slots_alloc(u32 n) { return kmalloc_as(KMEM_FILE, n * sizeof(u64)); }

static u32 grown_capacity(u32 need) {
  u32 cap = 64;
  while (cap < need)
    cap *= 2;
  return cap;
}

/* c, empty, with room enough, gets what t has; t's lock is held. */
static void copy_slots(struct fdtable *c, const struct fdtable *t) {
  c->end = t->end;
  c->lowest = t->lowest;
  for (u32 fd = 0; fd < t->end; fd++) {
    u64 slot = t->slots[fd];
    struct file *f = fd_slot_file(slot);
    c->slots[fd] = f ? slot : 0;
    if (f)
      file_get(f);
    else if (unlikely(slot != 0) && fd < c->lowest) /* reserved by a thread of t's */
      c->lowest = fd;
  }
}

int fdtable_copy(struct fdtable *t, struct fdtable **out) {
  struct fdtable *c = kmalloc_as(KMEM_FILE, sizeof *c);
  u64 *more = NULL;
  u32 more_cap = 0;
  if (!c)
    return -ENOMEM;
  table_init(c);
  spin_lock(&t->lend.lock);
  while (t->end > FD_INLINE && t->end > more_cap) { /* it may grow while we allocate */
    more_cap = grown_capacity(t->end);
    spin_unlock(&t->lend.lock);
    kfree_as(KMEM_FILE, more);
    more = slots_alloc(more_cap);
    if (!more) {
      kfree_as(KMEM_FILE, c);
      return -ENOMEM;
    }
    spin_lock(&t->lend.lock);
  }
  if (more) {
    c->slots = more;
    c->cap = more_cap;
  }
  copy_slots(c, t);
  spin_unlock(&t->lend.lock);
  *out = c;
  return 0;
}

/* ---- lending -------------------------------------------------------------------------- */

int fdtable_fork(struct fdtable *t, struct fdtable **out) {
  bool may = !t->keyed && t->slots == t->inline_slots;
  if (likely(may && lend_out(&t->lend, sizeof *t))) {
    *out = t;
    return 0;
  }
  return fdtable_copy(t, out);
}

/* t is lent: the running process takes a copy, unless it is the last holder. */
static __attribute__((noinline)) struct fdtable *take_back(struct proc *p, struct fdtable *t) {
  spin_lock(&t->lend.lock);
  struct fdtable *c = lend_take_back(&t->lend);
  if (c) {
    table_init(c);
    copy_slots(c, t);
  }
  spin_unlock(&t->lend.lock);
  if (!c)
    return t;
  spin_lock(&p->lock);
  p->files = c;
  spin_unlock(&p->lock);
  fdtable_put(t);
  return c;
}

struct fdtable *fdtable_own(void) {
  struct proc *p = proc_current();
  struct fdtable *t = p->files;
  return unlikely(t->lend.lent) ? take_back(p, t) : t;
}

int fdtable_unshare(void) {
  struct proc *p = proc_current();
  struct fdtable *t = fdtable_own(), *mine;
  if (likely(lend_is_alone(&t->lend)))
    return 0;
  int err = fdtable_copy(t, &mine);
  if (err < 0)
    return err;
  spin_lock(&p->lock);
  p->files = mine;
  spin_unlock(&p->lock);
  fdtable_leave(t);
  return 0;
}

/* ---- the end -------------------------------------------------------------------------- */

void fdtable_get(struct fdtable *t) { lend_get(&t->lend); }

/* A descriptor of the table is gone: its process's record locks on the file go, too. */
static int close_file(struct fdtable *t, struct file *f) {
  int err = 0;
  if (f->inode && f->inode->locks)
    flock_close(f, t);
  if (f->ops->flush)
    err = f->ops->flush(f);
  file_put(f);
  return err;
}

static __attribute__((noinline)) void destroy(struct fdtable *t) {
  for (u32 fd = 0; fd < t->end; fd++)
    if (fd_slot_file(t->slots[fd]))
      close_file(t, fd_slot_file(t->slots[fd]));
  if (t->slots != t->inline_slots)
    kfree_as(KMEM_FILE, t->slots);
  lend_free_spares(&t->lend);
  kfree_as(KMEM_FILE, t);
}

void fdtable_put(struct fdtable *t) {
  if (t && lend_put(&t->lend))
    destroy(t);
}

void fdtable_leave(struct fdtable *t) {
  if (t && lend_leave(&t->lend))
    destroy(t);
}

/* ---- slots ---------------------------------------------------------------------------- */

static struct fdtable *running(void) { return proc_current()->files; }

static u32 descriptor_limit(void) {
  return (u32)min_u64(proc_current()->limits[RLIMIT_NOFILE].cur, FD_TABLE_MAX);
}

/* Grows the table to hold descriptor fd. Called with the lock held, which is dropped meanwhile. */
static int grow(struct fdtable *t, u32 fd) {
  while (fd >= t->cap) {
    u32 cap = grown_capacity(fd + 1);
    u64 *slots, *old;
    spin_unlock(&t->lend.lock);
    slots = slots_alloc(cap);
    spin_lock(&t->lend.lock);
    if (!slots)
      return -ENOMEM;
    old = slots;
    if (cap > t->cap) {
      memcpy(slots, t->slots, t->end * sizeof(u64));
      old = t->slots == t->inline_slots ? NULL : t->slots;
      t->slots = slots;
      t->cap = cap;
    }
    kfree_as(KMEM_FILE, old);
  }
  return 0;
}

/* Returns what was there. Lock held. */
static u64 slot_set(struct fdtable *t, u32 fd, u64 slot) {
  u64 old = fd < t->end ? t->slots[fd] : 0;
  if (slot && fd >= t->end) {
    memset(t->slots + t->end, 0, (fd - t->end) * sizeof(u64));
    t->end = fd + 1;
  }
  t->slots[fd] = slot;
  if (!slot) {
    if (fd < t->lowest)
      t->lowest = fd;
    while (t->end > 0 && !t->slots[t->end - 1])
      t->end--;
  }
  return old;
}

static u64 make_slot(struct file *f, u32 flags) {
  return (u64)f | ((flags & O_CLOEXEC) ? FD_CLOEXEC_BIT : 0);
}

/* Puts `slot` at the lowest free descriptor >= from. */
static int take_lowest(u64 slot, int from) {
  struct fdtable *t = fdtable_own();
  u32 fd, limit = descriptor_limit();
  int e = 0;
  spin_lock(&t->lend.lock);
  do { /* again if the table changed while it grew */
    fd = (u32)from < t->lowest ? t->lowest : (u32)from;
    while (fd < t->end && t->slots[fd])
      fd++;
    if (fd >= limit)
      e = -EMFILE;
    else if (fd < t->cap)
      break;
    else
      e = grow(t, fd);
  } while (e == 0);
  if (e == 0) {
    slot_set(t, fd, slot);
    if ((u32)from <= t->lowest)
      t->lowest = fd + 1;
  }
  spin_unlock(&t->lend.lock);
  return e < 0 ? e : (int)fd;
}

int fd_install(struct file *f, u32 flags, int from) {
  return take_lowest(make_slot(f, flags), from);
}

int fd_reserve(void) { return take_lowest(FD_RESERVED, 0); }

/* Nobody else changes a reserved slot, and a table that has one is not lent: its threads or sharers
 * would have to be one process with one thread, which is here. */
static void settle_reserved(int fd, u64 slot) {
  struct fdtable *t = fdtable_own();
  spin_lock(&t->lend.lock);
  kassert((u32)fd < t->end && t->slots[fd] == FD_RESERVED);
  slot_set(t, (u32)fd, slot);
  spin_unlock(&t->lend.lock);
}

void fd_fill(int fd, struct file *f, u32 flags) { settle_reserved(fd, make_slot(f, flags)); }
void fd_release(int fd) { settle_reserved(fd, 0); }

int fd_install_at(struct file *f, u32 flags, int fd) {
  struct fdtable *t = fdtable_own();
  u64 old = 0;
  int e;
  if (fd < 0 || (u32)fd >= descriptor_limit())
    return -EBADF;
  spin_lock(&t->lend.lock);
  e = grow(t, (u32)fd);
  if (e == 0 && (u32)fd < t->end && t->slots[fd] == FD_RESERVED)
    e = -EBUSY;
  if (e == 0)
    old = slot_set(t, (u32)fd, make_slot(f, flags));
  spin_unlock(&t->lend.lock);
  if (old)
    close_file(t, fd_slot_file(old));
  return e < 0 ? e : fd;
}

int fd_close(int fd) {
  struct fdtable *t = fdtable_own();
  u64 old = 0;
  spin_lock(&t->lend.lock);
  if ((u32)fd < t->end && fd_slot_file(t->slots[fd]))
    old = slot_set(t, (u32)fd, 0);
  spin_unlock(&t->lend.lock);
  if (!old)
    return -EBADF;
  return close_file(t, fd_slot_file(old));
}

struct file *fdtable_file(struct fdtable *t, int fd, bool *cloexec) {
  struct file *f = NULL;
  spin_lock(&t->lend.lock);
  if ((u32)fd < t->end && fd_slot_file(t->slots[fd])) {
    f = fd_slot_file(t->slots[fd]);
    if (cloexec)
      *cloexec = t->slots[fd] & FD_CLOEXEC_BIT;
    file_get(f);
  }
  spin_unlock(&t->lend.lock);
  return f;
}

int fdtable_next(struct fdtable *t, int from) {
  int fd = -1;
  spin_lock(&t->lend.lock);
  for (u32 k = (u32)from; k < t->end && fd < 0; k++)
    if (fd_slot_file(t->slots[k]))
      fd = (int)k;
  spin_unlock(&t->lend.lock);
  return fd;
}

unsigned fdtable_capacity(struct fdtable *t) { return t->cap; }

struct file *fd_get_path(int fd) {
  return fdtable_file(running(), fd, NULL);
}

struct file *fd_get(int fd) {
  struct file *f = fd_get_path(fd);
  if (f && (f->flags & O_PATH)) {
    file_put(f);
    return NULL;
  }
  return f;
}

/* exec has a table of its own (no threads, unshared), but others may look at it. */
void fdtable_close_on_exec(void) {
  struct fdtable *t = fdtable_own();
  for (u32 fd = 0; fd < t->end; fd++) {
    u64 old = 0;
    if (!(t->slots[fd] & FD_CLOEXEC_BIT))
      continue;
    spin_lock(&t->lend.lock);
    old = slot_set(t, fd, 0);
    spin_unlock(&t->lend.lock);
    if (old)
      close_file(t, fd_slot_file(old));
  }
}

u64 fdtable_bytes(struct fdtable *t) {
  spin_lock(&t->lend.lock);
  u64 sum = kmalloc_size(t) * (1 + t->lend.n_spares) +
            (t->slots == t->inline_slots ? 0 : kmalloc_size(t->slots));
  for (u32 fd = 0; fd < t->end; fd++) {
    struct file *f = fd_slot_file(t->slots[fd]);
    if (f && __atomic_load_n(&f->refs, __ATOMIC_RELAXED) == 1)
      sum += kmalloc_size(f);
  }
  spin_unlock(&t->lend.lock);
  return sum / __atomic_load_n(&t->lend.refs, __ATOMIC_RELAXED);
}
