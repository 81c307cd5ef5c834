/* SPDX-License-Identifier: MIT */
#include "plat/pc/p9/ops.h"
#include "kernel/fs/vfs.h"
#include "lib/string.h"

#define NS 1000000000L
#define GETATTR_BASIC 0x7ffUL
#define SET_ATIME_NOW 0x10u
#define SET_MTIME_NOW 0x20u
#define SET_ATIME 0x80u
#define SET_MTIME 0x100u
#define READDIR_MIN 4096u /* an entry always fits */

_Static_assert(ATTR_MODE == 1 && ATTR_UID == 2 && ATTR_GID == 4 && ATTR_SIZE == 8,
               "the protocol's bits");

/* Sends a request without data whose reply is of no interest. */
static int send_plain(struct p9_call *c) {
  int e = p9_do(c, 0, 0);
  p9_end(c);
  return e;
}

/* ---- fids
 * ------------------------------------------------------------------------------------------- */

/* The request that was to make f failed: with -EIO the server may know f all the same. */
static void fid_failed(struct p9_fid *f, int e) {
  if (e == -EIO)
    p9_fid_put(f);
  else
    p9_fid_forget(f);
}

int p9_attach(struct p9 *s, u32 uid, struct p9_fid **out) {
  struct p9_call c;
  int e = p9_fid_new(s, out);
  if (e < 0)
    return e;
  e = p9_begin(s, P9_ATTACH, &c);
  if (e == 0) {
    p9_put32(&c.t, (*out)->id);
    p9_put32(&c.t, P9_NOFID);
    p9_put_string(&c.t, "");
    p9_put_string(&c.t, "");
    p9_put32(&c.t, uid);
    e = send_plain(&c);
  }
  if (e < 0)
    fid_failed(*out, e);
  return e;
}

/* The reply to a walk of n names: as many qids, or the name is not there. */
static int walked(struct p9_call *c, u32 n, struct p9_qid *qid) {
  u16 got = p9_get16(&c->r);
  if (n == 1)
    *qid = p9_get_qid(&c->r);
  if (got < n)
    return -ENOENT;
  return got > n ? -EIO : p9_reply_bad(c);
}

int p9_walk(struct p9_fid *from, const char *name, struct p9_fid **out, struct p9_qid *qid) {
  struct p9_call c;
  int e = p9_fid_new(from->session, out);
  if (e < 0)
    return e;
  e = p9_begin(from->session, P9_WALK, &c);
  if (e < 0) {
    p9_fid_forget(*out);
    return e;
  }
  p9_put32(&c.t, from->id);
  p9_put32(&c.t, (*out)->id);
  p9_put16(&c.t, name ? 1 : 0);
  if (name)
    p9_put_string(&c.t, name);
  e = p9_do(&c, 0, 0);
  if (e == 0)
    e = walked(&c, name ? 1 : 0, qid);
  p9_end(&c);
  if (e < 0)
    fid_failed(*out, e);
  return e;
}

/* ---- attributes
 * --------------------------------------------------------------------------------------- */

static i64 get_time(struct p9_msg *m) {
  u64 sec = p9_get64(m), ns = p9_get64(m);
  i64 t;
  if (ns >= (u64)NS || __builtin_mul_overflow((i64)sec, NS, &t) ||
      __builtin_add_overflow(t, (i64)ns, &t)) {
    m->bad = true;
    return 0;
  }
  return t;
}

static bool plausible(const struct p9_attr *a) {
  static const u32 types[] = {S_IFSOCK, S_IFLNK, S_IFREG, S_IFBLK, S_IFDIR, S_IFCHR, S_IFIFO};
  bool known = false;
  for (size_t k = 0; k < ARRAY_LEN(types); k++)
    known |= (a->mode & S_IFMT) == types[k];
  return known && a->size <= INT64_MAX && S_ISDIR(a->mode) == !!(a->qid.type & P9_QID_DIR) &&
         S_ISLNK(a->mode) == !!(a->qid.type & P9_QID_SYMLINK);
}

static int get_attributes(struct p9_call *c, struct p9_attr *a) {
  struct p9_msg *m = &c->r;
  u64 valid = p9_get64(m);
  a->qid = p9_get_qid(m);
  a->mode = p9_get32(m);
  a->uid = p9_get32(m);
  a->gid = p9_get32(m);
  a->nlink = p9_get64(m);
  a->rdev = p9_get64(m);
  a->size = p9_get64(m);
  a->blksize = p9_get64(m);
  a->blocks = p9_get64(m);
  a->atime = get_time(m);
  a->mtime = get_time(m);
  a->ctime = get_time(m);
  if (m->bad || (valid & GETATTR_BASIC) != GETATTR_BASIC || !plausible(a))
    return -EIO;
  return 0;
}

int p9_getattr(struct p9_fid *f, struct p9_attr *a) {
  struct p9_call c;
  int e = p9_begin(f->session, P9_GETATTR, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, f->id);
  p9_put64(&c.t, GETATTR_BASIC);
  e = p9_do(&c, 0, 0);
  if (e == 0)
    e = get_attributes(&c, a);
  p9_end(&c);
  return e;
}

