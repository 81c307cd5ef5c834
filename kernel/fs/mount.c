/* SPDX-License-Identifier: MIT */
/* Mounts: trees laid over directories of other trees. Made at boot, never undone. */
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

static struct list mounts = LIST_INIT(mounts);
static struct spin mounts_lock;
static struct dentry *root_dentry;

struct dentry *vfs_root(void) {
  return dentry_get(root_dentry);
}

static void attach(struct dentry *at, struct mount *m) {
  spin_lock(&mounts_lock);
  list_push_back(&mounts, &m->node);
  if (at)
    at->mounted = m;
  else
    root_dentry = m->root;
  spin_unlock(&mounts_lock);
}

int vfs_mount(struct dentry *at, struct inode *root, const char *source, bool read_only) {
  struct mount *m = kzalloc(sizeof *m);
  if (!m)
    return -ENOMEM;
  if (at && S_ISDIR(at->inode->mode) != S_ISDIR(root->mode)) {
    kfree(m);
    return -ENOTDIR;
  }
  m->root = dentry_new_root(root, at ? at->name : "");
  if (!m->root) {
    kfree(m);
    return -ENOMEM;
  }
  m->root->mnt = m;
  m->covered = at ? dentry_get(at) : NULL;
  m->source = source;
  m->read_only = read_only;
  attach(at, m);
  return 0;
}

/* Mounts are only ever appended, so the list can be walked without the lock. */
void vfs_each_mount(void (*emit)(void *arg, const struct mount *m, const char *path), void *arg) {
  struct mount *m;
  char *path = kmalloc(PATH_MAX);
  if (!path)
    return;
  list_for_each(m, &mounts, node) {
    if (path_of(m->root, path, PATH_MAX) > 0)
      emit(arg, m, path);
  }
  kfree(path);
}
