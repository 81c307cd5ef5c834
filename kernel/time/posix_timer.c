/* SPDX-License-Identifier: MIT */
/* POSIX timers on the wall and monotonic clocks. */
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/time/proc_timers.h"

#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD_ID 4

struct posix_timer {
  struct ktimer timer;
  struct proc_timers *owner;
  struct proc *proc;
  struct thread *thread; /* SIGEV_THREAD_ID: reference held; otherwise NULL */
  int id, clock, notify, signo;
  u64 value;    /* sigev_value */
  u64 deadline; /* plat_now; 0: disarmed */
  u64 interval;
  int overrun; /* expirations beyond the one last signalled */
};

/* struct sigevent of the ABI, the part that we read. */
struct ksigevent {
  u64 value;
  i32 signo, notify, tid;
  i32 pad[11];
};
_Static_assert(sizeof(struct ksigevent) == 64, "ABI");

static void posix_timer_fire(struct ktimer *kt) {
  struct posix_timer *pt = container_of(kt, struct posix_timer, timer);
  struct ksiginfo info = {
      .signo = pt->signo, .code = SI_TIMER, .value = pt->value, .timerid = pt->id};
  bool due = false;
  spin_lock(&pt->owner->lock);
  u64 now = plat_now();
  if (pt->deadline != 0 && pt->deadline <= now) {
    due = true;
    pt->overrun = 0;
    if (pt->interval) {
      u64 periods = (now - pt->deadline) / pt->interval;
      pt->overrun = (int)min_u64(periods, INT32_MAX);
      pt->deadline += pt->interval * (periods + 1);
      ktimer_arm(kt, pt->deadline);
    } else {
      pt->deadline = 0;
    }
    info.overrun = pt->overrun;
  }
  spin_unlock(&pt->owner->lock);
  if (!due || pt->notify == SIGEV_NONE)
    return;
  if (pt->thread)
    signal_send_thread(pt->thread, pt->signo, &info);
  else
    signal_send_proc(pt->proc, pt->signo, &info);
}

/* Ends a timer that is no longer in its table. No locks held. */
static void posix_timer_free(struct posix_timer *pt) {
  spin_lock(&pt->owner->lock);
  pt->deadline = 0;
  spin_unlock(&pt->owner->lock);
  ktimer_cancel(&pt->timer);
  if (pt->thread)
    thread_put(pt->thread);
  kfree(pt);
}

void posix_timers_clear(struct proc_timers *owner) {
  for (int i = 0; i < POSIX_TIMERS_MAX; i++) {
    spin_lock(&owner->lock);
    struct posix_timer *pt = owner->posix[i];
    owner->posix[i] = NULL;
    spin_unlock(&owner->lock);
    if (pt)
      posix_timer_free(pt);
  }
}

/* A thread of the running process with a reference, or NULL. */
static struct thread *own_thread(int tid) {
  struct proc *p = proc_current();
  struct thread *t, *found = NULL;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) {
    if (t->tid == tid) {
      thread_get(t);
      found = t;
      break;
    }
  }
  spin_unlock(&p->lock);
  return found;
}

static int apply_sigevent(struct posix_timer *pt, u64 uaddr) {
  struct ksigevent ev;
  if (uaddr == 0) {
    pt->notify = SIGEV_SIGNAL;
    pt->signo = SIGALRM;
    pt->value = (u64)pt->id;
    return 0;
  }
  if (copy_from_user(&ev, uaddr, sizeof ev))
    return -EFAULT;
  pt->notify = ev.notify;
  pt->signo = ev.signo;
  pt->value = ev.value;
  if (ev.notify == SIGEV_NONE)
    return 0;
  if (ev.signo < 1 || ev.signo >= NSIG)
    return -EINVAL;
  if (ev.notify == SIGEV_SIGNAL)
    return 0;
  if (ev.notify != SIGEV_THREAD_ID && ev.notify != (SIGEV_SIGNAL | SIGEV_THREAD_ID))
    return -EINVAL;
  pt->thread = own_thread(ev.tid);
  return pt->thread ? 0 : -EINVAL;
}

