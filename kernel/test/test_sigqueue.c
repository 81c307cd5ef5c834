/* SPDX-License-Identifier: MIT */
/* Pending sets: order, coalescing, limits, no leaks (the address sanitizer looks). */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/sig.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/test/fake/kinds.h"
#include <stdlib.h>
#include <string.h>

static unsigned fail_allocations;
void *kmalloc(size_t n) { return fail_allocations ? NULL : malloc(n); }
void *kzalloc(size_t n) { return calloc(1, n); }
void kfree(void *p) { free(p); }

static struct sighand *sh;
static struct sigpending *p;
static struct ksiginfo info;

static int add(int signo, int code, u64 value) {
  struct ksiginfo i = {.code = code, .value = value};
  return sigpending_add(sh, p, signo, &i, 100);
}

static int take(u64 set) { return sigpending_take(sh, p, set, &info); }

static void standard_signals_coalesce(void) {
  CHECK(add(SIGUSR1, SI_USER, 1) == 0);
  CHECK(add(SIGUSR1, SI_USER, 2) == 0);
  CHECK(sh->nqueued == 1);
  CHECK(take(~0UL) == SIGUSR1 && info.value == 1);
  CHECK(take(~0UL) == 0);
}

static void real_time_signals_queue_in_order(void) {
  for (u64 i = 0; i < 20; i++)
    CHECK(add(SIGRTMIN + 1, SI_QUEUE, i) == 0);
  CHECK(add(SIGRTMIN, SI_QUEUE, 100) == 0);
  CHECK(take(~0UL) == SIGRTMIN && info.value == 100); /* lower number first */
  for (u64 i = 0; i < 20; i++) {
    CHECK(take(~0UL) == SIGRTMIN + 1 && info.value == i);
    CHECK(!!(p->set & SIG_BIT(SIGRTMIN + 1)) == (i < 19));
  }
  CHECK(sh->nqueued == 0);
}

static void faults_come_first(void) {
  add(SIGHUP, SI_USER, 0);
  add(SIGSEGV, 1, 0);
  CHECK(take(~0UL) == SIGSEGV);
  CHECK(take(~0UL) == SIGHUP);
}

static void masks_are_respected(void) {
  add(SIGHUP, SI_USER, 0);
  add(SIGTERM, SI_USER, 0);
  CHECK(take(~SIG_BIT(SIGHUP)) == SIGTERM);
  CHECK(take(~SIG_BIT(SIGHUP)) == 0);
  CHECK(take(SIG_BIT(SIGHUP)) == SIGHUP);
}

static void limit_and_no_memory(void) {
  struct ksiginfo i = {.code = SI_QUEUE};
  for (int n = 0; n < 5; n++)
    CHECK(sigpending_add(sh, p, SIGRTMIN, &i, 5) == 0);
  CHECK(sigpending_add(sh, p, SIGRTMIN, &i, 5) == -EAGAIN);
  CHECK(sigpending_add(sh, p, SIGTERM, &i, 5) == 0); /* the limit is not for standard signals */
  fail_allocations = 1;
  CHECK(sigpending_add(sh, p, SIGINT, &i, 5) == 0); /* pending, without details */
  CHECK(sigpending_add(sh, p, SIGRTMIN + 2, &i, 100) == -EAGAIN);
  fail_allocations = 0;
  CHECK(take(SIG_BIT(SIGINT)) == SIGINT && info.code == SI_USER && info.pid == 0);
  sigpending_drop(sh, p, ~0UL);
  CHECK(p->set == 0 && sh->nqueued == 0 && list_empty(&p->queue));
}

static void timers_count_overruns(void) {
  struct ksiginfo i = {.code = SI_TIMER, .timerid = 3};
  struct ksiginfo other = {.code = SI_TIMER, .timerid = 4};
  for (int n = 0; n < 4; n++)
    CHECK(sigpending_add(sh, p, SIGRTMIN, &i, 100) == 0);
  CHECK(sigpending_add(sh, p, SIGRTMIN, &other, 100) == 0);
  CHECK(sh->nqueued == 2);
  CHECK(take(~0UL) == SIGRTMIN && info.timerid == 3 && info.overrun == 3);
  CHECK(take(~0UL) == SIGRTMIN && info.timerid == 4 && info.overrun == 0);
}

static void fork_copies_actions_only(void) {
  sigact_change(sh, SIGINT)->handler = 0x1000;
  sigact_change(sh, SIGTERM)->handler = SIG_IGN;
  add(SIGHUP, SI_USER, 0);
  static struct sighand forked;
  struct sighand *child = &forked;
  memset(child, 0xa5, sizeof *child);
  sighand_init(child);
  sighand_fork(child, sh);
  CHECK(child->shared.set == 0 && child->nqueued == 0);
  CHECK(sigact_of(child, SIGINT)->handler == 0x1000);
  CHECK(sigact_of(child, SIGUSR1)->handler == SIG_DFL);
  sighand_exec(child);
  CHECK(sigact_of(child, SIGINT)->handler == SIG_DFL);
  CHECK(sigact_of(child, SIGTERM)->handler == SIG_IGN);
  sighand_clear(child);
}

int main(void) {
  static struct sighand first;
  sh = &first;
  memset(sh, 0xa5, sizeof *sh);
  sighand_init(sh);
  p = &sh->shared;
  TEST(standard_signals_coalesce);
  TEST(real_time_signals_queue_in_order);
  TEST(faults_come_first);
  TEST(masks_are_respected);
  TEST(limit_and_no_memory);
  TEST(timers_count_overruns);
  TEST(fork_copies_actions_only);
  sighand_clear(sh);
  return check_summary("test_sigqueue");
}
