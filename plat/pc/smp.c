/* SPDX-License-Identifier: MIT */
/* Interrupts between CPUs: kicks, and flushes of TLBs that everybody must have done. */
#include "plat/pc/cpu.h"
#include "plat/pc/pc.h"
#include "plat/pc/tlb.h"

static u64 to_flush; /* CPUs that have not yet; atomic */

void smp_tlb_shootdown(u64 cpus) {
  __atomic_store_n(&to_flush, cpus, __ATOMIC_SEQ_CST);
  for (u64 left = cpus; left; left &= left - 1)
    lapic_interrupt(vcpus[__builtin_ctzl(left)].lapic_id, VECTOR_FLUSH);
  while (__atomic_load_n(&to_flush, __ATOMIC_SEQ_CST))
    __builtin_ia32_pause();
}

void smp_flush_interrupt(void) {
  tlb_shootdown_self();
  __atomic_and_fetch(&to_flush, ~(1UL << vcpu_self()->id), __ATOMIC_SEQ_CST);
}
