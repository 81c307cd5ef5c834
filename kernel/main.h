/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_MAIN_H
#define UFORK_KERNEL_MAIN_H

/* Prints --stats if asked for and ends the instance. Context: thread. */
_Noreturn void kernel_power_off(int wait_status);

#endif
