/* SPDX-License-Identifier: MIT */
/* Line discipline: reading, writing, settings. */
#include "kernel/fs/line.h"
#include "kernel/errno.h"
#include "kernel/signal/signal.h"

#define DECISECOND 100000000UL
#define CSIZE 060u
#define CS8 060u
#define CREAD 0200u
#define PARENB 0400u
#define TCIFLUSH 0
#define TCIOFLUSH 2

void line_init(struct line *l, const struct line_driver *driver) {
  l->driver = driver;
  l->tio = (struct ktermios){
      .iflag = ICRNL | IXON,
      .oflag = OPOST | ONLCR,
      .cflag = 017 | CS8 | CREAD, /* 38400 baud */
      .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
      .cc = {[VINTR] = 3,
             [VQUIT] = 28,
             [VERASE] = 127,
             [VKILL] = 21,
             [VEOF] = 4,
             [VMIN] = 1,
             [VSTART] = 17,
             [VSTOP] = 19,
             [VSUSP] = 26,
             [VREPRINT] = 18,
             [VDISCARD] = 15,
             [VWERASE] = 23,
             [VLNEXT] = 22},
  };
  waitq_init(&l->in_q);
  waitq_init(&l->out_q);
  waitq_init(&l->room_q);
}

/* ---- input ----------------------------------------------------------------------------------- */

size_t line_input(struct tty *t, const char *s, size_t n) {
  struct line *l = t->priv;
  size_t k = 0;
  bool full = false;
  while (k < n && !full) {
    int signo = 0;
    spin_lock(&l->lock);
    while (k < n && !signo && line_has_room(l))
      signo = line_receive(l, (u8)s[k++]);
    full = k < n && !signo;
    spin_unlock(&l->lock);
    if (signo)
      signal_send_pgrp(__atomic_load_n(&t->fg_pgid, __ATOMIC_RELAXED), signo, NULL);
    waitq_wake(&l->in_q, 0, POLLIN | POLLRDNORM, 0);
    waitq_wake(&l->out_q, 0, POLLOUT | POLLWRNORM, 0); /* VSTART, or a signal that discards */
    l->driver->wake(l);
  }
  return k;
}

static bool canonical(const struct line *l) { return l->tio.lflag & ICANON; }

static u32 readable(struct line *l) {
  spin_lock(&l->lock);
  u32 n = (canonical(l) ? l->canon : l->head) - l->tail;
  spin_unlock(&l->lock);
  return n;
}

/* Takes up to n bytes, of one line only in canonical mode; *end: the line ended. Lock held. */
static size_t take(struct line *l, char *to, size_t n, bool *end) {
  size_t got = 0;
  u32 stop = canonical(l) ? l->canon : l->head;
  while (got < n && l->tail != stop && !*end) {
    u32 at = l->tail++ % LINE_SIZE;
    u64 bit = 1UL << (at % 64);
    *end = l->ends[at / 64] & bit;
    l->ends[at / 64] &= ~bit;
    if (!*end || l->buf[at] != 0) /* 0: end of file */
      to[got++] = l->buf[at];
  }
  return got;
}

/* An end of file right behind what filled the reader's buffer has ended this read: it does not end
   the next one as well. */
static void skip_end_of_file(struct line *l) {
  spin_lock(&l->lock);
  u32 at = l->tail % LINE_SIZE;
  u64 bit = 1UL << (at % 64);
  if (canonical(l) && l->tail != l->canon && (l->ends[at / 64] & bit) && l->buf[at] == 0) {
    l->ends[at / 64] &= ~bit;
    l->tail++;
  }
  spin_unlock(&l->lock);
}

/* What is there, as far as it fits. *end as above. */
static i64 take_all(struct line *l, struct uio *u, bool *end) {
  char piece[256];
  i64 done = 0;
  while (u->left > 0 && !*end) {
    spin_lock(&l->lock);
    size_t n = take(l, piece, min_u64(sizeof piece, u->left), end);
    spin_unlock(&l->lock);
    if (n == 0)
      break;
    i64 e = uio_write_to(u, piece, n);
    if (e < 0)
      return done ? done : e;
    done += e;
  }
  if (done > 0 && u->left == 0 && !*end)
    skip_end_of_file(l);
  if (done > 0 || *end)
    waitq_wake(&l->room_q, 0, POLLOUT | POLLWRNORM, 0);
  return done;
}

