/* SPDX-License-Identifier: MIT */
/* inotify [DIR]: which events a directory in DIR (/tmp) and its files give, in which order, how
   they are packed. */
/* test: timeout=120 */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int in;
static char buf[4096];
static size_t have, at;
static uint32_t cookie;

static const char *directory(const char *in_what) {
  static char path[256];
  snprintf(path, sizeof path, "%s/inotify-XXXXXX", in_what);
  CHECK(mkdtemp(path) != NULL);
  OK(chdir(path));
  return path;
}

static struct inotify_event *next(void) {
  if (at == have) {
    have = (size_t)OK(read(in, buf, sizeof buf));
    at = 0;
  }
  struct inotify_event *e = (void *)(buf + at);
  CHECK(have - at >= sizeof *e && e->len % sizeof *e == 0);
  at += sizeof *e + e->len;
  CHECK(at <= have);
  if (e->len)
    CHECK(strnlen(e->name, e->len) < e->len && e->len - strlen(e->name) <= sizeof *e);
  return e;
}

static void expect_at(int line, int wd, uint32_t mask, const char *name) {
  struct inotify_event *e = next();
  cookie = e->cookie;
  if (e->wd != wd || e->mask != mask || strcmp(e->len ? e->name : "", name) != 0) {
    dprintf(2, "got wd %d mask %x name '%s', expected %d %x '%s'\n", e->wd, e->mask,
            e->len ? e->name : "", wd, mask, name);
    check_fail(__FILE__, line, "event", e->wd);
  }
}
#define EVENT(wd, mask, name) expect_at(__LINE__, wd, mask, name)

static void nothing_at(int line) {
  errno = 0;
  if (at != have || read(in, buf, sizeof buf) != -1 || errno != EAGAIN)
    check_fail(__FILE__, line, "no event", ((struct inotify_event *)(void *)(buf + at))->mask);
}
#define NOTHING() nothing_at(__LINE__)

static void put(const char *path, const char *text) {
  int fd = OK(open(path, O_WRONLY | O_CREAT, 0644));
  EXPECT(write(fd, text, strlen(text)), strlen(text));
  OK(close(fd));
}

static void files(int dir) {
  put("a", "hello");
  EVENT(dir, IN_CREATE, "a"), EVENT(dir, IN_OPEN, "a"), EVENT(dir, IN_MODIFY, "a");
  EVENT(dir, IN_CLOSE_WRITE, "a"), NOTHING();
  int fd = OK(open("a", O_RDONLY));
  EXPECT(read(fd, buf + 2048, 2), 2);
  EXPECT(read(fd, buf + 2048, 2), 2); /* the same again: one event */
  OK(fchmod(fd, 0600));
  OK(close(fd));
  EVENT(dir, IN_OPEN, "a"), EVENT(dir, IN_ACCESS, "a"), EVENT(dir, IN_ATTRIB, "a");
  EVENT(dir, IN_CLOSE_NOWRITE, "a"), NOTHING();
  OK(truncate("a", 2));
  EVENT(dir, IN_MODIFY, "a");
  OK(link("a", "b")), EVENT(dir, IN_CREATE, "b");
  OK(symlink("a", "s")), EVENT(dir, IN_CREATE, "s");
  OK(mkfifo("f", 0600)), EVENT(dir, IN_CREATE, "f");
  OK(unlink("s")), EVENT(dir, IN_DELETE, "s");
  OK(unlink("f")), EVENT(dir, IN_DELETE, "f");
  OK(mkdir("d", 0700)), EVENT(dir, IN_CREATE | IN_ISDIR, "d");
  OK(rmdir("d")), EVENT(dir, IN_DELETE | IN_ISDIR, "d");
  NOTHING();
  FAILS(open("none", O_RDONLY), ENOENT);
  FAILS(mkdir("a", 0700), EEXIST);
  OK(close(OK(open("a", O_PATH))));
  NOTHING();
}

