/* SPDX-License-Identifier: MIT */
/*
 * System V semaphores. Whoever changes a set completes the operations that others sleep for, in
 * their order, before anybody else can get at the values: a sleeper is woken with its operations
 * done. Sleepers look at their own entry with the lock held only, so it may lie on their stacks.
 */
#include "kernel/errno.h"
#include "kernel/fs/text.h"
#include "kernel/ipc/sysv.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

#define SEM_UNDO 0x1000
#define GETPID 11
#define GETVAL 12
#define GETALL 13
#define GETNCNT 14
#define GETZCNT 15
#define SETVAL 16
#define SETALL 17
#define SEM_STAT 18
#define SEM_INFO 19
#define SEM_STAT_ANY 20
#define OPS_INLINE 8
#define MUST_WAIT 1

struct sembuf {
  u16 num;
  i16 op;
  i16 flags;
};

struct sem {
  int value, pid;
};

struct sem_set {
  struct ipc_obj ipc;
  i64 otime, ctime;
  struct list sleepers; /* struct sleeper, in order of arrival */
  struct list undos;    /* struct sem_undo */
  u32 n;
  struct sem sem[];
};

/* What the end of a process adds to the values of one set. */
struct sem_undo {
  struct sem_undo *next; /* of the process: proc->sem_undo */
  struct list node;      /* in the set, or empty: the set is gone */
  struct sem_set *set;
  struct proc *owner;
  i16 adj[];
};

struct sleeper {
  struct list node; /* empty: completed */
  const struct sembuf *ops;
  u32 n;
  const struct sembuf *blocked; /* the one that cannot be done */
  struct sem_undo *undo;
  int pid, result;
  struct waitq q;
};

static void set_release(struct ipc_obj *o) { kfree(container_of(o, struct sem_set, ipc)); }

static struct ipc_ids sem_ids = IPC_IDS(sem_ids, SEM_MAX_IDS, set_release);
static u64 all_sems; /* in sets of the table */

static struct sem_set *set_of(struct ipc_obj *o) { return container_of(o, struct sem_set, ipc); }

/* ---- operations; lock held ------------------------------------------------------------------- */

static bool undo_fits(const struct sem_undo *u, const struct sembuf *op) {
  int adj = u->adj[op->num] - op->op;
  return adj >= -SEM_MAX_VALUE - 1 && adj <= SEM_MAX_VALUE;
}

/* Does one: 0, MUST_WAIT, -ERANGE, -EAGAIN. */
static int do_one(struct sem_set *s, const struct sembuf *op, struct sem_undo *u) {
  struct sem *sem = &s->sem[op->num];
  int value = sem->value + op->op;
  if (op->op == 0 ? sem->value != 0 : value < 0)
    return (u16)op->flags & IPC_NOWAIT ? -EAGAIN : MUST_WAIT;
  if (value > SEM_MAX_VALUE)
    return -ERANGE;
  if (op->flags & SEM_UNDO) {
    if (!undo_fits(u, op))
      return -ERANGE;
    u->adj[op->num] = (i16)(u->adj[op->num] - op->op);
  }
  sem->value = value;
  return 0;
}

/* All or nothing; *blocked is the one that could not be done. */
static int do_all(struct sem_set *s, const struct sembuf *ops, u32 n, struct sem_undo *u, int pid,
                  const struct sembuf **blocked) {
  u32 k = 0;
  int err = 0;
  while (k < n && (err = do_one(s, &ops[k], u)) == 0)
    k++;
  if (err == 0) {
    for (u32 i = 0; i < n; i++)
      s->sem[ops[i].num].pid = pid;
    s->otime = ipc_now();
    return 0;
  }
  *blocked = &ops[k];
  while (k-- > 0) {
    s->sem[ops[k].num].value -= ops[k].op;
    if (ops[k].flags & SEM_UNDO)
      u->adj[ops[k].num] = (i16)(u->adj[ops[k].num] + ops[k].op);
  }
  return err;
}

