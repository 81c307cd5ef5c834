/* SPDX-License-Identifier: MIT */
/* Named pipes: open waits for the other side, contents, O_NONBLOCK's rules. */
#include "check.h"
#include <sys/stat.h>

int main(void) {
  char buf[10];
  OK(mkfifo("fifo.tmp", 0600));
  FAILS(mkfifo("fifo.tmp", 0600), EEXIST);
  struct stat st;
  OK(stat("fifo.tmp", &st));
  CHECK(S_ISFIFO(st.st_mode));
  FAILS(open("fifo.tmp", O_WRONLY | O_NONBLOCK), ENXIO);
  pid_t pid = OK(fork());
  if (pid == 0) {
    sleep_ms(20);
    int out = OK(open("fifo.tmp", O_WRONLY));
    EXPECT(write(out, "through", 7), 7);
    _exit(0);
  }
  int in = OK(open("fifo.tmp", O_RDONLY)); /* waits for the writer */
  EXPECT(read(in, buf, 10), 7);
  CHECK(!memcmp(buf, "through", 7));
  EXPECT(read(in, buf, 10), 0);
  EXPECT_EXIT(pid, 0);
  OK(close(in));
  in = OK(open("fifo.tmp", O_RDONLY | O_NONBLOCK));
  EXPECT(read(in, buf, 10), 0);
  int out = OK(open("fifo.tmp", O_WRONLY | O_NONBLOCK));
  FAILS(read(in, buf, 10), EAGAIN);
  EXPECT(write(out, "x", 1), 1);
  EXPECT(read(in, buf, 10), 1);
  OK(unlink("fifo.tmp"));
  return done();
}
