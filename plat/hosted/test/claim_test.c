/* SPDX-License-Identifier: MIT */
/*
 * Claiming while the µprocess runs: threads write to a frozen segment as fast as they can, which
 * waits in region_fault now and then, while its parts are claimed. Each thread knows what it has
 * written last, and the child has what was there before. `claim_test old` does it on a host that
 * cannot take several ranges off page tables in one call.
 */
#define _GNU_SOURCE
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/test/support.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define HEAP 0x40000000u
#define PAGES 2500u
#define THREADS 2
#define ROUNDS 40
#define WRITES 20000 /* at least so many in each */

static u64 want[PAGES];
static struct region *parent;
static int stop, share, round_now; /* atomic; share: of all pages, one in so many is written */
static u64 writes, waits;          /* atomic */
static u64 claimed;

static _Noreturn void fail(const char *what, u32 page) {
  printf("FAIL %s: page %u in round %d\n", what, page, round_now);
  fflush(stdout);
  _exit(1);
}

static u64 *page(const struct region *r, u32 i) {
  return (u64 *)region_ptr(r, HEAP + i * (u32)PAGE_SIZE);
}

static void on_fault(int sig, siginfo_t *info, void *context) {
  u64 off = (u64)info->si_addr - region_base(parent);
  (void)sig, (void)context;
  __atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED);
  if (off >= UF_REGION_SIZE || !region_fault(parent, (u32)off, true))
    fail("a write that was refused", (u32)(off - HEAP) / (u32)PAGE_SIZE);
}

static void write_page(u32 i, u64 value) {
  u64 *p = page(parent, i);
  if (p[7] != want[i] || p[500] != want[i])
    fail("a write that was lost", i);
  p[7] = p[500] = want[i] = value;
}

/* Each thread has pages of its own, next to others'. */
static void *writer(void *arg) {
  u64 seed = (u64)arg * 2 + 0x9e3779b97f4a7c15u;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    u32 i = (u32)(seed >> 33) % (PAGES / THREADS) * THREADS + (u32)(u64)arg;
    if (i % (u32)share == 0)
      write_page(i, seed | 1);
    __atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static struct seg *frozen_seg(void) {
  for (u32 i = 0; i < parent->n_segs; i++)
    if (parent->segs[i]->frozen)
      return parent->segs[i];
  fail("no segment is frozen", 0);
}

/* As the thaw thread does it. */
static u64 claim_all(struct seg *s) {
  struct claim c;
  u64 at = 0, n = 0;
  bool more = true;
  while (more) {
    hostmutex_lock(&parent->lock);
    more = seg_claim_step(parent, s, &at, &c);
    hostmutex_unlock(&parent->lock);
    seg_claim_fill(&c);
    n += c.len != 0;
  }
  return n;
}

static void check(const struct region *r, const u64 *words, const char *who) {
  for (u32 i = 0; i < PAGES; i++)
    if (page(r, i)[7] != words[i] || page(r, i)[500] != words[i])
      fail(who, i);
}

static u64 private_pages(void) {
  u64 pages = 0;
  pagemap_each_private(parent->base + HEAP, parent->base + HEAP + PAGES * PAGE_SIZE, NULL, NULL,
                       &pages);
  return pages;
}

static void one_round(void) {
  static u64 then[PAGES];
  struct region_fork_args a = {.sp = 0};
  struct region *child;
  pthread_t t[THREADS];
  parent->row = 0; /* no zygote */
  if (region_fork(parent, &a, &child))
    fail("fork", 0);
  memcpy(then, want, sizeof(want));
  if (chance(50)) /* the host maps all for reading */
    check(parent, want, "the parent's contents after fork");
  stop = 0;
  share = 1 << below(8);
  for (u64 i = 0; i < THREADS; i++)
    pthread_create(&t[i], NULL, writer, (void *)i);
  u64 n = 0, before = __atomic_load_n(&writes, __ATOMIC_RELAXED);
  for (int turn = 0; turn < 30 || __atomic_load_n(&writes, __ATOMIC_RELAXED) - before < WRITES;
       turn++) {
    n += claim_all(frozen_seg());
    if (turn % 8 == 0)
      check(child, then, "the child's contents");
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++)
    pthread_join(t[i], NULL);
  n += claim_all(frozen_seg()); /* whatever the threads came to do: this finds it */
  claimed += n;
  u64 pages = private_pages();
  if (share == 1 && pages < PAGES / 2)
    fail("few pages are private after many writes", (u32)pages);
  if (share > CLAIM_SHARE && pages > PAGES / CLAIM_SHARE)
    fail("many pages are private after few writes", (u32)pages);
  check(parent, want, "the parent's contents");
  check(child, then, "the child's contents in the end");
  region_destroy(child);
  while (seg_thaw_step(parent, THAW_PART) > 0)
    ;
  check(parent, want, "the parent's contents after thawing");
}

static void forbid_batches(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 440 /* process_madvise */, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {ARRAY_LEN(code), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
    fail("seccomp", 0);
}

int main(int argc, char **argv) {
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  support_init();
  if (argc > 1 && strcmp(argv[1], "old") == 0)
    forbid_batches();
  if (region_create(1, &parent) ||
      region_map(parent, HEAP, PAGES * (u32)PAGE_SIZE, REGION_READ | REGION_WRITE, REGION_COLD))
    fail("map", 0);
  for (round_now = 1; round_now <= ROUNDS; round_now++)
    one_round();
  region_destroy(parent);
  thaw_round();
  pool_drain();
  bool clean = regions_bytes_used() == 0 && memobj_bytes_used() == 0 && slots_in_use() == 0 &&
               support_host_mappings() == 0;
  printf("%s, %lu parts claimed, %lu writes, %lu waited\n",
         clean && claimed > ROUNDS ? "ok" : "FAIL", (unsigned long)claimed, (unsigned long)writes,
         (unsigned long)waits);
  return !(clean && claimed > ROUNDS);
}
