/* SPDX-License-Identifier: MIT */
/*
 * The serial console as the three standard streams. It is a terminal with the core's line
 * discipline, or, where the other end is `ufork run --vm` without a terminal, three streams.
 *
 * Framed console (command line: console=framed): what is at the other end tells the streams apart.
 * A byte DLE (0x10) begins a command: DLE DLE is that byte itself; from us, DLE '1' and DLE '2' say
 * which stream what follows belongs to, DLE 'x' and two hexadecimal digits are the exit status, DLE
 * 'r': we listen, DLE 'z': we may be stopped for a while; to us, DLE 'e' is the end of input, DLE
 * 's' and a letter from 'A' a signal, DLE 'w' and eight hexadecimal digits the window's rows and
 * columns.
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
static u32 stalled;           /* the port holds input back; atomic */

static struct spin out_lock; /* the port, `shown` */
static int shown;            /* stream that the other end thinks is being written to */

static struct line line;      /* the terminal's; without one only what comes in */
static struct tty *input_tty; /* whose priv is the line; NULL: nobody listens yet; atomic */
static struct tty streams = {.refs = 1, .ops = &line_tty_ops, .priv = &line}; /* no terminal */
static u8 escape; /* framed input: DLE, DLE 's' or DLE 'w' came last; the poller's */
static u32 window_size;
static unsigned window_digits; /* how many of its eight have come */

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

void stdio_finish(void) { spin_lock(&out_lock); }
void stdio_break(void) { spin_unlock(&out_lock); }

