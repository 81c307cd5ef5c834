/* SPDX-License-Identifier: MIT */
/* Pending sets and the life of what signals need per thread and per process. */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/sig.h"
#include "lib/string.h"

/* ---- threads and processes -------------------------------------------------------------- */

static u64 sigs; /* that exist; atomic */

struct thread_sig *thread_sig_alloc(void) {
  struct thread_sig *ts = kmalloc_as(KMEM_SIGNAL, sizeof *ts);
  if (!ts)
    return NULL;
  __atomic_add_fetch(&sigs, 1, __ATOMIC_RELAXED);
  thread_sig_reset(ts);
  return ts;
}

u64 thread_sigs(void) { return __atomic_load_n(&sigs, __ATOMIC_RELAXED); }

void thread_sig_reset(struct thread_sig *ts) {
  ts->blocked = ts->saved_mask = ts->waiting_for = 0;
  ts->mask_saved = false;
  ts->alt.sp = ts->alt.size = 0;
  ts->alt.pad = 0;
  ts->alt.flags = SS_DISABLE;
  sigpending_init(&ts->pending);
}

void thread_sig_free(struct thread_sig *ts) {
  if (ts)
    __atomic_sub_fetch(&sigs, 1, __ATOMIC_RELAXED);
  kfree_as(KMEM_SIGNAL, ts);
}

void sighand_init(struct sighand *sh) {
  sh->lock = (struct spin)SPIN_INIT;
  sh->nqueued = 0;
  sigpending_init(&sh->shared);
  sh->set = 0;
}

void sighand_fork(struct sighand *sh, struct sighand *from) {
  spin_lock(&from->lock);
  sh->set = from->set;
  for (u64 set = sh->set; set; set &= set - 1) {
    int i = __builtin_ctzl(set);
    sh->action[i] = from->action[i];
  }
  spin_unlock(&from->lock);
}

void sighand_clear(struct sighand *sh) { sigpending_drop(sh, &sh->shared, ~0UL); }

void sighand_drop_thread(struct sighand *sh, struct thread_sig *ts) {
  spin_lock(&sh->lock);
  sigpending_drop(sh, &ts->pending, ~0UL);
  spin_unlock(&sh->lock);
}

void sighand_exec(struct sighand *sh) {
  spin_lock(&sh->lock);
  for (int i = 0; i < NSIG - 1; i++) {
    if (sigact_of(sh, i + 1)->handler == SIG_IGN)
      sh->action[i] = (struct sigact){.handler = SIG_IGN};
    else
      sh->set &= ~SIG_BIT(i + 1);
  }
  spin_unlock(&sh->lock);
}

/* ---- pending sets ----------------------------------------------------------------------- */

void sigpending_init(struct sigpending *p) {
  p->set = 0;
  list_init(&p->queue);
}

static void set_bit(struct sigpending *p, int signo) {
  __atomic_or_fetch(&p->set, SIG_BIT(signo), __ATOMIC_SEQ_CST);
}

/* A timer that fires again before its signal was taken only counts. */
static bool count_overrun(struct sigpending *p, int signo, const struct ksiginfo *info) {
  struct sigqueued *q;
  list_for_each(q, &p->queue, node) {
    if (q->info.code == SI_TIMER && q->info.signo == signo && q->info.timerid == info->timerid) {
      q->info.overrun += info->overrun + 1;
      return true;
    }
  }
  return false;
}

int sigpending_add(struct sighand *sh, struct sigpending *p, int signo, const struct ksiginfo *info,
                   u64 limit) {
  bool real_time = signo >= SIGRTMIN;
  if (!real_time && (p->set & SIG_BIT(signo)))
    return 0;
  if (info && info->code == SI_TIMER && count_overrun(p, signo, info))
    return 0;
  struct sigqueued *q = NULL;
  if (!real_time || sh->nqueued < limit)
    q = kmalloc_as(KMEM_SIGNAL, sizeof *q);
  if (!q && real_time && info && info->code != SI_USER && info->code != SI_KERNEL)
    return -EAGAIN; /* a signal with a value is not degraded to a bare bit */
  if (q) {
    q->info = info ? *info : (struct ksiginfo){.code = SI_KERNEL};
    q->info.signo = signo;
    list_push_back(&p->queue, &q->node);
    sh->nqueued++;
  }
  set_bit(p, signo);
  return 0;
}

static void drop_entry(struct sighand *sh, struct sigqueued *q) {
  list_remove(&q->node);
  sh->nqueued--;
  kfree_as(KMEM_SIGNAL, q);
}

/* The signal to take first: SIGKILL, synchronous faults, then the lowest number. */
static int first_of(u64 set) {
  if (set & SIG_BIT(SIGKILL))
    return SIGKILL;
  u64 sync = set & SIG_SYNCHRONOUS;
  return __builtin_ctzl(sync ? sync : set) + 1;
}

int sigpending_take(struct sighand *sh, struct sigpending *p, u64 set, struct ksiginfo *info) {
  struct sigqueued *q, *tmp;
  set &= p->set;
  if (set == 0)
    return 0;
  int signo = first_of(set);
  bool found = false, more = false;
  *info = (struct ksiginfo){.signo = signo, .code = SI_USER};
  list_for_each_safe(q, tmp, &p->queue, node) {
    if (q->info.signo != signo)
      continue;
    if (found) {
      more = true;
      break;
    }
    *info = q->info;
    found = true;
    drop_entry(sh, q);
  }
  if (!more)
    __atomic_and_fetch(&p->set, ~SIG_BIT(signo), __ATOMIC_SEQ_CST);
  return signo;
}

void sigpending_drop(struct sighand *sh, struct sigpending *p, u64 set) {
  struct sigqueued *q, *tmp;
  if (!(p->set & set))
    return;
  __atomic_and_fetch(&p->set, ~set, __ATOMIC_SEQ_CST);
  list_for_each_safe(q, tmp, &p->queue, node) {
    if (SIG_BIT(q->info.signo) & set)
      drop_entry(sh, q);
  }
}
