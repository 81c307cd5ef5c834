/* SPDX-License-Identifier: MIT */
/*
 * Path walking. One loop over components; a symbolic link replaces the rest of the path by its
 * target and the rest. `..` at the process's root, or at the start for WALK_IN_ROOT, stays there.
 */
#include "kernel/fs/cred.h"
#include "kernel/fs/fs_context.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

struct walk {
  struct dentry *at;    /* where we are; reference */
  struct dentry *root;  /* what "/" means and ".." does not leave; reference */
  struct dentry *start; /* for WALK_BENEATH; reference */
  const char *rest;     /* of the path */
  char *buf;            /* holds rest after a link; kmalloc'd */
  u32 flags;
  unsigned links;
};

static void move_to(struct walk *w, struct dentry *d) {
  dentry_put(w->at);
  w->at = d;
}

static struct dentry *cross_mounts(struct dentry *d) {
  while (d->mounted) {
    struct dentry *over = dentry_get(d->mounted->root);
    dentry_put(d);
    d = over;
  }
  return d;
}

static int jump_to_root(struct walk *w) {
  if (w->flags & WALK_BENEATH)
    return -EXDEV;
  if ((w->flags & WALK_NO_XDEV) && w->at->mnt != w->root->mnt)
    return -EXDEV;
  move_to(w, dentry_get(w->root));
  return 0;
}

static int walk_begin(struct walk *w, struct dentry *start, const char *path, u32 flags) {
  memset(w, 0, sizeof *w);
  w->rest = path;
  w->flags = flags;
  w->start = start ? dentry_get(start) : fs_context_cwd();
  w->root = (flags & WALK_IN_ROOT) ? dentry_get(w->start) : fs_context_root();
  w->at = dentry_get(w->start);
  return *path == '/' ? jump_to_root(w) : 0;
}

static void walk_end(struct walk *w) {
  dentry_put(w->at);
  dentry_put(w->root);
  dentry_put(w->start);
  kfree(w->buf);
}

static int go_up(struct walk *w) {
  struct dentry *d = w->at, *up;
  if ((w->flags & WALK_BENEATH) && d == w->start)
    return -EXDEV;
  if (d == w->root)
    return 0;
  up = dentry_get(d);
  while (up->mnt && up == up->mnt->root && up->mnt->covered && up != w->root) {
    struct dentry *below = dentry_get(up->mnt->covered);
    dentry_put(up);
    up = below;
    if (w->flags & WALK_NO_XDEV) {
      dentry_put(up);
      return -EXDEV;
    }
  }
  if (up != w->root) {
    struct dentry *parent = dentry_parent(up);
    dentry_put(up);
    up = parent;
  }
  move_to(w, cross_mounts(up));
  return 0;
}

int path_step(struct dentry *dir, const char *name, struct dentry **out) {
  struct dentry *d;
  int e = 0;
  if (!S_ISDIR(dir->inode->mode))
    return -ENOTDIR;
  e = inode_permission(dir->inode, MAY_EXEC);
  if (e < 0)
    return e;
  d = dentry_current(dir, name);
  if (!d) {
    mutex_lock(&dir->inode->lock);
    e = dentry_child(dir, name, &d);
    mutex_unlock(&dir->inode->lock);
    if (e < 0)
      return e;
  }
  *out = cross_mounts(d);
  return 0;
}

/* Continues the walk at link's target, then with `after` (NUL-terminated, maybe only slashes). */
static int follow_path_link(struct walk *w, struct inode *link, const char *after) {
  size_t tail = strlen(after); /* grows by less than PATH_MAX per link, SYMLINK_MAX times */
  char *target = kmalloc(PATH_MAX + tail + 1);
  i64 n;
  if (!target)
    return -ENOMEM;
  n = link->ops->readlink ? link->ops->readlink(link, target, PATH_MAX) : -EINVAL;
  if (n == 0)
    n = -ENOENT;
  if (n < 0) {
    kfree(target);
    return (int)n;
  }
  memcpy(target + n, after, tail + 1);
  kfree(w->buf);
  w->buf = target;
  w->rest = target;
  return *target == '/' ? jump_to_root(w) : 0;
}

static int follow_magic_link(struct walk *w, struct dentry *link, const char *after) {
  struct dentry *to = NULL;
  int e;
  if (w->flags & (WALK_NO_MAGIC | WALK_BENEATH | WALK_IN_ROOT))
    return w->flags & WALK_NO_MAGIC ? -ELOOP : -EXDEV;
  e = link->inode->ops->magic_link(link->inode, &to);
  if (e == -ENOLINK && *after == 0) { /* opened by its own inode's reopen */
    to = dentry_get(link);
    e = 0;
  }
  if (e < 0)
    return e;
  move_to(w, to);
  w->rest = after;
  return 0;
}

