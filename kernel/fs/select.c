/* SPDX-License-Identifier: MIT */
/* select and pselect6. */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define WORD 64
#define FD_SETSIZE 1024
#define SETS 3 /* read, write, except */

static const u32 set_events[SETS] = {
    POLLIN | POLLRDNORM | POLLHUP | POLLERR,
    POLLOUT | POLLWRNORM | POLLERR,
    POLLPRI,
};

/* Bit maps of one call: what is asked, what is found, and the files. */
struct selection {
  u32 n, words;
  u64 *in[SETS], *out[SETS];
  struct file **files;
};

static bool asked(const struct selection *s, u32 fd, int set) {
  return s->in[set][fd / WORD] >> (fd % WORD) & 1;
}

static bool asked_at_all(const struct selection *s, u32 fd) {
  return asked(s, fd, 0) || asked(s, fd, 1) || asked(s, fd, 2);
}

static int scan(struct selection *s, struct poller *w) {
  int ready = 0;
  for (int set = 0; set < SETS; set++)
    memset(s->out[set], 0, s->words * sizeof(u64));
  for (u32 fd = 0; fd < s->n; fd++) {
    u32 events;
    if (!s->files[fd])
      continue;
    events = file_poll(s->files[fd], w);
    for (int set = 0; set < SETS; set++)
      if (asked(s, fd, set) && (events & set_events[set])) {
        s->out[set][fd / WORD] |= 1UL << (fd % WORD);
        ready++;
        w = NULL;
      }
  }
  return ready;
}

static int wait_ready(struct selection *s, u64 deadline) {
  struct poll_set set;
  int ready = scan(s, NULL), e = 0;
  if (ready)
    return ready;
  if (deadline <= plat_now()) {
    plat_poll_all_io();
    return scan(s, NULL);
  }
  poll_set_init(&set);
  ready = scan(s, &set.poller);
  if (!ready && set.error)
    ready = set.error;
  while (ready == 0 && e == 0) {
    e = poll_set_wait(&set, deadline);
    ready = scan(s, NULL);
  }
  poll_set_destroy(&set);
  return ready ? ready : e == -ETIMEDOUT ? 0 : e;
}

static int hold_files(struct selection *s) {
  int e = 0;
  for (u32 fd = 0; fd < s->n; fd++) {
    s->files[fd] = asked_at_all(s, fd) ? fd_get((int)fd) : NULL;
    if (!s->files[fd] && asked_at_all(s, fd))
      e = -EBADF;
  }
  return e;
}

static int load_sets(struct selection *s, const u64 *uaddr) {
  for (int set = 0; set < SETS; set++) {
    memset(s->in[set], 0, s->words * sizeof(u64));
    if (uaddr[set] && copy_from_user(s->in[set], uaddr[set], s->words * sizeof(u64)) < 0)
      return -EFAULT;
  }
  return 0;
}

static int store_sets(const struct selection *s, const u64 *uaddr) {
  for (int set = 0; set < SETS; set++)
    if (uaddr[set] && copy_to_user(uaddr[set], s->out[set], s->words * sizeof(u64)) < 0)
      return -EFAULT;
  return 0;
}

static i64 run(struct selection *s, const u64 *uaddr, u64 deadline) {
  i64 e = load_sets(s, uaddr);
  if (e < 0)
    return e;
  e = hold_files(s);
  if (e == 0)
    e = wait_ready(s, deadline);
  for (u32 fd = 0; fd < s->n; fd++)
    file_put(s->files[fd]);
  if (e >= 0 && store_sets(s, uaddr) < 0)
    e = -EFAULT;
  return e;
}

static i64 do_select(int n, const u64 *uaddr, u64 deadline) {
  struct selection s = {0};
  u64 *block;
  i64 e;
  if (n < 0)
    return -EINVAL;
  s.n = (u32)min_u64((u64)n, max_u64(FD_SETSIZE, fdtable_capacity(proc_current()->files)));
  s.words = (s.n + WORD - 1) / WORD;
  block = kmalloc((2 * SETS * s.words + s.n + 1) * sizeof(u64));
  if (!block)
    return -ENOMEM;
  for (int set = 0; set < SETS; set++) {
    s.in[set] = block + (2 * set) * s.words;
    s.out[set] = block + (2 * set + 1) * s.words;
  }
  s.files = (struct file **)(block + 2 * SETS * s.words);
  e = run(&s, uaddr, deadline);
  kfree(block);
  return e;
}

#define NSEC 1000000000L

static int deadline_timeval(u64 uaddr, u64 *deadline) {
  i64 t[2];
  *deadline = UINT64_MAX;
  if (!uaddr)
    return 0;
  if (copy_from_user(t, uaddr, sizeof t) < 0)
    return -EFAULT;
  if (t[0] < 0 || t[1] < 0)
    return -EINVAL;
  if (t[0] < INT64_MAX / NSEC / 2)
    *deadline = plat_now() + (u64)t[0] * NSEC + (u64)t[1] * 1000;
  return 0;
}

i64 sys_select(struct uregs *r) {
  u64 sets[SETS] = {r->rsi, r->rdx, r->r10}, deadline;
  i64 e = deadline_timeval(r->r8, &deadline);
  if (e < 0)
    return e;
  e = do_select((int)r->rdi, sets, deadline);
  poll_store_left(r->r8, deadline, true);
  return e;
}

i64 sys_pselect6(struct uregs *r) {
  u64 sets[SETS] = {r->rsi, r->rdx, r->r10}, deadline, mask[2] = {0, 0};
  i64 e = poll_deadline_timespec(r->r8, &deadline);
  if (e < 0)
    return e;
  if (r->r9 && copy_from_user(mask, r->r9, sizeof mask) < 0)
    return -EFAULT;
  e = signal_set_temp_mask(mask[0], mask[1]);
  if (e < 0)
    return e;
  e = do_select((int)r->rdi, sets, deadline);
  poll_store_left(r->r8, deadline, false);
  signal_restore_temp_mask(e == -ERESTARTNOHAND);
  return e;
}
