/* SPDX-License-Identifier: MIT */
/*
 * The line discipline: a terminal whose editing, echo and signals are the kernel's. A pty is one,
 * and so are the consoles of platform pc: t->priv is the struct line, t->ops are line_tty_ops or a
 * copy of them with more in it. Terminals that something beneath the kernel edits do not use it.
 *
 * line->lock (an object spinlock) protects all of a line, the driver's output buffer included.
 * Signals are sent without it.
 */
#ifndef UFORK_KERNEL_LINE_H
#define UFORK_KERNEL_LINE_H

#include "kernel/fs/tty.h"

#define LINE_SIZE 4096 /* bytes of input held, a power of two */
#define LINE_OUT_MAX 8 /* bytes that one character of output can become */

struct line;
/* Where output goes. All but `wake` are called with line->lock held. */
struct line_driver {
  size_t (*room)(struct line *l); /* bytes it can take now */
  void (*put)(struct line *l, const char *s, size_t n);
  void (*discard)(struct line *l); /* drops what has not been sent yet */
  void (*wake)(struct line *l);    /* there may be output to send; no locks held */
};

struct line {
  struct spin lock;
  const struct line_driver *driver;
  struct ktermios tio;
  struct kwinsize size;
  u32 tail, canon, head; /* read next; end of the finished lines; end of input (free-running) */
  u32 column;            /* of the cursor, for tabs and erasing */
  u32 start_column;      /* where the line being edited began */
  bool literal;          /* VLNEXT was typed */
  bool stopped;          /* VSTOP was, or TCOOFF */
  bool hung_up;
  struct waitq in_q;        /* readers */
  struct waitq out_q;       /* writers */
  struct waitq room_q;      /* whoever brings input */
  u64 ends[LINE_SIZE / 64]; /* which bytes end a line */
  char buf[LINE_SIZE];
};

extern const struct tty_ops line_tty_ops;

/* Cooked mode, as Linux opens a terminal. */
void line_init(struct line *l, const struct line_driver *driver);
/* Characters typed: how many were taken (fewer: the buffer is full, see room_q). Sends signals: no
   locks held. */
size_t line_input(struct tty *t, const char *s, size_t n);
/* Could line_input take a character? Lock held. */
bool line_has_room(const struct line *l);
/* Nobody is at the other end any more: reads end, writes fail. Wakes everybody. */
void line_hang_up(struct line *l);
/* TIOCSWINSZ: also tells the foreground group. */
int line_set_winsize(struct tty *t, const struct kwinsize *w);

/* ---- between line.c and line_edit.c; lock held --------------------------------------------- */

enum {
  VINTR,
  VQUIT,
  VERASE,
  VKILL,
  VEOF,
  VTIME,
  VMIN,
  VSWTC,
  VSTART,
  VSTOP,
  VSUSP,
  VEOL,
  VREPRINT,
  VDISCARD,
  VWERASE,
  VLNEXT,
  VEOL2
};
#define ISTRIP 040u
#define INLCR 0100u
#define IGNCR 0200u
#define ICRNL 0400u
#define IXON 02000u
#define IXANY 04000u
#define IMAXBEL 020000u
#define IUTF8 040000u
#define OPOST 1u
#define ONLCR 4u
#define OCRNL 010u
#define ONOCR 020u
#define ONLRET 040u
#define XTABS 014000u
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

/* One character of output through OPOST; false: no room now. */
bool line_put(struct line *l, u8 c);
/* One character of input; a signal to send, or 0. */
int line_receive(struct line *l, u8 c);
void line_flush_input(struct line *l);

#endif
