/* SPDX-License-Identifier: MIT */
/*
 * Advisory locks. A lock is a range, a type, and an owner: the descriptor table (POSIX record
 * locks, F_SETLK), the open file (OFD locks), or the open file with the whole-file kind (flock).
 * The two kinds do not see each other. Waiters sleep on the table's queue and look again.
 */
#include "kernel/fs/flock.h"
#include "kernel/fs/fdtable.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/syscall.h"

#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8
#define TO_EOF UINT64_MAX
#define OFD_PID (-1)

enum lock_kind { RECORD, WHOLE };

struct lock {
  struct list node;
  enum lock_kind kind;
  int type;     /* F_RDLCK, F_WRLCK */
  u64 from, to; /* inclusive */
  void *owner;
  int pid; /* OFD_PID for OFD locks and flock */
};

struct lock_table {
  struct mutex lock;
  struct list locks;
  struct waitq wait;
  u32 gone; /* bumped whenever a lock was given up */
};

static struct lock_table *table_of(struct inode *i) {
  struct lock_table *t = __atomic_load_n(&i->locks, __ATOMIC_ACQUIRE), *none = NULL;
  if (t)
    return t;
  t = kmalloc(sizeof *t);
  if (!t)
    return NULL;
  mutex_init(&t->lock);
  list_init(&t->locks);
  waitq_init(&t->wait);
  t->gone = 0;
  if (__atomic_compare_exchange_n(&i->locks, &none, t, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return t;
  kfree(t);
  return none;
}

void flock_free_table(struct lock_table *t) {
  struct list *n;
  if (!t)
    return;
  while ((n = list_pop_front(&t->locks)))
    kfree(list_entry(n, struct lock, node));
  kfree(t);
}

/* ---- ranges; table locked ---------------------------------------------------------------- */

static bool overlap(const struct lock *a, const struct lock *b) {
  return a->from <= b->to && b->from <= a->to;
}

static struct lock *conflict(struct lock_table *t, const struct lock *want) {
  struct lock *l;
  list_for_each(l, &t->locks, node) {
    if (l->kind == want->kind && l->owner != want->owner && overlap(l, want) &&
        (l->type == F_WRLCK || want->type == F_WRLCK))
      return l;
  }
  return NULL;
}

/* Takes want's range away from what its owner holds. `spare` becomes the second half of a lock
   that is cut in the middle; returns it if it was not needed. */
static struct lock *carve(struct lock_table *t, const struct lock *want, struct lock *spare) {
  struct lock *l, *tmp;
  list_for_each_safe(l, tmp, &t->locks, node) {
    if (l->kind != want->kind || l->owner != want->owner || !overlap(l, want))
      continue;
    if (l->from < want->from && l->to > want->to) {
      *spare = *l;
      spare->from = want->to + 1;
      l->to = want->from - 1;
      list_push_back(&t->locks, &spare->node);
      return NULL;
    }
    if (l->from < want->from) {
      l->to = want->from - 1;
    } else if (l->to > want->to) {
      l->from = want->to + 1;
    } else {
      list_remove(&l->node);
      kfree(l);
    }
  }
  return spare;
}

/* ---- deadlocks ----------------------------------------------------------------------------- */

/* A process that sleeps for a record lock, and who holds what it wants; NULL once that has changed.
 */
struct blocked {
  struct list node;
  struct lock_table *table;
  void *owner, *holder;
};

#define CHAIN_MAX 10 /* as far as Linux looks */

static struct spin blocked_lock; /* inner to all tables */
static struct list blocked = LIST_INIT(blocked);

/* Whom does this owner wait for? */
static void *waits_for(void *owner) {
  struct blocked *b;
  list_for_each(b, &blocked, node) if (b->owner == owner) return b->holder;
  return NULL;
}

/* Enters b unless its owner would wait for itself in the end: -EDEADLK. */
static int block(struct blocked *b) {
  void *o = b->holder;
  int err = 0;
  spin_lock(&blocked_lock);
  for (int k = 0; o && o != b->owner && k < CHAIN_MAX; k++)
    o = waits_for(o);
  if (o == b->owner)
    err = -EDEADLK;
  else
    list_push_back(&blocked, &b->node);
  spin_unlock(&blocked_lock);
  return err;
}

static void unblock(struct blocked *b) {
  spin_lock(&blocked_lock);
  list_remove(&b->node);
  spin_unlock(&blocked_lock);
}

/* Locks of the table have changed hands: who waits for whom is not known until they look again. */
static void forget_holders(struct lock_table *t) {
  struct blocked *b;
  spin_lock(&blocked_lock);
  list_for_each(b, &blocked, node) if (b->table == t) b->holder = NULL;
  spin_unlock(&blocked_lock);
}

static void gave_up(struct lock_table *t) {
  __atomic_fetch_add(&t->gone, 1, __ATOMIC_RELEASE);
  waitq_wake(&t->wait, 0, 0, 0);
}

/* Replaces what the owner holds in the range by want (or by nothing). */
static int set_now(struct lock_table *t, const struct lock *want, bool unlock) {
  struct lock *l = kmalloc(sizeof *l), *spare = kmalloc(sizeof *spare);
  if (!l || !spare) {
    kfree(l);
    kfree(spare);
    return -ENOLCK;
  }
  kfree(carve(t, want, spare));
  if (unlock) {
    kfree(l);
  } else {
    *l = *want;
    list_push_back(&t->locks, &l->node);
  }
  return 0;
}

static int set_lock(struct lock_table *t, const struct lock *want, bool wait) {
  for (;;) {
    bool unlock = want->type == F_UNLCK;
    struct blocked b = {.table = t, .owner = want->owner};
    struct lock *other;
    u32 seen;
    int e;
    list_init(&b.node);
    mutex_lock(&t->lock);
    seen = __atomic_load_n(&t->gone, __ATOMIC_ACQUIRE);
    other = unlock ? NULL : conflict(t, want);
    e = other ? -EAGAIN : set_now(t, want, unlock);
    if (other && wait && want->kind == RECORD && want->pid != OFD_PID) {
      b.holder = other->owner;
      e = block(&b) < 0 ? -EDEADLK : e;
    }
    if (e == 0)
      forget_holders(t);
    mutex_unlock(&t->lock);
    if (e == 0)
      gave_up(t); /* unlocked, or a write lock became a read lock */
    if (e != -EAGAIN || !wait)
      return e;
    e = waitq_wait(&t->wait, __atomic_load_n(&t->gone, __ATOMIC_ACQUIRE) != seen);
    unblock(&b);
    if (e < 0)
      return e;
  }
}

static void drop_all(struct lock_table *t, void *owner) {
  struct lock *l, *tmp;
  bool any = false;
  mutex_lock(&t->lock);
  list_for_each_safe(l, tmp, &t->locks, node) {
    if (l->owner != owner)
      continue;
    list_remove(&l->node);
    kfree(l);
    any = true;
  }
  if (any)
    forget_holders(t);
  mutex_unlock(&t->lock);
  if (any)
    gave_up(t);
}

void flock_close(struct file *f, void *owner) { drop_all(f->inode->locks, owner); }
void flock_release(struct file *f) { drop_all(f->inode->locks, f); }

/* ---- fcntl ------------------------------------------------------------------------------- */

struct user_flock {
  i16 type, whence;
  i32 pad0;
  i64 start, len;
  i32 pid, pad1;
};
_Static_assert(sizeof(struct user_flock) == 32, "ABI");

static i64 position_of(struct file *f) {
  i64 at;
  if (!f->ops->seek)
    return 0;
  mutex_lock(&f->pos_lock);
  at = f->ops->seek(f, 0, 1);
  mutex_unlock(&f->pos_lock);
  return at > 0 ? at : 0;
}

static int range_of(struct file *f, const struct user_flock *u, struct lock *l) {
  struct kstat st;
  i64 from = u->start, to;
  if (u->whence == 1) {
    from += position_of(f);
  } else if (u->whence == 2) {
    int e = file_getattr(f, &st);
    if (e < 0)
      return e;
    from += (i64)st.size;
  } else if (u->whence != 0) {
    return -EINVAL;
  }
  to = from + u->len - 1;
  if (u->len < 0) {
    to = from - 1;
    from += u->len;
  }
  if (from < 0 || (u->len != 0 && to < from))
    return from < 0 ? -EINVAL : -EOVERFLOW;
  l->from = (u64)from;
  l->to = u->len == 0 ? TO_EOF : (u64)to;
  return 0;
}

static i64 get_lock(struct file *f, struct lock_table *t, struct lock *want, u64 arg,
                    struct user_flock *u) {
  struct lock *l;
  (void)f;
  mutex_lock(&t->lock);
  l = conflict(t, want);
  u->type = F_UNLCK;
  if (l) {
    u->type = (i16)l->type;
    u->whence = 0;
    u->start = (i64)l->from;
    u->len = l->to == TO_EOF ? 0 : (i64)(l->to - l->from + 1);
    u->pid = l->pid;
  }
  mutex_unlock(&t->lock);
  return copy_to_user(arg, u, sizeof *u);
}

static void *owner_of_records(void) {
  struct fdtable *t = fdtable_own();
  t->keyed = true;
  return t;
}

i64 flock_fcntl(struct file *f, u32 cmd, u64 arg) {
  bool ofd = cmd >= F_OFD_GETLK;
  struct lock want = {.kind = RECORD, .owner = ofd ? (void *)f : owner_of_records()};
  struct lock_table *t;
  struct user_flock u;
  i64 e;
  if (!f->inode)
    return -EBADF;
  if (copy_from_user(&u, arg, sizeof u) < 0)
    return -EFAULT;
  if (u.type < F_RDLCK || u.type > F_UNLCK || (ofd && u.pid != 0))
    return -EINVAL;
  want.type = u.type;
  want.pid = ofd ? OFD_PID : proc_current()->pid;
  e = range_of(f, &u, &want);
  if (e < 0)
    return e;
  t = table_of(f->inode);
  if (!t)
    return -ENOLCK;
  if (cmd == F_GETLK || cmd == F_OFD_GETLK)
    return u.type == F_UNLCK ? -EINVAL : get_lock(f, t, &want, arg, &u);
  if ((u.type == F_RDLCK && (f->flags & O_ACCMODE) == O_WRONLY) ||
      (u.type == F_WRLCK && (f->flags & O_ACCMODE) == O_RDONLY))
    return -EBADF;
  return set_lock(t, &want, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

/* ---- flock --------------------------------------------------------------------------------- */

i64 sys_flock(struct uregs *r) {
  struct fdref d = fd_borrow((int)r->rdi);
  struct lock want = {.kind = WHOLE, .to = TO_EOF, .pid = OFD_PID};
  struct lock_table *t;
  i64 e = 0;
  if (!d.f)
    return -EBADF;
  switch (r->rsi & ~(u64)LOCK_NB) {
  case LOCK_SH:
    want.type = F_RDLCK;
    break;
  case LOCK_EX:
    want.type = F_WRLCK;
    break;
  case LOCK_UN:
    want.type = F_UNLCK;
    break;
  default:
    e = -EINVAL;
  }
  want.owner = d.f;
  if (e == 0 && !d.f->inode)
    e = -EBADF;
  if (e == 0) {
    t = table_of(d.f->inode);
    e = t ? set_lock(t, &want, !(r->rsi & LOCK_NB)) : -ENOLCK;
  }
  fd_return(d);
  return e;
}