static void renames(int dir) {
  OK(mkdir("sub", 0700)), EVENT(dir, IN_CREATE | IN_ISDIR, "sub");
  int sub = OK(inotify_add_watch(in, "sub", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE)));
  CHECK(sub > dir);
  OK(rename("b", "c"));
  EVENT(dir, IN_MOVED_FROM, "b");
  uint32_t from = cookie;
  CHECK(from != 0);
  EVENT(dir, IN_MOVED_TO, "c");
  EXPECT(cookie, from);
  OK(rename("c", "sub/x"));
  EVENT(dir, IN_MOVED_FROM, "c");
  CHECK(cookie != from);
  from = cookie;
  EVENT(sub, IN_MOVED_TO, "x");
  EXPECT(cookie, from);
  OK(rename("sub", "bus"));
  EVENT(dir, IN_MOVED_FROM | IN_ISDIR, "sub"), EVENT(dir, IN_MOVED_TO | IN_ISDIR, "bus");
  EVENT(sub, IN_MOVE_SELF, "");
  OK(unlink("bus/x"));
  EVENT(sub, IN_DELETE, "x");
  OK(rmdir("bus"));
  struct inotify_event *e = next(); /* Linux: self first or last, by version */
  if (e->wd == sub) {
    EXPECT(e->mask, IN_DELETE_SELF);
    EVENT(sub, IN_IGNORED, ""), EVENT(dir, IN_DELETE | IN_ISDIR, "bus");
  } else {
    EXPECT(e->mask, IN_DELETE | IN_ISDIR);
    EVENT(sub, IN_DELETE_SELF, ""), EVENT(sub, IN_IGNORED, "");
  }
  NOTHING();
  FAILS(inotify_rm_watch(in, sub), EINVAL);
}

static void one_file(int dir) {
  OK(inotify_rm_watch(in, dir));
  EVENT(dir, IN_IGNORED, "");
  int a = OK(inotify_add_watch(in, "a", IN_ALL_EVENTS));
  CHECK(a > dir);
  int fd = OK(open("a", O_RDWR));
  EVENT(a, IN_OPEN, "");
  OK(link("a", "b")), EVENT(a, IN_ATTRIB, "");
  OK(unlink("a")), EVENT(a, IN_ATTRIB, "");
  NOTHING();
  OK(rename("b", "e")), EVENT(a, IN_MOVE_SELF, "");
  OK(close(fd)), EVENT(a, IN_CLOSE_WRITE, "");
  fd = OK(open("e", O_RDWR)), EVENT(a, IN_OPEN, "");
  OK(unlink("e")), EVENT(a, IN_ATTRIB, "");
  NOTHING(); /* it is open */
  EXPECT(write(fd, "x", 1), 1);
  OK(ftruncate(fd, 0));
  EVENT(a, IN_MODIFY, ""), NOTHING(); /* two that are equal */
  OK(close(fd));
  EVENT(a, IN_CLOSE_WRITE, ""), EVENT(a, IN_DELETE_SELF, ""), EVENT(a, IN_IGNORED, "");
  NOTHING();

  put("old", "1"), put("new", "2");
  int old = OK(inotify_add_watch(in, "old", IN_ALL_EVENTS));
  OK(rename("new", "old"));
  EVENT(old, IN_ATTRIB, ""), EVENT(old, IN_DELETE_SELF, ""), EVENT(old, IN_IGNORED, "");
  NOTHING();
}

