/* SPDX-License-Identifier: MIT */
/*
 * Ancillary data: SCM_RIGHTS moves references to open files, SCM_CREDENTIALS names the sender.
 * A user has at most RLIMIT_NOFILE files under way, as on Linux (root more), and the instance
 * UNIX_INFLIGHT_MAX; sending more is -ETOOMANYREFS. Sockets under way that nobody can receive any
 * more are closed by unix_gc.c.
 */
#include "kernel/errno.h"
#include "kernel/ipc/unix.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "lib/string.h"

#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2

struct kcmsghdr {
  u64 len; /* header included */
  i32 level, type;
};
#define CMSG_ALIGN(n) round_up((n), 8)

/* ---- how many are under way ------------------------------------------------------------------ */

#define USERS 1024 /* counters; users that share one share its limit */

static u32 inflight[USERS], inflight_all;

static bool inflight_fits(u32 uid, u64 n) {
  u64 of_user = __atomic_load_n(&inflight[uid % USERS], __ATOMIC_RELAXED);
  u64 all = __atomic_load_n(&inflight_all, __ATOMIC_RELAXED);
  return all + n <= UNIX_INFLIGHT_MAX &&
         (cred_is_root() || of_user <= proc_current()->limits[RLIMIT_NOFILE].cur);
}

static void inflight_add(u32 uid, u32 n) {
  __atomic_add_fetch(&inflight[uid % USERS], n, __ATOMIC_RELAXED);
  __atomic_add_fetch(&inflight_all, n, __ATOMIC_RELAXED);
}

/* Files of r from `first` on; unix_rights_free takes all back. */
static void enter_flight(struct unix_rights *r, u64 first) {
  inflight_add(r->uid, (u32)(r->n - first));
  mutex_lock(&unix_gc_lock);
  for (u64 i = first; i < r->n; i++)
    unix_gc_enter(r->files[i]);
  mutex_unlock(&unix_gc_lock);
}

static void leave_flight(struct unix_rights *r) {
  mutex_lock(&unix_gc_lock);
  for (unsigned i = 0; i < r->n; i++)
    unix_gc_leave(r->files[i]);
  mutex_unlock(&unix_gc_lock);
  inflight_add(r->uid, -r->n);
}

static void free_one(struct unix_rights *r) {
  leave_flight(r);
  for (unsigned i = 0; i < r->n; i++)
    file_put(r->files[i]);
  kfree_as(KMEM_SOCKET, r);
}

/* A file may be a socket with files under way, and so on: the outermost call frees what the inner
   ones find, or a long chain would need more stack than there is. */
void unix_rights_free(struct unix_rights *r) {
  struct thread *me = thread_current();
  struct list dying = LIST_INIT(dying), *n;
  if (!r)
    return;
  if (me->dying_rights) {
    list_push_back(me->dying_rights, &r->node);
    return;
  }
  me->dying_rights = &dying;
  list_push_back(&dying, &r->node);
  while ((n = list_pop_front(&dying)))
    free_one(list_entry(n, struct unix_rights, node));
  me->dying_rights = NULL;
}

/* Adds to what an earlier control message of the same call has brought. */
static int parse_rights(const u8 *data, u64 len, struct unix_control *c) {
  struct unix_rights *old = c->rights;
  u64 n = len / sizeof(i32), had = old ? old->n : 0;
  if (n == 0)
    return 0;
  if (had + n > UNIX_RIGHTS_MAX)
    return -EINVAL;
  u32 uid = proc_current()->cred.uid;
  if (!inflight_fits(uid, n)) {
    unix_gc();
    if (!inflight_fits(uid, n))
      return -ETOOMANYREFS;
  }
  struct unix_rights *r = kmalloc_as(KMEM_SOCKET, sizeof *r + (had + n) * sizeof(struct file *));
  if (!r)
    return -ENOMEM;
  r->uid = uid;
  for (u64 i = 0; i < had; i++)
    r->files[i] = old->files[i];
  kfree_as(KMEM_SOCKET, old);
  c->rights = r;
  for (r->n = had; r->n < had + n; r->n++) {
    i32 fd;
    memcpy(&fd, data + (r->n - had) * sizeof fd, sizeof fd);
    r->files[r->n] = fd_get_path(fd);
    if (!r->files[r->n])
      break;
  }
  enter_flight(r, had);
  return r->n < had + n ? -EBADF : 0;
}

