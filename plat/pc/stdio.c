/* SPDX-License-Identifier: MIT */
/*
 * The serial console as the three standard streams. It is a terminal with our own line discipline,
 * or, where the other end is `ufork run --vm` without a terminal, three streams.
 *
 * Framed console (command line: console=framed): what is at the other end tells the streams apart.
 * A byte DLE (0x10) begins a command: DLE DLE is that byte itself; from us, DLE '1' and DLE '2' say
 * which stream what follows belongs to, DLE 'x' and two hexadecimal digits are the exit status; to
 * us, DLE 'e' is the end of input, DLE 's' and a letter from 'A' a signal.
 */
#include "kernel/errno.h"
#include "kernel/fs/line.h"
#include "kernel/fs/vfs.h"
#include "kernel/signal/signal.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/pc.h"

#define DLE 0x10
#define RING 4096u
#define CHUNK 512u

/* Input between the interrupt and the poller. */
static u8 ring[RING];
static u32 ring_in, ring_out; /* atomic; the first is the handler's, the second the poller's */

static struct spin out_lock; /* the port, `shown` */
static int shown;            /* stream that the other end thinks is being written to */

static struct spin lock; /* line, end, escape */
static struct line line;
static bool end_of_input;
static u8 escape; /* framed input: DLE or DLE 's' came last */
static struct waitq waiters = WAITQ_INIT(waiters);
static struct tty *terminal;

/* ---- output
 * -------------------------------------------------------------------------------------- */

static void write_raw(const char *text, size_t n) {
  spin_lock(&out_lock);
  serial_write(text, n);
  spin_unlock(&out_lock);
}

static void write_framed(int stream, const char *text, size_t n) {
  static const char escaped[2] = {DLE, DLE};
  char select[2] = {DLE, (char)('0' + stream)};
  spin_lock(&out_lock);
  if (shown != stream)
    serial_write(select, 2);
  shown = stream;
  for (const char *next; n > 0 && (next = memchr(text, DLE, n));) {
    serial_write(text, (size_t)(next - text));
    serial_write(escaped, 2);
    n -= (size_t)(next + 1 - text);
    text = next + 1;
  }
  serial_write(text, n);
  spin_unlock(&out_lock);
}

static void write_stream(int stream, const char *text, size_t n) {
  if (machine_options.framed)
    write_framed(stream, text, n);
  else
    write_raw(text, n);
}

static void put_terminal(const char *text, size_t n) { write_stream(1, text, n); }

/* Also from a panic that interrupted whoever holds the lock: breaks it after a while. */
void stdio_log(const char *text, size_t n) {
  for (u32 spins = 0; spin_is_locked(&out_lock) && spins < 10000000; spins++)
    __builtin_ia32_pause();
  if (spin_is_locked(&out_lock))
    spin_unlock(&out_lock);
  size_t from = 0;
  for (size_t i = 0; i < n; i++) {
    if (text[i] != '\n' || !machine_options.terminal)
      continue;
    write_stream(2, text + from, i - from);
    write_stream(2, "\r\n", 2);
    from = i + 1;
  }
  write_stream(2, text + from, n - from);
}

void stdio_exit_status(unsigned status) {
  char text[8];
  if (machine_options.framed)
    serial_write(text, (size_t)fmt(text, sizeof text, "%cx%02x", DLE, status & 0xff));
}

/* ---- input
 * --------------------------------------------------------------------------------------- */

static void rx(u8 byte) {
  u32 in = ring_in;
  if (in - __atomic_load_n(&ring_out, __ATOMIC_ACQUIRE) < RING) {
    ring[in % RING] = byte;
    __atomic_store_n(&ring_in, in + 1, __ATOMIC_RELEASE);
  }
  irq_defer();
}

/* A byte of the framed input: true if it is data. *c may change, *signo may be set. */
static bool unframe(u8 *c, int *signo) {
  u8 was = escape;
  escape = 0;
  if (was == 's')
    *signo = *c - 'A';
  else if (was == DLE && *c == 'e')
    end_of_input = true;
  else if (was == DLE && *c == 's')
    escape = 's';
  else if (was != DLE && *c == DLE)
    escape = DLE;
  else
    return true;
  return false;
}

/* Signal to send, or 0. */
static int take_input(u8 c) {
  int signo = 0;
  spin_lock(&lock);
  if (!machine_options.framed || unframe(&c, &signo))
    signo = line_input(&line, c);
  spin_unlock(&lock);
  return signo;
}

static void poll_input(void *arg) {
  bool any = false;
  (void)arg;
  while (ring_out != __atomic_load_n(&ring_in, __ATOMIC_ACQUIRE)) {
    u8 c = ring[ring_out % RING];
    __atomic_store_n(&ring_out, ring_out + 1, __ATOMIC_RELEASE);
    int signo = take_input(c);
    if (signo > 0 && signo < 64)
      kernel_external_signal(signo);
    any = true;
  }
  if (any)
    waitq_wake(&waiters, 0, POLLIN, 0);
}

static bool readable(void) {
  spin_lock(&lock);
  bool yes = line_ready(&line) || end_of_input;
  spin_unlock(&lock);
  return yes;
}

