/* SPDX-License-Identifier: MIT */
/*
 * Terminals. This layer adds what concerns processes: controlling terminal, foreground process
 * group, SIGTTIN and SIGTTOU, the ioctls. The device (line editing, echo, settings) is beneath it:
 * the platform's own, or the kernel's line discipline (line.h), which a pty uses and a raw console
 * can. A platform makes one struct tty per terminal with tty_create and returns tty_file(...) from
 * plat_stdio for each standard stream that is that terminal.
 */
#ifndef UFORK_KERNEL_TTY_H
#define UFORK_KERNEL_TTY_H

#include "kernel/fs/file.h"

/* The kernel's struct termios (TCGETS), Linux x86-64. */
struct ktermios {
  u32 iflag, oflag, cflag, lflag;
  u8 line, cc[19];
};
struct kwinsize {
  u16 row, col, xpixel, ypixel;
};

struct tty;
struct tty_ops {
  int (*open)(struct tty *t);   /* each open file of a device node; NULL: always 0 */
  void (*close)(struct tty *t); /* its end */
  i64 (*read)(struct tty *t, struct uio *u, bool nonblock);
  i64 (*write)(struct tty *t, struct uio *u, bool nonblock);
  u32 (*poll)(struct tty *t, struct poller *p);
  int (*get_termios)(struct tty *t, struct ktermios *k);
  /* when: 0 now, 1 after output has drained, 2 and input is discarded (TCSETS + when). */
  int (*set_termios)(struct tty *t, const struct ktermios *k, int when);
  int (*get_winsize)(struct tty *t, struct kwinsize *w);
  int (*set_winsize)(struct tty *t, const struct kwinsize *w); /* NULL: -EPERM */
  int (*flush)(struct tty *t, int queue);                      /* TCFLSH argument; NULL: nothing */
  int (*flow)(struct tty *t, int action);                      /* TCXONC; NULL: -ENOTTY */
  i64 (*input_bytes)(struct tty *t);                           /* FIONREAD; NULL: -ENOTTY */
  void (*release)(struct tty *t);                              /* frees priv */
};

struct tty {
  u32 refs;
  const struct tty_ops *ops;
  void *priv;
  u64 rdev;            /* st_rdev */
  bool takes_sessions; /* becomes controlling when a session leader without one opens it */
  bool hung_up;        /* tty_hang_up was called: only close is left */
  struct list node;    /* all terminals */
  struct spin lock;    /* session and foreground group */
  int sid;             /* session it controls; 0: none */
  int fg_pgid;
};

/* A terminal with one reference. NULL: no memory. */
struct tty *tty_alloc(const struct tty_ops *ops, void *priv);
/* The same for a platform: the first one is the console. */
struct tty *tty_create(const struct tty_ops *ops, void *priv);
void tty_get(struct tty *t);
void tty_put(struct tty *t);
/* An open file on t (takes its own reference). One on the console is known as /dev/console, if that
   is there already. */
int tty_file(struct tty *t, u32 flags, struct file **out);

/* f (fresh) becomes an open file on t, and t maybe the controlling terminal of whoever opens. */
int tty_open(struct tty *t, struct file *f);
/* ioctl by the other end of a pty: settings, window size, groups. */
i64 tty_ioctl_master(struct tty *t, u32 cmd, u64 arg);
/* The other end is gone: SIGHUP and SIGCONT, nobody is controlled. */
void tty_hang_up(struct tty *t);
/* The controlling terminal of a session with a reference, or NULL. */
struct tty *tty_of_session(int sid);
/* µprocess 1 gets the console as its controlling terminal (called once by proc_boot). */
void tty_boot_session(int sid, int pgid);
/* Foreground process group of the console, 0 if there is none: for signals from outside. */
int tty_console_pgrp(void);
/* The session leader exits: SIGHUP and SIGCONT to the foreground group, nobody is controlled. */
void tty_session_exit(int sid);

/* For device nodes: make f (fresh) an open file on the controlling terminal (-ENXIO: none) or the
   console. */
int tty_open_controlling(struct file *f);
int tty_open_console(struct file *f);

#endif