void stdio_log(const char *text, size_t n) {
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

void plat_suspend(int signo) {
  static const char ask[] = {DLE, 'z'};
  (void)signo;
  if (machine_options.framed)
    write_raw(ask, sizeof ask);
}

/* ---- input
 * --------------------------------------------------------------------------------------- */

static bool rx(u8 byte, bool ask) {
  u32 in = ring_in;
  bool room = in - __atomic_load_n(&ring_out, __ATOMIC_ACQUIRE) < RING;
  if (!room)
    __atomic_store_n(&stalled, 1, __ATOMIC_SEQ_CST);
  if (ask || !room)
    return room;
  ring[in % RING] = byte;
  __atomic_store_n(&ring_in, in + 1, __ATOMIC_RELEASE);
  irq_defer();
  return true;
}

/* One more digit of the window's size. */
static void take_window(u8 c) {
  window_size = window_size << 4 | (u32)((c >= 'a' ? c - 'a' + 10 : c - '0') & 15);
  if (++window_digits < 8) {
    escape = 'w';
    return;
  }
  struct kwinsize w = {.row = (u16)(window_size >> 16), .col = (u16)window_size};
  window_digits = 0;
  if (machine_options.terminal)
    line_set_winsize(input_tty, &w);
}

/* A byte of the framed input: true if it is data. *signo may be set. */
static bool unframe(u8 c, int *signo) {
  u8 was = escape;
  escape = 0;
  if (was == 's')
    *signo = c - 'A';
  else if (was == 'w')
    take_window(c);
  else if (was == DLE && c == 'e')
    line_hang_up(&line);
  else if (was == DLE && (c == 's' || c == 'w'))
    escape = c;
  else if (was != DLE && c == DLE)
    escape = DLE;
  else
    return true;
  return false;
}

/* Bytes from ring_out on that lie in one piece and are plain data. */
static u32 plain_bytes(u32 n) {
  u32 at = ring_out % RING;
  n = (u32)min_u64(n, RING - at);
  if (!machine_options.framed)
    return n;
  if (escape)
    return 0;
  const u8 *dle = memchr(ring + at, DLE, n);
  return dle ? (u32)(dle - (ring + at)) : n;
}

/* Deals with one byte that may be part of a command; false: there is no room for it. */
static bool take_byte(struct tty *t) {
  u8 c = ring[ring_out % RING], was = escape;
  int signo = 0;
  if (unframe(c, &signo) && line_input(t, (char *)&c, 1) == 0) {
    escape = was;
    return false;
  }
  if (signo > 0 && signo < 64)
    kernel_external_signal(signo);
  return true;
}

/* How much of the n bytes in the ring could be dealt with at once; 0: there is no room. */
static u32 take_some(struct tty *t, u32 n) {
  u32 plain = plain_bytes(n);
  if (plain > 0)
    return (u32)line_input(t, (char *)ring + ring_out % RING, plain);
  return take_byte(t);
}

static u32 ring_bytes(void) { return __atomic_load_n(&ring_in, __ATOMIC_ACQUIRE) - ring_out; }

static void poll_input(void *arg) {
  struct tty *t = __atomic_load_n(&input_tty, __ATOMIC_ACQUIRE);
  bool any = false;
  (void)arg;
  for (u32 n; t && (n = ring_bytes()) > 0; any = true) {
    u32 k = take_some(t, n);
    if (k == 0)
      break;
    __atomic_store_n(&ring_out, ring_out + k, __ATOMIC_RELEASE);
  }
  if (any && __atomic_exchange_n(&stalled, 0, __ATOMIC_SEQ_CST))
    serial_resume();
}

/* The line may have room for what waits in the ring. */
static void look_again(void) {
  if (__atomic_load_n(&ring_out, __ATOMIC_RELAXED) != __atomic_load_n(&ring_in, __ATOMIC_ACQUIRE))
    irq_defer();
}

static i64 console_read(struct tty *t, struct uio *u, bool nonblock) {
  i64 n = line_tty_ops.read(t, u, nonblock);
  look_again();
  return n;
}

/* ---- streams
 * ------------------------------------------------------------------------------------- */

static i64 stream_read(struct file *f, struct uio *u, u64 *pos) {
  (void)pos;
  return console_read(&streams, u, f->flags & O_NONBLOCK);
}

static i64 stream_write(struct file *f, struct uio *u, u64 *pos) {
  u8 buf[CHUNK];
  i64 sum = 0;
  (void)pos;
  while (u->left > 0) {
    i64 n = uio_read_from(u, buf, min_u64(u->left, sizeof buf));
    if (n <= 0)
      return sum ? sum : n;
    write_stream((int)(uintptr_t)f->priv, (const char *)buf, (size_t)n);
    sum += n;
  }
  return sum;
}

static u32 stream_poll(struct file *f, struct poller *p) {
  if (f->priv)
    return POLLOUT | POLLWRNORM;
  return line_tty_ops.poll(&streams, p) & (POLLIN | POLLRDNORM | POLLHUP);
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

/* The port takes everything: who writes waits for it. */
static size_t out_room(struct line *l) {
  (void)l;
  return SIZE_MAX;
}

static void out_put(struct line *l, const char *text, size_t n) {
  (void)l;
  write_stream(1, text, n);
}

static void out_nothing_kept(struct line *l) { (void)l; }

static const struct line_driver serial_driver = {
    .room = out_room, .put = out_put, .discard = out_nothing_kept, .wake = out_nothing_kept};

static int console_set_termios(struct tty *t, const struct ktermios *k, int when) {
  int err = line_tty_ops.set_termios(t, k, when);
  look_again();
  return err;
}

static int console_flush(struct tty *t, int queue) {
  int err = line_tty_ops.flush(t, queue);
  look_again();
  return err;
}

static struct tty *make_terminal(void) {
  static struct tty_ops ops;
  ops = line_tty_ops;
  ops.read = console_read;
  ops.set_termios = console_set_termios;
  ops.flush = console_flush;
  return tty_create(&ops, &line);
}

/* ---- start
 * --------------------------------------------------------------------------------------- */

void stdio_init(void) {
  static const char ready[] = {DLE, 'r'};
  line_init(&line, &serial_driver);
  line.tio.iflag |= IUTF8;
  line.size = (struct kwinsize){.row = machine_options.rows, .col = machine_options.cols};
  if (!machine_options.terminal) {
    line.tio.iflag = line.tio.lflag = line.tio.oflag = 0;
    input_tty = &streams;
  }
  io_poller_add(poll_input, NULL);
  serial_listen(rx);
  if (machine_options.framed)
    serial_write(ready, sizeof ready);
}

/* Called for one stream after another when the core boots. */
int plat_stdio(int n, struct file **out) {
  if (!machine_options.terminal) {
    *out = file_alloc(&stream_ops, n == 0 ? O_RDONLY : O_WRONLY, (void *)(uintptr_t)n);
    return *out ? 0 : -ENOMEM;
  }
  if (!input_tty) {
    __atomic_store_n(&input_tty, make_terminal(), __ATOMIC_RELEASE);
    look_again();
  }
  return input_tty ? tty_file(input_tty, O_RDWR, out) : -ENOMEM;
}
