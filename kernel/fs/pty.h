/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: /dev/ptmx makes one, /dev/pts/N is its other end. */
#ifndef UFORK_KERNEL_PTY_H
#define UFORK_KERNEL_PTY_H

#include "kernel/fs/vfs.h"

#define PTY_MAX 1024    /* at once; -ENOSPC beyond */
#define PTY_MAJOR 136UL /* of the slaves */

/* For chrdev_open. A new pair with f as its master. */
int pty_open_master(struct file *f);
/* f becomes the slave with the device number of i; -EIO while it is locked or its master gone. */
int pty_open_slave(struct inode *i, struct file *f);

/* For devpts: the node of pair n with a reference, or NULL; the next pair >= n, or -1. */
struct inode *pty_node(int n);
int pty_next(int n);

/* devpts.c: mounts /dev/pts (boot), and makes the node of a new pair the caller's. */
int devpts_boot(void);
void devpts_init_node(struct inode *i, int n);
/* pty.c: the last reference on a node has gone. */
void pty_release_node(struct inode *i);

#endif
