/* SPDX-License-Identifier: MIT */
/*
 * The line discipline of a terminal whose platform has none: editing, echo, signal characters,
 * output translation. Pure: the owner locks, blocks and moves bytes. Not reentrant; the owner's
 * lock protects a struct line.
 */
#ifndef UFORK_KERNEL_LINE_H
#define UFORK_KERNEL_LINE_H

#include "kernel/fs/tty.h"

#define LINE_SIZE 4096u

struct line {
  struct ktermios t;
  u16 buf[LINE_SIZE]; /* input: bytes, and marks (line.c) */
  u32 head;           /* next to be read */
  u32 done;           /* end of what may be read: in canonical mode, of complete lines */
  u32 tail;           /* end of input */
  /* Writes to the device. */
  void (*put)(const char *text, size_t n);
};

/* Like a Linux console's: canonical, echo, signals. */
void line_init(struct line *l, void (*put)(const char *text, size_t n));
/* A byte from the device. Value: 0, or the signal that the character stands for; the owner sends it
   without its lock. */
int line_input(struct line *l, u8 c);
/* Takes up to n readable bytes: in canonical mode at most one line, an end-of-file mark ends it
   (0: end of file). Call only if line_ready. */
size_t line_take(struct line *l, u8 *buf, size_t n);
/* Is there something to take: a line, an end-of-file mark, or any byte in raw mode? */
bool line_ready(const struct line *l);
/* Bytes that could be taken. */
size_t line_bytes(const struct line *l);
/* Writes with the output translation of the settings. */
void line_output(struct line *l, const u8 *text, size_t n);
/* New settings; unread input becomes readable when canonical mode is left. */
void line_set(struct line *l, const struct ktermios *k);
/* Drops all input. */
void line_flush(struct line *l);

#endif