static void complete(struct sleeper *w, int result) {
  w->result = result;
  list_remove(&w->node);
  waitq_wake(&w->q, 0, 0, 0);
}

/* The values have changed: completes who can go on, until nothing moves. */
static void values_changed(struct sem_set *s) {
  struct sleeper *w, *tmp;
  bool moved;
  do {
    moved = false;
    list_for_each_safe(w, tmp, &s->sleepers, node) {
      int r = do_all(s, w->ops, w->n, w->undo, w->pid, &w->blocked);
      if (r == MUST_WAIT)
        continue;
      complete(w, r);
      moved |= r == 0;
    }
  } while (moved);
}

/* ---- undo; lock held
 * ------------------------------------------------------------------------------ */

static struct sem_undo *undo_find(struct proc *p, const struct sem_set *s) {
  struct sem_undo *u = p->sem_undo;
  while (u && u->set != s)
    u = u->next;
  return u;
}

static struct sem_undo *undo_for(struct proc *p, struct sem_set *s) {
  struct sem_undo *u = undo_find(p, s);
  if (u)
    return u;
  u = kzalloc(sizeof *u + s->n * sizeof *u->adj);
  if (!u)
    return NULL;
  u->set = s;
  u->owner = p;
  u->next = p->sem_undo;
  p->sem_undo = u;
  list_push_back(&s->undos, &u->node);
  return u;
}

static void undo_free(struct sem_undo *u) {
  struct sem_undo **at = &u->owner->sem_undo;
  while (*at != u)
    at = &(*at)->next;
  *at = u->next;
  list_remove(&u->node);
  kfree(u);
}

static void undo(struct sem_undo *u, int pid) {
  struct sem_set *s = u->set;
  bool changed = false;
  for (u32 k = 0; k < s->n; k++) {
    int value = s->sem[k].value + u->adj[k];
    if (u->adj[k] == 0)
      continue;
    s->sem[k].value = value < 0 ? 0 : value > SEM_MAX_VALUE ? SEM_MAX_VALUE : value;
    s->sem[k].pid = pid;
    changed = true;
  }
  undo_free(u);
  if (!changed)
    return;
  s->otime = ipc_now();
  values_changed(s);
}

void sem_exit(struct proc *p) {
  if (!p->sem_undo)
    return;
  mutex_lock(&sem_ids.lock);
  while (p->sem_undo)
    undo(p->sem_undo, p->pid);
  mutex_unlock(&sem_ids.lock);
}

/* ---- semop
 * ---------------------------------------------------------------------------------------- */

static struct sembuf *ops_from_user(u64 uaddr, u64 n, struct sembuf *inline_ops, int *err) {
  struct sembuf *ops = n <= OPS_INLINE ? inline_ops : kmalloc(n * sizeof *ops);
  *err = ops ? copy_from_user(ops, uaddr, n * sizeof *ops) : -ENOMEM;
  if (*err == 0 || !ops)
    return ops;
  if (ops != inline_ops)
    kfree(ops);
  return NULL;
}

/* The set and the undo entry for these operations, permission checked. Lock held. */
static int prepare(int id, struct sleeper *w, struct sem_set **out) {
  struct ipc_obj *o = ipc_find(&sem_ids, id);
  bool alter = false, undoes = false;
  if (!o)
    return -EINVAL;
  *out = set_of(o);
  for (u32 k = 0; k < w->n; k++) {
    if (w->ops[k].num >= (*out)->n)
      return -EFBIG;
    alter |= w->ops[k].op != 0;
    undoes |= w->ops[k].flags & SEM_UNDO;
  }
  int err = ipc_permission(o, alter ? 0222 : 0444);
  if (err == 0 && undoes && !(w->undo = undo_for(proc_current(), *out)))
    err = -ENOMEM;
  return err;
}

