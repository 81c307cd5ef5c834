/* SPDX-License-Identifier: MIT */
/*
 * Per vCPU one buffer, of the running thread. It adds to the end without a lock; who writes to the
 * host holds the buffer's, and takes what is there by then.
 */
#include "plat/hosted/behind.h"
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"
#include "plat/hosted/hostmutex.h"
#include "plat/hosted/hostxfer.h"

#define BUFFER 65536u /* and never over a multiple of this in the file: whole large pages */
#define SMALL 16384u
#define ROW_MIN 16u                /* so many small writes in a row, */
#define ROW_GAP_NS 100000u         /* not further apart than this on average */
#define PATIENCE_MAX 12u           /* doublings of ROW_MIN */
#define ROOM_BYTES ((u64)64 << 20) /* that the host's file system must have left */
#define ROOM_LOOK 16u              /* full buffers between two looks at it */

#define HOST_O_DIRECT 040000u
#define HOST_O_DSYNC 010000u /* a bit of O_SYNC, too */

enum { NR_WRITE = 1, NR_WRITEV = 20 };

struct behind {
  struct hostmutex lock;
  struct host_open *o;   /* whose; NULL: nothing is held. Changed with the lock; atomic */
  struct thread *thread; /* that wrote it. This vCPU's alone, as is all down to: */
  int fd;                /* its descriptor */
  u32 writes;            /* that the buffer has taken since it was begun */
  u32 full;              /* how often it was full since the last look at the host's room */
  u32 cap;               /* of the buffer, at this place of the file; */
  u64 at;                /* of the buffer's first byte, in the file. Changed with the lock */
  u32 done;              /* bytes that the host has. With the lock */
  u32 len;               /* bytes; atomic */
  char *buf;             /* made by the first who needs it, never freed */
} __attribute__((aligned(128)));

static struct behind behinds[MAX_CPUS];
static bool stopped; /* atomic */
u32 behind_count;

extern char uf_gate_behind[];

/* ---- to the host ----------------------------------------------------------------------------- */

/* Lock held. What the host refuses is gone, as it is when Linux cannot write back its cache. */
static void push(struct behind *b) {
  u32 len = __atomic_load_n(&b->len, __ATOMIC_ACQUIRE);
  while (b->done < len) {
    i64 n = LX_RETRY(lx4(pwrite64, b->o->fd, b->buf + b->done, len - b->done, b->at + b->done));
    if (n <= 0) {
      __atomic_store_n(&b->o->habit.late, n ? (int)n : -EIO, __ATOMIC_SEQ_CST);
      n = len - b->done;
    }
    b->done += (u32)n;
  }
}

void behind_settle_all_slow(void) {
  for (unsigned i = 0; i < vcpu_count; i++) {
    struct behind *b = &behinds[i];
    if (!__atomic_load_n(&b->o, __ATOMIC_SEQ_CST))
      continue;
    hostmutex_lock(&b->lock);
    if (b->o)
      push(b);
    hostmutex_unlock(&b->lock);
  }
}

/* The owner's, on its vCPU. */
static void end(struct behind *b) {
  hostmutex_lock(&b->lock);
  push(b);
  __atomic_store_n(&b->o, NULL, __ATOMIC_SEQ_CST);
  b->len = b->done = 0;
  hostmutex_unlock(&b->lock);
  __atomic_sub_fetch(&behind_count, 1, __ATOMIC_SEQ_CST);
  b->thread->tcb_gate = uf_gate_address();
  kernel_poll_soon(false);
}

/* The buffer is written and begins anew at `at` of the file. */
static void turn(struct behind *b, u64 at) {
  hostmutex_lock(&b->lock);
  push(b);
  b->at = at;
  b->len = b->done = 0;
  hostmutex_unlock(&b->lock);
  b->cap = BUFFER - (u32)(at % BUFFER);
}

static int tell_late(struct host_open *o) {
  return likely(!__atomic_load_n(&o->habit.late, __ATOMIC_RELAXED))
             ? 0
             : __atomic_exchange_n(&o->habit.late, 0, __ATOMIC_SEQ_CST);
}

int behind_settle(struct host_open *o) {
  struct behind *b = &behinds[vcpu_self()->id];
  if (b->o == o)
    end(b);
  behind_settle_all();
  return tell_late(o);
}

void behind_stop(void) {
  __atomic_store_n(&stopped, true, __ATOMIC_SEQ_CST);
  behind_settle_all();
}

/* ---- may it be held? ------------------------------------------------------------------------- */

/* Is f written to in small pieces that follow each other? */
static bool is_habit(struct behind_habit *h, u64 pos, u64 n) {
  if (n > SMALL) {
    h->row = 0;
    return false;
  }
  if (h->row == 0 || h->next != pos) {
    h->row = 0;
    h->since = plat_now_here();
  }
  h->next = pos + n;
  h->row++;
  u32 enough = ROW_MIN << h->patience;
  if (h->row < enough)
    return false;
  bool fast = plat_now_here() - h->since < (u64)h->row * ROW_GAP_NS;
  h->row = fast ? h->row : 0;
  return fast;
}