static int parse_cred(const u8 *data, u64 len, struct unix_control *c) {
  const struct proc *p = proc_current();
  struct unix_cred want;
  if (len != sizeof want)
    return -EINVAL;
  memcpy(&want, data, sizeof want);
  if (!cred_is_root() &&
      (want.pid != p->pid ||
       (want.uid != p->cred.uid && want.uid != p->cred.euid && want.uid != p->cred.suid) ||
       (want.gid != p->cred.gid && want.gid != p->cred.egid && want.gid != p->cred.sgid)))
    return -EPERM;
  if (want.uid == ~0u || want.gid == ~0u)
    return -EINVAL;
  if (want.pid != p->pid) {
    struct proc *said = proc_find(want.pid);
    if (!said)
      return -ESRCH;
    proc_put(said);
  }
  c->cred = want;
  c->cred_explicit = true;
  return 0;
}

int unix_control_parse(const u8 *buf, u32 len, struct unix_control *c) {
  struct kcmsghdr h;
  int err = 0;
  for (u64 at = 0; !err && at + sizeof h <= len; at += CMSG_ALIGN(h.len)) {
    memcpy(&h, buf + at, sizeof h);
    if (h.len < sizeof h || h.len > len - at) {
      err = -EINVAL;
      break;
    }
    if (h.level != SOL_SOCKET)
      continue;
    const u8 *data = buf + at + sizeof h;
    if (h.type == SCM_RIGHTS)
      err = parse_rights(data, h.len - sizeof h, c);
    else if (h.type == SCM_CREDENTIALS)
      err = parse_cred(data, h.len - sizeof h, c);
    else
      err = -EINVAL;
  }
  if (err) {
    unix_rights_free(c->rights);
    c->rights = NULL;
  }
  return err;
}

/* Appends one control message of n bytes; false (MSG_CTRUNC) if it does not fit. */
static bool append(struct msg *m, i32 type, const void *data, u64 n) {
  struct kcmsghdr h = {sizeof h + n, SOL_SOCKET, type};
  if (m->control_len + h.len > m->control_cap) {
    m->flags |= MSG_CTRUNC;
    return false;
  }
  memcpy(m->control + m->control_len, &h, sizeof h);
  memcpy(m->control + m->control_len + sizeof h, data, n);
  m->control_len = (u32)min_u64(m->control_len + CMSG_ALIGN(h.len), m->control_cap);
  return true;
}

/* References to the first `room` of the files of p, which stay where they are if `peek`. */
static unsigned take_files(struct unix_packet *p, u64 room, struct file **files, bool peek,
                           struct unix_rights **taken) {
  mutex_lock(&unix_gc_lock);
  struct unix_rights *r = p->rights;
  unsigned n = (unsigned)min_u64(r->n, room);
  for (unsigned i = 0; i < n; i++) {
    files[i] = r->files[i];
    file_get(files[i]);
  }
  *taken = peek ? NULL : r;
  if (!peek)
    p->rights = NULL;
  mutex_unlock(&unix_gc_lock);
  return n;
}

/* Installs as many of the files as there is room for; the rest are dropped with MSG_CTRUNC. */
static void emit_rights(struct msg *m, struct unix_packet *p, bool cloexec, bool peek) {
  struct file *files[UNIX_RIGHTS_MAX];
  i32 fds[UNIX_RIGHTS_MAX];
  struct unix_rights *taken;
  u64 used = m->control_len + sizeof(struct kcmsghdr);
  u64 room = m->control_cap > used ? (m->control_cap - used) / sizeof(i32) : 0;
  unsigned sent = p->rights->n, n = take_files(p, room, files, peek, &taken), done = 0;
  while (done < n && (fds[done] = fd_install(files[done], cloexec ? O_CLOEXEC : 0, 0)) >= 0)
    done++;
  for (unsigned i = done; i < n; i++)
    file_put(files[i]);
  if (done < sent)
    m->flags |= MSG_CTRUNC;
  if (done > 0)
    append(m, SCM_RIGHTS, fds, done * sizeof(i32));
  unix_rights_free(taken);
}

void unix_control_emit(struct msg *m, struct unix_packet *p, bool want_cred, bool cloexec,
                       bool peek) {
  if (want_cred)
    append(m, SCM_CREDENTIALS, &p->cred, sizeof p->cred);
  if (!p->rights)
    return;
  emit_rights(m, p, cloexec, peek);
}
