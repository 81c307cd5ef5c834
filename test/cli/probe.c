/* SPDX-License-Identifier: MIT */
/* The program that the tests of the command line run: does one thing, named by its arguments. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int complain(void) {
  printf("errno %d\n", errno);
  return 1;
}

static int put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) < 0)
    return complain();
  return close(fd);
}

static int get(const char *path) {
  char buf[4096];
  int fd = path ? open(path, O_RDONLY) : 0;
  if (fd < 0)
    return complain();
  ssize_t n;
  while ((n = read(fd, buf, sizeof buf)) > 0)
    fwrite(buf, 1, (size_t)n, stdout);
  return n < 0 && !path ? complain() : close(fd);
}

/* Writes `a` n times, one by one, says so, and goes on with line after line of standard input, or
   computes for ever. */
static int pieces(const char *path, int n, bool spin) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  char c;
  if (fd < 0)
    return complain();
  for (int i = 0; i < n; i++)
    if (write(fd, "a", 1) != 1)
      return complain();
  while (spin)
    __asm__ volatile("");
  if (write(1, "written\n", 8) != 8 || read(0, &c, 1) < 0)
    return complain();
  return 0;
}

/* Commands of standard input, `get PATH` or `put PATH TEXT`, each answered by a line. */
static int serve(void) {
  char line[1000], path[500], text[400];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "get %499s", path) == 1) {
      if (get(path) == 0)
        printf("\n");
    } else if (sscanf(line, "put %499s %399s", path, text) == 2) {
      if (put(path, text) == 0)
        printf("put\n");
    } else {
      return 1;
    }
  }
  return 0;
}

/* Repeats each line of standard input. */
static int type(void) {
  char line[200];
  printf("ready\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    printf("got %s", line);
    fflush(stdout);
  }
  return 0;
}

/* Whether every process of the bomb has seen fork fail. n[0] is even when no process is between a
 * fork and its count, or two are, which have not ended then. */
static bool all_ended(unsigned *n) {
  unsigned counted = __atomic_load_n(&n[0], __ATOMIC_SEQ_CST);
  unsigned ended = __atomic_load_n(&n[1], __ATOMIC_SEQ_CST);
  return counted % 2 == 0 && ended == counted / 2 + 1 &&
         counted == __atomic_load_n(&n[0], __ATOMIC_SEQ_CST);
}

/* Processes that fork as long as they can, each from its first moment on: all live to see fork
 * fail. */
static int bomb(void) {
  unsigned *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t top = n == MAP_FAILED ? -1 : fork();
  if (top < 0)
    return 1;
  if (top == 0) {
    setpgid(0, 0);
    while (fork() >= 0)
      __atomic_add_fetch(&n[0], 1, __ATOMIC_SEQ_CST); /* once in each of both */
    __atomic_add_fetch(&n[1], 1, __ATOMIC_SEQ_CST);
    for (;;)
      pause();
  }
  bool all = false;
  for (unsigned i = 0; i < 3000 && !(all = all_ended(n)); i++)
    usleep(100000);
  printf("%s: %u forks, %u ends\n", all ? "all" : "not all", n[0] / 2, n[1]);
  return kill(-top, SIGKILL) || n[0] < 200;
}

/* The terminal's name, as several ways tell it. */
static int name(void) {
  char link[100] = "";
  struct stat at_name, of_file, at_link;
  const char *tty = ttyname(0);
  if (!tty)
    return printf("%s\n", errno == ENOTTY ? "not a terminal" : "no name"), 1;
  if (readlink("/proc/self/fd/0", link, sizeof link - 1) < 0 || stat(tty, &at_name) ||
      fstat(0, &of_file) || stat("/dev/stdin", &at_link))
    return printf("errno %d\n", errno), 1;
  int fd = open(tty, O_RDWR | O_NOCTTY);
  printf("tty %s link %s same %d %d char %d open %d\n", tty, link,
         at_name.st_rdev == of_file.st_rdev, at_link.st_ino == of_file.st_ino,
         S_ISCHR(of_file.st_mode), isatty(fd));
  if (setuid(1000) || open("/dev/stdin", O_RDWR) < 0)
    return printf("errno %d\n", errno), 1;
  return 0;
}

