/* SPDX-License-Identifier: MIT */
/* sendfile: to a socket that blocks or not, to a pipe and a file; offsets, ends, a peer that is
 * gone. */
#include "check.h"
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define SIZE 3000000

static char content[SIZE];
static struct sockaddr_in address = {.sin_family = AF_INET};

static unsigned long digest(unsigned long d, const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    d = (d ^ (unsigned char)p[i]) * 1099511628211UL;
  return d;
}

static int listener(void) {
  int l = OK(socket(AF_INET, SOCK_STREAM, 0));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  OK(bind(l, (void *)&address, sizeof address));
  socklen_t size = sizeof address;
  OK(getsockname(l, (void *)&address, &size));
  OK(listen(l, 5));
  return l;
}

/* A child that connects, is slow to read, and expects all of `content`. */
static pid_t reader(unsigned long wanted) {
  static char buf[70000];
  pid_t child = OK(fork());
  if (child)
    return child;
  int c = OK(socket(AF_INET, SOCK_STREAM, 0));
  OK(connect(c, (void *)&address, sizeof address));
  usleep(50000);
  unsigned long d = 0;
  long sum = 0;
  for (ssize_t n; (n = OK(read(c, buf, sizeof buf))) > 0; sum += n)
    d = digest(d, buf, (size_t)n);
  EXPECT(sum, SIZE);
  CHECK(d == wanted);
  _exit(0);
}

static void to_socket(int l, int fd, bool nonblock) {
  pid_t child = reader(digest(0, content, SIZE));
  int s = OK(accept4(l, NULL, NULL, nonblock ? SOCK_NONBLOCK : 0));
  off_t at = 0;
  long waits = 0;
  OK(lseek(fd, 7, SEEK_SET));
  while (at < SIZE) {
    off_t before = at;
    ssize_t n = sendfile(s, fd, &at, (size_t)(SIZE - at));
    if (n < 0) {
      CHECK(nonblock && errno == EAGAIN && at == before);
      struct pollfd p = {s, POLLOUT, 0};
      EXPECT(poll(&p, 1, 50000), 1);
      waits++;
      continue;
    }
    CHECK(n > 0 && at == before + n);
    CHECK(nonblock || at == SIZE);
  }
  EXPECT(sendfile(s, fd, &at, 100), 0); /* the end of the file */
  EXPECT(at, SIZE);
  EXPECT(lseek(fd, 0, SEEK_CUR), 7); /* with an offset the position stays */
  OK(close(s));
  EXPECT_EXIT(child, 0);
}

/* Without an offset the position moves, and a count beyond the end is cut. */
static void with_position(int l, int fd) {
  char buf[100];
  int c = OK(socket(AF_INET, SOCK_STREAM, 0));
  OK(connect(c, (void *)&address, sizeof address));
  int s = OK(accept(l, NULL, NULL));
  OK(lseek(fd, SIZE - 30, SEEK_SET));
  EXPECT(sendfile(s, fd, NULL, 10), 10);
  EXPECT(lseek(fd, 0, SEEK_CUR), SIZE - 20);
  EXPECT(sendfile(s, fd, NULL, 1000), 20);
  EXPECT(sendfile(s, fd, NULL, 1000), 0);
  EXPECT(recv(c, buf, 30, MSG_WAITALL), 30);
  CHECK(!memcmp(buf, content + SIZE - 30, 30));
  off_t negative = -1;
  FAILS(sendfile(s, fd, &negative, 10), EINVAL);
  FAILS(sendfile(s, -1, NULL, 10), EBADF);
  FAILS(sendfile(-1, fd, NULL, 10), EBADF);
  FAILS(sendfile(s, c, NULL, 10), EINVAL);
  int unreadable = OK(open("content", O_WRONLY));
  FAILS(sendfile(s, unreadable, NULL, 10), EBADF);
  OK(close(unreadable));
  /* The peer goes: the first may still be taken, then SIGPIPE or EPIPE. */
  OK(close(c));
  signal(SIGPIPE, SIG_IGN);
  for (off_t at = 0; sendfile(s, fd, &at, 100) >= 0 || errno != EPIPE; at = 0)
    usleep(1000);
  pid_t child = OK(fork());
  if (child == 0) {
    off_t at = 0;
    signal(SIGPIPE, SIG_DFL);
    sendfile(s, fd, &at, 100);
    _exit(0);
  }
  EXPECT_SIGNAL(child, SIGPIPE);
  OK(close(s));
}

static void to_pipe_and_file(int fd) {
  char buf[1000];
  int p[2], out = OK(open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600));
  off_t at = 1000;
  OK(pipe(p));
  EXPECT(sendfile(p[1], fd, &at, sizeof buf), sizeof buf);
  EXPECT(read(p[0], buf, sizeof buf), sizeof buf);
  CHECK(!memcmp(buf, content + 1000, sizeof buf));
  EXPECT(at, 2000);
  EXPECT(sendfile(out, fd, &at, sizeof buf), sizeof buf);
  EXPECT(pread(out, buf, sizeof buf, 0), sizeof buf);
  CHECK(!memcmp(buf, content + 2000, sizeof buf));
  OK(close(p[0])), OK(close(p[1])), OK(close(out));
  OK(unlink("copy"));
}

int main(void) {
  for (size_t i = 0; i < SIZE; i++)
    content[i] = (char)(i * 2654435761UL >> 13);
  int fd = OK(open("content", O_RDWR | O_CREAT | O_TRUNC, 0600));
  EXPECT(write(fd, content, SIZE), SIZE);
  OK(close(fd));
  fd = OK(open("content", O_RDONLY));
  int l = listener();
  to_socket(l, fd, false);
  to_socket(l, fd, true);
  with_position(l, fd);
  to_pipe_and_file(fd);
  OK(unlink("content"));
  puts("ok");
  return 0;
}
