/* SPDX-License-Identifier: MIT */
/* Line discipline: what a typed character does, and how it is echoed. line->lock is held. */
#include "kernel/fs/line.h"
#include "kernel/signal/signal.h"

#define AT(l, pos) ((l)->buf[(pos) % LINE_SIZE])

static bool is_cc(const struct line *l, unsigned which, u8 c) {
  return c != 0 && c == l->tio.cc[which];
}

static bool local(const struct line *l, u32 flags) { return l->tio.lflag & flags; }

/* ---- output ------------------------------------------------------------------------------- */

static bool is_continuation(const struct line *l, u8 c) {
  return (l->tio.iflag & IUTF8) && (c & 0xc0) == 0x80;
}

static void put_tab(struct line *l) {
  static const char spaces[8] = "        ";
  u32 n = 8 - l->column % 8;
  l->column += n;
  if ((l->tio.oflag & XTABS) == XTABS)
    l->driver->put(l, spaces, n);
  else
    l->driver->put(l, "\t", 1);
}

static void put_newline(struct line *l) {
  if (l->tio.oflag & (ONLCR | ONLRET))
    l->column = 0;
  if (l->tio.oflag & ONLCR)
    l->driver->put(l, "\r\n", 2);
  else
    l->driver->put(l, "\n", 1);
}

static void put_return(struct line *l) {
  if ((l->tio.oflag & ONOCR) && l->column == 0)
    return;
  if (!(l->tio.oflag & OCRNL) || (l->tio.oflag & ONLRET))
    l->column = 0;
  l->driver->put(l, l->tio.oflag & OCRNL ? "\n" : "\r", 1);
}

bool line_put(struct line *l, u8 c) {
  char ch = (char)c;
  if (l->driver->room(l) < LINE_OUT_MAX)
    return false;
  if (!(l->tio.oflag & OPOST)) {
    l->driver->put(l, &ch, 1);
  } else if (c == '\n') {
    put_newline(l);
  } else if (c == '\r') {
    put_return(l);
  } else if (c == '\t') {
    put_tab(l);
  } else {
    if (c == '\b' && l->column > 0)
      l->column--;
    else if (c >= ' ' && c != 0x7f && !is_continuation(l, c))
      l->column++;
    l->driver->put(l, &ch, 1);
  }
  return true;
}

/* ---- echo: what does not fit is lost -------------------------------------------------------- */

static void put_string(struct line *l, const char *s) {
  for (; *s; s++)
    line_put(l, (u8)*s);
}

static bool is_control(u8 c) { return (c < ' ' && c != '\t' && c != '\n') || c == 0x7f; }

static void echo_always(struct line *l, u8 c) {
  if (is_control(c) && local(l, ECHOCTL)) {
    line_put(l, '^');
    line_put(l, c ^ 0x40);
  } else {
    line_put(l, c);
  }
}

static void echo(struct line *l, u8 c) {
  if (local(l, ECHO))
    echo_always(l, c);
}

/* ---- the buffer ------------------------------------------------------------------------------ */

static bool is_full(const struct line *l) { return l->head - l->tail >= LINE_SIZE - 1; }

bool line_has_room(const struct line *l) {
  /* A line longer than the buffer loses its end, or nobody could ever finish it. */
  return !is_full(l) || (local(l, ICANON) && l->tail == l->canon);
}

void line_flush_input(struct line *l) {
  for (u32 k = 0; k < LINE_SIZE / 64; k++)
    l->ends[k] = 0;
  l->tail = l->canon = l->head;
  l->literal = false;
}

static void store(struct line *l, u8 c) {
  if (is_full(l)) {
    if (l->tio.iflag & IMAXBEL)
      line_put(l, '\a');
    return;
  }
  if (l->head == l->canon && local(l, ICANON))
    l->start_column = l->column;
  AT(l, l->head) = (char)c;
  l->head++;
}

/* The last place is kept for this. c 0: end of file. */
static void finish_line(struct line *l, u8 c) {
  u32 at = l->head % LINE_SIZE;
  l->buf[at] = (char)c;
  l->ends[at / 64] |= 1UL << (at % 64);
  l->canon = ++l->head;
}

/* ---- erasing --------------------------------------------------------------------------------- */

/* Column after the line being edited, as far as `end`. */
static u32 column_at(const struct line *l, u32 end) {
  u32 col = l->start_column;
  for (u32 k = l->canon; k != end; k++) {
    u8 c = (u8)AT(l, k);
    if (c == '\t')
      col = col - col % 8 + 8;
    else if (is_control(c))
      col += local(l, ECHOCTL) ? 2 : 0;
    else if (!is_continuation(l, c))
      col++;
  }
  return col;
}