static int table_insert(struct proc_timers *owner, struct posix_timer *pt) {
  int err = -EAGAIN;
  spin_lock(&owner->lock);
  for (int i = 0; i < POSIX_TIMERS_MAX && err; i++) {
    if (!owner->posix[i]) {
      owner->posix[i] = pt;
      pt->id = i;
      err = 0;
    }
  }
  spin_unlock(&owner->lock);
  return err;
}

i64 sys_timer_create(struct uregs *r) {
  int clock = (int)r->rdi;
  u64 now;
  if (clock_read(clock, &now))
    return -EINVAL;
  if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
    return -EOPNOTSUPP;
  struct proc_timers *owner = proc_timers_get(proc_current());
  struct posix_timer *pt = owner ? kzalloc(sizeof *pt) : NULL;
  if (!pt)
    return -EAGAIN;
  ktimer_init(&pt->timer, posix_timer_fire);
  pt->owner = owner;
  pt->proc = proc_current();
  pt->clock = clock;
  int err = table_insert(owner, pt);
  if (err) {
    kfree(pt);
    return err;
  }
  err = apply_sigevent(pt, r->rsi);
  if (!err)
    err = copy_to_user(r->rdx, &pt->id, sizeof pt->id);
  if (err) {
    spin_lock(&owner->lock);
    owner->posix[pt->id] = NULL;
    spin_unlock(&owner->lock);
    posix_timer_free(pt);
  }
  return err;
}

/* The timer with this id, with its owner's lock held, or NULL without. */
static struct posix_timer *timer_lock(u64 id) {
  struct proc_timers *owner = proc_current()->timers;
  if (!owner || id >= POSIX_TIMERS_MAX)
    return NULL;
  spin_lock(&owner->lock);
  struct posix_timer *pt = owner->posix[id];
  if (!pt)
    spin_unlock(&owner->lock);
  return pt;
}

static void timer_remaining(struct posix_timer *pt, u64 *value, u64 *interval) {
  u64 now = plat_now();
  *interval = pt->interval;
  *value = pt->deadline == 0 ? 0 : pt->deadline > now ? pt->deadline - now : 1;
}

static int itimerspec_to_user(u64 uaddr, u64 value, u64 interval) {
  if (timespec_to_user(uaddr, interval))
    return -EFAULT;
  return timespec_to_user(uaddr + sizeof(struct ktimespec), value);
}

i64 sys_timer_settime(struct uregs *r) {
  u64 value, interval, old_value, old_interval;
  int err = timespec_from_user(r->rdx, &interval);
  if (!err)
    err = timespec_from_user(r->rdx + sizeof(struct ktimespec), &value);
  if (err)
    return err;
  struct posix_timer *pt = timer_lock(r->rdi);
  if (!pt)
    return -EINVAL;
  timer_remaining(pt, &old_value, &old_interval);
  pt->interval = interval;
  pt->overrun = 0;
  pt->deadline = value ? clock_deadline(pt->clock, value, r->rsi & TIMER_ABSTIME) : 0;
  if (pt->deadline)
    ktimer_arm(&pt->timer, pt->deadline);
  else
    ktimer_disarm(&pt->timer);
  spin_unlock(&pt->owner->lock);
  return r->r10 ? itimerspec_to_user(r->r10, old_value, old_interval) : 0;
}

i64 sys_timer_gettime(struct uregs *r) {
  u64 value, interval;
  struct posix_timer *pt = timer_lock(r->rdi);
  if (!pt)
    return -EINVAL;
  timer_remaining(pt, &value, &interval);
  spin_unlock(&pt->owner->lock);
  return itimerspec_to_user(r->rsi, value, interval);
}

i64 sys_timer_getoverrun(struct uregs *r) {
  struct posix_timer *pt = timer_lock(r->rdi);
  if (!pt)
    return -EINVAL;
  int n = pt->overrun;
  spin_unlock(&pt->owner->lock);
  return n;
}

i64 sys_timer_delete(struct uregs *r) {
  struct posix_timer *pt = timer_lock(r->rdi);
  if (!pt)
    return -EINVAL;
  pt->owner->posix[r->rdi] = NULL;
  spin_unlock(&pt->owner->lock);
  posix_timer_free(pt);
  return 0;
}
