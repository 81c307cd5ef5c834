/* SPDX-License-Identifier: MIT */
/*
 * The tree µprocess 1 finds. `/` is a tmpfs, filled from the initramfs if there is one. Every
 * directory of the host's root tree is mounted read-only under its name (programs keep their
 * identity there, so images stay cached), but those that programs write to (import.c) are copied
 * into the tmpfs. Then /dev, /proc and the mounts of the command line.
 */
#include "kernel/boot.h"
#include "kernel/fs/cpio.h"
#include "kernel/fs/devfs.h"
#include "kernel/fs/import.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/procfs.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/klog.h"
#include "kernel/syscall/trace.h"
#include "lib/fmt.h"
#include "lib/string.h"

static struct super root_super;

static int mount_root(void) {
  struct inode *root = tmpfs_create(&root_super, 0755);
  return root ? vfs_mount(NULL, root, "tmpfs", false) : -ENOMEM;
}

static int make_standard_dirs(void) {
  static const struct {
    const char *path;
    u32 mode;
  } dirs[] = {
      {"/dev", 0755},       {"/proc", 0555}, {"/tmp", 01777},     {"/root", 0700},
      {"/home", 0755},      {"/run", 0755},  {"/var/tmp", 01777}, {"/var/run", 0755},
      {"/var/lock", 01777}, {"/etc", 0755},
  };
  int e = 0;
  for (size_t k = 0; k < ARRAY_LEN(dirs) && e == 0; k++)
    e = vfs_mkdir_p(dirs[k].path, dirs[k].mode);
  return e;
}

static int mount_host(const char *guest, const char *host, bool read_only) {
  struct inode *root;
  struct dentry *at;
  int e = plat_hostfs(host, read_only, &root);
  if (e < 0)
    return e;
  e = vfs_mkdir_p(guest, 0755);
  if (e == 0)
    e = path_walk(NULL, guest, WALK_FOLLOW | WALK_DIRECTORY, &at);
  if (e == 0) {
    e = S_ISDIR(root->mode) ? vfs_mount(at, root, host, read_only) : -ENOTDIR;
    dentry_put(at);
  }
  if (e < 0)
    inode_put(root);
  return e;
}

static int mount_command_line(const struct boot_args *b) {
  for (unsigned k = 0; k < b->n_mounts; k++) {
    const struct boot_mount *m = &b->mounts[k];
    int e = mount_host(m->guest, m->host, m->read_only);
    if (e < 0) {
      klog("cannot mount %s at %s: %s", m->host, m->guest, errno_name(-e));
      return e;
    }
  }
  return 0;
}

int vfs_boot(const struct boot_args *b) {
  int e = mount_root();
  if (e == 0 && b->initramfs)
    e = cpio_unpack(b->initramfs, b->initramfs_size);
  if (e == 0 && b->initramfs_done)
    b->initramfs_done();
  if (e == 0 && b->root)
    e = import_root(b->root);
  if (e == 0)
    e = make_standard_dirs();
  if (e == 0)
    e = devfs_boot();
  if (e == 0)
    e = procfs_boot();
  return e < 0 ? e : mount_command_line(b);
}

/* The program gets a name in the guest, so that it can be executed again (/proc/self/exe, scripts):
   its file is mounted over an empty one. */
#define PROGRAM_DIR "/run/ufork"

static int mount_program(struct inode *i, const char *path) {
  struct dentry *at = NULL;
  int e = vfs_mkdir_p(PROGRAM_DIR, 0755);
  if (e == 0)
    e = vfs_mknod(path, S_IFREG | 0555, 0);
  if (e == 0)
    e = path_walk(NULL, path, 0, &at);
  if (e < 0)
    return e;
  e = vfs_mount(at, inode_get(i), "program", true);
  if (e < 0)
    inode_put(i);
  dentry_put(at);
  return e;
}

void vfs_host_program(const char *host_path, char *path, size_t size) {
  const char *slash = strrchr(host_path, '/');
  fmt(path, size, "%s/%s", PROGRAM_DIR, slash ? slash + 1 : host_path);
}

int vfs_open_host(const char *host_path, struct file **out) {
  char path[sizeof PROGRAM_DIR + 1 + NAME_MAX];
  struct inode *i;
  int e = plat_hostfs(host_path, true, &i);
  if (e < 0)
    return e;
  vfs_host_program(host_path, path, sizeof path);
  e = S_ISREG(i->mode) ? mount_program(i, path) : -EACCES;
  inode_put(i);
  return e < 0 ? e : vfs_open_exec(AT_FDCWD, path, 0, out);
}
