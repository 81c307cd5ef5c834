/* SPDX-License-Identifier: MIT */
#include "kernel/fs/line.h"
#include "lib/string.h"

/* Settings, Linux x86-64. */
#define IGNCR 0200u
#define ICRNL 0400u
#define INLCR 0100u
#define ISTRIP 040u
#define IUTF8 040000u
#define OPOST 1u
#define ONLCR 4u
#define OCRNL 010u
#define CFLAGS 0277u /* 38400 baud, 8 bits, receiver on */
#define ISIG 1u
#define ICANON 2u
#define ECHO 010u
#define ECHOE 020u
#define ECHOK 040u
#define ECHONL 0100u
#define NOFLSH 0200u
#define ECHOCTL 01000u
#define ECHOKE 04000u
#define IEXTEN 0100000u
enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL };
enum { VREPRINT = 12, VDISCARD, VWERASE, VLNEXT, VEOL2 };
enum { SIG_INT = 2, SIG_QUIT = 3, SIG_TSTP = 20 };

/* Entries of buf beside plain bytes. */
#define MARK_END 0x100u /* the byte ends a line */
#define MARK_EOF 0x200u /* no byte: end of file */

static u16 *slot(struct line *l, u32 i) { return &l->buf[i % LINE_SIZE]; }
static bool lflag(const struct line *l, u32 f) { return l->t.lflag & f; }
static bool is(const struct line *l, int which, u8 c) { return c && l->t.cc[which] == c; }

void line_init(struct line *l, void (*put)(const char *text, size_t n)) {
  static const u8 cc[19] = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0};
  memset(l, 0, sizeof *l);
  l->put = put;
  l->t.iflag = ICRNL | IUTF8;
  l->t.oflag = OPOST | ONLCR;
  l->t.cflag = CFLAGS;
  l->t.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  memcpy(l->t.cc, cc, sizeof cc);
}

/* ---- output
 * -------------------------------------------------------------------------------------- */

static void put_char(struct line *l, u8 c) {
  char out[2] = {(char)c, '\n'};
  bool post = l->t.oflag & OPOST;
  if (c == '\n' && post && (l->t.oflag & ONLCR)) {
    out[0] = '\r';
    l->put(out, 2);
    return;
  }
  if (c == '\r' && post && (l->t.oflag & OCRNL))
    out[0] = '\n';
  l->put(out, 1);
}

void line_output(struct line *l, const u8 *text, size_t n) {
  if (!(l->t.oflag & OPOST)) {
    l->put((const char *)text, n);
    return;
  }
  size_t from = 0; /* plain stretches go out in one piece */
  for (size_t i = 0; i < n; i++) {
    if (text[i] != '\n' && text[i] != '\r')
      continue;
    if (i > from)
      l->put((const char *)text + from, i - from);
    put_char(l, text[i]);
    from = i + 1;
  }
  if (n > from)
    l->put((const char *)text + from, n - from);
}

static bool is_control(u8 c) { return (c < 32 && c != '\t' && c != '\n') || c == 127; }

static void echo(struct line *l, u8 c) {
  if (!lflag(l, ECHO)) {
    if (c == '\n' && lflag(l, ECHONL | ICANON) && lflag(l, ECHONL))
      put_char(l, c);
    return;
  }
  if (is_control(c) && lflag(l, ECHOCTL)) {
    char shown[2] = {'^', (char)(c ^ 64)};
    l->put(shown, 2);
  } else {
    put_char(l, c);
  }
}

/* ---- editing
 * ------------------------------------------------------------------------------------- */

static bool is_continuation(u16 c) { return (c & 0xc0) == 0x80; }

/* Removes the last character of the unfinished line; false if there is none. */
static bool erase_one(struct line *l) {
  if (l->tail == l->done)
    return false;
  u16 c = *slot(l, --l->tail);
  while ((l->t.iflag & IUTF8) && is_continuation(c) && l->tail != l->done)
    c = *slot(l, --l->tail);
  if (lflag(l, ECHO) && lflag(l, ECHOE)) {
    l->put("\b \b", 3);
    if (is_control((u8)c) && lflag(l, ECHOCTL))
      l->put("\b \b", 3);
  }
  return true;
}

