/* SPDX-License-Identifier: MIT */
/* What the region allocator needs of the rest, for tests on libc. */
#ifndef UFORK_HOSTED_TEST_SUPPORT_H
#define UFORK_HOSTED_TEST_SUPPORT_H

void support_init(void);
/* Makes the next allocation of kernel memory fail, and every n-th after it; 0: none. */
void support_fail_allocations(unsigned every);

#endif