/* Sleeps until somebody completes w. Lock held before and after. */
static int sleep_on(struct sleeper *w, u64 deadline) {
  while (!list_empty(&w->node)) {
    mutex_unlock(&sem_ids.lock);
    int e = waitq_wait_until(&w->q, __atomic_load_n(&w->node.next, __ATOMIC_ACQUIRE) == &w->node,
                             deadline);
    mutex_lock(&sem_ids.lock);
    if (e < 0 && !list_empty(&w->node)) {
      list_remove(&w->node);
      w->result = e == -ETIMEDOUT ? -EAGAIN : -EINTR;
    }
  }
  return w->result;
}

static int operate(int id, struct sleeper *w, u64 deadline) {
  struct sem_set *s;
  mutex_lock(&sem_ids.lock);
  int err = prepare(id, w, &s);
  if (err == 0)
    err = do_all(s, w->ops, w->n, w->undo, w->pid, &w->blocked);
  if (err == 0) {
    values_changed(s);
  } else if (err == MUST_WAIT) {
    list_push_back(&s->sleepers, &w->node);
    err = sleep_on(w, deadline);
  }
  mutex_unlock(&sem_ids.lock);
  return err;
}

static i64 semtimedop(int id, u64 uops, u64 n, u64 utimeout) {
  struct sembuf inline_ops[OPS_INLINE], *ops;
  u64 deadline;
  int err;
  if (n == 0 || id < 0)
    return -EINVAL;
  if (n > SEM_MAX_OPS)
    return -E2BIG;
  err = timeout_from_user(utimeout, &deadline);
  if (err < 0)
    return err;
  ops = ops_from_user(uops, n, inline_ops, &err);
  if (!ops)
    return err;
  struct sleeper w = {.ops = ops, .n = (u32)n, .pid = proc_current()->pid};
  list_init(&w.node);
  waitq_init(&w.q);
  err = operate(id, &w, deadline);
  if (ops != inline_ops)
    kfree(ops);
  return err;
}

i64 sys_semop(struct uregs *r) { return semtimedop((int)r->rdi, r->rsi, (u32)r->rdx, 0); }
i64 sys_semtimedop(struct uregs *r) { return semtimedop((int)r->rdi, r->rsi, (u32)r->rdx, r->r10); }

/* ---- semget
 * ---------------------------------------------------------------------------------------- */

static i64 create(i32 key, int n, u32 flags) {
  if (n <= 0)
    return -EINVAL;
  if (all_sems + (u64)n > SEM_MAX_ALL)
    return -ENOSPC;
  struct sem_set *s = kzalloc(sizeof *s + (u32)n * sizeof *s->sem);
  if (!s)
    return -ENOMEM;
  list_init(&s->sleepers);
  list_init(&s->undos);
  s->n = (u32)n;
  s->ctime = ipc_now();
  int id = ipc_enter(&sem_ids, &s->ipc, key, flags);
  if (id < 0)
    kfree(s);
  else
    all_sems += (u32)n;
  return id;
}

i64 sys_semget(struct uregs *r) {
  int n = (int)r->rsi;
  u32 flags = (u32)r->rdx;
  struct ipc_obj *o;
  if (n < 0 || n > (int)SEM_MAX_PER_SET)
    return -EINVAL;
  mutex_lock(&sem_ids.lock);
  i64 ret = ipc_find_key(&sem_ids, (i32)r->rdi, flags, &o);
  if (ret == 0 && o)
    ret = (u32)n > set_of(o)->n ? -EINVAL : o->id;
  else if (ret == 0)
    ret = create((i32)r->rdi, n, flags);
  mutex_unlock(&sem_ids.lock);
  return ret;
}

/* ---- semctl
 * ---------------------------------------------------------------------------------------- */

/* struct semid64_ds. */
struct user_sem {
  struct ipc_perm perm;
  i64 otime;
  u64 unused1;
  i64 ctime;
  u64 unused2, nsems, unused3, unused4;
};
_Static_assert(sizeof(struct user_sem) == 104, "ABI");

