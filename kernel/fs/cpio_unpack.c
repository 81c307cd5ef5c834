/* SPDX-License-Identifier: MIT */
/* An archive becomes files, directories and links of `/`. */
#include "kernel/fs/cpio.h"
#include "kernel/fs/namei.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

/* Hard links: the archive gives the contents with the last (or only one) of the names. */
struct linked {
  struct linked *next;
  u32 ino;
  char path[];
};

struct unpacking {
  struct linked *links;
  char path[PATH_MAX + 1];
};

static bool has_dotdot(const char *name) {
  for (const char *p = name; p; p = strchr(p, '/')) {
    p += *p == '/';
    if (p[0] == '.' && p[1] == '.' && (p[2] == 0 || p[2] == '/'))
      return true;
  }
  return false;
}

static int make_parent(char *path) {
  char *slash = strrchr(path, '/');
  if (slash == path)
    return 0;
  *slash = 0;
  int e = vfs_mkdir_p(path, 0755);
  *slash = '/';
  return e;
}

static int write_file(const struct cpio_entry *c, const char *path) {
  struct file *f;
  struct uio u;
  int e = vfs_open(path, O_WRONLY | O_CREAT | O_TRUNC, c->mode & 07777, &f);
  if (e < 0)
    return e;
  i64 n = 0;
  for (u64 done = 0; done < c->size && n >= 0; done += (u64)n) {
    uio_init_kernel(&u, (char *)(uintptr_t)c->data + done, c->size - done);
    n = file_write(f, &u);
    uio_destroy(&u);
    if (n == 0)
      n = -ENOSPC;
  }
  file_put(f);
  return n < 0 ? (int)n : 0;
}

static int remember(struct unpacking *k, const struct cpio_entry *c) {
  size_t n = strlen(k->path) + 1;
  struct linked *l = kmalloc(sizeof *l + n);
  if (!l)
    return -ENOMEM;
  l->ino = c->ino;
  memcpy(l->path, k->path, n);
  l->next = k->links;
  k->links = l;
  return 0;
}

static const char *other_name(const struct unpacking *k, u32 ino) {
  for (const struct linked *l = k->links; l; l = l->next)
    if (l->ino == ino)
      return l->path;
  return NULL;
}

static int make_file(struct unpacking *k, const struct cpio_entry *c) {
  const char *other = c->nlink > 1 ? other_name(k, c->ino) : NULL;
  int e = other ? vfs_link(other, k->path) : 0;
  if (e == 0 && (!other || c->size))
    e = write_file(c, k->path);
  if (e == 0 && c->nlink > 1 && !other)
    e = remember(k, c);
  return e;
}

static int make_link(struct unpacking *k, const struct cpio_entry *c) {
  char *target = c->size > 0 && c->size < PATH_MAX ? kmalloc(c->size + 1) : NULL;
  if (!target)
    return c->size > 0 && c->size < PATH_MAX ? -ENOMEM : -EINVAL;
  memcpy(target, c->data, c->size);
  target[c->size] = 0;
  int e = vfs_symlink(k->path, target);
  kfree(target);
  return e;
}

static int make(struct unpacking *k, const struct cpio_entry *c) {
  switch (c->mode & S_IFMT) {
  case S_IFDIR:
    return vfs_mkdir_p(k->path, c->mode & 07777);
  case S_IFREG:
    return make_file(k, c);
  case S_IFLNK:
    return make_link(k, c);
  case S_IFIFO:
  case S_IFCHR:
    return vfs_mknod(k->path, c->mode, MAKEDEV(c->rdev_major, c->rdev_minor));
  default:
    return 0; /* sockets and block devices mean nothing here */
  }
}

static int unpack_entry(struct unpacking *k, const struct cpio_entry *c) {
  if (c->name[0] == 0 || strcmp(c->name, ".") == 0)
    return 0;
  if (has_dotdot(c->name))
    return -EINVAL;
  k->path[0] = '/';
  str_copy(k->path + 1, c->name, sizeof k->path - 1);
  int e = make_parent(k->path);
  return e < 0 ? e : make(k, c);
}

int cpio_unpack(const void *archive, u64 n) {
  struct unpacking *k = kzalloc(sizeof *k);
  struct cpio_entry c;
  u64 at = 0;
  int e = k ? 1 : -ENOMEM;
  while (e > 0 && (e = cpio_next(archive, n, &at, &c)) > 0) {
    int err = unpack_entry(k, &c);
    if (err < 0) {
      klog("initramfs: %s: error %d", c.name, -err);
      e = err;
    }
  }
  if (e == -EINVAL)
    klog("initramfs: not a cpio archive (newc), or damaged at byte %lu", at);
  while (k && k->links) {
    struct linked *l = k->links;
    k->links = l->next;
    kfree(l);
  }
  kfree(k);
  return e;
}