static void put_time(struct p9_msg *m, i64 ns) {
  i64 sec = ns / NS, rest = ns % NS;
  p9_put64(m, (u64)(rest < 0 ? sec - 1 : sec));
  p9_put64(m, (u64)(rest < 0 ? rest + NS : rest));
}

int p9_setattr(struct p9_fid *f, const struct iattr *a) {
  struct p9_call c;
  u32 valid = a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE);
  int e = p9_begin(f->session, P9_SETATTR, &c);
  if (e < 0)
    return e;
  if (a->valid & ATTR_ATIME)
    valid |= SET_ATIME_NOW | SET_ATIME;
  if (a->valid & ATTR_MTIME)
    valid |= SET_MTIME_NOW | SET_MTIME;
  p9_put32(&c.t, f->id);
  p9_put32(&c.t, valid);
  p9_put32(&c.t, a->mode & 07777);
  p9_put32(&c.t, a->uid);
  p9_put32(&c.t, a->gid);
  p9_put64(&c.t, a->size);
  put_time(&c.t, a->atime);
  put_time(&c.t, a->mtime);
  return send_plain(&c);
}

int p9_statfs(struct p9_fid *f, struct kstatfs *st) {
  struct p9_call c;
  int e = p9_begin(f->session, P9_STATFS, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, f->id);
  e = p9_do(&c, 0, 0);
  *st = (struct kstatfs){0};
  if (e == 0) {
    p9_get32(&c.r); /* the host's type is not the guest's */
    st->bsize = p9_get32(&c.r);
    st->blocks = p9_get64(&c.r);
    st->bfree = p9_get64(&c.r);
    st->bavail = p9_get64(&c.r);
    st->files = p9_get64(&c.r);
    st->ffree = p9_get64(&c.r);
    st->fsid = p9_get64(&c.r);
    st->namelen = p9_get32(&c.r);
    e = p9_reply_bad(&c);
  }
  p9_end(&c);
  return e;
}

int p9_fsync(struct p9_fid *f, bool data_only) {
  struct p9_call c;
  int e = p9_begin(f->session, P9_FSYNC, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, f->id);
  p9_put32(&c.t, data_only);
  return send_plain(&c);
}

/* A target is a path: at least one byte, less than PATH_MAX. */
static i64 get_target(struct p9_call *c, char *buf, size_t size) {
  u16 n = p9_get16(&c->r);
  const u8 *p = c->r.bytes + c->r.at;
  if (c->r.bad || n == 0 || n >= PATH_MAX || n > c->r.size - c->r.at || memchr(p, 0, n))
    return -EIO;
  memcpy(buf, p, min_u64(n, size));
  return (i64)min_u64(n, size);
}

i64 p9_readlink(struct p9_fid *f, char *buf, size_t size) {
  struct p9_call c;
  i64 n = p9_begin(f->session, P9_READLINK, &c);
  if (n < 0)
    return n;
  p9_put32(&c.t, f->id);
  n = p9_do(&c, 0, 0);
  if (n == 0)
    n = get_target(&c, buf, size);
  p9_end(&c);
  return n;
}

/* ---- names
 * ------------------------------------------------------------------------------------------- */

int p9_open(struct p9_fid *f, u32 flags, struct p9_qid *qid) {
  struct p9_call c;
  int e = p9_begin(f->session, P9_LOPEN, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, f->id);
  p9_put32(&c.t, flags);
  e = p9_do(&c, 0, 0);
  if (e == 0) {
    *qid = p9_get_qid(&c.r);
    e = p9_reply_bad(&c);
  }
  p9_end(&c);
  return e;
}

int p9_create(struct p9_fid *f, const char *name, u32 flags, u32 mode, u32 gid) {
  struct p9_call c;
  int e = p9_begin(f->session, P9_LCREATE, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, f->id);
  p9_put_string(&c.t, name);
  p9_put32(&c.t, flags);
  p9_put32(&c.t, mode);
  p9_put32(&c.t, gid);
  return send_plain(&c);
}

int p9_mkdir(struct p9_fid *dir, const char *name, u32 mode, u32 gid) {
  struct p9_call c;
  int e = p9_begin(dir->session, P9_MKDIR, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, dir->id);
  p9_put_string(&c.t, name);
  p9_put32(&c.t, mode);
  p9_put32(&c.t, gid);
  return send_plain(&c);
}

int p9_mknod(struct p9_fid *dir, const char *name, u32 mode, u32 gid) {
  struct p9_call c;
  int e = p9_begin(dir->session, P9_MKNOD, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, dir->id);
  p9_put_string(&c.t, name);
  p9_put32(&c.t, mode);
  p9_put32(&c.t, 0); /* device numbers: only FIFOs and sockets are made */
  p9_put32(&c.t, 0);
  p9_put32(&c.t, gid);
  return send_plain(&c);
}

