/* SPDX-License-Identifier: MIT */
/*
 * Directories of tmpfs: entries in the order they were made (for readdir, which continues by
 * cookie and so survives changes) and in a hash that grows with them.
 */
#include "kernel/fs/tmpfs.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define FIRST_BUCKETS 8

struct tmp_entry {
  struct list node; /* in dir.entries, ascending cookies */
  struct tmp_entry *hash_next;
  u64 cookie;
  struct tmp_inode *child; /* a reference */
  u32 hash;
  char name[];
};

static u32 hash_of(const char *name) {
  u32 h = 0x811c9dc5u;
  for (; *name; name++)
    h = (h ^ (u8)*name) * 0x01000193u;
  return h;
}

static struct tmp_entry **link_to(struct tmp_inode *dir, const char *name) {
  struct tmp_entry **at;
  u32 h = hash_of(name);
  if (!dir->dir.nbuckets)
    return NULL;
  for (at = &dir->dir.buckets[h & (dir->dir.nbuckets - 1)]; *at; at = &(*at)->hash_next)
    if ((*at)->hash == h && strcmp((*at)->name, name) == 0)
      return at;
  return NULL;
}

int tmp_dir_find(struct tmp_inode *dir, const char *name, struct tmp_inode **out) {
  struct tmp_entry **at = link_to(dir, name);
  if (!at)
    return -ENOENT;
  *out = (*at)->child;
  return 0;
}

static void hash_in(struct tmp_inode *dir, struct tmp_entry *en) {
  struct tmp_entry **head = &dir->dir.buckets[en->hash & (dir->dir.nbuckets - 1)];
  en->hash_next = *head;
  *head = en;
}

/* Keeps about one entry per bucket. Failing to grow only costs speed, failing to begin is an
   error. */
static int make_room(struct tmp_inode *dir) {
  u32 n = dir->dir.nbuckets ? dir->dir.nbuckets * 4 : FIRST_BUCKETS;
  struct tmp_entry **buckets, *en;
  if (dir->dir.nentries < dir->dir.nbuckets)
    return 0;
  buckets = kzalloc(n * sizeof(struct tmp_entry *));
  if (!buckets)
    return dir->dir.nbuckets ? 0 : -ENOSPC;
  kfree(dir->dir.buckets);
  dir->dir.buckets = buckets;
  dir->dir.nbuckets = n;
  list_for_each(en, &dir->dir.entries, node) { hash_in(dir, en); }
  return 0;
}

int tmp_dir_add(struct tmp_inode *dir, const char *name, struct tmp_inode *child) {
  size_t len = strlen(name);
  struct tmp_entry *en;
  if (make_room(dir) < 0)
    return -ENOSPC;
  en = kmalloc(sizeof *en + len + 1);
  if (!en)
    return -ENOSPC;
  memcpy(en->name, name, len + 1);
  en->hash = hash_of(name);
  en->child = child;
  en->cookie = ++dir->dir.next_cookie;
  list_push_back(&dir->dir.entries, &en->node);
  hash_in(dir, en);
  dir->dir.nentries++;
  return 0;
}

int tmp_dir_remove(struct tmp_inode *dir, const char *name) {
  struct tmp_entry **at = link_to(dir, name), *en;
  if (!at)
    return -ENOENT;
  en = *at;
  *at = en->hash_next;
  list_remove(&en->node);
  dir->dir.nentries--;
  inode_put(&en->child->inode);
  kfree(en);
  return 0;
}

int tmp_dir_replace(struct tmp_inode *dir, const char *name, struct tmp_inode *child) {
  struct tmp_entry **at = link_to(dir, name);
  if (!at)
    return -ENOENT;
  (*at)->child = child;
  return 0;
}

/* A removed directory is empty; only the tree of a memory shortage at boot may not be. */
void tmp_dir_free(struct tmp_inode *dir) {
  struct list *n;
  while ((n = list_pop_front(&dir->dir.entries))) {
    struct tmp_entry *en = list_entry(n, struct tmp_entry, node);
    inode_put(&en->child->inode);
    kfree(en);
  }
  kfree(dir->dir.buckets);
}

/* ---- open directories ------------------------------------------------------------------------ */

/* Positions: 0 `.`, 1 `..`, then the cookie of the next entry + 1. */
static int emit_dots(struct file *f, struct tmp_inode *dir, struct uio *u) {
  int e = 0;
  if (f->pos == 0) {
    e = dirent_emit(u, dir->inode.ino, 1, S_IFDIR, ".");
    if (e < 0)
      return e;
    f->pos = 1;
  }
  if (f->pos == 1) {
    e = dirent_emit(u, dir->dir.parent_ino, 2, S_IFDIR, "..");
    if (e == 0)
      f->pos = 2;
  }
  return e;
}

static int emit_entries(struct file *f, struct tmp_inode *dir, struct uio *u) {
  struct tmp_entry *en;
  list_for_each(en, &dir->dir.entries, node) {
    const struct inode *i = &en->child->inode;
    int e;
    if (en->cookie + 1 < f->pos)
      continue;
    e = dirent_emit(u, i->ino, en->cookie + 2, i->mode, en->name);
    if (e < 0)
      return e;
    f->pos = en->cookie + 2;
  }
  return 0;
}

static i64 tmp_readdir(struct file *f, struct uio *u) {
  struct tmp_inode *dir = tmp_inode(f->inode);
  u64 before = u->left;
  int e;
  mutex_lock(&dir->inode.lock);
  e = emit_dots(f, dir, u);
  if (e == 0)
    e = emit_entries(f, dir, u);
  mutex_unlock(&dir->inode.lock);
  return before != u->left ? (i64)(before - u->left) : e;
}

static i64 tmp_dir_seek(struct file *f, i64 off, int whence) {
  return whence > 1 ? -EINVAL : seek_in_size(f, off, whence, 0);
}

const struct file_ops tmp_dir_ops = {
    .name = "tmpfs",
    .seek = tmp_dir_seek,
    .readdir = tmp_readdir,
};
