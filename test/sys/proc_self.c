/* SPDX-License-Identifier: MIT */
/* /proc/self: exe, fd, cmdline, stat, status, maps tell the truth. */
/* test: args=first,second */
#include "check.h"
#include <dirent.h>

static char text[100000];

static char *slurp(const char *path) {
  int fd = OK(open(path, O_RDONLY));
  size_t n = 0;
  ssize_t got;
  while ((got = OK(read(fd, text + n, sizeof text - 1 - n))) > 0)
    n += (size_t)got;
  text[n] = 0;
  OK(close(fd));
  return text;
}

int main(int argc, char **argv) {
  char path[500];
  (void)argc;
  ssize_t n = OK(readlink("/proc/self/exe", path, sizeof path));
  CHECK(path[0] == '/' && !memcmp(path + n - 9, "proc_self", 9));
  slurp("/proc/self/cmdline");
  size_t l = strlen(argv[0]) + 1;
  CHECK(!strcmp(text, argv[0]) && !memcmp(text + l, "first\0second", 13));
  int pid, ppid, pgrp, session;
  char name[50], state;
  EXPECT(sscanf(slurp("/proc/self/stat"), "%d (%49[^)]) %c %d %d %d", &pid, name, &state, &ppid,
                &pgrp, &session),
         6);
  CHECK(pid == getpid() && ppid == getppid() && pgrp == getpgrp() && session == getsid(0));
  CHECK(!strcmp(name, "proc_self") && state == 'R');
  CHECK(strstr(slurp("/proc/self/status"), "Name:\tproc_self\n") && strstr(text, "Uid:\t"));
  sprintf(path, "\nPid:\t%d\n", getpid());
  CHECK(strstr(text, path));
  CHECK(strstr(slurp("/proc/self/maps"), "[stack]"));
  sprintf(path, "/proc/%d/stat", getpid());
  slurp(path);
  int fd = OK(open("/dev/null", O_RDONLY)), found = 0;
  DIR *d = opendir("/proc/self/fd");
  CHECK(d);
  for (struct dirent *e; (e = readdir(d));)
    found += atoi(e->d_name) == fd;
  EXPECT(found, 1);
  sprintf(path, "/proc/self/fd/%d", fd);
  n = OK(readlink(path, text, sizeof text));
  CHECK(n == 9 && !memcmp(text, "/dev/null", 9));
  pid_t child = OK(fork());
  if (child == 0)
    for (;;)
      pause();
  sprintf(path, "/proc/%d/stat", child);
  for (state = 0; state != 'S'; sleep_ms(1)) {
    EXPECT(sscanf(slurp(path), "%d (%49[^)]) %c %d", &pid, name, &state, &ppid), 4);
    CHECK(pid == child && ppid == getpid());
  }
  OK(kill(child, SIGKILL));
  EXPECT_SIGNAL(child, SIGKILL);
  FAILS(open(path, O_RDONLY), ENOENT);
  return done();
}
