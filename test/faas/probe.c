// SPDX-License-Identifier: MIT
/*
 * A function that does what its request says ("COMMAND [ARGUMENT]"), good or bad; run by faas.py.
 * The variables WARM and SLOW decide what it does before it is warm.
 */
#include "../../user/ufaas/protocol.h"
#include "../../user/ufaas/worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int state;         /* must be 0 at the start of each request */
static char secret[4096]; /* likewise */

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...) {
  char text[4096];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  ufaas_respond(text, (size_t)n, "text/plain");
}

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) && errno == EINTR)
    ;
}

/* Until this file is there; so a test says when a request goes on. */
static void wait_for(const char *path) {
  while (access(path, F_OK))
    pause_ms(10);
}

/* Takes memory until there is no more; at most 4 GiB. */
static void hog(void) {
  size_t got = 0;
  for (; got < 4096; got++) {
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
      break;
    for (size_t i = 0; i < 1 << 20; i += 4096)
      p[i] = 1;
  }
  printf("no more after %zu MiB\n", got);
  ufaas_fail("MemoryError", got < 4096 ? "no more memory" : "there was no limit");
}

/* Leaves things behind: files, directories without permissions, memory, a process. */
static void litter(void) {
  const char *tmp = getenv("TMPDIR");
  char path[300];
  struct stat st;
  snprintf(path, sizeof path, "%s/deep", tmp);
  mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/deep/file", tmp);
  int fd = open(path, O_CREAT | O_WRONLY, 0666);
  fstat(fd, &st);
  snprintf(path, sizeof path, "%s/link", tmp);
  symlink("/", path);
  int seen = state + secret[100];
  state = 1;
  memset(secret, 'S', sizeof secret);
  if (fork() == 0) {
    pause_ms(60000);
    _exit(0);
  }
  answer("%s %o %d", tmp, st.st_mode & 0777, seen);
}

/* What it has and who it is. */
static void describe(void) {
  char fds[200] = "";
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0)
      snprintf(fds + strlen(fds), sizeof fds - strlen(fds), "%d%s,", fd,
               fcntl(fd, F_GETFD) & FD_CLOEXEC ? "c" : "");
  char cwd[200];
  answer("uid=%d gid=%d fds=%s cwd=%s group=%d", (int)getuid(), (int)getgid(), fds,
         getcwd(cwd, sizeof cwd), getpgrp() == getpid());
}

/* Counts processes of the system, and descriptors and resident pages of the server. */
static void count(const char *server) {
  int processes = 0, fds = 0, pages = 0;
  char path[64];
  DIR *dir = opendir("/proc");
  for (struct dirent *e; dir && (e = readdir(dir));)
    processes += e->d_name[0] >= '1' && e->d_name[0] <= '9';
  if (dir)
    closedir(dir);
  snprintf(path, sizeof path, "/proc/%s/fd", server);
  dir = opendir(path);
  for (struct dirent *e; dir && (e = readdir(dir));)
    fds += e->d_name[0] != '.';
  if (dir)
    closedir(dir);
  snprintf(path, sizeof path, "/proc/%s/statm", server);
  FILE *f = fopen(path, "r");
  if (f && fscanf(f, "%*d %d", &pages) != 1)
    pages = -1;
  if (f)
    fclose(f);
  answer("%d %d %d", processes, fds, pages);
}

static void large(size_t size) {
  char *data = malloc(size + 1);
  if (!data) {
    ufaas_fail("MemoryError", "no memory");
    return;
  }
  memset(data, 'x', size);
  ufaas_respond(data, size, "text/plain");
}

/* An answer that breaks the protocol, over whatever descriptor the conversation is. */
static void garbage(void) {
  for (int fd = 3; fd < 64; fd++)
    send(fd, "this is no answer at all, is it?", 32, MSG_NOSIGNAL);
}

static void print_lines(int n) {
  for (int i = 0; i < n; i++)
    printf("line %d of \"%d\"\n", i, n);
  printf("no end of line");
}

static void obey(const struct ufaas_request *r) {
  char command[64] = "";
  sscanf(r->body, "%63s", command);
  const char *argument = strchr(r->body, ' ');
  argument = argument ? argument + 1 : "";
  long number = atol(argument);
  if (!strcmp(command, "hello"))
    answer("hello");
  else if (!strcmp(command, "sleep"))
    pause_ms(number), answer("slept %ld", number);
  else if (!strcmp(command, "wait"))
    wait_for(argument), answer("waited");
  else if (!strcmp(command, "spin"))
    for (;;)
      ;
  else if (!strcmp(command, "fail"))
    ufaas_fail("ValueError", argument);
  else if (!strcmp(command, "segv"))
    raise(SIGSEGV);
  else if (!strcmp(command, "exit"))
    fflush(stdout), _exit((int)number);
  else if (!strcmp(command, "hog"))
    hog();
  else if (!strcmp(command, "litter"))
    litter();
  else if (!strcmp(command, "describe"))
    describe();
  else if (!strcmp(command, "count"))
    count(argument);
  else if (!strcmp(command, "large"))
    large((size_t)number);
  else if (!strcmp(command, "garbage"))
    garbage();
  else if (!strcmp(command, "print"))
    print_lines((int)number), answer("printed");
  else if (!strcmp(command, "write"))
    large((size_t)number), write(1, "late\n", 5);
  else if (!strcmp(command, "linger"))
    answer("answered"), pause_ms(number);
  else if (!strcmp(command, "murder"))
    kill(getppid(), SIGKILL), pause_ms(5000);
  else if (!strcmp(command, "env"))
    answer("%s", getenv(argument) ? getenv(argument) : "unset");
  else if (!strcmp(command, "header")) {
    size_t n = 0;
    const char *value = ufaas_header(r, argument, &n);
    answer("%.*s", (int)n, value ? value : "");
  } else if (!strcmp(command, "deadline"))
    answer("%lld", (long long)r->deadline_ms);
  else
    ufaas_fail("ValueError", "no such command");
}

/* Leaves so many descriptors that can still be had. */
static void use_up(int left) {
  struct rlimit limit = {64, 64};
  if (setrlimit(RLIMIT_NOFILE, &limit) || open("/dev/null", O_RDONLY) < 0)
    _exit(5);
  int last = 0;
  for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;)
    last = fd;
  while (left-- > 0)
    close(last--);
}

int main(void) {
  const char *warm = getenv("WARM");
  if (warm && !strcmp(warm, "fail")) {
    fprintf(stderr, "cannot find my \"module\"\n");
    return 3;
  }
  if (getenv("SLOW"))
    pause_ms(atol(getenv("SLOW")));
  if (warm && !strcmp(warm, "hang"))
    pause_ms(60000);
  if (warm && !strcmp(warm, "descriptors"))
    use_up(atoi(getenv("LEFT")));
  if (warm && *warm == '/') /* a file that must be there */
    if (access(warm, F_OK)) {
      printf("%s is not there\n", warm);
      return 4;
    }
  struct ufaas_request request;
  while (ufaas_next(&request) == 0)
    obey(&request);
  perror("ufaas_next");
  return 1;
}