int p9_symlink(struct p9_fid *dir, const char *name, const char *target, u32 gid) {
  struct p9_call c;
  int e = p9_begin(dir->session, P9_SYMLINK, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, dir->id);
  p9_put_string(&c.t, name);
  p9_put_string(&c.t, target);
  p9_put32(&c.t, gid);
  return send_plain(&c);
}

int p9_link(struct p9_fid *dir, const char *name, struct p9_fid *target) {
  struct p9_call c;
  int e = p9_begin(dir->session, P9_LINK, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, dir->id);
  p9_put32(&c.t, target->id);
  p9_put_string(&c.t, name);
  return send_plain(&c);
}

int p9_unlink(struct p9_fid *dir, const char *name, bool directory) {
  struct p9_call c;
  int e = p9_begin(dir->session, P9_UNLINKAT, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, dir->id);
  p9_put_string(&c.t, name);
  p9_put32(&c.t, directory ? AT_REMOVEDIR : 0);
  return send_plain(&c);
}

int p9_rename(struct p9_fid *olddir, const char *oldname, struct p9_fid *newdir,
              const char *newname) {
  struct p9_call c;
  int e = p9_begin(olddir->session, P9_RENAMEAT, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, olddir->id);
  p9_put_string(&c.t, oldname);
  p9_put32(&c.t, newdir->id);
  p9_put_string(&c.t, newname);
  return send_plain(&c);
}

/* ---- contents
 * ------------------------------------------------------------------------------------------ */

i64 p9_read(struct p9_fid *f, u64 pos, struct uio *u) {
  struct p9_call c;
  u32 want = (u32)min_u64(u->left, f->session->data_max);
  i64 n = want == 0 ? 0 : p9_begin(f->session, P9_READ, &c);
  if (n < 0 || want == 0)
    return n;
  p9_put32(&c.t, f->id);
  p9_put64(&c.t, pos);
  p9_put32(&c.t, want);
  n = p9_do(&c, 0, want);
  if (n == 0 && c.count > 0)
    n = uio_write_to(u, c.data, c.count);
  p9_end(&c);
  return n;
}

/* Writes c->data's first n bytes; what the server has written. */
static i64 write_once(struct p9_call *c, struct p9_fid *f, u64 pos, u32 n) {
  p9_put32(&c->t, f->id);
  p9_put64(&c->t, pos);
  p9_put32(&c->t, n);
  int e = p9_do(c, n, 0);
  u32 count = e == 0 ? p9_get32(&c->r) : 0;
  if (e == 0)
    e = c->r.bad || count > n ? -EIO : 0;
  return e < 0 ? e : (i64)count;
}

static i64 write_all(struct p9_call *c, struct p9_fid *f, u64 pos, u32 n) {
  u32 done = 0, header = c->t.at;
  while (done < n) {
    c->t.at = header;
    i64 k = write_once(c, f, pos + done, n - done);
    if (k <= 0)
      return done ? done : k < 0 ? k : -EIO;
    done += (u32)k;
    memmove(c->data, c->data + k, n - done);
  }
  return done;
}

i64 p9_write(struct p9_fid *f, u64 pos, struct uio *u) {
  struct p9_call c;
  i64 n = u->left == 0 ? 0 : p9_begin(f->session, P9_WRITE, &c);
  if (n < 0 || u->left == 0)
    return n;
  n = uio_read_from(u, c.data, min_u64(u->left, f->session->data_max));
  if (n > 0)
    n = write_all(&c, f, pos, (u32)n);
  p9_end(&c);
  return n;
}

static bool get_entry(struct p9_msg *m, struct p9_entry *e) {
  e->qid = p9_get_qid(m);
  e->next = p9_get64(m);
  e->type = p9_get8(m);
  u32 n = p9_get_string(m, e->name, sizeof e->name);
  return !m->bad && n > 0 && !strchr(e->name, '/') && e->next <= INT64_MAX && e->type <= 14;
}

static i64 emit_entries(struct p9_call *c, int (*emit)(void *arg, const struct p9_entry *e),
                        void *arg) {
  struct p9_msg m = {c->data, 0, c->count, false};
  struct p9_entry e;
  i64 n = 0;
  for (; m.at < m.size; n++) {
    if (!get_entry(&m, &e))
      return -EIO;
    int stop = emit(arg, &e);
    if (stop)
      return stop;
  }
  return n;
}

i64 p9_readdir(struct p9_fid *f, u64 pos, u64 size,
               int (*emit)(void *arg, const struct p9_entry *e), void *arg) {
  struct p9_call c;
  u32 want = (u32)min_u64(max_u64(size, READDIR_MIN), f->session->data_max);
  i64 n = p9_begin(f->session, P9_READDIR, &c);
  if (n < 0)
    return n;
  p9_put32(&c.t, f->id);
  p9_put64(&c.t, pos);
  p9_put32(&c.t, want);
  n = p9_do(&c, 0, want);
  if (n == 0)
    n = emit_entries(&c, emit, arg);
  p9_end(&c);
  return n;
}
