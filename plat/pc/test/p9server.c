/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "plat/pc/test/p9server.h"
#include "plat/pc/p9/msg.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

struct server_fid {
  u32 id;
  char path[4096]; /* below the root: "" or "/a/b" */
  int fd;
  DIR *dir;
};

/* One request being served. */
struct serving {
  struct p9server *s;
  struct p9_msg t, r;
};

/* ---- fids
 * ------------------------------------------------------------------------------------------- */

static struct server_fid *find(struct p9server *s, u32 id) {
  for (unsigned k = 0; k < s->n_fids; k++)
    if (s->fids[k]->id == id)
      return s->fids[k];
  return NULL;
}

static void drop(struct p9server *s, u32 id);

static struct server_fid *add(struct p9server *s, u32 id, const char *path) {
  if (s->lenient)
    drop(s, id);
  if (find(s, id) || s->n_fids == SERVER_FIDS)
    abort(); /* the client uses a number twice, or leaks */
  struct server_fid *f = calloc(1, sizeof *f);
  f->id = id;
  f->fd = -1;
  strcpy(f->path, path);
  s->fids[s->n_fids++] = f;
  return f;
}

static void drop(struct p9server *s, u32 id) {
  for (unsigned k = 0; k < s->n_fids; k++) {
    struct server_fid *f = s->fids[k];
    if (f->id != id)
      continue;
    if (f->dir)
      closedir(f->dir);
    else if (f->fd >= 0)
      close(f->fd);
    free(f);
    s->fids[k] = s->fids[--s->n_fids];
    return;
  }
}

static struct server_fid nobody = {.path = "/no such fid", .fd = -1};

static struct server_fid *get_fid(struct serving *v) {
  struct server_fid *f = find(v->s, p9_get32(&v->t));
  return f ? f : &nobody;
}

/* Host path of a fid, or of a name in it. */
static char *host_path(struct serving *v, const struct server_fid *f, const char *name) {
  static char paths[2][8192];
  static int turn;
  char *p = paths[turn ^= 1];
  snprintf(p, sizeof paths[0], "%s%s%s%s", v->s->root, f->path, name ? "/" : "", name ? name : "");
  return p;
}

static void fix_paths(struct p9server *s, const char *from, const char *to) {
  size_t n = strlen(from);
  for (unsigned k = 0; k < s->n_fids; k++) {
    char *p = s->fids[k]->path, moved[2 * sizeof s->fids[k]->path];
    if (strncmp(p, from, n) != 0 || (p[n] && p[n] != '/'))
      continue;
    snprintf(moved, sizeof moved, "%s%s", to, p + n);
    if (strlen(moved) >= sizeof s->fids[k]->path)
      abort(); /* deeper than any test goes */
    strcpy(p, moved);
  }
}

/* ---- replies
 * ------------------------------------------------------------------------------------------ */

static int host(long result) { return result < 0 ? errno : 0; }

static void put_qid(struct p9_msg *m, const struct stat *st) {
  u8 type = S_ISDIR(st->st_mode) ? P9_QID_DIR : S_ISLNK(st->st_mode) ? P9_QID_SYMLINK : 0;
  p9_put8(m, type);
  p9_put32(m, (u32)(st->st_mtim.tv_sec ^ st->st_size << 8));
  p9_put64(m, st->st_ino);
}

static int put_qid_of(struct serving *v, const char *path) {
  struct stat st;
  if (lstat(path, &st) < 0)
    return errno;
  put_qid(&v->r, &st);
  return 0;
}

static int serve_version(struct serving *v) {
  char version[32];
  v->s->msize = p9_get32(&v->t);
  p9_get_string(&v->t, version, sizeof version);
  while (v->s->n_fids)
    drop(v->s, v->s->fids[0]->id);
  p9_put32(&v->r, v->s->msize);
  p9_put_string(&v->r, version);
  return 0;
}

static int serve_attach(struct serving *v) {
  u32 id = p9_get32(&v->t);
  add(v->s, id, "");
  return put_qid_of(v, v->s->root);
}

