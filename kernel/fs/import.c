/* SPDX-License-Identifier: MIT */
/* The host's root tree at boot: what is mounted, what is copied. */
#include "kernel/fs/import.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/vfs.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/syscall/trace.h"
#include "lib/string.h"

#define COPY_MAX_FILE MIB(4)
#define LIST_SIZE 32768u

struct record {
  u64 ino;
  i64 next;
  u16 len;
  u8 type;
  char name[];
} __attribute__((packed));

/* ---- reading host directories ---------------------------------------------------------------- */

static int open_inode(struct inode *i, struct file **out) {
  struct dentry *d = dentry_new_root(inode_get(i), "");
  int e;
  if (!d) {
    inode_put(i);
    return -ENOMEM;
  }
  e = vfs_open_dentry(d, O_RDONLY, out);
  dentry_put(d);
  return e;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

typedef int (*entry_fn)(struct inode *child, const char *name, void *arg);

static int each_record(struct inode *dir, char *buf, i64 n, entry_fn fn, void *arg) {
  int e = 0;
  for (i64 at = 0; at < n && e == 0;) {
    struct record *rec = (struct record *)(buf + at);
    struct inode *child;
    at += rec->len;
    if (is_dots(rec->name))
      continue;
    mutex_lock(&dir->lock);
    e = dir->ops->lookup(dir, rec->name, &child);
    mutex_unlock(&dir->lock);
    if (e == 0) {
      e = fn(child, rec->name, arg);
      inode_put(child);
    } else if (e == -ENOENT) {
      e = 0; /* gone meanwhile */
    }
  }
  return e;
}

static int each_entry(struct inode *dir, entry_fn fn, void *arg) {
  char *buf = kmalloc(LIST_SIZE);
  struct file *f;
  int e = buf ? open_inode(dir, &f) : -ENOMEM;
  if (e == 0) {
    i64 n = 1;
    while (e == 0 && n > 0) {
      struct uio u;
      uio_init_kernel(&u, buf, LIST_SIZE);
      mutex_lock(&f->pos_lock);
      n = f->ops->readdir ? f->ops->readdir(f, &u) : -ENOTDIR;
      mutex_unlock(&f->pos_lock);
      e = n < 0 ? (int)n : each_record(dir, buf, n, fn, arg);
    }
    file_put(f);
  }
  kfree(buf);
  return e;
}

/* ---- copies
 * -------------------------------------------------------------------------------------- */

/* A directory whose contents are still to be copied: its path, the same on both sides. A list
   instead of recursion: trees may be deeper than our stack. */
struct pending {
  struct list node;
  char path[];
};

struct copying {
  const char *dir; /* whose entries are being copied */
  struct list *pending;
};

static int copy_contents(struct file *from, struct file *to) {
  char *buf = kmalloc(LIST_SIZE);
  u64 pos = 0;
  i64 n = buf ? 1 : -ENOMEM;
  while (n > 0) {
    struct uio u;
    n = file_pread_kernel(from, buf, LIST_SIZE, pos);
    if (n <= 0)
      break;
    pos += (u64)n;
    uio_init_kernel(&u, buf, (u64)n);
    n = file_write(to, &u);
  }
  kfree(buf);
  return (int)n;
}

static int copy_file(struct inode *i, const char *path) {
  struct kstat st;
  struct file *from, *to;
  int e = inode_getattr(i, &st);
  if (e < 0)
    return e;
  if (st.size > COPY_MAX_FILE) {
    klog("%s: too large to copy into the root file system, left out", path);
    return 0;
  }
  e = open_inode(i, &from);
  if (e < 0)
    return e;
  e = vfs_open(path, O_WRONLY | O_CREAT | O_TRUNC, i->mode & 07777, &to);
  if (e == 0) {
    e = copy_contents(from, to);
    file_put(to);
  }
  file_put(from);
  return e;
}

static int copy_link(struct inode *i, const char *path) {
  char *target = kmalloc(PATH_MAX);
  i64 n = target ? i->ops->readlink(i, target, PATH_MAX - 1) : -ENOMEM;
  if (n >= 0) {
    target[n] = 0;
    n = vfs_symlink(path, target);
  }
  kfree(target);
  return (int)n;
}

static int copy_dir(struct inode *i, const char *path, struct list *pending) {
  int e = vfs_mkdir_p(path, i->mode & 07777);
  struct pending *p = e < 0 ? NULL : kmalloc(sizeof(*p) + strlen(path) + 1);
  if (!p)
    return e < 0 ? e : -ENOMEM;
  str_copy(p->path, path, strlen(path) + 1);
  list_push_front(pending, &p->node);
  return 0;
}

static int copy_by_type(struct inode *i, const char *path, struct list *pending) {
  switch (i->mode & S_IFMT) {
  case S_IFDIR:
    return copy_dir(i, path, pending);
  case S_IFREG:
    return copy_file(i, path);
  case S_IFLNK:
    return copy_link(i, path);
  default:
    return 0;
  }
}

/* What only others may read is no reason not to start. */
static int left_out(int e, const char *path) {
  if (e != -EACCES && e != -EPERM)
    return e;
  klog("%s: cannot be read, left out of the root file system", path);
  return 0;
}

static int copy_any(struct inode *i, const char *path, struct list *pending) {
  return left_out(copy_by_type(i, path, pending), path);
}

static char *join(const char *dir, const char *name) {
  size_t a = strlen(dir), b = strlen(name);
  char *path = kmalloc(a + b + 2);
  if (!path)
    return NULL;
  memcpy(path, dir, a);
  path[a] = '/';
  memcpy(path + a + 1, name, b);
  path[a + 1 + b] = 0;
  return path;
}

static int copy_entry(struct inode *child, const char *name, void *arg) {
  const struct copying *c = arg;
  char *path = join(c->dir, name);
  int e = path ? copy_any(child, path, c->pending) : -ENOMEM;
  kfree(path);
  return e;
}

/* The directory `path` below the host's root; links are not followed. */
static int find_dir(struct inode *root, const char *path, struct inode **out) {
  struct inode *dir = inode_get(root);
  int e = 0;
  while (e == 0 && *path) {
    char name[NAME_MAX + 1];
    const char *begin = path + 1, *slash = strchr(begin, '/'); /* it starts with a slash */
    size_t n = slash ? (size_t)(slash - begin) : strlen(begin);
    struct inode *child;
    str_copy(name, begin, min_u64(n + 1, sizeof(name)));
    mutex_lock(&dir->lock);
    e = S_ISDIR(dir->mode) ? dir->ops->lookup(dir, name, &child) : -ENOTDIR;
    mutex_unlock(&dir->lock);
    if (e == 0) {
      inode_put(dir);
      dir = child;
    }
    path = begin + n;
  }
  if (e == 0 && !S_ISDIR(dir->mode))
    e = -ENOTDIR;
  *out = e == 0 ? dir : NULL;
  if (e != 0)
    inode_put(dir);
  return e;
}

static int copy_contents_of_dir(struct inode *root, const char *path, struct list *pending) {
  struct copying c = {path, pending};
  struct inode *dir;
  int e = find_dir(root, path, &dir);
  if (!dir)
    return e == -ENOENT || e == -ENOTDIR ? 0 : e; /* gone meanwhile */
  e = each_entry(dir, copy_entry, &c);
  inode_put(dir);
  return e;
}

/* Works the list off, or after an error frees it. */
static int copy_pending(struct inode *root, struct list *pending, int e) {
  struct list *n;
  while ((n = list_pop_front(pending)) != NULL) {
    struct pending *p = list_entry(n, struct pending, node);
    if (e == 0)
      e = left_out(copy_contents_of_dir(root, p->path, pending), p->path);
    kfree(p);
  }
  return e;
}

/* ---- the top level
 * ---------------------------------------------------------------------------------- */

static bool in_list(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcmp(name, *list) == 0)
      return true;
  return false;
}

