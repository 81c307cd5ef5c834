/* SPDX-License-Identifier: MIT */
/* System V message queues. Senders and receivers sleep on the queue and look again. */
#include "kernel/errno.h"
#include "kernel/fs/text.h"
#include "kernel/ipc/sysv.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

#define MSG_NOERROR 010000u
#define MSG_EXCEPT 020000u
#define MSG_COPY 040000u
#define MSG_STAT 11
#define MSG_INFO 12
#define MSG_STAT_ANY 13

struct msg {
  struct list node;
  i64 type;
  u64 size;
  char data[];
};

struct msg_queue {
  struct ipc_obj ipc;
  struct list messages;
  u64 bytes, count, max_bytes;
  i64 stime, rtime, ctime;
  int lspid, lrpid;
  u32 changes; /* bumped whenever a sleeper should look again */
  struct waitq q;
};

static struct msg_queue *queue_of(struct ipc_obj *o) {
  return container_of(o, struct msg_queue, ipc);
}

static void queue_release(struct ipc_obj *o) {
  struct msg_queue *q = queue_of(o);
  struct list *n;
  while ((n = list_pop_front(&q->messages)))
    kfree(list_entry(n, struct msg, node));
  kfree(q);
}

static struct ipc_ids msg_ids = IPC_IDS(msg_ids, MSG_MAX_IDS, queue_release);
static u64 all_bytes, all_messages;

static void changed(struct msg_queue *q) {
  __atomic_fetch_add(&q->changes, 1, __ATOMIC_RELEASE);
  waitq_wake(&q->q, 0, 0, 0);
}

/* Sleeps until something changes; the lock is dropped meanwhile. -EIDRM: the queue is gone. */
static int sleep_on(struct msg_queue *q) {
  u32 seen = q->changes;
  ipc_get(&q->ipc);
  mutex_unlock(&msg_ids.lock);
  int err = waitq_wait(&q->q, __atomic_load_n(&q->changes, __ATOMIC_ACQUIRE) != seen);
  mutex_lock(&msg_ids.lock);
  if (q->ipc.removed)
    err = -EIDRM;
  ipc_put(&msg_ids, &q->ipc);
  return err == -ERESTARTSYS ? -ERESTARTNOHAND : err;
}

/* ---- msgget
 * ---------------------------------------------------------------------------------------- */

static i64 create(i32 key, u32 flags) {
  struct msg_queue *q = kzalloc(sizeof *q);
  if (!q)
    return -ENOMEM;
  list_init(&q->messages);
  waitq_init(&q->q);
  q->max_bytes = MSG_MAX_QUEUE;
  q->ctime = ipc_now();
  int id = ipc_enter(&msg_ids, &q->ipc, key, flags);
  if (id < 0)
    kfree(q);
  return id;
}

i64 sys_msgget(struct uregs *r) {
  struct ipc_obj *o;
  mutex_lock(&msg_ids.lock);
  i64 ret = ipc_find_key(&msg_ids, (i32)r->rdi, (u32)r->rsi, &o);
  if (ret == 0)
    ret = o ? o->id : create((i32)r->rdi, (u32)r->rsi);
  mutex_unlock(&msg_ids.lock);
  return ret;
}

/* ---- msgsnd
 * ---------------------------------------------------------------------------------------- */

static bool has_room(const struct msg_queue *q, u64 size) {
  return q->bytes + size <= q->max_bytes && q->count + 1 <= q->max_bytes;
}

static void append(struct msg_queue *q, struct msg *m) {
  list_push_back(&q->messages, &m->node);
  q->bytes += m->size;
  q->count++;
  all_bytes += m->size;
  all_messages++;
  q->stime = ipc_now();
  q->lspid = proc_current()->pid;
  changed(q);
}

/* Takes m over on success. Lock held. */
static int send(int id, struct msg *m, u32 flags) {
  struct ipc_obj *o = ipc_find(&msg_ids, id);
  if (!o)
    return -EINVAL;
  for (;;) {
    struct msg_queue *q = queue_of(o);
    int err = ipc_permission(o, 0222);
    if (err < 0)
      return err;
    if (has_room(q, m->size)) {
      append(q, m);
      return 0;
    }
    err = flags & IPC_NOWAIT ? -EAGAIN : sleep_on(q);
    if (err < 0)
      return err;
  }
}