static void masks(void) {
  put("m", "");
  int m = OK(inotify_add_watch(in, "m", IN_OPEN));
  OK(close(OK(open("m", O_RDONLY))));
  EVENT(m, IN_OPEN, ""), NOTHING();
  EXPECT(inotify_add_watch(in, "m", IN_CLOSE_NOWRITE | IN_MASK_ADD), m);
  OK(close(OK(open("m", O_RDONLY))));
  EVENT(m, IN_OPEN, ""), EVENT(m, IN_CLOSE_NOWRITE, "");
  EXPECT(inotify_add_watch(in, "m", IN_CLOSE_NOWRITE), m);
  OK(close(OK(open("m", O_RDONLY))));
  EVENT(m, IN_CLOSE_NOWRITE, ""), NOTHING();
  FAILS(inotify_add_watch(in, "m", IN_OPEN | IN_MASK_CREATE), EEXIST);
  FAILS(inotify_add_watch(in, "m", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
  EXPECT(inotify_add_watch(in, "m", IN_OPEN | IN_ONESHOT), m);
  OK(close(OK(open("m", O_RDONLY))));
  EVENT(m, IN_OPEN, ""), EVENT(m, IN_IGNORED, ""), NOTHING();
  FAILS(inotify_rm_watch(in, m), EINVAL);
  FAILS(inotify_add_watch(in, "m", IN_OPEN | IN_ONLYDIR), ENOTDIR);
  FAILS(inotify_add_watch(in, "none", IN_OPEN), ENOENT);
  FAILS(inotify_add_watch(in, "m", 0), EINVAL);
  FAILS(inotify_add_watch(0, "m", IN_OPEN), EINVAL);
  FAILS(inotify_add_watch(99, "m", IN_OPEN), EBADF);
  FAILS(inotify_init1(1), EINVAL);
  OK(symlink("m", "sm"));
  int s = OK(inotify_add_watch(in, "sm", IN_OPEN | IN_DONT_FOLLOW));
  OK(close(OK(open("sm", O_RDONLY)))), NOTHING();
  OK(inotify_rm_watch(in, s)), EVENT(s, IN_IGNORED, "");

  put("x", "");
  int dir = OK(inotify_add_watch(in, ".", IN_MODIFY | IN_EXCL_UNLINK));
  int fd = OK(open("x", O_WRONLY));
  EXPECT(write(fd, "1", 1), 1);
  EVENT(dir, IN_MODIFY, "x");
  OK(unlink("x"));
  EXPECT(write(fd, "1", 1), 1);
  NOTHING();
  OK(close(fd));
  OK(inotify_rm_watch(in, dir)), EVENT(dir, IN_IGNORED, "");
}

static void waiting(void) {
  int n, ep = OK(epoll_create1(0));
  struct pollfd p = {.fd = in, .events = POLLIN};
  struct epoll_event ev = {.events = EPOLLIN};
  OK(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
  int dir = OK(inotify_add_watch(in, ".", IN_CREATE | IN_DELETE));
  EXPECT(poll(&p, 1, 0), 0);
  OK(ioctl(in, FIONREAD, &n));
  EXPECT(n, 0);
  put("long-name-of-a-file", "");
  EXPECT(poll(&p, 1, 0), 1);
  EXPECT(epoll_wait(ep, &ev, 1, 0), 1);
  OK(ioctl(in, FIONREAD, &n));
  EXPECT(n, 16 + 32);
  FAILS(read(in, buf, 16 + 31), EINVAL); /* an event is not cut */
  EVENT(dir, IN_CREATE, "long-name-of-a-file");
  EXPECT(poll(&p, 1, 0), 0);

  OK(fcntl(in, F_SETFL, 0)); /* blocks; a child makes the event, and shares the descriptor */
  pid_t pid = OK(fork());
  if (pid == 0) {
    sleep_ms(50);
    OK(unlink("long-name-of-a-file"));
    _exit(0);
  }
  EVENT(dir, IN_DELETE, "long-name-of-a-file");
  EXPECT_EXIT(pid, 0);
  put("one", ""), put("two", "");
  IN_CHILD { EVENT(dir, IN_CREATE, "one"), EVENT(dir, IN_CREATE, "two"); }
  END_CHILD(0);
  OK(fcntl(in, F_SETFL, O_NONBLOCK));
  NOTHING();
  OK(inotify_rm_watch(in, dir)), EVENT(dir, IN_IGNORED, "");
  OK(close(ep));
}

/* More events than the queue takes: the last one says so. */
static void overflow(void) {
  int dir = OK(inotify_add_watch(in, ".", IN_ATTRIB)),
      m = OK(inotify_add_watch(in, "m", IN_ATTRIB));
  int fd = OK(open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY)), n, events = 0, over = 0;
  n = (int)OK(read(fd, buf, 32));
  buf[n] = 0;
  int limit = atoi(buf);
  OK(close(fd));
  CHECK(limit >= 1000 && limit <= 1000000);
  for (int i = 0; i <= limit / 2 + 10;
       i++) /* in turn for two watches: nothing is equal to the last */
    OK(chmod("m", 0600));
  have = at = 0;
  while ((n = (int)read(in, buf, sizeof buf)) > 0)
    for (have = (size_t)n, at = 0; at < have; events++) {
      struct inotify_event *e = next();
      CHECK(!over);
      over = e->mask == IN_Q_OVERFLOW;
      EXPECT(e->wd, over ? -1 : e->len ? dir : m);
    }
  EXPECT(errno, EAGAIN);
  CHECK(over);
  EXPECT(events, limit + 1);
  have = at = 0;
  OK(chmod("m", 0600)); /* and it goes on */
  EVENT(dir, IN_ATTRIB, "m"), EVENT(m, IN_ATTRIB, ""), NOTHING();
}

int main(int argc, char **argv) {
  const char *path = directory(argc > 1 ? argv[1] : "/tmp");
  in = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  EXPECT(fcntl(in, F_GETFD), FD_CLOEXEC);
  int dir = OK(inotify_add_watch(in, ".", IN_ALL_EVENTS));
  EXPECT(dir, 1);
  EXPECT(inotify_add_watch(in, path, IN_ALL_EVENTS), dir);
  files(dir);
  renames(dir);
  one_file(dir);
  masks();
  waiting();
  overflow();
  OK(close(in)); /* with its watches */
  OK(unlink("m")), OK(unlink("sm")), OK(unlink("old")), OK(unlink("one")), OK(unlink("two"));
  OK(rmdir(path));
  return done();
}