static i64 limits(int cmd, u64 arg) {
  struct {
    i32 map, mni, mns, mnu, msl, opm, ume, usz, vmx, aem;
  } u = {SEM_MAX_ALL,     SEM_MAX_IDS,  SEM_MAX_ALL, SEM_MAX_ALL,
         SEM_MAX_PER_SET, SEM_MAX_OPS,  SEM_MAX_OPS, sizeof(struct sem_undo),
         SEM_MAX_VALUE,   SEM_MAX_VALUE};
  mutex_lock(&sem_ids.lock);
  if (cmd == SEM_INFO) {
    u.usz = (i32)sem_ids.used;
    u.aem = (i32)all_sems;
  }
  int highest = ipc_highest(&sem_ids);
  mutex_unlock(&sem_ids.lock);
  return copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : highest;
}

static i64 stat(int id, int cmd, u64 arg) {
  mutex_lock(&sem_ids.lock);
  struct ipc_obj *o = cmd == IPC_STAT ? ipc_find(&sem_ids, id) : ipc_at(&sem_ids, id);
  i64 ret = !o ? -EINVAL : cmd == SEM_STAT_ANY ? 0 : ipc_permission(o, 0444);
  struct user_sem u = {0};
  if (ret == 0) {
    const struct sem_set *s = set_of(o);
    u = (struct user_sem){.perm = o->perm, .otime = s->otime, .ctime = s->ctime, .nsems = s->n};
    ret = cmd == IPC_STAT ? 0 : o->id;
  }
  mutex_unlock(&sem_ids.lock);
  return ret >= 0 && copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : ret;
}

static void destroy(struct sem_set *s) {
  struct sleeper *w, *wt;
  struct sem_undo *u, *ut;
  list_for_each_safe(w, wt, &s->sleepers, node) complete(w, -EIDRM);
  list_for_each_safe(u, ut, &s->undos, node) undo_free(u);
  all_sems -= s->n;
  ipc_remove(&sem_ids, &s->ipc);
}

static i64 set_or_remove(int id, int cmd, u64 arg) {
  struct user_sem u;
  if (cmd == IPC_SET && copy_from_user(&u, arg, sizeof u) < 0)
    return -EFAULT;
  mutex_lock(&sem_ids.lock);
  struct ipc_obj *o = ipc_find(&sem_ids, id);
  int err = o ? ipc_owner(o) : -EINVAL;
  if (err == 0 && cmd == IPC_RMID) {
    destroy(set_of(o));
  } else if (err == 0) {
    err = ipc_set(o, &u.perm);
    if (err == 0)
      set_of(o)->ctime = ipc_now();
  }
  mutex_unlock(&sem_ids.lock);
  return err;
}

/* How many sleep for semaphore `num` to become zero, or to grow. */
static int count_sleepers(const struct sem_set *s, u32 num, bool zero) {
  const struct sleeper *w;
  int n = 0;
  list_for_each(w, &s->sleepers, node) n += w->blocked->num == num && (w->blocked->op == 0) == zero;
  return n;
}

/* A value set by hand: what processes meant to undo there is void. */
static void set_value(struct sem_set *s, u32 num, int value) {
  struct sem_undo *u;
  list_for_each(u, &s->undos, node) u->adj[num] = 0;
  s->sem[num].value = value;
  s->sem[num].pid = proc_current()->pid;
}

static i64 one_semaphore(int id, int num, int cmd, int value) {
  mutex_lock(&sem_ids.lock);
  struct ipc_obj *o = ipc_find(&sem_ids, id);
  i64 ret = o ? ipc_permission(o, cmd == SETVAL ? 0222 : 0444) : -EINVAL;
  struct sem_set *s = o ? set_of(o) : NULL;
  if (ret == 0 && (num < 0 || (u32)num >= s->n))
    ret = -EINVAL;
  if (ret < 0)
    goto out;
  switch (cmd) {
  case GETVAL:
    ret = s->sem[num].value;
    break;
  case GETPID:
    ret = s->sem[num].pid;
    break;
  case GETNCNT:
  case GETZCNT:
    ret = count_sleepers(s, (u32)num, cmd == GETZCNT);
    break;
  default: /* SETVAL */
    set_value(s, (u32)num, value);
    s->ctime = ipc_now();
    values_changed(s);
  }
out:
  mutex_unlock(&sem_ids.lock);
  return ret;
}

