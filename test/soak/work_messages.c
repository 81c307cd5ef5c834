/* SPDX-License-Identifier: MIT */
/* Datagrams and packets keep their bounds and contents; descriptors travel with them, and are
   closed with those that never arrive, in circles too. */
#include "soak.h"
#include <sys/un.h>

#define MESSAGE_MAX 2000

struct header {
  uint32_t number, length;
  uint32_t descriptors;
};

static void send_message(int sock, uint32_t number, uint64_t seed, size_t n, const int *fds,
                         unsigned nfds) {
  char buf[MESSAGE_MAX], control[CMSG_SPACE(4 * sizeof(int))] = {0};
  struct header *h = (struct header *)buf;
  struct iovec iov = {buf, n};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  *h = (struct header){number, (uint32_t)n, nfds};
  pattern_fill(buf + sizeof *h, n - sizeof *h, seed, number);
  if (nfds) {
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
    memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
  }
  EXPECT(sendmsg(sock, &m, 0), n);
}

/* Through each descriptor that comes, a word with the message's number. */
static void receive_message(int sock, uint32_t number, uint64_t seed) {
  char buf[MESSAGE_MAX + 1], control[CMSG_SPACE(4 * sizeof(int))];
  struct header *h = (struct header *)buf;
  struct iovec iov = {buf, sizeof buf};
  struct msghdr m = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = OK(recvmsg(sock, &m, 0));
  CHECK(n >= (ssize_t)sizeof *h && h->length == n);
  EXPECT(h->number, number);
  EXPECT(pattern_check(buf + sizeof *h, (size_t)n - sizeof *h, seed, number), -1);
  unsigned nfds = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    int fd;
    CHECK(c->cmsg_type == SCM_RIGHTS);
    for (size_t at = 0; CMSG_LEN(at + sizeof fd) <= c->cmsg_len; at += sizeof fd) {
      memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
      write_full(fd, &number, sizeof number);
      OK(close(fd));
      nfds++;
    }
  }
  if (lean && nfds < h->descriptors && (m.msg_flags & MSG_CTRUNC))
    give_up_quietly();
  EXPECT(nfds, h->descriptors);
}

static void conversation(int type, uint64_t *r) {
  unsigned count = 1 + below(r, 60);
  uint64_t seed = rnd(r);
  int pair[2], back[2];
  OK(socketpair(AF_UNIX, type, 0, pair));
  OK(pipe(back));
  unsigned expected = 0;
  pid_t pid = child();
  if (pid == 0) {
    OK(close(pair[1]));
    OK(close(back[0]));
    OK(close(back[1]));
    for (unsigned i = 0; i < count; i++)
      receive_message(pair[0], i, seed);
    _exit(0);
  }
  OK(close(pair[0]));
  int fds[4] = {back[1], back[1], back[1], back[1]};
  for (unsigned i = 0; i < count; i++) {
    unsigned nfds = below(r, 4) ? 0 : 1 + below(r, 4);
    expected += nfds;
    send_message(pair[1], i, seed, sizeof(struct header) + below(r, 1500), fds, nfds);
  }
  OK(close(back[1]));
  uint32_t number, words = 0;
  while (read_full(back[0], &number, sizeof number) == sizeof number)
    CHECK(number < count && ++words <= expected);
  EXPECT_EXIT(pid, 0);
  EXPECT(words, expected);
  OK(close(pair[1]));
  OK(close(back[0]));
}

/* Sockets that hold each other in flight, dropped. The pipe's end shows that they were closed. */
static void dropped(uint64_t *r) {
  int a[2], b[2], p[2];
  char c;
  OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, a));
  OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b));
  OK(pipe(p));
  int with_pipe[2] = {p[1], b[0]}, other[2] = {a[0], a[1]};
  send_message(a[1], 0, 1, 100, with_pipe, 2); /* in the queue of a[0]: b[0] and the pipe */
  if (below(r, 2))
    send_message(b[1], 0, 1, 100, other, 2); /* in the queue of b[0]: a, a circle */
  for (int i = 0; i < 2; i++) {
    OK(close(a[i]));
    OK(close(b[i]));
  }
  OK(close(p[1]));
  EXPECT(read(p[0], &c, 1), 0); /* waits for the collector, if it is late */
  OK(close(p[0]));
}

/* Many clients of one named socket. */
static void named(uint64_t *r) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  unsigned clients = 1 + below(r, 4);
  pid_t pids[4];
  int l = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  bool abstract = below(r, 2);
  snprintf(a.sun_path + abstract, sizeof a.sun_path - 1, "sock-%d", (int)getpid());
  OK(bind(l, (struct sockaddr *)&a, sizeof a));
  OK(listen(l, 8));
  for (unsigned i = 0; i < clients; i++) {
    pids[i] = child();
    if (pids[i])
      continue;
    int s = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(connect(s, (struct sockaddr *)&a, sizeof a));
    uint32_t v = i, w;
    write_full(s, &v, sizeof v);
    EXPECT(read_full(s, &w, sizeof w), sizeof w);
    EXPECT(w, v * 3);
    _exit(0);
  }
  for (unsigned i = 0; i < clients; i++) {
    uint32_t v;
    int s = OK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
    EXPECT(read_full(s, &v, sizeof v), sizeof v);
    v *= 3;
    write_full(s, &v, sizeof v);
    OK(close(s));
  }
  OK(close(l));
  if (!abstract)
    OK(unlink(a.sun_path));
  for (unsigned i = 0; i < clients; i++)
    EXPECT_EXIT(pids[i], 0);
}

void job_messages(uint64_t *r) {
  signal(SIGPIPE, SIG_DFL);
  conversation(below(r, 2) ? SOCK_DGRAM : SOCK_SEQPACKET, r);
  dropped(r);
  named(r);
}
