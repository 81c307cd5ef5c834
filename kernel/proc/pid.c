/* SPDX-License-Identifier: MIT */
/* Ids: one name space for processes, threads, process groups and sessions, next fit. */
#include "kernel/proc/internal.h"

#define WORD_BITS 64

struct slot {
  void *object[PID_NROLES];
};

struct spin pids_lock;
static struct slot slots[PID_MAX];
static u64 used[PID_MAX / WORD_BITS] = {1}; /* 0 is no id */
static int last;
static unsigned nprocs, nthreads, max_procs = PID_MAX;

void pids_limit(unsigned n) {
  if (n > 0 && n < PID_MAX)
    max_procs = n;
}

unsigned proc_count(void) { return __atomic_load_n(&nprocs, __ATOMIC_RELAXED); }

void pids_count(unsigned *ids, unsigned *threads) {
  *ids = *threads = 0;
  spin_lock(&pids_lock);
  for (unsigned w = 0; w < ARRAY_LEN(used); w++)
    for (u64 left = used[w]; left; left &= left - 1)
      ++*ids;
  *threads = nthreads;
  spin_unlock(&pids_lock);
  *ids -= 1; /* 0 is none */
}

static inline u64 *word_of(int id) { return &used[(unsigned)id / WORD_BITS]; }
static inline u64 bit_of(int id) { return 1UL << ((unsigned)id % WORD_BITS); }

/* The first free id in [from, to), or 0. */
static int find_free(int from, int to) {
  int id = from;
  while (id < to) {
    u64 taken = *word_of(id) | (bit_of(id) - 1);
    if (taken != ~0UL) {
      id = (int)round_down((u64)id, WORD_BITS) + __builtin_ctzl(~taken);
      return id < to ? id : 0;
    }
    id = (int)round_down((u64)id, WORD_BITS) + WORD_BITS;
  }
  return 0;
}

/* ---- with pids_lock held ---------------------------------------------------------------- */

static int find_next(void) {
  int id = find_free(last + 1, PID_MAX);
  return id != 0 ? id : find_free(1, last + 1);
}

/* The next id, marked as used, or 0. */
static inline int take_id(void) {
  int id = last + 1;
  if (unlikely(id == PID_MAX || *word_of(id) & bit_of(id)))
    id = find_next();
  if (unlikely(id == 0))
    return 0;
  *word_of(id) |= bit_of(id);
  return last = id;
}

static inline void count_proc(void) {
  unsigned n = nprocs + 1;
  __atomic_store_n(&nprocs, n, __ATOMIC_RELAXED);
  proc_stats.created++;
  if (unlikely(n > proc_stats.peak)) {
    proc_stats.peak = n;
    proc_stats.peak_memory = plat_mem_used();
  }
}

/* What `id` names as well. */
static void set_locked(int id, enum pid_role role, void *object) {
  slots[id].object[role] = object;
  *word_of(id) |= bit_of(id);
  nthreads += role == PID_THREAD;
  if (role == PID_PROC)
    count_proc();
}

/* ------------------------------------------------------------------------------------------- */

int pid_alloc(enum pid_role role, void *object) {
  spin_lock(&pids_lock);
  int id = role == PID_PROC && nprocs >= max_procs ? 0 : take_id();
  if (id != 0)
    set_locked(id, role, object);
  spin_unlock(&pids_lock);
  return id != 0 ? id : -EAGAIN;
}

int pid_alloc_proc(struct proc *p, struct thread *t) {
  spin_lock(&pids_lock);
  int id = likely(nprocs < max_procs) ? take_id() : 0;
  if (likely(id != 0)) {
    slots[id].object[PID_PROC] = p;
    slots[id].object[PID_THREAD] = t;
    nthreads++;
    count_proc();
  }
  spin_unlock(&pids_lock);
  return id != 0 ? id : -EAGAIN;
}

void pid_set(int id, enum pid_role role, void *object) {
  spin_lock(&pids_lock);
  set_locked(id, role, object);
  spin_unlock(&pids_lock);
}

_Static_assert(PID_NROLES == 4, "names_nothing");
static bool names_nothing(const struct slot *s) {
  return !s->object[0] && !s->object[1] && !s->object[2] && !s->object[3];
}

void pid_clear(int id, enum pid_role role) {
  spin_lock(&pids_lock);
  struct slot *s = &slots[id];
  kassert(s->object[role]);
  s->object[role] = NULL;
  nthreads -= role == PID_THREAD;
  if (role == PID_PROC)
    __atomic_store_n(&nprocs, nprocs - 1, __ATOMIC_RELAXED);
  if (names_nothing(s))
    *word_of(id) &= ~bit_of(id);
  spin_unlock(&pids_lock);
}

void *pid_get(int id, enum pid_role role) {
  return id > 0 && id < PID_MAX ? slots[id].object[role] : NULL;
}

struct proc *proc_find(int pid) {
  spin_lock(&pids_lock);
  struct proc *p = pid_get(pid, PID_PROC);
  if (p)
    proc_get(p);
  spin_unlock(&pids_lock);
  return p;
}

struct thread *thread_find(int tid) {
  spin_lock(&pids_lock);
  struct thread *t = pid_get(tid, PID_THREAD);
  if (t)
    thread_get(t);
  spin_unlock(&pids_lock);
  return t;
}

static struct proc *next_proc(int *pid) {
  struct proc *p = NULL;
  spin_lock(&pids_lock);
  for (int id = *pid; id < PID_MAX && !p; id++) {
    if (used[id / WORD_BITS] == 0) {
      id |= WORD_BITS - 1;
      continue;
    }
    p = slots[id].object[PID_PROC];
    if (p)
      *pid = id + 1;
  }
  if (p)
    proc_get(p);
  spin_unlock(&pids_lock);
  return p;
}

int proc_next_pid(int from) {
  int pid = from > 1 ? from : 1;
  struct proc *p = next_proc(&pid);
  if (!p)
    return -1;
  proc_put(p);
  return pid - 1;
}

void proc_for_each(void (*f)(struct proc *p, void *arg), void *arg) {
  struct proc *p;
  for (int pid = 1; (p = next_proc(&pid)) != NULL;) {
    f(p, arg);
    proc_put(p);
  }
}