/* link is an inode reached from w->at. */
static int follow(struct walk *w, struct dentry *link, const char *after) {
  if (w->flags & WALK_NO_LINKS || ++w->links > SYMLINK_MAX)
    return -ELOOP;
  if (link->inode->ops->magic_link)
    return follow_magic_link(w, link, after);
  return follow_path_link(w, link->inode, after);
}

/* Cuts the next component off w->rest. Returns its length, 0 at the end, or -ENAMETOOLONG. */
static int next_component(struct walk *w, char *name) {
  const char *s = w->rest, *end;
  while (*s == '/')
    s++;
  end = s;
  while (*end && *end != '/')
    end++;
  w->rest = end;
  if (end - s > NAME_MAX)
    return -ENAMETOOLONG;
  memcpy(name, s, (size_t)(end - s));
  name[end - s] = 0;
  return (int)(end - s);
}

static bool only_slashes(const char *s) {
  while (*s == '/')
    s++;
  return *s == 0;
}

static bool is_dots(const char *name) {
  return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

static int dots(struct walk *w, const char *name) {
  int e;
  if (!S_ISDIR(w->at->inode->mode))
    return -ENOTDIR;
  e = inode_permission(w->at->inode, MAY_EXEC);
  if (e < 0)
    return e;
  return name[1] ? go_up(w) : 0;
}

/* One component forward; the last one is followed if it is a link and flags say so. */
static int advance(struct walk *w, const char *name) {
  bool last = only_slashes(w->rest);
  struct dentry *d;
  int e = 0;
  if (last && *w->rest == '/' && (w->flags & WALK_CREATE))
    e = S_ISDIR(w->at->inode->mode) ? -EISDIR : -ENOTDIR;
  if (e == 0)
    e = path_step(w->at, name, &d);
  if (e < 0)
    return e;
  if ((w->flags & WALK_NO_XDEV) && d->mnt != w->at->mnt) {
    dentry_put(d);
    return -EXDEV;
  }
  if (S_ISLNK(d->inode->mode) && (!last || *w->rest == '/' || (w->flags & WALK_FOLLOW))) {
    e = follow(w, d, w->rest);
    dentry_put(d);
    return e;
  }
  move_to(w, d);
  if (*w->rest == '/' && !S_ISDIR(d->inode->mode))
    return -ENOTDIR;
  return 0;
}

int path_walk(struct dentry *start, const char *path, u32 flags, struct dentry **out) {
  struct walk w;
  char name[NAME_MAX + 1];
  int n = 0, e = walk_begin(&w, start, path, flags);
  while (e == 0 && (n = next_component(&w, name)) > 0)
    e = is_dots(name) ? dots(&w, name) : advance(&w, name);
  if (e == 0)
    e = n;
  if (e == 0 && (flags & WALK_DIRECTORY) && !S_ISDIR(w.at->inode->mode))
    e = -ENOTDIR;
  if (e == 0)
    *out = dentry_get(w.at);
  walk_end(&w);
  return e;
}

/* With WALK_FOLLOW the last component is followed while it is a link, existing target or not. */
static int follow_last(struct walk *w, const char *name, bool *followed) {
  struct dentry *d;
  int e;
  *followed = false;
  if (!(w->flags & WALK_FOLLOW))
    return 0;
  e = path_step(w->at, name, &d);
  if (e < 0)
    return e == -ENOENT ? 0 : e;
  if (S_ISLNK(d->inode->mode) && !d->inode->ops->magic_link) {
    *followed = true;
    e = follow(w, d, w->rest);
  }
  dentry_put(d);
  return e;
}

static int walk_to_last(struct walk *w, struct path_last *out) {
  bool followed;
  for (;;) {
    int e, n = next_component(w, out->name);
    if (n < 0)
      return n;
    if (n == 0 || (is_dots(out->name) && only_slashes(w->rest))) {
      if (n == 0)
        str_copy(out->name, "/", sizeof out->name);
      else if ((e = dots(w, out->name)) < 0)
        return e;
      out->special = true;
      return 0;
    }
    if (!only_slashes(w->rest)) {
      e = is_dots(out->name) ? dots(w, out->name) : advance(w, out->name);
      if (e < 0)
        return e;
      continue;
    }
    e = follow_last(w, out->name, &followed);
    if (e < 0)
      return e;
    if (followed)
      continue;
    out->trailing_slash = *w->rest == '/';
    if (!S_ISDIR(w->at->inode->mode))
      return -ENOTDIR;
    return inode_permission(w->at->inode, MAY_EXEC);
  }
}

int path_walk_last(struct dentry *start, const char *path, u32 flags, struct path_last *out) {
  struct walk w;
  int e = walk_begin(&w, start, path, flags);
  out->special = out->trailing_slash = false;
  if (e == 0)
    e = walk_to_last(&w, out);
  if (e == 0)
    out->dir = dentry_get(w.at);
  walk_end(&w);
  return e;
}

void path_last_put(struct path_last *l) { dentry_put(l->dir); }