/* Takes what is behind `to` off the line and, if asked, off the screen. */
static void erase_to(struct line *l, u32 to, bool show) {
  bool tab = l->head - to == 1 && AT(l, to) == '\t';
  u32 column = column_at(l, l->head), left = column_at(l, to);
  l->head = to;
  if (!show || !local(l, ECHO))
    return;
  if (!local(l, ECHOE)) {
    echo_always(l, l->tio.cc[VERASE]);
    return;
  }
  for (; column > left; column--)
    put_string(l, tab ? "\b" : "\b \b");
}

static void erase_one(struct line *l) {
  u32 to = l->head;
  if (to == l->canon)
    return;
  do
    to--;
  while (to != l->canon && is_continuation(l, (u8)AT(l, to)));
  erase_to(l, to, true);
}

static bool is_word(u8 c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
         c >= 0x80;
}

static void erase_word(struct line *l) {
  u32 to = l->head;
  while (to != l->canon && !is_word((u8)AT(l, to - 1)))
    to--;
  while (to != l->canon && is_word((u8)AT(l, to - 1)))
    to--;
  if (to != l->head)
    erase_to(l, to, true);
}

static void erase_line(struct line *l) {
  bool visibly = local(l, ECHOK) && local(l, ECHOKE) && local(l, ECHOE);
  erase_to(l, l->canon, visibly);
  if (visibly)
    return;
  echo(l, l->tio.cc[VKILL]);
  if (local(l, ECHOK))
    echo(l, '\n');
}

static void reprint(struct line *l) {
  echo(l, l->tio.cc[VREPRINT]);
  echo(l, '\n');
  l->start_column = l->column;
  for (u32 k = l->canon; k != l->head; k++)
    echo(l, (u8)AT(l, k));
}

/* ---- characters that mean something
 * ---------------------------------------------------------------
 */

/* Canonical mode: true if c has been dealt with. */
static bool edit(struct line *l, u8 c) {
  bool extended = local(l, IEXTEN);
  if (is_cc(l, VERASE, c)) {
    erase_one(l);
  } else if (is_cc(l, VKILL, c)) {
    erase_line(l);
  } else if (extended && is_cc(l, VWERASE, c)) {
    erase_word(l);
  } else if (extended && is_cc(l, VLNEXT, c)) {
    l->literal = true;
    if (local(l, ECHO) && local(l, ECHOCTL))
      put_string(l, "^\b");
  } else if (extended && is_cc(l, VREPRINT, c) && local(l, ECHO)) {
    reprint(l);
  } else if (is_cc(l, VEOF, c)) {
    finish_line(l, 0);
  } else if (c == '\n') {
    if (local(l, ECHO | ECHONL))
      line_put(l, '\n');
    finish_line(l, c);
  } else if (is_cc(l, VEOL, c) || (extended && is_cc(l, VEOL2, c))) {
    echo(l, c);
    finish_line(l, c);
  } else {
    return false;
  }
  return true;
}

static int signal_of(const struct line *l, u8 c) {
  if (!local(l, ISIG))
    return 0;
  return is_cc(l, VINTR, c)   ? SIGINT
         : is_cc(l, VQUIT, c) ? SIGQUIT
         : is_cc(l, VSUSP, c) ? SIGTSTP
                              : 0;
}

/* Flow control: true if c has been dealt with. */
static bool flow(struct line *l, u8 c) {
  if (!(l->tio.iflag & IXON))
    return false;
  if (is_cc(l, VSTART, c) || is_cc(l, VSTOP, c)) {
    l->stopped = !is_cc(l, VSTART, c);
    return true;
  }
  if (l->tio.iflag & IXANY)
    l->stopped = false;
  return false;
}

static void receive_plain(struct line *l, u8 c) {
  store(l, c);
  echo(l, c);
}

int line_receive(struct line *l, u8 c) {
  if (l->tio.iflag & ISTRIP)
    c &= 0x7f;
  if (l->literal) {
    l->literal = false;
    receive_plain(l, c);
    return 0;
  }
  if (flow(l, c))
    return 0;
  int signo = signal_of(l, c);
  if (signo) {
    if (!local(l, NOFLSH)) {
      line_flush_input(l);
      l->driver->discard(l);
    }
    l->stopped = false;
    echo(l, c);
    return signo;
  }
  if (c == '\r' && (l->tio.iflag & IGNCR))
    return 0;
  if (c == '\r' && (l->tio.iflag & ICRNL))
    c = '\n';
  else if (c == '\n' && (l->tio.iflag & INLCR))
    c = '\r';
  if (!local(l, ICANON) || !edit(l, c))
    receive_plain(l, c);
  return 0;
}
