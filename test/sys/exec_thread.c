/* SPDX-License-Identifier: MIT */
/* exec by a thread that is not the first ends all others and keeps the PID. */
#include "check.h"
#include <pthread.h>

static void *idle(void *arg) {
  (void)arg;
  for (;;)
    pause();
  return NULL;
}

static void *executor(void *arg) {
  (void)arg;
  char pid[20];
  sprintf(pid, "%d", getpid());
  execl("/proc/self/exe", "x", pid, NULL);
  CHECK(!"execl returned");
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) {
    EXPECT(getpid(), atoi(argv[1]));
    sleep_ms(20);
    return done();
  }
  pthread_t t;
  for (int i = 0; i < 3; i++)
    EXPECT(pthread_create(&t, NULL, idle, NULL), 0);
  EXPECT(pthread_create(&t, NULL, executor, NULL), 0);
  EXPECT(pthread_join(t, NULL), 0);
  CHECK(!"joined");
}
