/* SPDX-License-Identifier: MIT */
/*
 * Pipes against a queue of bytes: random non-blocking reads and writes, changes of capacity, ends
 * that close; atomicity of small writes, poll bits, SIGPIPE.
 */
#include "kernel/ipc/pipe.h"
#include "kernel/signal/signal.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include <stdlib.h>
#include <string.h>

#define MODEL_MAX (2u << 20)
#define CHUNK 100000u
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032

static u8 model[MODEL_MAX];
static u32 model_len;
static u8 *buf;
static int fds[2];
static u64 state = 1;
static u8 next_byte;

static u32 rnd(u32 n) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(state >> 33) % n;
}

static u32 random_size(void) {
  static const u32 most[] = {8, 100, PIPE_BUF, PIPE_BUF + 1, 20000, CHUNK};
  return 1 + rnd(most[rnd(ARRAY_LEN(most))]);
}

static u32 capacity(void) { return (u32)CALL(fcntl, fds[0], F_GETPIPE_SZ); }

static void write_some(void) {
  u32 n = random_size(), room = capacity() - model_len, expected = n < room ? n : room;
  for (u32 k = 0; k < n; k++)
    buf[k] = (u8)(next_byte + k);
  if (n <= PIPE_BUF && n > room)
    expected = 0;
  i64 put = CALL(write, fds[1], buf, n);
  CHECK(put == (expected ? (i64)expected : -EAGAIN));
  memcpy(model + model_len, buf, expected);
  model_len += expected;
  next_byte = (u8)(next_byte + expected);
}

static void read_some(void) {
  u32 n = random_size(), expected = n < model_len ? n : model_len;
  i64 got = CALL(read, fds[0], buf, n);
  CHECK(got == (expected ? (i64)expected : -EAGAIN));
  CHECK(memcmp(buf, model, expected) == 0);
  memmove(model, model + expected, model_len - expected);
  model_len -= expected;
}

static void resize(void) {
  u32 want = 1 + rnd(200000), rounded = PIPE_BUF;
  while (rounded < want)
    rounded *= 2;
  i64 e = CALL(fcntl, fds[1], F_SETPIPE_SZ, want);
  CHECK(e == (model_len > rounded ? -EBUSY : (i64)rounded));
}

static u32 poll_bits(int fd) {
  struct file *f = fd_get(fd);
  u32 bits = file_poll(f, NULL);
  file_put(f);
  return bits;
}

static void check_poll(void) {
  CHECK(!(poll_bits(fds[0]) & POLLIN) == (model_len == 0));
  CHECK(!(poll_bits(fds[1]) & POLLOUT) == (capacity() - model_len < PIPE_BUF));
}

static void make(void) {
  int *user = env_user_memory(sizeof fds);
  CHECK(CALL(pipe2, user, O_NONBLOCK) == 0);
  memcpy(fds, user, sizeof fds);
  model_len = 0;
}

static void random_transfers(void) {
  make();
  for (int k = 0; k < 30000 && !check_bad; k++) {
    switch (rnd(12)) {
    case 0:
      resize();
      break;
    case 1:
      check_poll();
      break;
    default:
      if (rnd(2))
        write_some();
      else
        read_some();
    }
  }
  CALL(close, fds[0]);
  CALL(close, fds[1]);
}

static void end_of_file(void) {
  make();
  CHECK(CALL(write, fds[1], buf, 10) == 10);
  CALL(close, fds[1]);
  CHECK(poll_bits(fds[0]) == (POLLIN | POLLRDNORM | POLLHUP));
  CHECK(CALL(read, fds[0], buf, 100) == 10);
  CHECK(CALL(read, fds[0], buf, 100) == 0);
  CHECK(poll_bits(fds[0]) == POLLHUP);
  CALL(close, fds[0]);
}

static void broken_pipe(void) {
  unsigned before = env_signals[SIGPIPE];
  make();
  CALL(close, fds[0]);
  CHECK(poll_bits(fds[1]) & POLLERR);
  CHECK(CALL(write, fds[1], buf, 10) == -EPIPE);
  CHECK(env_signals[SIGPIPE] == before + 1);
  CHECK(CALL(write, fds[1], buf, 0) == 0);
  CALL(close, fds[1]);
}

static void bad_pointers(void) {
  make();
  CHECK(CALL(write, fds[1], 100, 10) == -EFAULT);
  CHECK(CALL(read, fds[0], buf, 10) == -EAGAIN); /* nothing has gone in */
  CHECK(CALL(write, fds[1], buf, 10) == 10);
  CHECK(CALL(read, fds[0], 100, 10) == -EFAULT);
  CHECK(CALL(read, fds[0], buf, 100) == 10); /* nothing is lost */
  CHECK(CALL(write, fds[0], buf, 1) == -EBADF);
  CHECK(CALL(read, fds[1], buf, 1) == -EBADF);
  CHECK(CALL(pipe2, 100, 0) == -EFAULT);
  CHECK(CALL(pread64, fds[0], buf, 1, 0) == -ESPIPE);
  CALL(close, fds[0]);
  CALL(close, fds[1]);
}

int main(void) {
  env_boot();
  buf = env_user_memory(CHUNK + 1);
  TEST(random_transfers);
  TEST(end_of_file);
  TEST(broken_pipe);
  TEST(bad_pointers);
  return check_summary("fs_pipe");
}
