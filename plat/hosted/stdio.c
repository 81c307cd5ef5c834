/* SPDX-License-Identifier: MIT */
/*
 * The standard streams. They are shared with whoever started the instance, so they are never made
 * non-blocking: the host is asked for readiness before each transfer, and a transfer is short
 * enough not to block after that. A terminal's line discipline is the host's.
 */
#include "kernel/fs/tty.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/signal/signal.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/hostio.h"
#include "plat/hosted/hostxfer.h"
#include "plat/hosted/together.h"

#define PIPE_ATOMIC 4096 /* what a writable pipe or terminal takes without blocking */
#define HOST_TCGETS 0x5401
#define HOST_TCSETS 0x5402
#define HOST_TIOCGPGRP 0x540f
#define HOST_TIOCGWINSZ 0x5413
#define HOST_TIOCSWINSZ 0x5414
#define HOST_FIONREAD 0x541b
#define HOST_TCFLSH 0x540b

struct stream {
  int fd;
  bool seekable; /* a regular file: always ready, has positions of its own */
  struct waitq q;
  struct hostio io;
};

static struct stream streams[3];
static struct tty *terminal; /* the one all standard streams on terminals are taken to be */
static struct stream *terminal_stream;
static u32 terminal_gone;
static struct ktermios saved;
static int saved_fd = -1;
static bool closed[3]; /* by who started us */

/* ---- transfers ------------------------------------------------------------------------------- */

static u32 host_poll(int fd, u32 events) {
  struct lx_pollfd p = {fd, (i16)events, 0};
  struct lx_timespec zero = {0, 0};
  i64 n = LX_RETRY(lx5(ppoll, &p, 1, &zero, NULL, 0));
  return n > 0 ? (u32)(u16)p.revents : 0;
}

/* Waits until the host says the stream is ready for one of `events`. */
static int await(struct stream *s, u32 events, bool nonblock) {
  together_end();
  u32 want = events | POLLERR | POLLHUP;
  if (s->seekable || (host_poll(s->fd, events) & want))
    return 0;
  if (nonblock)
    return -EAGAIN;
  return waitq_wait(&s->q, host_poll(s->fd, events) & want);
}

static i64 stream_read(struct stream *s, struct uio *u, bool nonblock) {
  int err = await(s, POLLIN, nonblock);
  if (err)
    return err;
  return HOST_XFER(u, SIZE_MAX, true, lx3(readv, s->fd, iov, n_iov));
}

static i64 stream_write(struct stream *s, struct uio *u, bool nonblock) {
  i64 sum = 0;
  while (u->left > 0) {
    i64 n = await(s, POLLOUT, nonblock);
    if (n == 0)
      n = HOST_XFER(u, s->seekable ? SIZE_MAX : PIPE_ATOMIC, false, lx3(writev, s->fd, iov, n_iov));
    if (n == -EPIPE && sum == 0) /* the host's own SIGPIPE is ignored */
      signal_send_thread(thread_current(), SIGPIPE, NULL);
    if (n <= 0)
      return sum ? sum : n;
    sum += n;
  }
  return sum;
}

static u32 stream_poll(struct stream *s, struct poller *p) {
  together_end();
  if (s->seekable)
    return POLLIN | POLLOUT;
  poll_wait(p, &s->q);
  return host_poll(s->fd, POLLIN | POLLOUT | POLLPRI);
}

/* ---- pipes, files, sockets ------------------------------------------------------------------- */

static i64 file_read_op(struct file *f, struct uio *u, u64 *pos) {
  (void)pos;
  return stream_read(f->priv, u, f->flags & O_NONBLOCK);
}

static i64 file_write_op(struct file *f, struct uio *u, u64 *pos) {
  (void)pos;
  return stream_write(f->priv, u, f->flags & O_NONBLOCK);
}

static i64 file_seek(struct file *f, i64 off, int whence) {
  struct stream *s = f->priv;
  return s->seekable ? lx3(lseek, s->fd, off, whence) : -ESPIPE;
}

static u32 file_poll_op(struct file *f, struct poller *p) { return stream_poll(f->priv, p); }

static int file_stat(struct file *f, struct kstat *st) {
  struct stream *s = f->priv;
  struct lx_stat h;
  i64 err = lx2(fstat, s->fd, &h);
  if (err < 0)
    return (int)err;
  *st = (struct kstat){.dev = h.dev,
                       .ino = h.ino,
                       .rdev = h.rdev,
                       .mode = h.mode,
                       .nlink = (u32)h.nlink,
                       .uid = 0,
                       .gid = 0,
                       .size = (u64)h.size,
                       .blocks = (u64)h.blocks,
                       .blksize = (u32)h.blksize,
                       .atime = h.atim.sec * 1000000000 + h.atim.nsec,
                       .mtime = h.mtim.sec * 1000000000 + h.mtim.nsec,
                       .ctime = h.ctim.sec * 1000000000 + h.ctim.nsec};
  return 0;
}

static int file_truncate(struct file *f, u64 size) {
  struct stream *s = f->priv;
  return s->seekable ? (int)LX_RETRY(lx2(ftruncate, s->fd, size)) : -EINVAL;
}

