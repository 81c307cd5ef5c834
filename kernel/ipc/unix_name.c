/* SPDX-License-Identifier: MIT */
/*
 * Names of Unix sockets: a path (an inode of type socket whose `ipc` points to the bound socket,
 * under the inode's lock) or an abstract name (a NUL byte and any bytes; a hash table).
 */
#include "kernel/fs/fs_context.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/vfs.h"
#include "kernel/ipc/unix.h"
#include "kernel/proc/proc.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define NAME_BUCKETS 64
#define PATH_AT 2 /* sun_path follows the 16-bit family */

static struct spin unix_names_lock; /* protects the table; outside of unix_sock->lock */
static struct list names[NAME_BUCKETS];

static struct list *bucket_of(const u8 *addr, u32 len) {
  u32 h = 2166136261u; /* FNV-1a */
  for (u32 i = PATH_AT; i < len; i++)
    h = (h ^ addr[i]) * 16777619u;
  struct list *b = &names[h % NAME_BUCKETS];
  if (!b->next)
    list_init(b);
  return b;
}

/* Sockets of each type have abstract names of their own. unix_names_lock held. */
static struct unix_sock *find_abstract(const u8 *addr, u32 len, int type) {
  struct unix_sock *u;
  list_for_each(u, bucket_of(addr, len), name_node) {
    if (u->sock.type == type && u->addr_len == len && memcmp(u->addr, addr, len) == 0)
      return u;
  }
  return NULL;
}

static int check_address(const u8 *addr, u32 len) {
  if (len < PATH_AT || len > PATH_AT + UNIX_PATH_MAX)
    return -EINVAL;
  return addr[0] == AF_UNIX && addr[1] == 0 ? 0 : -EINVAL;
}

/* sun_path need not be terminated. */
static void copy_path(const u8 *addr, u32 len, char path[UNIX_PATH_MAX + 1]) {
  u32 n = (u32)strnlen((const char *)addr + PATH_AT, len - PATH_AT);
  memcpy(path, addr + PATH_AT, n);
  path[n] = 0;
}

static int lookup_path(const u8 *addr, u32 len, struct unix_sock **out) {
  char path[UNIX_PATH_MAX + 1];
  struct dentry *start, *d;
  copy_path(addr, len, path);
  int err = path_start(AT_FDCWD, path, &start);
  if (err)
    return err;
  err = path_walk(start, path, WALK_FOLLOW, &d);
  dentry_put(start);
  if (err)
    return err;
  err = S_ISSOCK(d->inode->mode) ? inode_permission(d->inode, MAY_WRITE) : -ECONNREFUSED;
  if (!err) {
    mutex_lock(&d->inode->lock);
    *out = d->inode->ipc;
    if (*out)
      unix_get(*out);
    else
      err = -ECONNREFUSED;
    mutex_unlock(&d->inode->lock);
  }
  dentry_put(d);
  return err;
}

int unix_lookup(const u8 *addr, u32 len, int type, struct unix_sock **out) {
  int err = check_address(addr, len);
  if (err)
    return err;
  if (len == PATH_AT)
    return -EINVAL;
  if (addr[PATH_AT] != 0) {
    err = lookup_path(addr, len, out);
  } else {
    spin_lock(&unix_names_lock);
    *out = find_abstract(addr, len, type);
    if (*out)
      unix_get(*out);
    else
      err = -ECONNREFUSED;
    spin_unlock(&unix_names_lock);
  }
  if (!err && (*out)->sock.type != type) {
    unix_put(*out);
    err = -EPROTOTYPE;
  }
  return err;
}

/* ---- binding --------------------------------------------------------------------------- */

static int bind_abstract(struct unix_sock *u, const u8 *addr, u32 len) {
  int err = 0;
  spin_lock(&unix_names_lock);
  if (find_abstract(addr, len, u->sock.type)) {
    err = -EADDRINUSE;
  } else {
    memcpy(u->addr, addr, len);
    u->addr_len = len;
    list_push_back(bucket_of(addr, len), &u->name_node);
  }
  spin_unlock(&unix_names_lock);
  return err;
}

/* bind with the family alone: the kernel chooses an abstract name. */
static int autobind(struct unix_sock *u) {
  static u32 next;
  u8 addr[16] = {AF_UNIX};
  for (u32 tries = 0; tries < 0x100000; tries++) {
    u32 n = __atomic_add_fetch(&next, 1, __ATOMIC_RELAXED) & 0xfffff;
    fmt((char *)addr + PATH_AT + 1, 6, "%05x", n);
    if (bind_abstract(u, addr, PATH_AT + 6) == 0)
      return 0;
  }
  return -ENOSPC;
}

static int bind_path(struct unix_sock *u, const u8 *addr, u32 len) {
  char path[UNIX_PATH_MAX + 1];
  struct dentry *start, *d;
  copy_path(addr, len, path);
  u32 mode = 0777 & ~proc_current()->fs->umask;
  int err = vfs_mknod(path, S_IFSOCK | mode, 0);
  if (err)
    return err == -EEXIST ? -EADDRINUSE : err;
  err = path_start(AT_FDCWD, path, &start);
  if (err)
    return err;
  err = path_walk(start, path, 0, &d);
  dentry_put(start);
  if (err)
    return err;
  mutex_lock(&d->inode->lock);
  d->inode->ipc = u;
  mutex_unlock(&d->inode->lock);
  spin_lock(&u->lock);
  u->inode = inode_get(d->inode);
  memcpy(u->addr, addr, len);
  /* The length counts the terminating NUL. */
  u->addr_len = (u32)(PATH_AT + strlen(path) + 1);
  spin_unlock(&u->lock);
  dentry_put(d);
  return 0;
}

int unix_bind(struct sock *s, const u8 *addr, u32 len) {
  struct unix_sock *u = unix_of(s);
  int err = check_address(addr, len);
  if (err)
    return err;
  if (u->addr_len)
    return -EINVAL;
  if (len == PATH_AT)
    return autobind(u);
  return addr[PATH_AT] ? bind_path(u, addr, len) : bind_abstract(u, addr, len);
}

void unix_unbind(struct unix_sock *u) {
  spin_lock(&unix_names_lock);
  list_remove(&u->name_node);
  spin_unlock(&unix_names_lock);
  spin_lock(&u->lock);
  struct inode *i = u->inode;
  u->inode = NULL;
  spin_unlock(&u->lock);
  if (!i)
    return;
  mutex_lock(&i->lock);
  if (i->ipc == u)
    i->ipc = NULL;
  mutex_unlock(&i->lock);
  inode_put(i);
}
