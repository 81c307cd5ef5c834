/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: pairs, line editing, raw mode, signals, sessions, window size, hang-up. */
#include "check.h"
#include <dirent.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

static int master, slave;
static char name[64];

static void open_pair(void) {
  master = OK(posix_openpt(O_RDWR | O_NOCTTY));
  OK(grantpt(master));
  EXPECT(ptsname_r(master, name, sizeof name), 0);
  FAILS(open(name, O_RDWR | O_NOCTTY), EIO); /* locked */
  OK(unlockpt(master));
  slave = OK(open(name, O_RDWR | O_NOCTTY));
}

static void close_pair(void) {
  OK(close(slave));
  OK(close(master));
}

static void type(const char *s) { EXPECT(write(master, s, strlen(s)), strlen(s)); }

static void sees(int fd, const char *want) {
  char buf[512];
  size_t n = strlen(want), got = 0;
  while (got < n) {
    struct pollfd p = {fd, POLLIN, 0};
    EXPECT(poll(&p, 1, 50000), 1);
    ssize_t k = OK(read(fd, buf + got, sizeof buf - got));
    CHECK(k > 0);
    got += (size_t)k;
  }
  if (got != n || memcmp(buf, want, n)) {
    dprintf(2, "want '%s', have '%.*s'\n", want, (int)got, buf);
    check_fail(__FILE__, __LINE__, "terminal text", (long)got);
  }
}

/* Until so much can be read of the slave: what was typed arrives some time later. */
static void until_typed(int want) {
  for (int n = -1; n != want; sleep_ms(1))
    OK(ioctl(slave, FIONREAD, &n));
}

static int readable(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return OK(poll(&p, 1, 20)) && (p.revents & POLLIN);
}

static void names(void) {
  struct stat st, by_name;
  char link[64];
  OK(fstat(slave, &st));
  OK(stat(name, &by_name));
  CHECK(S_ISCHR(st.st_mode) && st.st_rdev == by_name.st_rdev && st.st_ino == by_name.st_ino);
  EXPECT(by_name.st_uid, geteuid());
  CHECK(isatty(slave) && isatty(master));
  EXPECT(ttyname_r(slave, link, sizeof link), 0);
  CHECK(!strcmp(link, name));
  OK(chmod(name, 0600));
  OK(stat(name, &by_name));
  EXPECT(by_name.st_mode & 0777, 0600);
  FAILS(open("/dev/pts/999999", O_RDWR), ENOENT);
  FAILS(open("/dev/pts/x", O_RDWR), ENOENT);
  DIR *d = opendir("/dev/pts");
  int found = 0;
  CHECK(d);
  for (struct dirent *e; (e = readdir(d));)
    found |= !strcmp(e->d_name, name + strlen("/dev/pts/"));
  CHECK(found);
  closedir(d);
}

static void editing(void) {
  type("hello\n");
  sees(slave, "hello\n");
  sees(master, "hello\r\n");
  type("ab\177c");
  CHECK(!readable(slave));
  sees(master, "ab\b \bc");
  type("\r");
  sees(slave, "ac\n");
  sees(master, "\r\n");
  type("one two\027x\025yes\n"); /* ^W, ^U */
  sees(slave, "yes\n");
  sees(master, "one two\b \b\b \b\b \bx\b \b\b \b\b \b\b \b\b \byes\r\n");
  type("\026\003z\n"); /* ^V: the next one literally */
  sees(slave, "\003z\n");
  sees(master, "^\b^Cz\r\n");
  type("no newline\004");
  sees(slave, "no newline");
  sees(master, "no newline");
  type("\004");
  char c;
  EXPECT(read(slave, &c, 1), 0);
  type("1\n2\n"); /* a read ends with the line */
  sees(slave, "1\n");
  until_typed(2);
  sees(slave, "2\n");
  sees(master, "1\r\n2\r\n");
  EXPECT(write(slave, "a\tb\n", 4), 4);
  sees(master, "a\tb\r\n");
}

static void raw_mode(void) {
  struct termios t, old;
  char buf[10];
  OK(tcgetattr(slave, &old));
  t = old;
  cfmakeraw(&t);
  OK(tcsetattr(slave, TCSANOW, &t));
  type("x\003\r");
  sees(slave, "x\003\r");
  CHECK(!readable(master)); /* no echo */
  EXPECT(write(slave, "\n", 1), 1);
  sees(master, "\n");
  t.c_cc[VMIN] = 0;
  OK(tcsetattr(slave, TCSANOW, &t));
  EXPECT(read(slave, buf, 10), 0);
  t.c_cc[VTIME] = 1;
  OK(tcsetattr(slave, TCSANOW, &t));
  long start = now_ms();
  EXPECT(read(slave, buf, 10), 0);
  CHECK(now_ms() - start >= 80);
  t.c_cc[VMIN] = 3;
  OK(tcsetattr(slave, TCSANOW, &t));
  type("12");
  EXPECT(read(slave, buf, 10), 2); /* the pause after the second one */
  t.c_cc[VTIME] = 0;
  OK(tcsetattr(slave, TCSANOW, &t));
  type("12");
  IN_CHILD {
    sleep_ms(30);
    type("3");
  }
  END_CHILD(0);
  EXPECT(read(slave, buf, 10), 3);
  OK(fcntl(slave, F_SETFL, O_NONBLOCK));
  FAILS(read(slave, buf, 10), EAGAIN);
  OK(fcntl(slave, F_SETFL, 0));
  type("left");
  until_typed(4);
  OK(tcflush(slave, TCIFLUSH));
  CHECK(!readable(slave));
  OK(tcsetattr(slave, TCSANOW, &old));
}

