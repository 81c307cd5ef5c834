/* SPDX-License-Identifier: MIT */
/* What tests of kernel/mm look at in the fake regions. */
#ifndef UFORK_FAKE_REGION_H
#define UFORK_FAKE_REGION_H

extern unsigned fake_regions, fake_memobjs; /* alive */
extern unsigned fake_fail_maps;             /* n: the n-th region_map from now fails; 0: none */

#endif