static int mount_entry(struct inode *child, const char *path) {
  struct dentry *at;
  int e = vfs_mkdir_p(path, 0755);
  if (e < 0)
    return e;
  e = path_walk(NULL, path, WALK_DIRECTORY, &at);
  if (e < 0)
    return e;
  e = vfs_mount(at, inode_get(child), "root", true);
  if (e < 0)
    inode_put(child);
  dentry_put(at);
  return e;
}

static int top_entry(struct inode *child, const char *name, void *arg) {
  static const char *const ours[] = {"dev", "proc", NULL};
  static const char *const written[] = {"etc", "tmp", "root", "home", "var",
                                        "run", "mnt", "sys",  NULL};
  struct list *pending = arg;
  char *path;
  int e;
  if (in_list(name, ours))
    return 0;
  path = join("", name);
  if (!path)
    return -ENOMEM;
  if (S_ISDIR(child->mode) && !in_list(name, written))
    e = mount_entry(child, path);
  else
    e = copy_any(child, path, pending);
  kfree(path);
  return e;
}

int import_root(const char *host) {
  struct list pending = LIST_INIT(pending);
  struct inode *root;
  int e = plat_hostfs(host, true, &root);
  if (e < 0) {
    klog("%s: cannot be the root tree: %s", host, errno_name(-e));
    return e;
  }
  e = copy_pending(root, &pending, each_entry(root, top_entry, &pending));
  inode_put(root);
  return e;
}
