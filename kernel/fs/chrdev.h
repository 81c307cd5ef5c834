/* SPDX-License-Identifier: MIT */
/* Devices by number: what opening a device node leads to, in whatever file system. */
#ifndef UFORK_KERNEL_CHRDEV_H
#define UFORK_KERNEL_CHRDEV_H

#include "kernel/fs/vfs.h"

/* A device of the platform: a driver fills it and registers it at boot, for good. */
struct chrdev {
  const char *name; /* below /dev */
  u32 mode;         /* S_IFCHR or S_IFBLK, and the permissions of the node */
  u64 rdev;
  int (*open)(struct chrdev *c, struct file *f); /* as inode_ops->open */
  void *priv;
  struct chrdev *next;
};
/* Before devfs_boot, which makes the nodes. One CPU. */
void chrdev_register(struct chrdev *c);
/* The registered ones, linked by `next`; NULL: none. */
struct chrdev *chrdev_first(void);

/* Sets f->ops and f->priv by i->mode and i->rdev; -ENXIO: no such device. */
int chrdev_open(struct inode *i, struct file *f);

#endif
