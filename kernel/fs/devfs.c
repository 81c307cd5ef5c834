/* SPDX-License-Identifier: MIT */
/* /dev: a tmpfs of its own with device nodes, as Linux's devtmpfs is. */
#include "kernel/fs/devfs.h"
#include "kernel/fs/chrdev.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/pty.h"
#include "kernel/fs/tmpfs.h"
#include "lib/fmt.h"

static struct super dev_super;

static const struct {
  const char *path;
  u32 mode;
  u64 rdev;
} nodes[] = {
    {"/dev/null", S_IFCHR | 0666, DEV_NULL},       {"/dev/zero", S_IFCHR | 0666, DEV_ZERO},
    {"/dev/full", S_IFCHR | 0666, DEV_FULL},       {"/dev/random", S_IFCHR | 0666, DEV_RANDOM},
    {"/dev/urandom", S_IFCHR | 0666, DEV_URANDOM}, {"/dev/tty", S_IFCHR | 0666, DEV_TTY},
    {"/dev/console", S_IFCHR | 0600, DEV_CONSOLE}, {"/dev/ptmx", S_IFCHR | 0666, DEV_PTMX},
};

static const struct {
  const char *path, *target;
} links[] = {
    {"/dev/fd", "/proc/self/fd"},
    {"/dev/stdin", "/proc/self/fd/0"},
    {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"},
};

static int mount_at_dev(void) {
  struct inode *root = tmpfs_create(&dev_super, 0755);
  struct dentry *at;
  int e;
  if (!root)
    return -ENOMEM;
  dev_super.type = "devtmpfs";
  e = path_walk(NULL, "/dev", WALK_DIRECTORY, &at);
  if (e < 0)
    return e;
  e = vfs_mount(at, root, "devtmpfs", false);
  dentry_put(at);
  return e;
}

static int make_platform_nodes(void) {
  int e = 0;
  for (const struct chrdev *c = chrdev_first(); c && e == 0; c = c->next) {
    char path[sizeof "/dev/" + NAME_MAX];
    fmt(path, sizeof path, "/dev/%s", c->name);
    e = vfs_mknod(path, c->mode, c->rdev);
  }
  return e;
}

int devfs_boot(void) {
  int e = mount_at_dev();
  for (size_t k = 0; k < ARRAY_LEN(nodes) && e == 0; k++)
    e = vfs_mknod(nodes[k].path, nodes[k].mode, nodes[k].rdev);
  for (size_t k = 0; k < ARRAY_LEN(links) && e == 0; k++)
    e = vfs_symlink(links[k].path, links[k].target);
  if (e == 0)
    e = make_platform_nodes();
  if (e == 0)
    e = vfs_mkdir_p("/dev/shm", 01777);
  if (e == 0)
    e = devpts_boot();
  return e;
}
