/* SPDX-License-Identifier: MIT */
/* Terminals: open files, controlling terminals and job control. */
#include "kernel/fs/tty.h"
#include "kernel/errno.h"
#include "kernel/fs/devfs.h"
#include "kernel/fs/namei.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"

#define TOSTOP 0400u /* lflag: background writers stop */

static struct tty *console;
static struct spin ttys_lock; /* the list; inner to nothing but its references */
static struct list ttys = LIST_INIT(ttys);

struct tty *tty_alloc(const struct tty_ops *ops, void *priv) {
  struct tty *t = kzalloc(sizeof *t);
  if (!t)
    return NULL;
  t->refs = 1;
  t->ops = ops;
  t->priv = priv;
  spin_lock(&ttys_lock);
  list_push_back(&ttys, &t->node);
  spin_unlock(&ttys_lock);
  return t;
}

struct tty *tty_create(const struct tty_ops *ops, void *priv) {
  struct tty *t = tty_alloc(ops, priv);
  if (!t)
    return NULL;
  t->rdev = DEV_CONSOLE;
  if (!console) {
    console = t;
    tty_get(t);
  }
  return t;
}

void tty_get(struct tty *t) { __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED); }

void tty_put(struct tty *t) {
  if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  spin_lock(&ttys_lock);
  list_remove(&t->node);
  spin_unlock(&ttys_lock);
  if (t->ops->release)
    t->ops->release(t);
  kfree(t);
}

