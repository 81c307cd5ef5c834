/* SPDX-License-Identifier: MIT */
/* Every way to end has its status: exit codes modulo 256, each deadly signal; no core file, no core
   flag. */
#include "check.h"
#include <stdbool.h>
#include <sys/resource.h>

/* Does the system pipe cores to a program, whatever the limit says? */
static bool pipes_cores(void) {
  char first = 0;
  int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
  bool yes = fd >= 0 && read(fd, &first, 1) == 1 && first == '|';
  close(fd);
  return yes;
}

int main(void) {
  OK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
  int shown = pipes_cores() ? 0x7f : 0xff;
  for (int code = 0; code < 600; code += 37) {
    pid_t pid = OK(fork());
    if (pid == 0)
      exit(code);
    EXPECT(wait_for(pid), (code & 255) << 8);
  }
  static const int deadly[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,    SIGTRAP, SIGABRT, SIGBUS,
                               SIGFPE,  SIGKILL, SIGUSR1, SIGSEGV,   SIGUSR2, SIGPIPE, SIGALRM,
                               SIGTERM, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO,   SIGSYS};
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
    pid_t pid = OK(fork());
    if (pid == 0) {
      OK(kill(getpid(), deadly[i]));
      _exit(1);
    }
    EXPECT(wait_for(pid) & shown, deadly[i]);
  }
  static const int harmless[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
  for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
    OK(raise(harmless[i]));
  return done();
}
