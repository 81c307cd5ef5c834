/* SPDX-License-Identifier: MIT */
/* The line discipline: what a user types, what programs read, what the terminal shows. */
#include "kernel/fs/line.h"
#include "kernel/signal/signal.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include <stdlib.h>
#include <string.h>

static struct line l;
static struct tty *tty;
static char shown[65536];
static size_t n_shown;
static u8 user[LINE_SIZE];

static size_t room(struct line *line) {
  (void)line;
  return SIZE_MAX;
}

static void put(struct line *line, const char *text, size_t n) {
  (void)line;
  if (n > sizeof shown - n_shown)
    n_shown = 0;
  memcpy(shown + n_shown, text, n);
  n_shown += n;
}

static void nothing(struct line *line) { (void)line; }

static const struct line_driver driver = {
    .room = room, .put = put, .discard = nothing, .wake = nothing};

/* How much was taken. */
static size_t type(const char *text) { return line_input(tty, text, strlen(text)); }

/* What a program that does not wait reads into `user`. */
static i64 take(size_t n) {
  struct uio u;
  uio_init_kernel(&u, user, n);
  return line_tty_ops.read(tty, &u, true);
}

static bool reads(const char *want) {
  i64 n = take(256);
  return n == (i64)strlen(want) && memcmp(user, want, (size_t)n) == 0;
}

static bool reads_nothing(void) { return take(256) == -EAGAIN; }

static bool shows(const char *want) {
  bool same = n_shown == strlen(want) && memcmp(shown, want, n_shown) == 0;
  n_shown = 0;
  return same;
}

static void writes(const char *text) {
  size_t n = strlen(text);
  struct uio u;
  uio_init_kernel(&u, memcpy(user, text, n), n);
  CHECK(line_tty_ops.write(tty, &u, true) == (i64)n);
}

static void set(u32 iflag, u32 oflag, u32 lflag) {
  struct ktermios k;
  line_tty_ops.get_termios(tty, &k);
  k.iflag = iflag;
  k.oflag = oflag;
  k.lflag = lflag;
  CHECK(line_tty_ops.set_termios(tty, &k, 0) == 0);
}

static void start(void) {
  memset(&l, 0, sizeof l);
  line_init(&l, &driver);
  l.tio.iflag |= IUTF8;
  n_shown = 0;
}

static void lines(void) {
  start();
  type("ab");
  CHECK(reads_nothing());
  type("c\r");
  CHECK(line_tty_ops.input_bytes(tty) == 4);
  CHECK(reads("abc\n"));
  CHECK(shows("abc\r\n"));
  type("one\ntwo\n");
  CHECK(reads("one\n"));
  CHECK(reads("two\n"));
  CHECK(reads_nothing());
}

static void editing(void) {
  start();
  type("abx\177c\n");
  CHECK(shows("abx\b \bc\r\n"));
  CHECK(reads("abc\n"));
  type("\177\177a\n");
  CHECK(reads("a\n"));
  type("some words here\027there\n");
  CHECK(reads("some words there\n"));
  type("forget\025this\n");
  CHECK(reads("this\n"));
  n_shown = 0;
  type("gr\303\274\177n\n");
  CHECK(shows("gr\303\274\b \bn\r\n"));
  CHECK(reads("grn\n"));
}

static void end_of_file(void) {
  start();
  type("\004");
  CHECK(reads(""));
  CHECK(reads_nothing());
  type("ab\004");
  CHECK(reads("ab"));
  CHECK(reads_nothing());
  type("xyz\004");
  CHECK(take(3) == 3);
  CHECK(reads_nothing()); /* the mark went with the piece */
}

static bool signalled(int signo) {
  unsigned n = env_signals[signo];
  env_signals[signo] = 0;
  return n == 1;
}

static void signals(void) {
  start();
  type("abc\003");
  CHECK(signalled(SIGINT) && shows("abc^C"));
  type("\034");
  CHECK(signalled(SIGQUIT));
  type("\032");
  CHECK(signalled(SIGTSTP));
  type("new\n");
  CHECK(reads("new\n"));
}

static void raw(void) {
  start();
  type("left");
  set(0, l.tio.oflag, l.tio.lflag & ~(ICANON | ECHO | ISIG));
  n_shown = 0;
  CHECK(reads("left"));
  CHECK(type("\003\r\177") == 3 && env_signals[SIGINT] == 0);
  CHECK(reads("\003\r\177"));
  CHECK(shows(""));
}

static void output(void) {
  start();
  writes("a\nb\r\n");
  CHECK(shows("a\r\nb\r\r\n"));
  set(l.tio.iflag, 0, l.tio.lflag);
  writes("a\n");
  CHECK(shows("a\n"));
}

/* Whatever comes, the buffer holds: never more than its size, a full one still takes the newline.
 */
static void flood(void) {
  start();
  for (unsigned i = 0; i < 3 * LINE_SIZE; i++)
    CHECK(type("x") == 1);
  CHECK(reads_nothing());
  type("\n");
  CHECK(line_tty_ops.input_bytes(tty) == LINE_SIZE);
  CHECK(type("x") == 0); /* until somebody reads */
  CHECK(take(LINE_SIZE) == LINE_SIZE);
  int bad = 0;
  srand(2);
  for (int i = 0; i < 300000; i++) {
    char c = (char)rand();
    line_input(tty, &c, 1);
    if (rand() % 50 == 0)
      take((size_t)rand() % 64 + 1);
    if (rand() % 5000 == 0)
      set(l.tio.iflag, l.tio.oflag, l.tio.lflag ^ ICANON);
    bool finished = !(l.tio.lflag & ICANON) || l.canon - l.tail <= l.head - l.tail;
    bad += l.head - l.tail > LINE_SIZE || !finished;
  }
  CHECK(bad == 0);
}

int main(void) {
  env_boot();
  tty = tty_create(&line_tty_ops, &l);
  if (!tty)
    return 2;
  TEST(lines);
  TEST(editing);
  TEST(end_of_file);
  TEST(signals);
  TEST(raw);
  TEST(output);
  TEST(flood);
  return check_summary("fs_line");
}
