/* SPDX-License-Identifier: MIT */
/* The line discipline: what a user types, what programs read, what the terminal shows. */
#include "kernel/fs/line.h"
#include "kernel/test/fake/check.h"
#include <stdlib.h>
#include <string.h>

#define ICANON 2u
#define ECHO 010u
#define CTRL(c) ((c)&31)

static struct line l;
static char shown[65536];
static size_t n_shown;

static void put(const char *text, size_t n) {
  if (n > sizeof shown - n_shown)
    n_shown = 0;
  memcpy(shown + n_shown, text, n);
  n_shown += n;
}

static int type(const char *text) {
  int signo = 0;
  for (; *text; text++)
    signo = line_input(&l, (u8)*text);
  return signo;
}

static bool reads(const char *want) {
  u8 buf[256];
  return line_ready(&l) && line_take(&l, buf, sizeof buf) == strlen(want) &&
         memcmp(buf, want, strlen(want)) == 0;
}

static bool shows(const char *want) {
  bool same = n_shown == strlen(want) && memcmp(shown, want, n_shown) == 0;
  n_shown = 0;
  return same;
}

static void start(void) {
  line_init(&l, put);
  n_shown = 0;
}

static void lines(void) {
  start();
  type("ab");
  CHECK(!line_ready(&l));
  type("c\r");
  CHECK(line_bytes(&l) == 4);
  CHECK(reads("abc\n"));
  CHECK(shows("abc\r\n"));
  type("one\ntwo\n");
  CHECK(reads("one\n"));
  CHECK(reads("two\n"));
  CHECK(!line_ready(&l));
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
  type("gr\303\274\177n\n");
  CHECK(reads("grn\n"));
}

static void end_of_file(void) {
  start();
  type("\004");
  CHECK(reads(""));
  CHECK(!line_ready(&l));
  type("ab\004");
  CHECK(reads("ab"));
  CHECK(!line_ready(&l));
  type("xyz\004");
  u8 buf[3];
  CHECK(line_take(&l, buf, 3) == 3);
  CHECK(!line_ready(&l)); /* the mark went with the piece */
}

static void signals(void) {
  start();
  CHECK(type("abc\003") == 2);
  CHECK(shows("abc^C"));
  CHECK(type("\034") == 3);
  CHECK(type("\032") == 20);
  type("new\n");
  CHECK(reads("new\n"));
}

static void raw(void) {
  start();
  type("left");
  struct ktermios k = l.t;
  k.lflag &= ~(ICANON | ECHO | 1u);
  k.iflag = 0;
  line_set(&l, &k);
  n_shown = 0;
  CHECK(reads("left"));
  CHECK(type("\003\r\177") == 0);
  CHECK(reads("\003\r\177"));
  CHECK(shows(""));
}

static void output(void) {
  start();
  line_output(&l, (const u8 *)"a\nb\r\n", 5);
  CHECK(shows("a\r\nb\r\r\n"));
  l.t.oflag = 0;
  line_output(&l, (const u8 *)"a\n", 2);
  CHECK(shows("a\n"));
}

/* Whatever comes, the buffer holds: never more than its size, a full one still takes the newline.
 */
static void flood(void) {
  start();
  for (unsigned i = 0; i < 3 * LINE_SIZE; i++)
    line_input(&l, 'x');
  CHECK(!line_ready(&l));
  type("\n");
  CHECK(line_ready(&l) && line_bytes(&l) == LINE_SIZE);
  srand(2);
  for (int i = 0; i < 300000; i++) {
    u8 buf[64];
    line_input(&l, (u8)rand());
    if (rand() % 50 == 0 && line_ready(&l))
      line_take(&l, buf, (size_t)rand() % sizeof buf + 1);
    if (rand() % 5000 == 0)
      l.t.lflag ^= ICANON,
          line_set(&l, &(struct ktermios){.lflag = l.t.lflag, .cc = {3, 28, 127, 21, 4}});
    CHECK(l.tail - l.head <= LINE_SIZE && l.done - l.head <= l.tail - l.head);
  }
}

int main(void) {
  TEST(lines);
  TEST(editing);
  TEST(end_of_file);
  TEST(signals);
  TEST(raw);
  TEST(output);
  TEST(flood);
  return check_summary("fs_line");
}
