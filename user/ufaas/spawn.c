// SPDX-License-Identifier: MIT
#include "spawn.h"
#include "config.h"
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENVIRONMENT_MAX 512
#define MIB (1024LL * 1024)

/* Appends "NAME=value"; what is in the list already wins, so the user's settings come first. */
static bool add(char **list, size_t *count, const char *name, const char *value) {
  size_t n = strlen(name);
  for (size_t i = 0; i < *count; i++)
    if (strncmp(list[i], name, n) == 0 && list[i][n] == '=')
      return true;
  char *text;
  if (*count == ENVIRONMENT_MAX || asprintf(&text, "%s=%s", name, value) < 0)
    return false;
  list[(*count)++] = text;
  list[*count] = NULL;
  return true;
}

static bool add_number(char **list, size_t *count, const char *name, int64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)number);
  return add(list, count, name, text);
}

static bool make_environment(char **list, const struct function_config *c, bool own,
                             const char *tmp) {
  size_t n = 0;
  for (char **v = c->environment; v && *v && n < ENVIRONMENT_MAX / 2; v++) {
    list[n] = strdup(*v);
    if (!list[n])
      return false;
    list[++n] = NULL;
  }
  return (!c->handler || add(list, &n, "_HANDLER", c->handler)) &&
         (!c->warmup || add(list, &n, "UFAAS_WARMUP", c->warmup)) &&
         add(list, &n, "LAMBDA_TASK_ROOT", c->path ? c->path : "/") &&
         add(list, &n, "AWS_LAMBDA_FUNCTION_NAME", c->name) &&
         add(list, &n, "AWS_LAMBDA_FUNCTION_VERSION", "$LATEST") &&
         add_number(list, &n, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", c->memory_mb) &&
         add_number(list, &n, "AWS_LAMBDA_FUNCTION_TIMEOUT", c->timeout_ms) &&
         (!own || add(list, &n, "UFAAS_OWN_UID", "1")) && add(list, &n, "TMPDIR", tmp) &&
         add(list, &n, "HOME", tmp) && add(list, &n, "LANG", "C.UTF-8") &&
         add(list, &n, "PATH", "/usr/bin:/bin");
}

static void free_environment(char **list) {
  for (; *list; list++)
    free(*list);
}

static int limit(int resource, rlim_t value) {
  struct rlimit l = {value, value};
  return setrlimit(resource, &l);
}

/* Closes all descriptors above 3 but this one. */
static void close_others(int fd) {
  if (fd > UFAAS_CONTROL_FD + 1)
    syscall(SYS_close_range, UFAAS_CONTROL_FD + 1, fd - 1, 0);
  syscall(SYS_close_range, fd + 1, ~0U, 0);
}

/* The child's way to its program; returns if there is an obstacle, with errno. */
static enum spawn_step become(const struct function_config *c, uid_t uid, gid_t gid,
                              const char *tmp, char **environment, const int fds[3], int tell) {
  bool own = c->own_uid && geteuid() == 0;
  sigset_t none;
  /* The three are above 3, so none is overwritten. */
  if (dup2(fds[0], 0) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[1], 2) < 0 ||
      dup2(fds[2], UFAAS_CONTROL_FD) < 0)
    return SPAWN_LIMITS;
  /* Before `tell` says anything: from then on our parent takes them for closed (loop_shared). */
  close_others(tell);
  sigemptyset(&none);
  for (int i = 1; i < NSIG; i++)
    signal(i, SIG_DFL); /* also what our parent ignored */
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(077);
  setsid();
  rlim_t memory = (rlim_t)(c->memory_mb * MIB);
  /* Data is what a function can fill; shared mappings count as address space only, which also has
   * the program itself. */
  if (limit(RLIMIT_CORE, 0) || limit(RLIMIT_FSIZE, (rlim_t)(512 * MIB)) ||
      limit(RLIMIT_DATA, memory) || limit(RLIMIT_AS, memory + (rlim_t)(256 * MIB)))
    return SPAWN_LIMITS;
  if (mkdir(tmp, 0700))
    return SPAWN_TMP;
  if (geteuid() == 0 && (chown(tmp, uid, gid) || setgroups(0, NULL) || setgid(gid) || setuid(uid)))
    return SPAWN_USER;
  if (own && limit(RLIMIT_NPROC, (rlim_t)c->processes))
    return SPAWN_LIMITS;
  if (chdir(c->path ? c->path : "/"))
    return SPAWN_PATH;
  execve(c->command[0], c->command, environment);
  return SPAWN_COMMAND;
}

/* The same descriptor at a number above those that the child fills. */
static int lift(int fd) {
  if (fd < 0 || fd > UFAAS_CONTROL_FD)
    return fd;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, UFAAS_CONTROL_FD + 1);
  int error = errno;
  close(fd);
  errno = error;
  return high;
}

static void close_all(int *fds, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (fds[i] >= 0)
      close(fds[i]);
}

int spawn(struct spawned *s, const struct function_config *config, uid_t uid, gid_t gid,
          const char *tmp) {
  char *environment[ENVIRONMENT_MAX + 1] = {NULL};
  /* null, output's and control's ends of the child; ours; the pipe that tells of exec */
  enum { NUL, OUT, CONTROL, OUR_OUT, OUR_CONTROL, TELL, TOLD, COUNT };
  int fd[COUNT] = {-1, -1, -1, -1, -1, -1, -1};
  int pair[2], error = 0;
  if (!make_environment(environment, config, config->own_uid && geteuid() == 0, tmp)) {
    error = ENOMEM;
    goto out;
  }
  fd[NUL] = lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (fd[NUL] < 0 || pipe2(pair, O_CLOEXEC))
    goto failed;
  fd[OUR_OUT] = pair[0];
  fd[OUT] = lift(pair[1]);
  if (fd[OUT] < 0 || pipe2(pair, O_CLOEXEC))
    goto failed;
  fd[TOLD] = pair[0];
  fd[TELL] = lift(pair[1]);
  if (fd[TELL] < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
    goto failed;
  fd[OUR_CONTROL] = pair[0];
  fd[CONTROL] = lift(pair[1]);
  if (fd[CONTROL] < 0 || fcntl(fd[OUR_OUT], F_SETFL, O_NONBLOCK))
    goto failed;
  s->pid = fork();
  if (s->pid < 0)
    goto failed;
  if (s->pid == 0) {
    enum spawn_step step = become(config, uid, gid, tmp, environment, fd, fd[TELL]);
    struct spawn_failure failure = {errno, step};
    _exit(write(fd[TELL], &failure, sizeof failure) == (ssize_t)sizeof failure ? 127 : 126);
  }
  s->control = fd[OUR_CONTROL];
  s->output = fd[OUR_OUT];
  s->executed = fd[TOLD];
  fd[OUR_CONTROL] = fd[OUR_OUT] = fd[TOLD] = -1;
  goto out;
failed:
  error = errno;
out:
  close_all(fd, COUNT);
  free_environment(environment);
  return -error;
}

void spawn_clear(uid_t uid) {
  pid_t pid = fork();
  if (pid == 0) {
    if (setuid(uid) == 0 && geteuid() == uid)
      kill(-1, SIGKILL); /* everybody whom this user may signal, but not this process */
    _exit(0);
  }
  while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
    ;
}