/* Number of semaphores of a set that may be read or written, or -errno. */
static i64 size_of_set(int id, u32 permission) {
  mutex_lock(&sem_ids.lock);
  struct ipc_obj *o = ipc_find(&sem_ids, id);
  i64 n = o ? ipc_permission(o, permission) : -EINVAL;
  if (n == 0)
    n = set_of(o)->n;
  mutex_unlock(&sem_ids.lock);
  return n;
}

/* Copies all values between v and the set, which still must have n of them. */
static int exchange(int id, u16 *v, u32 n, bool store) {
  mutex_lock(&sem_ids.lock);
  struct ipc_obj *o = ipc_find(&sem_ids, id);
  struct sem_set *s = o ? set_of(o) : NULL;
  int err = s && s->n == n ? 0 : -EIDRM;
  for (u32 k = 0; k < n && err == 0; k++) {
    if (store)
      set_value(s, k, v[k]);
    else
      v[k] = (u16)s->sem[k].value;
  }
  if (err == 0 && store) {
    s->ctime = ipc_now();
    values_changed(s);
  }
  mutex_unlock(&sem_ids.lock);
  return err;
}

static i64 all_values(int id, int cmd, u64 arg) {
  bool store = cmd == SETALL;
  i64 n = size_of_set(id, store ? 0222 : 0444), err = 0;
  if (n < 0)
    return n;
  u16 *v = kmalloc((u64)n * sizeof *v);
  if (!v)
    return -ENOMEM;
  if (store)
    err = copy_from_user(v, arg, (u64)n * sizeof *v);
  for (i64 k = 0; k < n && err == 0 && store; k++)
    if (v[k] > SEM_MAX_VALUE)
      err = -ERANGE;
  if (err == 0)
    err = exchange(id, v, (u32)n, store);
  if (err == 0 && !store)
    err = copy_to_user(arg, v, (u64)n * sizeof *v);
  kfree(v);
  return err;
}

i64 sys_semctl(struct uregs *r) {
  int id = (int)r->rdi, num = (int)r->rsi, cmd = (int)r->rdx;
  if (id < 0)
    return -EINVAL;
  switch (cmd) {
  case IPC_INFO:
  case SEM_INFO:
    return limits(cmd, r->r10);
  case IPC_STAT:
  case SEM_STAT:
  case SEM_STAT_ANY:
    return stat(id, cmd, r->r10);
  case IPC_SET:
  case IPC_RMID:
    return set_or_remove(id, cmd, r->r10);
  case SETVAL:
    if ((int)r->r10 < 0 || (int)r->r10 > SEM_MAX_VALUE)
      return -ERANGE;
    return one_semaphore(id, num, cmd, (int)r->r10);
  case GETVAL:
  case GETPID:
  case GETNCNT:
  case GETZCNT:
    return one_semaphore(id, num, cmd, 0);
  case GETALL:
  case SETALL:
    return all_values(id, cmd, r->r10);
  default:
    return -EINVAL;
  }
}

void sem_show(struct text *t) {
  text_printf(
      t, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
  mutex_lock(&sem_ids.lock);
  for (int k = 0; k < (int)sem_ids.cap; k++) {
    struct ipc_obj *o = ipc_at(&sem_ids, k);
    if (!o)
      continue;
    const struct sem_set *s = set_of(o);
    text_printf(t, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lu %10lu\n", o->perm.key, o->id,
                o->perm.mode, s->n, o->perm.uid, o->perm.gid, o->perm.cuid, o->perm.cgid,
                (u64)s->otime, (u64)s->ctime);
  }
  mutex_unlock(&sem_ids.lock);
}