static bool last_is_space(struct line *l) {
  u16 c = *slot(l, l->tail - 1);
  return c == ' ' || c == '\t';
}

static void erase_word(struct line *l) {
  while (l->tail != l->done && last_is_space(l))
    erase_one(l);
  while (l->tail != l->done && !last_is_space(l))
    erase_one(l);
}

static void erase_line(struct line *l) {
  while (erase_one(l))
    ;
}

static void append(struct line *l, u16 c) { *slot(l, l->tail++) = c; }

/* The last slot is kept for the end of the line. */
static bool full(const struct line *l) { return l->tail - l->head >= LINE_SIZE - 1; }

static void end_line(struct line *l, u16 c) {
  if (l->tail - l->head >= LINE_SIZE)
    return;
  append(l, c);
  l->done = l->tail;
}

static void input_canonical(struct line *l, u8 c) {
  if (is(l, VERASE, c) || c == '\b') {
    erase_one(l);
  } else if (is(l, VKILL, c)) {
    erase_line(l);
  } else if (is(l, VWERASE, c) && lflag(l, IEXTEN)) {
    erase_word(l);
  } else if (is(l, VEOF, c)) {
    end_line(l, MARK_EOF);
  } else if (c == '\n' || is(l, VEOL, c) || is(l, VEOL2, c)) {
    echo(l, c);
    end_line(l, MARK_END | c);
  } else if (!full(l)) {
    echo(l, c);
    append(l, c);
  }
}

static int signal_of(struct line *l, u8 c) {
  if (!lflag(l, ISIG))
    return 0;
  return is(l, VINTR, c) ? SIG_INT : is(l, VQUIT, c) ? SIG_QUIT : is(l, VSUSP, c) ? SIG_TSTP : 0;
}

int line_input(struct line *l, u8 c) {
  if (l->t.iflag & ISTRIP)
    c &= 0x7f;
  if (c == '\r' && (l->t.iflag & IGNCR))
    return 0;
  if (c == '\r' && (l->t.iflag & ICRNL))
    c = '\n';
  else if (c == '\n' && (l->t.iflag & INLCR))
    c = '\r';
  int signo = signal_of(l, c);
  if (signo) {
    if (!lflag(l, NOFLSH))
      line_flush(l);
    echo(l, c);
  } else if (lflag(l, ICANON)) {
    input_canonical(l, c);
  } else if (!full(l)) {
    echo(l, c);
    append(l, c);
    l->done = l->tail;
  }
  return signo;
}

/* ---- reading
 * ------------------------------------------------------------------------------------- */

bool line_ready(const struct line *l) { return l->head != l->done; }

size_t line_bytes(const struct line *l) {
  size_t n = 0;
  for (u32 i = l->head; i != l->done; i++)
    n += !(l->buf[i % LINE_SIZE] & MARK_EOF);
  return n;
}

size_t line_take(struct line *l, u8 *buf, size_t n) {
  size_t got = 0;
  while (got < n && l->head != l->done) {
    u16 c = *slot(l, l->head++);
    if (c & MARK_EOF)
      break;
    buf[got++] = (u8)c;
    if ((c & MARK_END) && lflag(l, ICANON))
      break;
  }
  /* An end-of-file mark behind a piece that was taken whole ends this read, not the next. */
  if (got == n && got > 0 && l->head != l->done && lflag(l, ICANON) &&
      !(*slot(l, l->head - 1) & MARK_END) && (*slot(l, l->head) & MARK_EOF))
    l->head++;
  return got;
}

void line_set(struct line *l, const struct ktermios *k) {
  l->t = *k;
  if (!lflag(l, ICANON))
    l->done = l->tail;
}

void line_flush(struct line *l) { l->head = l->done = l->tail; }
