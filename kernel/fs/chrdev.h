/* SPDX-License-Identifier: MIT */
/* Character devices by number: what opening a device node leads to, in whatever file system. */
#ifndef UFORK_KERNEL_CHRDEV_H
#define UFORK_KERNEL_CHRDEV_H

#include "kernel/fs/vfs.h"

/* Sets f->ops and f->priv by i->rdev; -ENXIO: no such device. */
int chrdev_open(struct inode *i, struct file *f);

#endif