i64 sys_msgsnd(struct uregs *r) {
  u64 size = r->rdx;
  if (size > MSG_MAX_SIZE || (int)r->rdi < 0)
    return -EINVAL;
  struct msg *m = kmalloc(sizeof *m + size);
  if (!m)
    return -ENOMEM;
  m->size = size;
  int err = copy_from_user(&m->type, r->rsi, sizeof m->type);
  if (err == 0 && m->type < 1)
    err = -EINVAL;
  if (err == 0)
    err = copy_from_user(m->data, r->rsi + sizeof m->type, size);
  if (err == 0) {
    mutex_lock(&msg_ids.lock);
    err = send((int)r->rdi, m, (u32)r->r10);
    mutex_unlock(&msg_ids.lock);
  }
  if (err < 0)
    kfree(m);
  return err;
}

/* ---- msgrcv
 * ---------------------------------------------------------------------------------------- */

/* The message that msgrcv(2) means by this type, or NULL. */
static struct msg *choose(struct msg_queue *q, i64 type, u32 flags) {
  struct msg *m, *best = NULL;
  i64 most = type == INT64_MIN ? INT64_MAX : -type;
  list_for_each(m, &q->messages, node) {
    if (type < 0) {
      if (m->type <= most && (!best || m->type < best->type))
        best = m;
    } else if (type == 0 || (m->type == type) != !!(flags & MSG_EXCEPT)) {
      return m;
    }
  }
  return best;
}

static void take(struct msg_queue *q, struct msg *m) {
  list_remove(&m->node);
  q->bytes -= m->size;
  q->count--;
  all_bytes -= m->size;
  all_messages--;
  q->rtime = ipc_now();
  q->lrpid = proc_current()->pid;
  changed(q);
}

/* *out belongs to the caller. Lock held. */
static int receive(int id, u64 size, i64 type, u32 flags, struct msg **out) {
  struct ipc_obj *o = ipc_find(&msg_ids, id);
  if (!o)
    return -EINVAL;
  for (;;) {
    struct msg_queue *q = queue_of(o);
    int err = ipc_permission(o, 0444);
    if (err < 0)
      return err;
    *out = choose(q, type, flags);
    if (*out && size < (*out)->size && !(flags & MSG_NOERROR))
      return -E2BIG;
    if (*out) {
      take(q, *out);
      return 0;
    }
    err = flags & IPC_NOWAIT ? -ENOMSG : sleep_on(q);
    if (err < 0)
      return err;
  }
}

i64 sys_msgrcv(struct uregs *r) {
  u64 size = r->rdx;
  u32 flags = (u32)r->r8;
  struct msg *m;
  if ((int)r->rdi < 0 || (i64)size < 0)
    return -EINVAL;
  if (flags & MSG_COPY)
    return -ENOSYS;
  mutex_lock(&msg_ids.lock);
  i64 ret = receive((int)r->rdi, size, (i64)r->r10, flags, &m);
  mutex_unlock(&msg_ids.lock);
  if (ret < 0)
    return ret;
  size = min_u64(size, m->size);
  ret = (i64)size;
  if (copy_to_user(r->rsi, &m->type, sizeof m->type) < 0 ||
      copy_to_user(r->rsi + sizeof m->type, m->data, size) < 0)
    ret = -EFAULT; /* the message is lost, as on Linux */
  kfree(m);
  return ret;
}

/* ---- msgctl
 * ---------------------------------------------------------------------------------------- */

/* struct msqid64_ds. */
struct user_msg {
  struct ipc_perm perm;
  i64 stime, rtime, ctime;
  u64 cbytes, qnum, qbytes;
  i32 lspid, lrpid;
  u64 unused[2];
};
_Static_assert(sizeof(struct user_msg) == 120, "ABI");