/* A reference on a terminal of the list, unless its last one has just gone. ttys_lock held. */
static bool get_listed(struct tty *t) {
  u32 refs = __atomic_load_n(&t->refs, __ATOMIC_RELAXED);
  while (refs != 0)
    if (__atomic_compare_exchange_n(&t->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
      return true;
  return false;
}

struct tty *tty_of_session(int sid) {
  struct tty *t, *found = NULL;
  spin_lock(&ttys_lock);
  list_for_each(t, &ttys, node) {
    if (sid != 0 && __atomic_load_n(&t->sid, __ATOMIC_RELAXED) == sid && get_listed(t)) {
      found = t;
      break;
    }
  }
  spin_unlock(&ttys_lock);
  return found;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static void set_session(struct tty *t, int sid, int pgid) {
  spin_lock(&t->lock);
  t->sid = sid;
  t->fg_pgid = pgid;
  spin_unlock(&t->lock);
}

void tty_boot_session(int sid, int pgid) {
  if (console)
    set_session(console, sid, pgid);
}

int tty_console_pgrp(void) {
  return console ? __atomic_load_n(&console->fg_pgid, __ATOMIC_RELAXED) : 0;
}

static void hang_up_group(int pgid) {
  if (pgid == 0)
    return;
  signal_send_pgrp(pgid, SIGHUP, NULL);
  signal_send_pgrp(pgid, SIGCONT, NULL);
}

/* Nobody is controlled any more. The foreground group until now, 0 if there was none, or another
   session than sid (0: any) has the terminal. */
static int release_session(struct tty *t, int sid, int *had) {
  int pgid = 0;
  spin_lock(&t->lock);
  *had = t->sid;
  if (t->sid != 0 && (sid == 0 || t->sid == sid)) {
    pgid = t->fg_pgid;
    t->sid = t->fg_pgid = 0;
  }
  spin_unlock(&t->lock);
  return pgid;
}

void tty_session_exit(int sid) {
  struct tty *t = tty_of_session(sid);
  int had;
  if (!t)
    return;
  hang_up_group(release_session(t, sid, &had));
  tty_put(t);
}

void tty_hang_up(struct tty *t) {
  __atomic_store_n(&t->hung_up, true, __ATOMIC_RELEASE);
  int sid, pgid = release_session(t, 0, &sid);
  struct proc *leader = sid ? proc_find(sid) : NULL;
  if (leader) {
    signal_send_proc(leader, SIGHUP, NULL);
    signal_send_proc(leader, SIGCONT, NULL);
    proc_put(leader);
  }
  if (pgid != sid)
    hang_up_group(pgid);
}

static bool controls_me(const struct tty *t) {
  return t->sid != 0 && t->sid == proc_sid(proc_current());
}

/* A background process wants to use its controlling terminal: 0 if it may, -EIO if nobody could
   ever let it, otherwise its group gets signo and the call is to be restarted. */
static int background(struct tty *t, int signo) {
  int pgid = proc_pgid(proc_current());
  if (!controls_me(t) || t->fg_pgid == pgid)
    return 0;
  if (signal_is_ignored_or_blocked(signo))
    return signo == SIGTTOU ? 0 : -EIO;
  if (proc_pgrp_is_orphaned(pgid))
    return -EIO;
  signal_send_pgrp(pgid, signo, NULL);
  return -ERESTARTSYS;
}

/* ---- transfers ------------------------------------------------------------------------------ */

static i64 tty_read(struct file *f, struct uio *u, u64 *pos) {
  struct tty *t = f->priv;
  int e = background(t, SIGTTIN);
  (void)pos;
  return e < 0 ? e : t->ops->read(t, u, f->flags & O_NONBLOCK);
}

static bool stops_writers(struct tty *t) {
  struct ktermios k;
  return t->ops->get_termios(t, &k) == 0 && (k.lflag & TOSTOP);
}

static i64 tty_write(struct file *f, struct uio *u, u64 *pos) {
  struct tty *t = f->priv;
  int e = 0;
  (void)pos;
  if (t->sid && t->fg_pgid != proc_pgid(proc_current()) && stops_writers(t))
    e = background(t, SIGTTOU);
  return e < 0 ? e : t->ops->write(t, u, f->flags & O_NONBLOCK);
}

static u32 tty_poll(struct file *f, struct poller *p) {
  struct tty *t = f->priv;
  return t->ops->poll(t, p);
}

/* ---- ioctl ----------------------------------------------------------------------------------- */

#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSETSF 0x5404
#define TCSBRK 0x5409
#define TCXONC 0x540a
#define TCFLSH 0x540b
#define TIOCSCTTY 0x540e
#define TIOCGPGRP 0x540f
#define TIOCSPGRP 0x5410
#define TIOCGWINSZ 0x5413
#define TIOCSWINSZ 0x5414
#define FIONREAD 0x541b
#define TIOCNOTTY 0x5422
#define TIOCGSID 0x5429

static i64 get_termios(struct tty *t, u64 arg) {
  struct ktermios k;
  int e = t->ops->get_termios(t, &k);
  return e < 0 ? e : copy_to_user(arg, &k, sizeof k);
}

static i64 set_termios(struct tty *t, u64 arg, int when) {
  struct ktermios k;
  int e;
  if (copy_from_user(&k, arg, sizeof k) < 0)
    return -EFAULT;
  e = background(t, SIGTTOU);
  return e < 0 ? e : t->ops->set_termios(t, &k, when);
}

static i64 get_winsize(struct tty *t, u64 arg) {
  struct kwinsize w;
  int e = t->ops->get_winsize(t, &w);
  return e < 0 ? e : copy_to_user(arg, &w, sizeof w);
}

static i64 set_winsize(struct tty *t, u64 arg) {
  struct kwinsize w;
  if (copy_from_user(&w, arg, sizeof w) < 0)
    return -EFAULT;
  return t->ops->set_winsize ? t->ops->set_winsize(t, &w) : -EPERM;
}

/* The session leader takes the terminal; root may take it away from another session (arg 1). */
static i64 take_terminal(struct tty *t, u64 arg) {
  struct proc *p = proc_current();
  int sid = proc_sid(p), pgid = proc_pgid(p);
  struct tty *have = tty_of_session(sid);
  i64 e = 0;
  if (have)
    tty_put(have);
  if (have == t)
    return 0;
  if (sid != p->pid || have)
    return -EPERM;
  spin_lock(&t->lock);
  if (t->sid != 0 && t->sid != sid && !(arg == 1 && cred_is_root()))
    e = -EPERM;
  else {
    t->sid = sid;
    t->fg_pgid = pgid;
  }
  spin_unlock(&t->lock);
  return e;
}

static i64 give_up_terminal(struct tty *t) {
  struct proc *p = proc_current();
  if (!controls_me(t))
    return -ENOTTY;
  if (p->pid == t->sid)
    tty_session_exit(t->sid);
  return 0;
}

static i64 set_foreground(struct tty *t, u64 arg) {
  u32 pgid;
  int e;
  if (user_load32(arg, &pgid) < 0)
    return -EFAULT;
  if (!controls_me(t))
    return -ENOTTY;
  if ((i32)pgid <= 0)
    return -EINVAL;
  e = background(t, SIGTTOU);
  if (e < 0)
    return e;
  if (proc_pgrp_session((int)pgid) != t->sid)
    return -EPERM;
  __atomic_store_n(&t->fg_pgid, (int)pgid, __ATOMIC_RELAXED);
  return 0;
}

/* The master of a pty asks about its slave, whoever that controls. */
i64 tty_ioctl_master(struct tty *t, u32 cmd, u64 arg) {
  struct ktermios k;
  switch (cmd) {
  case TCGETS:
    return get_termios(t, arg);
  case TCSETS ... TCSETSF:
    if (copy_from_user(&k, arg, sizeof k) < 0)
      return -EFAULT;
    return t->ops->set_termios(t, &k, (int)(cmd - TCSETS));
  case TIOCGWINSZ:
    return get_winsize(t, arg);
  case TIOCSWINSZ:
    return set_winsize(t, arg);
  case TIOCGPGRP:
    return user_store32(arg, (u32)__atomic_load_n(&t->fg_pgid, __ATOMIC_RELAXED));
  case TIOCGSID:
    return t->sid ? user_store32(arg, (u32)t->sid) : -ENOTTY;
  default:
    return -ENOTTY;
  }
}

static i64 tty_ioctl(struct file *f, u32 cmd, u64 arg) {
  struct tty *t = f->priv;
  i64 n;
  if (__atomic_load_n(&t->hung_up, __ATOMIC_ACQUIRE))
    return -EIO;
  switch (cmd) {
  case TCGETS:
    return get_termios(t, arg);
  case TCSETS ... TCSETSF:
    return set_termios(t, arg, (int)(cmd - TCSETS));
  case TCSBRK:
    return 0;
  case TCXONC:
    return t->ops->flow ? t->ops->flow(t, (int)arg) : -ENOTTY;
  case TCFLSH:
    return t->ops->flush ? t->ops->flush(t, (int)arg) : 0;
  case TIOCGWINSZ:
    return get_winsize(t, arg);
  case TIOCSWINSZ:
    return set_winsize(t, arg);
  case TIOCSCTTY:
    return take_terminal(t, arg);
  case TIOCNOTTY:
    return give_up_terminal(t);
  case TIOCGPGRP:
    return controls_me(t) ? user_store32(arg, (u32)t->fg_pgid) : -ENOTTY;
  case TIOCSPGRP:
    return set_foreground(t, arg);
  case TIOCGSID:
    return controls_me(t) ? user_store32(arg, (u32)t->sid) : -ENOTTY;
  case FIONREAD:
    n = t->ops->input_bytes ? t->ops->input_bytes(t) : -ENOTTY;
    return n < 0 ? n : user_store32(arg, (u32)n);
  default:
    return -ENOTTY;
  }
}

/* ---- open files ------------------------------------------------------------------------------ */

static int tty_stat(struct file *f, struct kstat *st) {
  struct tty *t = f->priv;
  if (f->inode)
    return inode_getattr(f->inode, st);
  anon_stat(st, 3, S_IFCHR | 0620);
  st->rdev = t->rdev;
  return 0;
}

static void tty_release(struct file *f) {
  struct tty *t = f->priv;
  if (t->ops->close)
    t->ops->close(t);
  tty_put(t);
}

#define CONSOLE_PATH "/dev/console"
#define FILE_OPS                                                                                   \
  .read = tty_read, .write = tty_write, .poll = tty_poll, .ioctl = tty_ioctl, .stat = tty_stat,    \
  .release = tty_release
static const struct file_ops tty_file_ops = {.name = "tty", FILE_OPS};
static const struct file_ops console_file_ops = {.name = CONSOLE_PATH, FILE_OPS};

/* What stands for a terminal that nobody has opened by a name: its node, which names it to programs
   (ttyname), but cannot be opened by everybody who has the terminal, as the file itself can. */
static struct inode *node_of(const struct tty *t) {
  struct dentry *d;
  if (t != console || path_walk(NULL, CONSOLE_PATH, WALK_FOLLOW, &d) < 0)
    return NULL;
  struct inode *i = inode_get(d->inode);
  dentry_put(d);
  return i;
}

int tty_file(struct tty *t, u32 flags, struct file **out) {
  int e = t->ops->open ? t->ops->open(t) : 0;
  if (e < 0)
    return e;
  struct inode *node = node_of(t);
  *out = file_alloc(node ? &console_file_ops : &tty_file_ops, flags, t);
  if (!*out) {
    if (t->ops->close)
      t->ops->close(t);
    inode_put(node);
    return -ENOMEM;
  }
  (*out)->inode = node;
  tty_get(t);
  return 0;
}

/* A session leader without a terminal gets the one it opens. */
static void become_controlling(struct tty *t, const struct file *f) {
  if (t->takes_sessions && !(f->flags & O_NOCTTY))
    take_terminal(t, 0); /* not possible: nothing changes */
}

int tty_open(struct tty *t, struct file *f) {
  int e = t->ops->open ? t->ops->open(t) : 0;
  if (e < 0)
    return e;
  tty_get(t);
  f->ops = &tty_file_ops;
  f->priv = t;
  become_controlling(t, f);
  return 0;
}

int tty_open_controlling(struct file *f) {
  struct tty *t = tty_of_session(proc_sid(proc_current()));
  int e = t ? tty_open(t, f) : -ENXIO;
  if (t)
    tty_put(t);
  return e;
}

int tty_open_console(struct file *f) { return console ? tty_open(console, f) : -ENXIO; }