static int serve_walk(struct serving *v) {
  struct server_fid *f = get_fid(v);
  u32 id = p9_get32(&v->t);
  u16 n = p9_get16(&v->t);
  char name[256], path[4096];
  if (n > 1)
    abort(); /* the client walks one name at a time */
  strcpy(path, f->path);
  if (n == 1) {
    p9_get_string(&v->t, name, sizeof name);
    if (strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0 || !name[0])
      abort(); /* nor does it ever leave the tree */
    if (access(host_path(v, f, NULL), F_OK) < 0)
      return errno;
    snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", name);
  }
  p9_put16(&v->r, n);
  if (n == 1) {
    int e = put_qid_of(v, host_path(v, f, name));
    if (e)
      return e;
  }
  add(v->s, id, path);
  return 0;
}

static void put_time(struct p9_msg *m, struct timespec t) {
  p9_put64(m, (u64)t.tv_sec);
  p9_put64(m, (u64)t.tv_nsec);
}

static int serve_getattr(struct serving *v) {
  struct server_fid *f = get_fid(v);
  struct stat st;
  if (lstat(host_path(v, f, NULL), &st) < 0)
    return errno;
  p9_put64(&v->r, 0x7ff);
  put_qid(&v->r, &st);
  p9_put32(&v->r, st.st_mode);
  p9_put32(&v->r, st.st_uid);
  p9_put32(&v->r, st.st_gid);
  p9_put64(&v->r, st.st_nlink);
  p9_put64(&v->r, st.st_rdev);
  p9_put64(&v->r, (u64)st.st_size);
  p9_put64(&v->r, (u64)st.st_blksize);
  p9_put64(&v->r, (u64)st.st_blocks);
  put_time(&v->r, st.st_atim);
  put_time(&v->r, st.st_mtim);
  put_time(&v->r, st.st_ctim);
  for (int k = 0; k < 4; k++)
    p9_put64(&v->r, 0); /* btime, generation, data version */
  return 0;
}

static struct timespec get_time(struct p9_msg *m) {
  struct timespec t;
  t.tv_sec = (time_t)p9_get64(m);
  t.tv_nsec = (long)p9_get64(m);
  return t;
}

static int serve_setattr(struct serving *v) {
  const char *path = host_path(v, get_fid(v), NULL);
  u32 valid = p9_get32(&v->t), mode = p9_get32(&v->t), uid = p9_get32(&v->t), gid = p9_get32(&v->t);
  u64 size = p9_get64(&v->t);
  struct timespec ts[2];
  int e = 0;
  for (int k = 0; k < 2; k++) {
    ts[k] = get_time(&v->t);
    if (!(valid & (0x10u << k)))
      ts[k].tv_nsec = UTIME_OMIT;
    else if (!(valid & (0x80u << k)))
      ts[k].tv_nsec = UTIME_NOW;
  }
  if (valid & 1)
    e = host(chmod(path, mode));
  if (!e && (valid & 0x30))
    e = host(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW));
  if (!e && (valid & 6))
    e = host(lchown(path, valid & 2 ? uid : (uid_t)-1, valid & 4 ? gid : (gid_t)-1));
  if (!e && (valid & 8))
    e = host(truncate(path, (off_t)size));
  return e;
}

static int serve_statfs(struct serving *v) {
  struct statfs st;
  if (statfs(host_path(v, get_fid(v), NULL), &st) < 0)
    return errno;
  p9_put32(&v->r, (u32)st.f_type);
  p9_put32(&v->r, (u32)st.f_bsize);
  p9_put64(&v->r, st.f_blocks);
  p9_put64(&v->r, st.f_bfree);
  p9_put64(&v->r, st.f_bavail);
  p9_put64(&v->r, st.f_files);
  p9_put64(&v->r, st.f_ffree);
  p9_put64(&v->r, 0);
  p9_put32(&v->r, (u32)st.f_namelen);
  return 0;
}

