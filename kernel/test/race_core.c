/* SPDX-License-Identifier: MIT */
/*
 * What needs no scheduler, on host threads as CPUs, for the thread sanitizer: the heap, timers,
 * ids. The sanitizer looks for accesses that nothing orders; the tests look for wrong results.
 */
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/internal.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/time/timer.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CPUS 4
#define STEPS 20000

struct proc_stats proc_stats;
void thread_get(struct thread *t) { __atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED); }
void proc_get(struct proc *p) { __atomic_add_fetch((u32 *)p, 1, __ATOMIC_RELAXED); }
void proc_put(struct proc *p) { __atomic_sub_fetch((u32 *)p, 1, __ATOMIC_RELAXED); }

static bool bad; /* set by any thread; atomic */
static void must(bool ok) {
  if (!ok)
    __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
}

static u64 rnd(u64 *s) {
  *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
  return *s;
}

static void on_all_cpus(void *(*f)(void *)) {
  static struct thread threads[CPUS];
  pthread_t t[CPUS];
  bad = false;
  for (unsigned i = 0; i < CPUS; i++) {
    threads[i].cpu = i % 3; /* two share an index, as may be early in boot */
    pthread_create(&t[i], NULL, f, &threads[i]);
  }
  for (unsigned i = 0; i < CPUS; i++)
    pthread_join(t[i], NULL);
  CHECK(!bad);
}

/* ---- heap: blocks allocated here and freed there
 * -------------------------------------------------
 */

static u8 *exchange[64];

static void *use_heap(void *arg) {
  fake_become(arg);
  u64 s = (u64)arg | 1;
  for (int i = 0; i < STEPS; i++) {
    size_t n = 2 + rnd(&s) % (i % 50 ? 600 : 20000);
    u8 *p = kmalloc(n);
    must(p != NULL);
    memset(p, (u8)n, n < 300 ? n : 300);
    p[1] = p[0] = (u8)n;
    p = __atomic_exchange_n(&exchange[rnd(&s) % 64], p, __ATOMIC_ACQ_REL);
    if (p)
      must(p[0] == p[1]);
    kfree(p);
  }
  return NULL;
}

static void heap(void) {
  u64 before = kmalloc_used();
  on_all_cpus(use_heap);
  for (unsigned i = 0; i < 64; i++) {
    kfree(exchange[i]);
    exchange[i] = NULL;
  }
  CHECK(kmalloc_used() == before);
}

/* ---- timers: a callback that arms its timer again, against a cancel
 * -------------------------------
 */

struct periodic {
  struct ktimer timer;
  bool alive;  /* a callback that finds it false ran too late */
  bool closed; /* the owner will cancel it: not to be armed again, if the callback sees it */
  u32 fired;
};

static void fire(struct ktimer *k) {
  struct periodic *p = container_of(k, struct periodic, timer);
  must(__atomic_load_n(&p->alive, __ATOMIC_RELAXED));
  __atomic_add_fetch(&p->fired, 1, __ATOMIC_RELAXED);
  if (!__atomic_load_n(&p->closed, __ATOMIC_RELAXED))
    ktimer_arm(k, plat_now()); /* at once: another CPU may run it while this one is still here */
  must(__atomic_load_n(&p->alive, __ATOMIC_RELAXED));
}

static u32 owners; /* still at work; atomic */

static void *own_timers(void *arg) {
  fake_become(arg);
  for (int i = 0; i < STEPS / 20; i++) {
    struct periodic p = {.alive = true};
    ktimer_init(&p.timer, fire);
    ktimer_arm(&p.timer, plat_now());
    while (__atomic_load_n(&p.fired, __ATOMIC_RELAXED) < 3)
      ktimer_run(plat_now());
    __atomic_store_n(&p.closed, true, __ATOMIC_RELAXED);
    ktimer_cancel(&p.timer);
    __atomic_store_n(&p.alive, false, __ATOMIC_RELAXED);
    must(!ktimer_is_armed(&p.timer));
  }
  __atomic_sub_fetch(&owners, 1, __ATOMIC_RELAXED);
  while (__atomic_load_n(&owners, __ATOMIC_RELAXED))
    ktimer_run(plat_now());
  return NULL;
}

static void timers(void) {
  owners = CPUS;
  on_all_cpus(own_timers);
  CHECK(ktimer_next() == UINT64_MAX);
}

/* ---- ids
 * ------------------------------------------------------------------------------------------ */

static void *use_ids(void *arg) {
  static u32 object[CPUS];
  u32 *mine = &object[((struct thread *)arg)->cpu];
  fake_become(arg);
  for (int i = 0; i < STEPS; i++) {
    int id = pid_alloc(PID_PROC, mine);
    must(id > 0);
    struct proc *p = proc_find(id > 5 ? id - 3 : id);
    if (p)
      proc_put(p);
    pid_clear(id, PID_PROC);
  }
  return NULL;
}

static void ids(void) {
  unsigned n, threads;
  on_all_cpus(use_ids);
  pids_count(&n, &threads);
  CHECK(n == 0 && threads == 0 && proc_count() == 0);
}

int main(void) {
  TEST(heap);
  TEST(timers);
  TEST(ids);
  return check_summary("race_core");
}