static bool hung_up(struct line *l) { return __atomic_load_n(&l->hung_up, __ATOMIC_ACQUIRE); }

/* Sleeps until `want` bytes can be read; with VTIME no longer than that between two of them, the
   first one included if `at_once`. 0 also when the time is over. */
static int wait_bytes(struct line *l, u32 want, u64 pause, bool at_once) {
  u32 seen = readable(l);
  while (seen < want && !hung_up(l)) {
    u64 deadline = pause && (at_once || seen) ? plat_now() + pause : UINT64_MAX;
    int e = waitq_wait_until(&l->in_q, readable(l) > seen || hung_up(l), deadline);
    if (e < 0)
      return e == -ETIMEDOUT ? 0 : e;
    seen = readable(l);
    if (canonical(l))
      break;
  }
  return 0;
}

static i64 line_read(struct tty *t, struct uio *u, bool nonblock) {
  struct line *l = t->priv;
  bool end = false;
  u64 pause = l->tio.cc[VTIME] * DECISECOND;
  u32 min = l->tio.cc[VMIN];
  i64 n;
  if (u->left == 0)
    return 0;
  if (!canonical(l) && !nonblock && (min > 0 || pause > 0)) {
    int e = wait_bytes(l, (u32)min_u64(min ? min : 1, u->left), pause, min == 0);
    if (e < 0 && readable(l) == 0)
      return e;
  }
  for (;;) {
    n = take_all(l, u, &end);
    if (n != 0 || end || hung_up(l))
      return n;
    if (!canonical(l) && min == 0)
      return nonblock && pause > 0 ? -EAGAIN : 0;
    if (nonblock)
      return -EAGAIN;
    int e = waitq_wait(&l->in_q, readable(l) > 0 || hung_up(l));
    if (e < 0)
      return e;
  }
}

static i64 line_input_bytes(struct tty *t) { return readable(t->priv); }

/* ---- output ---------------------------------------------------------------------------------- */

static bool writable(struct line *l) {
  spin_lock(&l->lock);
  bool yes = l->hung_up || (!l->stopped && l->driver->room(l) >= LINE_OUT_MAX);
  spin_unlock(&l->lock);
  return yes;
}

/* As much as goes out now. */
static size_t put_now(struct line *l, const char *s, size_t n) {
  size_t k = 0;
  spin_lock(&l->lock);
  while (k < n && !l->stopped && line_put(l, (u8)s[k]))
    k++;
  spin_unlock(&l->lock);
  if (k > 0)
    l->driver->wake(l);
  return k;
}

/* All of a piece, sleeping if need be: how much, or -errno if nothing. */
static i64 put_piece(struct line *l, const char *s, size_t n, bool nonblock) {
  size_t done = 0;
  while (done < n) {
    int e = 0;
    if (hung_up(l))
      return done ? (i64)done : -EIO;
    done += put_now(l, s + done, n - done);
    if (done < n)
      e = nonblock ? -EAGAIN : waitq_wait(&l->out_q, writable(l));
    if (e < 0)
      return done ? (i64)done : e;
  }
  return (i64)done;
}

static i64 line_write(struct tty *t, struct uio *u, bool nonblock) {
  char piece[256];
  i64 done = 0;
  while (u->left > 0) {
    i64 n = uio_read_from(u, piece, sizeof piece);
    i64 out = n < 0 ? n : put_piece(t->priv, piece, (size_t)n, nonblock);
    if (out < 0)
      return done ? done : out;
    done += out;
    if (out < n) /* the rest has been copied, but not written: the caller writes it again */
      break;
  }
  return done;
}

static u32 line_poll(struct tty *t, struct poller *p) {
  struct line *l = t->priv;
  poll_wait(p, &l->in_q);
  poll_wait(p, &l->out_q);
  if (hung_up(l))
    return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
  u32 min = canonical(l) || l->tio.cc[VTIME] || !l->tio.cc[VMIN] ? 1 : l->tio.cc[VMIN];
  return (readable(l) >= min ? POLLIN | POLLRDNORM : 0) | (writable(l) ? POLLOUT | POLLWRNORM : 0);
}

