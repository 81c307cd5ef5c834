/* SPDX-License-Identifier: MIT */
/* The devices that need no driver (null, zero, full, random, the terminals) and those that have
 * one.
 */
#include "kernel/fs/chrdev.h"
#include "kernel/fs/devfs.h"
#include "kernel/fs/pty.h"
#include "kernel/fs/tty.h"
#include "lib/string.h"

static i64 null_read(struct file *f, struct uio *u, u64 *pos) {
  (void)f, (void)u, (void)pos;
  return 0;
}

/* Swallows everything. */
static i64 null_write(struct file *f, struct uio *u, u64 *pos) {
  u64 n = u->left;
  (void)f, (void)pos;
  uio_advance(u, n);
  return (i64)n;
}

static i64 zero_read(struct file *f, struct uio *u, u64 *pos) {
  static const u8 zeros[PAGE_SIZE];
  i64 done = 0;
  (void)f, (void)pos;
  while (u->left > 0) {
    i64 n = uio_write_to(u, zeros, sizeof zeros);
    if (n <= 0)
      return done ? done : n;
    done += n;
  }
  return done;
}

static i64 full_write(struct file *f, struct uio *u, u64 *pos) {
  (void)f, (void)pos;
  return u->left ? -ENOSPC : 0;
}

static i64 random_read(struct file *f, struct uio *u, u64 *pos) {
  u8 buf[256];
  i64 done = 0;
  (void)f, (void)pos;
  while (u->left > 0) {
    i64 n;
    plat_random(buf, sizeof buf);
    n = uio_write_to(u, buf, sizeof buf);
    if (n <= 0)
      return done ? done : n;
    done += n;
  }
  return done;
}

static i64 dev_seek(struct file *f, i64 off, int whence) {
  (void)f, (void)off, (void)whence;
  return 0;
}

static const struct file_ops null_ops = {
    .name = "null", .read = null_read, .write = null_write, .seek = dev_seek};
static const struct file_ops zero_ops = {
    .name = "zero", .read = zero_read, .write = null_write, .seek = dev_seek};
static const struct file_ops full_ops = {
    .name = "full", .read = zero_read, .write = full_write, .seek = dev_seek};
static const struct file_ops random_ops = {
    .name = "random", .read = random_read, .write = null_write, .seek = dev_seek};

/* ---- devices of the platform ----------------------------------------------------------------- */

static struct chrdev *registered;

void chrdev_register(struct chrdev *c) {
  struct chrdev **at = &registered;
  while (*at)
    at = &(*at)->next;
  c->next = NULL;
  *at = c;
}

struct chrdev *chrdev_first(void) {
  return registered;
}

static int open_registered(const struct inode *i, struct file *f) {
  for (struct chrdev *c = registered; c; c = c->next)
    if (c->rdev == i->rdev && ((c->mode ^ i->mode) & S_IFMT) == 0)
      return c->open(c, f);
  return -ENXIO;
}

int chrdev_open(struct inode *i, struct file *f) {
  if (!S_ISCHR(i->mode))
    return open_registered(i, f);
  switch (i->rdev) {
  case DEV_NULL:
    f->ops = &null_ops;
    return 0;
  case DEV_ZERO:
    f->ops = &zero_ops;
    return 0;
  case DEV_FULL:
    f->ops = &full_ops;
    return 0;
  case DEV_RANDOM:
  case DEV_URANDOM:
    f->ops = &random_ops;
    return 0;
  case DEV_TTY:
    return tty_open_controlling(f);
  case DEV_CONSOLE:
    return tty_open_console(f);
  case DEV_PTMX:
    return pty_open_master(f);
  default:
    if ((i->rdev >> 8 & 0xfff) == PTY_MAJOR)
      return pty_open_slave(i, f);
    return open_registered(i, f);
  }
}