/* Waits as the settings say: VMIN 0 means not for ever. */
static int await_input(bool nonblock) {
  u64 deadline = UINT64_MAX;
  spin_lock(&lock);
  if (!(line.t.lflag & 2) && line.t.cc[6] == 0)
    deadline = plat_now() + line.t.cc[5] * 100000000UL;
  spin_unlock(&lock);
  if (readable())
    return 0;
  if (nonblock)
    return -EAGAIN;
  int err = waitq_wait_until(&waiters, readable(), deadline);
  return err == -ETIMEDOUT ? 0 : err;
}

static i64 console_read(struct uio *u, bool nonblock) {
  u8 buf[CHUNK];
  int err = u->left ? await_input(nonblock) : 0;
  if (err)
    return err;
  spin_lock(&lock);
  size_t n = line_ready(&line) ? line_take(&line, buf, min_u64(u->left, sizeof buf)) : 0;
  spin_unlock(&lock);
  return n ? uio_write_to(u, buf, n) : 0;
}

static i64 console_write(int stream, struct uio *u) {
  u8 buf[CHUNK];
  i64 sum = 0;
  while (u->left > 0) {
    i64 n = uio_read_from(u, buf, min_u64(u->left, sizeof buf));
    if (n <= 0)
      return sum ? sum : n;
    if (machine_options.terminal)
      line_output(&line, buf, (size_t)n);
    else
      write_stream(stream, (const char *)buf, (size_t)n);
    sum += n;
  }
  return sum;
}

static u32 console_poll(struct poller *p) {
  poll_wait(p, &waiters);
  return POLLOUT | (readable() ? POLLIN : 0);
}

/* ---- streams
 * ------------------------------------------------------------------------------------- */

static i64 stream_read(struct file *f, struct uio *u, u64 *pos) {
  (void)pos;
  return console_read(u, f->flags & O_NONBLOCK);
}

static i64 stream_write(struct file *f, struct uio *u, u64 *pos) {
  (void)pos;
  return console_write((int)(uintptr_t)f->priv, u);
}

static u32 stream_poll(struct file *f, struct poller *p) {
  (void)f;
  return console_poll(p);
}

static int stream_stat(struct file *f, struct kstat *st) {
  anon_stat(st, 4 + (u64)f->priv, S_IFIFO | 0600);
  return 0;
}

static const struct file_ops stream_ops = {
    .name = "stdio",
    .read = stream_read,
    .write = stream_write,
    .poll = stream_poll,
    .stat = stream_stat,
};

/* ---- terminal
 * ------------------------------------------------------------------------------------ */

static i64 tty_read(struct tty *t, struct uio *u, bool nonblock) {
  (void)t;
  return console_read(u, nonblock);
}

static i64 tty_write(struct tty *t, struct uio *u, bool nonblock) {
  (void)t, (void)nonblock;
  return console_write(1, u);
}

static u32 tty_poll(struct tty *t, struct poller *p) {
  (void)t;
  return console_poll(p);
}

static int tty_get_termios(struct tty *t, struct ktermios *k) {
  (void)t;
  spin_lock(&lock);
  *k = line.t;
  spin_unlock(&lock);
  return 0;
}

static int tty_set_termios(struct tty *t, const struct ktermios *k, int when) {
  (void)t;
  spin_lock(&lock);
  if (when == 2)
    line_flush(&line);
  line_set(&line, k);
  spin_unlock(&lock);
  waitq_wake(&waiters, 0, POLLIN, 0);
  return 0;
}

static int tty_get_winsize(struct tty *t, struct kwinsize *w) {
  (void)t;
  *w = (struct kwinsize){.row = machine_options.rows, .col = machine_options.cols};
  return 0;
}

static int tty_set_winsize(struct tty *t, const struct kwinsize *w) {
  (void)t;
  machine_options.rows = w->row;
  machine_options.cols = w->col;
  kernel_external_signal(SIGWINCH);
  return 0;
}

static int tty_flush(struct tty *t, int queue) {
  (void)t;
  spin_lock(&lock);
  if (queue != 1) /* TCOFLUSH */
    line_flush(&line);
  spin_unlock(&lock);
  return 0;
}

static i64 tty_input_bytes(struct tty *t) {
  (void)t;
  spin_lock(&lock);
  i64 n = (i64)line_bytes(&line);
  spin_unlock(&lock);
  return n;
}

static const struct tty_ops console_ops = {
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

/* ---- start
 * --------------------------------------------------------------------------------------- */

void stdio_init(void) {
  line_init(&line, put_terminal);
  if (!machine_options.terminal)
    line.t.iflag = line.t.lflag = line.t.oflag = 0;
  io_poller_add(poll_input, NULL);
  serial_listen(rx);
}

int plat_stdio(int n, struct file **out) {
  if (machine_options.terminal) {
    if (!terminal)
      terminal = tty_create(&console_ops, NULL);
    return terminal ? tty_file(terminal, O_RDWR, out) : -ENOMEM;
  }
  *out = file_alloc(&stream_ops, n == 0 ? O_RDONLY : O_WRONLY, (void *)(uintptr_t)n);
  return *out ? 0 : -ENOMEM;
}