static int serve_open(struct serving *v) {
  struct server_fid *f = get_fid(v);
  const char *path = host_path(v, f, NULL);
  if (f->fd >= 0)
    abort(); /* a fid is opened once */
  if (f == &nobody)
    return EBADF;
  f->fd = open(path, (int)p9_get32(&v->t) & (O_ACCMODE | O_DIRECTORY | O_NOFOLLOW));
  if (f->fd < 0)
    return errno;
  struct stat st;
  fstat(f->fd, &st);
  if (S_ISDIR(st.st_mode))
    f->dir = fdopendir(f->fd);
  put_qid(&v->r, &st);
  p9_put32(&v->r, 0);
  return 0;
}

static int serve_create(struct serving *v) {
  struct server_fid *f = get_fid(v);
  char name[256];
  p9_get_string(&v->t, name, sizeof name);
  u32 flags = p9_get32(&v->t), mode = p9_get32(&v->t);
  if (f == &nobody)
    return EBADF;
  f->fd = open(host_path(v, f, name), (int)(flags | O_CREAT), mode);
  if (f->fd < 0)
    return errno;
  strcat(strcat(f->path, "/"), name);
  struct stat st;
  fstat(f->fd, &st);
  put_qid(&v->r, &st);
  p9_put32(&v->r, 0);
  return 0;
}

static int serve_mkdir(struct serving *v) {
  struct server_fid *f = get_fid(v);
  char name[256];
  p9_get_string(&v->t, name, sizeof name);
  const char *path = host_path(v, f, name);
  int e = host(mkdir(path, p9_get32(&v->t)));
  return e ? e : put_qid_of(v, path);
}

static int serve_mknod(struct serving *v) {
  struct server_fid *f = get_fid(v);
  char name[256];
  p9_get_string(&v->t, name, sizeof name);
  const char *path = host_path(v, f, name);
  int e = host(mknod(path, p9_get32(&v->t), 0));
  return e ? e : put_qid_of(v, path);
}

static int serve_symlink(struct serving *v) {
  struct server_fid *f = get_fid(v);
  char name[256], target[4096];
  p9_get_string(&v->t, name, sizeof name);
  p9_get_string(&v->t, target, sizeof target);
  const char *path = host_path(v, f, name);
  int e = host(symlink(target, path));
  return e ? e : put_qid_of(v, path);
}

static int serve_link(struct serving *v) {
  struct server_fid *d = get_fid(v), *f = get_fid(v);
  char name[256];
  p9_get_string(&v->t, name, sizeof name);
  return host(link(host_path(v, f, NULL), host_path(v, d, name)));
}

static int serve_rename(struct serving *v) {
  struct server_fid *d = get_fid(v);
  char a[256], b[256], from[4096 + 300], to[4096 + 300];
  p9_get_string(&v->t, a, sizeof a);
  struct server_fid *d2 = get_fid(v);
  p9_get_string(&v->t, b, sizeof b);
  int e = host(rename(host_path(v, d, a), host_path(v, d2, b)));
  snprintf(from, sizeof from, "%s/%s", d->path, a);
  snprintf(to, sizeof to, "%s/%s", d2->path, b);
  if (!e)
    fix_paths(v->s, from, to);
  return e;
}

static int serve_unlink(struct serving *v) {
  struct server_fid *d = get_fid(v);
  char name[256];
  p9_get_string(&v->t, name, sizeof name);
  return host(unlinkat(AT_FDCWD, host_path(v, d, name), (int)p9_get32(&v->t)));
}

static int serve_readlink(struct serving *v) {
  char target[4096];
  ssize_t n = readlink(host_path(v, get_fid(v), NULL), target, sizeof target - 1);
  if (n < 0)
    return errno;
  target[n] = 0;
  p9_put_string(&v->r, target);
  return 0;
}

static int serve_fsync(struct serving *v) {
  struct server_fid *f = get_fid(v);
  v->s->fsyncs++;
  return f->fd < 0 ? EBADF : host(p9_get32(&v->t) ? fdatasync(f->fd) : fsync(f->fd));
}