static bool shares_memory(const struct space *s) {
  if (space_is_shared(s))
    return true;
  for (u32 i = 0; i < s->vmas.n; i++)
    if (s->vmas.v[i].kind == VMA_SHARED)
      return true;
  return false;
}

static bool has_room(const struct file *f) {
  struct kstatfs st;
  return f->inode->ops->statfs(f->inode, &st) == 0 && st.bsize && st.bavail > ROOM_BYTES / st.bsize;
}

/* Could nobody tell, now and until the thread's next other call? */
static bool is_unseen(const struct file *f) {
  const struct proc *p = proc_current();
  const struct uregs *r = thread_current()->uregs;
  return !boot.trace && p && p->nthreads == 1 &&
         (r->orig_rax == NR_WRITE || r->orig_rax == NR_WRITEV) &&
         __atomic_load_n(&f->refs, __ATOMIC_RELAXED) == 1 && f->inode &&
         !(f->flags & (O_APPEND | HOST_O_DIRECT | HOST_O_DSYNC)) && !shares_memory(p->space);
}

/* ---- holding --------------------------------------------------------------------------------- */

static bool begin(struct behind *b, const struct file *f, struct host_open *o) {
  struct thread *t = thread_current();
  if (!is_unseen(f) || !has_room(f))
    return false;
  if (!b->buf)
    b->buf = plat_pages_alloc(BUFFER / PAGE_SIZE, PAGE_SIZE);
  if (!b->buf)
    return false;
  b->thread = t;
  b->fd = (int)t->uregs->rdi;
  b->writes = b->full = 0;
  b->at = f->pos;
  b->cap = BUFFER - (u32)(f->pos % BUFFER);
  __atomic_store_n(&b->o, o, __ATOMIC_SEQ_CST);
  __atomic_add_fetch(&behind_count, 1, __ATOMIC_SEQ_CST);
  t->tcb_gate = (u64)uf_gate_behind;
  kernel_poll_soon(true);
  return true;
}

/* Adds what fits. Bytes, or less than 1: a page is absent. Does not sleep: else the buffer could be
   another thread's afterwards. */
static i64 add(struct behind *b, struct uio *u) {
  struct lx_iovec iov[HOST_IOV_MAX];
  u32 len = b->len;
  int n = host_iov(u, iov, b->cap - len);
  for (int i = 0; i < n && plat_copy_try(b->buf + len, iov[i].base, iov[i].len) == 0; i++)
    len += (u32)iov[i].len;
  i64 added = len - b->len;
  uio_advance(u, (u64)added);
  __atomic_store_n(&b->len, len, __ATOMIC_SEQ_CST);
  return added;
}

static bool is_mine(const struct behind *b, const struct host_open *o) {
  return b->o == o && b->thread == thread_current();
}

static void was_full(struct behind *b, const struct file *f, struct host_open *o) {
  o->habit.patience = 0;
  turn(b, f->pos);
  if (++b->full < ROOM_LOOK)
    return;
  b->full = 0;
  if (!has_room(f))
    end(b);
}

static i64 hold(struct behind *b, struct file *f, struct host_open *o, struct uio *u) {
  i64 sum = 0, n = 1;
  b->writes++;
  while (u->left > 0 && n > 0 && is_mine(b, o)) {
    n = add(b, u);
    sum += n;
    f->pos += (u64)n;
    if (b->len == b->cap)
      was_full(b, f, o);
  }
  if (n <= 0)
    end(b);
  o->habit.next = f->pos;
  return sum ? sum : -EAGAIN;
}

i64 behind_write(struct file *f, struct host_open *o, struct uio *u) {
  struct behind *b = &behinds[vcpu_self()->id];
  int late = tell_late(o);
  if (unlikely(late))
    return late;
  bool mine = is_mine(b, o);
  bool off = __atomic_load_n(&stopped, __ATOMIC_SEQ_CST);
  if (is_habit(&o->habit, f->pos, u->left) && !u->kernel && !off) {
    if (mine || (!b->o && begin(b, f, o)))
      return hold(b, f, o, u);
    o->habit.row = 0;
  }
  if (mine)
    end(b);
  behind_settle_all();
  return -EAGAIN;
}

/* ---- when it ends ---------------------------------------------------------------------------- */

bool behind_holds(const struct vcpu *v) { return behinds[v->id].o != NULL; }

void behind_poll(struct vcpu *v) {
  if (unlikely(behind_holds(v)))
    end(&behinds[v->id]);
}

/* Few writes before another call: it is not worth it for this file, for a while. */
#define FEW 4

void behind_before_call(const struct uregs *r) {
  struct behind *b = &behinds[vcpu_self()->id];
  if ((r->orig_rax == NR_WRITE || r->orig_rax == NR_WRITEV) && (int)r->rdi == b->fd && b->o)
    return;
  if (!b->o) /* it has been written when the vCPU had turned to others */
    return;
  struct behind_habit *h = &b->o->habit;
  h->row = 0;
  if (b->writes < FEW && h->patience < PATIENCE_MAX)
    h->patience++;
  end(b);
}
