/* SPDX-License-Identifier: MIT */
/*
 * µprocess 1 of the system tests on a machine of their own: runs each program that /tests/list
 * names
 * (`NAME SECONDS ARG...`) in a session and a directory of its own and reports to standard output:
 *   @@ start NAME
 *   @@ end NAME STATUS OUT ERR     and OUT bytes of its standard output, ERR bytes of standard
 * error STATUS is a shell's, or -1 after a time-out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 16
#define CAPTURE_MAX (1 << 20)

struct capture {
  char *data;
  size_t n;
  int fd;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  perror(what);
  exit(125);
}

static void become(char **argv, const char *dir, const int *out, const int *err) {
  static char *env[] = {"PATH=/usr/bin:/bin", "HOME=/",        "LC_ALL=C",
                        "USER=root",          "SHELL=/bin/sh", NULL};
  int null = open("/dev/null", O_RDONLY);
  setsid();
  dup2(null, 0);
  dup2(out[1], 1);
  dup2(err[1], 2);
  for (int fd = 3; fd < 32; fd++)
    close(fd);
  if (chdir(dir) != 0)
    die(dir);
  execve(argv[0], argv, env);
  die(argv[0]);
}

/* Takes what is there; the pipe is closed at its end. */
static void drain(struct capture *c) {
  char rest[4096];
  while (c->fd >= 0) {
    size_t room = CAPTURE_MAX - c->n;
    ssize_t n = room ? read(c->fd, c->data + c->n, room) : read(c->fd, rest, sizeof rest);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) {
      close(c->fd);
      c->fd = -1;
    } else if (room) {
      c->n += (size_t)n;
    }
  }
}

/* Waits for the program; what it printed is taken meanwhile. */
static int supervise(pid_t pid, struct capture *c, double deadline) {
  for (;;) {
    struct pollfd p[2] = {{c[0].fd, POLLIN, 0}, {c[1].fd, POLLIN, 0}};
    int status;
    poll(p, 2, c[0].fd < 0 && c[1].fd < 0 ? 5 : 20);
    drain(&c[0]);
    drain(&c[1]);
    if (waitpid(pid, &status, WNOHANG) == pid)
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (now() > deadline)
      return -1;
  }
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f) {
  (void)st, (void)flag, (void)f;
  return remove(path), 0;
}

static void open_pipe(int *p, struct capture *c) {
  if (pipe(p) != 0)
    die("pipe");
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  c->fd = p[0];
  c->n = 0;
}

static void write_all(const char *p, size_t n) {
  while (n > 0) {
    ssize_t done = write(1, p, n);
    if (done <= 0)
      die("write");
    p += done;
    n -= (size_t)done;
  }
}

static void run(char **argv, double seconds, struct capture *c) {
  char dir[] = "/tmp/test-XXXXXX", head[160], *name = strrchr(argv[0], '/') + 1;
  int out[2], err[2];
  write_all(head, (size_t)snprintf(head, sizeof head, "@@ start %s\n", name));
  if (!mkdtemp(dir))
    die("mkdtemp");
  chmod(dir, 0700);
  open_pipe(out, &c[0]);
  open_pipe(err, &c[1]);
  pid_t pid = fork();
  if (pid == 0)
    become(argv, dir, out, err);
  close(out[1]);
  close(err[1]);
  int status = pid < 0 ? 125 : supervise(pid, c, now() + seconds);
  kill(-1, SIGKILL);
  while (wait(NULL) > 0 || errno == EINTR)
    ;
  for (int i = 0; i < 2; i++) {
    drain(&c[i]);
    if (c[i].fd >= 0)
      close(c[i].fd);
  }
  nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  write_all(head, (size_t)snprintf(head, sizeof head, "@@ end %s %d %zu %zu\n", name, status,
                                   c[0].n, c[1].n));
  write_all(c[0].data, c[0].n);
  write_all(c[1].data, c[1].n);
  write_all("\n", 1);
}

int main(void) {
  struct capture c[2] = {{.data = malloc(CAPTURE_MAX)}, {.data = malloc(CAPTURE_MAX)}};
  FILE *list = fopen("/tests/list", "re");
  char line[1024];
  if (!list || !c[0].data || !c[1].data)
    die("/tests/list");
  while (fgets(line, sizeof line, list)) {
    char *argv[ARGS_MAX + 1], *save = NULL;
    int n = 0;
    char *name = strtok_r(line, " \n", &save), *seconds = strtok_r(NULL, " \n", &save), path[256];
    if (!name || !seconds)
      continue;
    snprintf(path, sizeof path, "/tests/%s", name);
    argv[n++] = path;
    while (n < ARGS_MAX && (argv[n] = strtok_r(NULL, " \n", &save)))
      n++;
    argv[n] = NULL;
    run(argv, atof(seconds), c);
  }
  write_all("@@ done\n", 8);
  return 0;
}