static const struct file_ops stream_ops = {
    .name = "stdio",
    .read = file_read_op,
    .write = file_write_op,
    .seek = file_seek,
    .poll = file_poll_op,
    .stat = file_stat,
    .truncate = file_truncate,
};

/* ---- terminals ------------------------------------------------------------------------------- */

/* Does the terminal belong to another job of the shell that started us? */
static bool in_background(struct stream *s) {
  int pgrp = 0;
  return lx3(ioctl, s->fd, HOST_TIOCGPGRP, &pgrp) == 0 &&
         pgrp != lx_call6(121 /* getpgid */, 0, 0, 0, 0, 0, 0);
}

/* A job in the background that reads is stopped until it is in the foreground. The host cannot know
   which of us reads, so we ask. Where nobody can stop us the read fails, as on the host. */
static i64 tty_read(struct tty *t, struct uio *u, bool nonblock) {
  for (int tries = 0; tries < 3 && in_background(t->priv); tries++)
    plat_suspend(SIGTTIN);
  return stream_read(t->priv, u, nonblock);
}

static i64 tty_write(struct tty *t, struct uio *u, bool nonblock) {
  return stream_write(t->priv, u, nonblock);
}

static u32 tty_poll(struct tty *t, struct poller *p) { return stream_poll(t->priv, p); }

static int tty_ioctl_host(struct tty *t, u32 cmd, const void *arg) {
  struct stream *s = t->priv;
  return (int)LX_RETRY(lx3(ioctl, s->fd, cmd, arg));
}

static int tty_get_termios(struct tty *t, struct ktermios *k) {
  return tty_ioctl_host(t, HOST_TCGETS, k);
}

static int tty_set_termios(struct tty *t, const struct ktermios *k, int when) {
  return tty_ioctl_host(t, HOST_TCSETS + (u32)when, k);
}

static int tty_get_winsize(struct tty *t, struct kwinsize *w) {
  return tty_ioctl_host(t, HOST_TIOCGWINSZ, w);
}

static int tty_set_winsize(struct tty *t, const struct kwinsize *w) {
  return tty_ioctl_host(t, HOST_TIOCSWINSZ, w);
}

static int tty_flush(struct tty *t, int queue) {
  struct stream *s = t->priv;
  return (int)lx3(ioctl, s->fd, HOST_TCFLSH, queue);
}

static i64 tty_input_bytes(struct tty *t) {
  int n = 0;
  int err = tty_ioctl_host(t, HOST_FIONREAD, &n);
  return err ? err : n;
}

static const struct tty_ops host_tty_ops = {
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .get_termios = tty_get_termios,
    .set_termios = tty_set_termios,
    .get_winsize = tty_get_winsize,
    .set_winsize = tty_set_winsize,
    .flush = tty_flush,
    .input_bytes = tty_input_bytes,
};

/* ---- start and end --------------------------------------------------------------------------- */

void stdio_was_closed(int fd) { closed[fd] = true; }

void stdio_init(void) {
  for (int fd = 0; fd < 3 && saved_fd < 0; fd++)
    if (lx3(ioctl, fd, HOST_TCGETS, &saved) == 0)
      saved_fd = fd;
}

void stdio_restore(void) {
  if (saved_fd >= 0 && __atomic_exchange_n(&terminal_gone, 1, __ATOMIC_SEQ_CST) == 0)
    lx3(ioctl, saved_fd, HOST_TCSETS, &saved);
}

static int stream_open(int n, struct stream **out) {
  struct stream *s = &streams[n];
  struct lx_stat st;
  i64 err = lx2(fstat, n, &st);
  if (err < 0)
    return (int)err;
  *out = s;
  if (s->q.waiters.next) /* opened before */
    return 0;
  s->fd = n;
  waitq_init(&s->q);
  s->seekable = S_ISREG(st.mode);
  int add = hostio_add(&s->io, n, &s->q);
  if (add == -EPERM)
    s->seekable = true; /* nothing to wait for: files, directories, some devices */
  return add == -EPERM ? 0 : add;
}

/* Access mode that the host opened the descriptor with. */
static u32 access_mode(int fd) {
  i64 flags = lx_call6(72 /* fcntl */, (u64)fd, 3 /* F_GETFL */, 0, 0, 0, 0);
  return flags < 0 ? O_RDWR : (u32)flags & (O_ACCMODE | O_APPEND);
}

static int terminal_file(struct stream *s, struct file **out) {
  if (!terminal) {
    terminal = tty_create(&host_tty_ops, s);
    if (!terminal)
      return -ENOMEM;
    terminal_stream = s;
  }
  return tty_file(terminal, O_RDWR, out);
}

int plat_stdio(int n, struct file **out) {
  struct stream *s = NULL;
  int err = closed[n] ? -EBADF : stream_open(n, &s);
  if (err)
    return err;
  struct ktermios k;
  if (lx3(ioctl, n, HOST_TCGETS, &k) == 0)
    return terminal_file(s, out);
  struct file *f = file_alloc(&stream_ops, access_mode(n), s);
  if (!f)
    return -ENOMEM;
  *out = f;
  return 0;
}
