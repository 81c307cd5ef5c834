/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_PROCFS_H
#define UFORK_KERNEL_PROCFS_H

/* Mounts /proc. Boot. */
int procfs_boot(void);

#endif
