/* SPDX-License-Identifier: MIT */
/*
 * The first process of a measuring machine, on µFork and (after linux_init.c) on Linux. It does
 * what the lines of /bench/list say, and tells on standard output:
 *
 * - run NAME PROGRAM ARG...: `@@ run NAME`, what the program prints, `@@ end STATUS`
 * - start PROGRAM ARG...: the same in the background, its output dropped
 * - wait PORT: until somebody listens there
 *
 * then `@@ done`, and sleeps until the machine is ended from outside.
 */
#include "console.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 32
#define PATIENCE 3000 /* of 20 ms */

static pid_t launch(char **words, int quiet) {
  static char *env[] = {"PATH=/usr/bin:/bin", "HOME=/", "LC_ALL=C", NULL};
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid > 0)
    return pid;
  int null = open("/dev/null", O_RDWR);
  if (quiet && (dup2(null, 1) < 0 || dup2(null, 2) < 0))
    _exit(126);
  execve(words[0], words, env);
  _exit(127);
}

static void run(char **words) {
  int status;
  printf("@@ run %s\n", words[0]);
  pid_t pid = launch(words + 1, 0);
  if (waitpid(pid, &status, 0) != pid)
    fail("waitpid");
  printf("@@ end %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  fflush(stdout);
}

static void wait_for_port(const char *port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < PATIENCE; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int connected = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    close(fd);
    if (connected)
      return;
    nanosleep(&(struct timespec){0, 20000000}, NULL);
  }
  fail("nobody listens");
}

static void obey(char *line) {
  char *words[WORDS_MAX + 1], *rest = NULL;
  int n = 0;
  for (char *w = strtok_r(line, " \n", &rest); w && n < WORDS_MAX; w = strtok_r(NULL, " \n", &rest))
    words[n++] = w;
  words[n] = NULL;
  if (n >= 3 && strcmp(words[0], "run") == 0)
    run(words + 1);
  else if (n >= 2 && strcmp(words[0], "start") == 0)
    launch(words + 1, 1);
  else if (n == 2 && strcmp(words[0], "wait") == 0)
    wait_for_port(words[1]);
  else
    fail("bad line in /bench/list");
}

int main(void) {
  static char line[4096];
  FILE *list = fopen("/bench/list", "re");
  if (!list)
    fail("/bench/list");
  while (fgets(line, sizeof line, list))
    obey(line);
  printf("@@ done\n");
  fflush(stdout);
  for (;;)
    pause();
}