/* Waits for another size of the window. */
static int window(void) {
  struct winsize w;
  sigset_t set;
  int signo;
  sigemptyset(&set);
  sigaddset(&set, SIGWINCH);
  sigprocmask(SIG_BLOCK, &set, NULL);
  printf("ready\n");
  fflush(stdout);
  if (sigwait(&set, &signo) || ioctl(0, TIOCGWINSZ, &w))
    return complain();
  printf("%d %d\n", w.ws_row, w.ws_col);
  return 0;
}

/* Touches memory until there is no more: its own, or shared. */
static int eat(bool shared) {
  for (long mib = 1;; mib++) {
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
                   MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (p == MAP_FAILED) {
      printf("no memory after %ld MiB\n", mib - 1);
      return get("/proc/meminfo");
    }
    memset(p, (int)mib, 1 << 20);
  }
}

/* A child touches more memory than there is; its parent tells how it ended, and goes on. */
static int touch(void) {
  int status;
  if (fork() == 0) {
    size_t n = (size_t)2 << 30;
    char *p =
        mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
      return complain();
    for (size_t i = 0; i < n; i += 4096)
      p[i] = 1;
    return 0;
  }
  wait(&status);
  printf("signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  for (int i = 0; i < 20; i++) {
    if (fork() == 0)
      _exit(i);
    wait(&status);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != i)
      return complain();
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  const char *arg = argc > 2 ? argv[2] : "";
  if (!strcmp(what, "exit"))
    return atoi(arg);
  if (!strcmp(what, "kill"))
    return kill(getpid(), atoi(arg)) ? complain() : 0;
  if (!strcmp(what, "segv"))
    return *(volatile int *)(intptr_t)atoi(arg);
  if (!strcmp(what, "args"))
    for (int i = 2; i < argc; i++)
      printf("[%s]\n", argv[i]);
  if (!strcmp(what, "env"))
    for (char **e = environ; *e; e++)
      printf("%s\n", *e);
  if (!strcmp(what, "cwd"))
    printf("%s\n", getcwd(NULL, 0));
  if (!strcmp(what, "err"))
    fprintf(stderr, "to standard error\n");
  if (!strcmp(what, "get"))
    return get(argc > 2 ? arg : NULL);
  if (!strcmp(what, "fstat")) { /* which of the first descriptors are open */
    struct stat st;
    for (int fd = 0; fd < 4; fd++)
      printf("%d %d\n", fd, fstat(fd, &st) ? errno : 0);
  }
  if (!strcmp(what, "put"))
    return put(arg, argv[3]);
  if (!strcmp(what, "pieces"))
    return pieces(arg, atoi(argv[3]), argc > 4);
  if (!strcmp(what, "serve"))
    return serve();
  if (!strcmp(what, "symlink"))
    return symlink(arg, argv[3]) ? complain() : 0;
  if (!strcmp(what, "link"))
    return link(arg, argv[3]) ? complain() : 0;
  if (!strcmp(what, "rename"))
    return rename(arg, argv[3]) ? complain() : 0;
  if (!strcmp(what, "mkdir"))
    return mkdir(arg, 0755) ? complain() : 0;
  if (!strcmp(what, "unlink"))
    return unlink(arg) ? complain() : 0;
  if (!strcmp(what, "eat"))
    return eat(!strcmp(arg, "shared"));
  if (!strcmp(what, "type"))
    return type();
  if (!strcmp(what, "bomb"))
    return bomb();
  if (!strcmp(what, "tty"))
    return name();
  if (!strcmp(what, "window"))
    return window();
  if (!strcmp(what, "touch"))
    return touch();
  if (!strcmp(what, "cpus"))
    printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
  if (!strcmp(what, "pid"))
    printf("%d\n", getpid());
  if (!strcmp(what, "handle")) { /* a signal that may have been ignored so far */
    signal(atoi(arg), SIG_DFL);
    printf("ready\n");
    fflush(stdout);
    sleep(60);
  }
  if (!strcmp(what, "sleep"))
    sleep((unsigned)atoi(arg));
  if (!strcmp(what, "exec")) {
    execv(arg, argv + 2);
    return complain();
  }
  if (!strcmp(what, "forks")) {
    for (int i = 0; i < atoi(arg); i++)
      if (fork() == 0)
        for (;;)
          pause();
    printf("left %s children\n", arg);
  }
  return 0;
}