static int serve_read(struct serving *v) {
  struct server_fid *f = get_fid(v);
  u64 at = p9_get64(&v->t);
  u32 n = p9_get32(&v->t);
  if (n > v->s->msize - 24 || n > v->r.size - P9_DATA_HEADER)
    abort(); /* more than was agreed on, or than the client has room for */
  ssize_t got = pread(f->fd, v->r.bytes + P9_DATA_HEADER, n, (off_t)at);
  if (got < 0)
    return errno;
  p9_put32(&v->r, (u32)got);
  v->r.at += (u32)got;
  return 0;
}

static int serve_write(struct serving *v) {
  struct server_fid *f = get_fid(v);
  u64 at = p9_get64(&v->t);
  u32 n = p9_get32(&v->t);
  if (n > v->s->msize - 24 || n != v->t.size - P9_WRITE_HEADER)
    abort();
  ssize_t put = pwrite(f->fd, v->t.bytes + P9_WRITE_HEADER, n, (off_t)at);
  if (put < 0)
    return errno;
  p9_put32(&v->r, (u32)put);
  return 0;
}

static int serve_readdir(struct serving *v) {
  struct server_fid *f = get_fid(v);
  u64 at = p9_get64(&v->t);
  u32 n = p9_get32(&v->t), count_at = v->r.at;
  struct p9_msg list = {v->r.bytes, count_at + 4, count_at + 4 + n, false};
  if (!f->dir)
    return ENOTDIR;
  if (n > v->s->msize - 24)
    abort();
  seekdir(f->dir, (long)at);
  for (;;) {
    struct dirent *d = readdir(f->dir);
    u32 before = list.at;
    if (!d)
      break;
    struct stat st = {.st_ino = d->d_ino, .st_mode = (mode_t)d->d_type << 12};
    put_qid(&list, &st);
    p9_put64(&list, (u64)telldir(f->dir));
    p9_put8(&list, d->d_type);
    p9_put_string(&list, d->d_name);
    if (list.bad) {
      list.at = before;
      break;
    }
  }
  p9_put32(&v->r, list.at - count_at - 4);
  v->r.at = list.at;
  return 0;
}

static int serve_clunk(struct serving *v) {
  u32 id = p9_get32(&v->t);
  if (!find(v->s, id) && !v->s->lenient)
    abort(); /* a fid is given back once */
  drop(v->s, id);
  return 0;
}

static const struct {
  u8 type;
  int (*serve)(struct serving *v);
} table[] = {
    {P9_VERSION, serve_version}, {P9_ATTACH, serve_attach},   {P9_WALK, serve_walk},
    {P9_GETATTR, serve_getattr}, {P9_SETATTR, serve_setattr}, {P9_STATFS, serve_statfs},
    {P9_LOPEN, serve_open},      {P9_LCREATE, serve_create},  {P9_MKDIR, serve_mkdir},
    {P9_MKNOD, serve_mknod},     {P9_SYMLINK, serve_symlink}, {P9_LINK, serve_link},
    {P9_RENAMEAT, serve_rename}, {P9_UNLINKAT, serve_unlink}, {P9_READLINK, serve_readlink},
    {P9_FSYNC, serve_fsync},     {P9_READ, serve_read},       {P9_WRITE, serve_write},
    {P9_READDIR, serve_readdir}, {P9_CLUNK, serve_clunk},
};

u32 p9server_handle(struct p9server *s, const u8 *request, u32 n, u8 *reply, u32 cap) {
  struct serving v = {s, {(u8 *)request, 0, n, false}, {reply, P9_HEADER, cap, false}};
  u32 size = p9_get32(&v.t);
  u8 type = p9_get8(&v.t);
  u16 tag = p9_get16(&v.t);
  int e = EOPNOTSUPP;
  if (size != n)
    abort();
  s->requests++;
  for (size_t k = 0; k < ARRAY_LEN(table); k++)
    if (table[k].type == type)
      e = table[k].serve(&v);
  if (v.t.bad || v.r.bad)
    abort();
  if (e) {
    v.r.at = P9_HEADER;
    p9_put32(&v.r, (u32)e);
    type = P9_LERROR;
  }
  u32 len = v.r.at;
  v.r.at = 0;
  p9_put32(&v.r, len);
  p9_put8(&v.r, (u8)(type + 1));
  p9_put16(&v.r, tag);
  return len;
}
