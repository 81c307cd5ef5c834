/* SPDX-License-Identifier: MIT */
#include "plat/pc/reclaim.h"
#include "plat/pc/cpu.h"
#include "plat/pc/kstack.h"

#define PATIENCE 20000000u /* ns to wait for the other CPUs, which may be busy in the kernel */
#define TRIES 3

static u64 asked;           /* how often; atomic */
static u64 given[MAX_CPUS]; /* the last time that each CPU has heard of; its own, atomic */

bool reclaim_is_asked(void) {
  return __atomic_load_n(&asked, __ATOMIC_RELAXED) !=
         __atomic_load_n(&given[vcpu_self()->id], __ATOMIC_RELAXED);
}

void reclaim_give(void) {
  u64 now = __atomic_load_n(&asked, __ATOMIC_SEQ_CST);
  tables_drain();
  frames_drain();
  __atomic_store_n(&given[vcpu_self()->id], now, __ATOMIC_RELEASE);
}

static bool all_gave(u64 turn) {
  for (unsigned i = 0; i < vcpu_count; i++)
    if (__atomic_load_n(&given[i], __ATOMIC_ACQUIRE) < turn)
      return false;
  return true;
}

static void ask_all(void) {
  u64 turn = __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST), end = plat_now() + PATIENCE;
  for (unsigned i = 0; i < vcpu_count; i++)
    if (i != vcpu_self()->id)
      plat_cpu_kick(i);
  reclaim_give();
  while (!all_gave(turn) && plat_now() < end)
    plat_relax();
}

void reclaim_kept(void) {
  kernel_reclaim();
  region_trim();
  hotsets_drain();
  kstack_drain();
}

enum fault_result reclaim_touch(struct region *r, u32 off, bool write) {
  for (int tries = 0;; tries++) {
    enum fault_result result = region_touch(r, off, write);
    if (likely(result != FAULT_NO_MEMORY))
      return result;
    if (tries == TRIES)
      break;
    reclaim_kept();
    ask_all();
  }
  kernel_out_of_memory();
  return FAULT_NO_MEMORY;
}