static void size(void) {
  struct winsize w = {33, 99, 0, 0}, got;
  OK(ioctl(master, TIOCSWINSZ, &w));
  OK(ioctl(slave, TIOCGWINSZ, &got));
  CHECK(got.ws_row == 33 && got.ws_col == 99);
  FAILS(ioctl(slave, TIOCGWINSZ, (void *)16), EFAULT);
  FAILS(ioctl(slave, TIOCGPTN, &got), ENOTTY);
  FAILS(ioctl(slave, TIOCGPGRP, &got), ENOTTY); /* it does not control us */
}

/* More than fits, both ways. */
static void bulk(void) {
  enum { N = 50000 };
  struct termios t;
  char buf[1000];
  int sum = 0;
  OK(tcgetattr(slave, &t));
  cfmakeraw(&t);
  OK(tcsetattr(slave, TCSANOW, &t));
  pid_t pid = OK(fork());
  if (pid == 0) {
    memset(buf, 'b', sizeof buf);
    for (int k = 0; k < N / 1000; k++)
      EXPECT(write(slave, buf, 1000), 1000);
    for (int k = 0; k < N;)
      k += (int)OK(read(slave, buf, sizeof buf));
    _exit(0);
  }
  while (sum < N)
    sum += (int)OK(read(master, buf, sizeof buf));
  EXPECT(sum, N);
  for (int k = 0; k < N / 1000; k++)
    EXPECT(write(master, buf, 1000), 1000);
  EXPECT_EXIT(pid, 0);
}

static volatile sig_atomic_t got[NSIG];
static void note(int sig) { got[sig]++; }

/* A session of its own on the slave, as a terminal emulator makes it. */
static void session(int go, int say) {
  OK(setsid());
  FAILS(open("/dev/tty", O_RDWR), ENXIO);
  OK(close(slave));
  slave = OK(open(name, O_RDWR)); /* becomes the controlling terminal */
  OK(close(OK(open("/dev/tty", O_RDWR))));
  OK(ioctl(slave, TIOCSCTTY, 0)); /* has it */
  EXPECT(tcgetpgrp(slave), getpgrp());
  EXPECT(tcgetsid(slave), getpid());
  handle(SIGINT, note, SA_RESTART);
  handle(SIGWINCH, note, SA_RESTART);
  handle(SIGHUP, note, 0);
  signal(SIGTTOU, SIG_IGN);
  tell(say);
  await(go);
  while (!got[SIGINT])
    sleep_ms(5);
  EXPECT(got[SIGINT], 1);
  tell(say);
  await(go);
  while (!got[SIGWINCH])
    sleep_ms(5);
  EXPECT(got[SIGWINCH], 1);
  /* A background group is stopped when it reads. */
  pid_t pid = OK(fork());
  if (pid == 0) {
    char c;
    OK(setpgid(0, 0));
    read(slave, &c, 1);
    _exit(1);
  }
  int status;
  EXPECT(OK(waitpid(pid, &status, WUNTRACED)), pid);
  CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
  OK(tcsetpgrp(slave, pid));
  EXPECT(tcgetpgrp(slave), pid);
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  OK(tcsetpgrp(slave, getpgrp()));
  tell(say);
  while (!got[SIGHUP])
    sleep_ms(5);
  char c;
  EXPECT(read(slave, &c, 1), 0);
  FAILS(write(slave, "x", 1), EIO);
  FAILS(ioctl(slave, TCGETS, &c), EIO);
  FAILS(open("/dev/tty", O_RDWR), ENXIO);
  _exit(0);
}

static void sessions(void) {
  int to[2], from[2];
  OK(pipe(to));
  OK(pipe(from));
  pid_t pid = OK(fork());
  if (pid == 0) {
    OK(close(master));
    session(to[0], from[1]);
  }
  await(from[0]);
  EXPECT(tcgetpgrp(master), pid);
  OK(close(slave));
  type("lost\003");
  tell(to[1]);
  await(from[0]);
  sees(master, "^C");
  struct winsize w = {10, 20, 0, 0};
  OK(ioctl(master, TIOCSWINSZ, &w));
  tell(to[1]);
  await(from[0]);
  OK(close(master)); /* hang-up */
  EXPECT_EXIT(pid, 0);
  for (int k = 0; k < 2; k++) {
    OK(close(to[k]));
    OK(close(from[k]));
  }
}

/* The master sees what was written, then the end. */
static void slave_closes(void) {
  char buf[10];
  open_pair();
  EXPECT(write(slave, "bye", 3), 3);
  OK(close(slave));
  sees(master, "bye");
  FAILS(read(master, buf, sizeof buf), EIO);
  struct pollfd p = {master, POLLIN, 0};
  EXPECT(poll(&p, 1, 0), 1);
  CHECK(p.revents & POLLHUP);
  slave = OK(open(name, O_RDWR | O_NOCTTY)); /* again */
  EXPECT(write(slave, "back", 4), 4);
  sees(master, "back");
  close_pair();
  FAILS(open(name, O_RDWR | O_NOCTTY), ENOENT);
}

/* Numbers come back; the first one may be somebody else's at the moment. */
static void many(void) {
  char first[64];
  open_pair();
  strcpy(first, name);
  close_pair();
  for (int k = 0; k < 300 || strcmp(first, name) != 0; k++) {
    open_pair();
    close_pair();
  }
}

int main(void) {
  open_pair();
  names();
  editing();
  raw_mode();
  size();
  bulk();
  close_pair();
  open_pair();
  sessions();
  slave_closes();
  many();
  return done();
}
