/* SPDX-License-Identifier: MIT */
/* WUNTRACED and WCONTINUED; a stopped process makes no progress until SIGCONT, but SIGKILL ends it.
 */
#include "check.h"
#include <sys/mman.h>

int main(void) {
  volatile long *beats =
      OK((long *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pid_t pid = OK(fork());
  if (pid == 0)
    for (;;)
      ++*beats;
  OK(setpgid(pid, pid)); /* in an orphaned group terminal stops are ignored */
  int status;
  while (*beats == 0)
    sleep_ms(1);
  static const int stops[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  for (int i = 0; i < 4; i++) {
    OK(kill(pid, stops[i]));
    EXPECT(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == stops[i]);
    EXPECT(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
    long n = *beats;
    sleep_ms(20);
    EXPECT(*beats, n);
    OK(kill(pid, SIGCONT));
    EXPECT(waitpid(pid, &status, WCONTINUED), pid);
    CHECK(WIFCONTINUED(status));
    while (*beats == n) /* a test that hangs fails */
      sleep_ms(1);
  }
  OK(kill(pid, SIGSTOP));
  EXPECT(waitpid(pid, &status, WUNTRACED), pid);
  OK(kill(pid, SIGTERM)); /* stays pending while stopped */
  sleep_ms(10);
  EXPECT(waitpid(pid, &status, WNOHANG), 0);
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  return done();
}