/* ---- settings
 * ------------------------------------------------------------------------------------- */

static int line_get_termios(struct tty *t, struct ktermios *k) {
  struct line *l = t->priv;
  spin_lock(&l->lock);
  *k = l->tio;
  spin_unlock(&l->lock);
  return 0;
}

/* Input that was there before becomes a line of its own, or plain bytes. Lock held. */
static void change_mode(struct line *l) {
  for (u32 k = 0; k < LINE_SIZE / 64; k++)
    l->ends[k] = 0;
  l->canon = l->tail;
  if (canonical(l) && l->head != l->tail) {
    u32 at = (l->head - 1) % LINE_SIZE;
    l->ends[at / 64] |= 1UL << (at % 64);
    l->canon = l->head;
  }
}

static int line_set_termios(struct tty *t, const struct ktermios *k, int when) {
  struct line *l = t->priv;
  spin_lock(&l->lock);
  if (when == 2)
    line_flush_input(l);
  bool other_mode = (l->tio.lflag ^ k->lflag) & ICANON;
  l->tio = *k;
  l->tio.cflag = (k->cflag & ~(CSIZE | PARENB)) | CS8 | CREAD; /* eight bits are what there is */
  if (other_mode)
    change_mode(l);
  if (!(k->iflag & IXON))
    l->stopped = false;
  spin_unlock(&l->lock);
  waitq_wake(&l->in_q, 0, 0, 0);
  waitq_wake(&l->out_q, 0, 0, 0);
  waitq_wake(&l->room_q, 0, 0, 0);
  return 0;
}

static int line_get_winsize(struct tty *t, struct kwinsize *w) {
  struct line *l = t->priv;
  spin_lock(&l->lock);
  *w = l->size;
  spin_unlock(&l->lock);
  return 0;
}

int line_set_winsize(struct tty *t, const struct kwinsize *w) {
  struct line *l = t->priv;
  spin_lock(&l->lock);
  bool changed = w->row != l->size.row || w->col != l->size.col || w->xpixel != l->size.xpixel ||
                 w->ypixel != l->size.ypixel;
  l->size = *w;
  spin_unlock(&l->lock);
  if (changed)
    signal_send_pgrp(__atomic_load_n(&t->fg_pgid, __ATOMIC_RELAXED), SIGWINCH, NULL);
  return 0;
}

static int line_flush(struct tty *t, int queue) {
  struct line *l = t->priv;
  if (queue < TCIFLUSH || queue > TCIOFLUSH)
    return -EINVAL;
  spin_lock(&l->lock);
  if (queue != 1)
    line_flush_input(l);
  if (queue != TCIFLUSH)
    l->driver->discard(l);
  spin_unlock(&l->lock);
  waitq_wake(&l->room_q, 0, 0, 0);
  waitq_wake(&l->out_q, 0, 0, 0);
  return 0;
}

/* TCOOFF, TCOON stop and start output; TCIOFF, TCION ask the other end to. */
static int line_flow(struct tty *t, int action) {
  struct line *l = t->priv;
  if (action < 0 || action > 3)
    return -EINVAL;
  spin_lock(&l->lock);
  if (action < 2)
    l->stopped = action == 0;
  else
    line_put(l, l->tio.cc[action == 2 ? VSTOP : VSTART]);
  spin_unlock(&l->lock);
  waitq_wake(&l->out_q, 0, 0, 0);
  l->driver->wake(l);
  return 0;
}

void line_hang_up(struct line *l) {
  __atomic_store_n(&l->hung_up, true, __ATOMIC_RELEASE);
  waitq_wake(&l->in_q, 0, 0, 0);
  waitq_wake(&l->out_q, 0, 0, 0);
  waitq_wake(&l->room_q, 0, 0, 0);
}

const struct tty_ops line_tty_ops = {
    .read = line_read,
    .write = line_write,
    .poll = line_poll,
    .get_termios = line_get_termios,
    .set_termios = line_set_termios,
    .get_winsize = line_get_winsize,
    .set_winsize = line_set_winsize,
    .flush = line_flush,
    .flow = line_flow,
    .input_bytes = line_input_bytes,
};
