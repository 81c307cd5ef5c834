/* SPDX-License-Identifier: MIT */
#include "lib/spin.h"

#define SPINS_BEFORE_RELAX 200

KEEPS_REGISTERS void spin_lock_slow(struct spin *s) {
  unsigned spins = 0;
  while (!spin_trylock_raw(s)) {
    __builtin_ia32_pause();
    if (++spins % SPINS_BEFORE_RELAX == 0)
      plat_relax();
  }
}