static i64 limits(int cmd, u64 arg) {
  struct {
    i32 pool, map, max, mnb, mni, ssz, tql;
    u16 seg, pad;
  } u = {MSG_MAX_IDS * MSG_MAX_QUEUE / 1024,
         MSG_MAX_QUEUE,
         MSG_MAX_SIZE,
         MSG_MAX_QUEUE,
         MSG_MAX_IDS,
         16,
         MSG_MAX_QUEUE,
         0xffff,
         0};
  mutex_lock(&msg_ids.lock);
  if (cmd == MSG_INFO) {
    u.pool = (i32)msg_ids.used;
    u.map = (i32)all_messages;
    u.tql = (i32)all_bytes;
  }
  int highest = ipc_highest(&msg_ids);
  mutex_unlock(&msg_ids.lock);
  return copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : highest;
}

static i64 stat(int id, int cmd, u64 arg) {
  mutex_lock(&msg_ids.lock);
  struct ipc_obj *o = cmd == IPC_STAT ? ipc_find(&msg_ids, id) : ipc_at(&msg_ids, id);
  i64 ret = !o ? -EINVAL : cmd == MSG_STAT_ANY ? 0 : ipc_permission(o, 0444);
  struct user_msg u = {0};
  if (ret == 0) {
    const struct msg_queue *q = queue_of(o);
    u = (struct user_msg){o->perm,  q->stime,     q->rtime, q->ctime, q->bytes,
                          q->count, q->max_bytes, q->lspid, q->lrpid, {0}};
    ret = cmd == IPC_STAT ? 0 : o->id;
  }
  mutex_unlock(&msg_ids.lock);
  return ret >= 0 && copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : ret;
}

static void destroy(struct msg_queue *q) {
  all_bytes -= q->bytes;
  all_messages -= q->count;
  ipc_get(&q->ipc);
  ipc_remove(&msg_ids, &q->ipc);
  changed(q);
  ipc_put(&msg_ids, &q->ipc);
}

/* More than the default is root's to give. */
static int set(struct msg_queue *q, const struct user_msg *u) {
  if (u->qbytes > MSG_MAX_QUEUE && !cred_is_root())
    return -EPERM;
  int err = ipc_set(&q->ipc, &u->perm);
  if (err < 0)
    return err;
  q->max_bytes = u->qbytes;
  q->ctime = ipc_now();
  changed(q);
  return 0;
}

static i64 set_or_remove(int id, int cmd, u64 arg) {
  struct user_msg u;
  if (cmd == IPC_SET && copy_from_user(&u, arg, sizeof u) < 0)
    return -EFAULT;
  mutex_lock(&msg_ids.lock);
  struct ipc_obj *o = ipc_find(&msg_ids, id);
  int err = o ? ipc_owner(o) : -EINVAL;
  if (err == 0 && cmd == IPC_RMID)
    destroy(queue_of(o));
  else if (err == 0)
    err = set(queue_of(o), &u);
  mutex_unlock(&msg_ids.lock);
  return err;
}

i64 sys_msgctl(struct uregs *r) {
  int id = (int)r->rdi, cmd = (int)r->rsi;
  if (id < 0)
    return -EINVAL;
  switch (cmd) {
  case IPC_INFO:
  case MSG_INFO:
    return limits(cmd, r->rdx);
  case IPC_STAT:
  case MSG_STAT:
  case MSG_STAT_ANY:
    return stat(id, cmd, r->rdx);
  case IPC_SET:
  case IPC_RMID:
    return set_or_remove(id, cmd, r->rdx);
  default:
    return -EINVAL;
  }
}

void msg_show(struct text *t) {
  text_printf(
      t, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid"
         "      stime      rtime      ctime\n");
  mutex_lock(&msg_ids.lock);
  for (int k = 0; k < (int)msg_ids.cap; k++) {
    struct ipc_obj *o = ipc_at(&msg_ids, k);
    if (!o)
      continue;
    const struct msg_queue *q = queue_of(o);
    text_printf(t, "%10d %10d  %4o  %10lu %10lu %5d %5d %5u %5u %5u %5u %10lu %10lu %10lu\n",
                o->perm.key, o->id, o->perm.mode, q->bytes, q->count, q->lspid, q->lrpid,
                o->perm.uid, o->perm.gid, o->perm.cuid, o->perm.cgid, (u64)q->stime, (u64)q->rtime,
                (u64)q->ctime);
  }
  mutex_unlock(&msg_ids.lock);
}
