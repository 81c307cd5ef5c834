// SPDX-License-Identifier: MIT
#include "zygote.h"
#include "function.h"
#include "log.h"
#include "protocol.h"
#include "random.h"
#include "request.h"
#include "tree.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct zygote *zygotes;
const char *zygote_tmp = "/tmp";
uid_t zygote_first_uid;

/* ---- what it prints ----------------------------------------------------------------------- */

static void output_line(void *zygote) {
  struct zygote *z = zygote;
  if (!z->line.size)
    return;
  log_output(z->config->name, NULL, z->line.data, z->line.size);
  z->function->metrics.log_lines++;
  snprintf(z->last, sizeof z->last, "%.*s", (int)z->line.size, z->line.data);
  z->line.size = 0;
}

/* Logs what there is. */
static void output_read(struct zygote *z) {
  char data[4096];
  for (int round = 0; round < 16 && z->output.fd >= 0; round++) {
    ssize_t n = read(z->output.fd, data, sizeof data);
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      loop_drop(&z->output);
    if (n <= 0)
      return;
    lines_add(&z->line, data, (size_t)n, output_line, z);
  }
}

static void output_ready(struct source *source, uint32_t events) {
  (void)events;
  output_read(container_of(source, struct zygote, output));
}

/* ---- orders and notes --------------------------------------------------------------------- */

int zygote_order(struct zygote *z, uint32_t kind, uint64_t id, const int *fds) {
  struct ufaas_order order = {.kind = kind, .id = id};
  struct iovec iov = {&order, sizeof order};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(2 * sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fds) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = sizeof control.space;
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), fds, 2 * sizeof(int));
  }
  if (z->control.fd < 0 || z->state == ZYGOTE_DYING)
    return -EPIPE;
  if (sendmsg(z->control.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
    return 0;
  if (errno != EAGAIN)
    return -errno;
  if (!z->blocked) {
    z->blocked = true;
    loop_rewatch(&z->control, EPOLLIN | EPOLLOUT);
  }
  return -EAGAIN;
}

/* Orders that found no room. */
static void resume(struct zygote *z) {
  z->blocked = false;
  loop_rewatch(&z->control, EPOLLIN);
  for (struct request *r = z->requests, *next; r && !z->blocked; r = next) {
    next = r->next;
    request_resume(r);
  }
  if (!z->blocked && z->state == ZYGOTE_DRAINING)
    zygote_order(z, UFAAS_DRAIN, 0, NULL);
}

static void ready(struct zygote *z) {
  if (z->state != ZYGOTE_WARMING)
    return;
  z->state = ZYGOTE_WARM;
  timer_clear(&z->deadline);
  log_server(LOG_INFO, z->config->name, "zygote %d is warm after %lld ms", (int)z->pid,
             (long long)((loop_clock() - z->born) / MS));
  function_zygote_ready(z->function, z);
}

static void note(struct zygote *z, const struct ufaas_note *n) {
  struct request *r = n->kind == UFAAS_READY ? NULL : request_find(n->id);
  if (r && r->zygote != z)
    r = NULL; /* not its own */
  if (n->kind == UFAAS_READY)
    ready(z);
  else if (r && n->kind == UFAAS_STARTED)
    request_note_started(r, n->value, n->figure);
  else if (r && n->kind == UFAAS_ENDED)
    request_note_ended(r, n->value, n->figure);
  else if (r && n->kind == UFAAS_FAILED)
    request_note_failed(r, n->value);
}

/* Takes the notes that are there, at most `count`. false: there are no more and will be none. */
static bool notes_read(struct zygote *z, int count) {
  while (count-- > 0 && z->control.fd >= 0) {
    struct ufaas_note n[2];
    ssize_t size = recv(z->control.fd, n, sizeof n, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR)
      continue;
    if (size == (ssize_t)sizeof n || size == (ssize_t)sizeof n[0]) {
      note(z, &n[0]);
      if (size == (ssize_t)sizeof n)
        note(z, &n[1]);
    } else if (size < 0 && errno == EAGAIN)
      return true;
    else
      return false; /* its end, or it does not keep to the protocol */
  }
  return true;
}

static void control_ready(struct source *source, uint32_t events) {
  struct zygote *z = container_of(source, struct zygote, control);
  if ((events & EPOLLOUT) && z->state != ZYGOTE_DYING)
    resume(z);
  if ((events & ~(uint32_t)EPOLLOUT) && !notes_read(z, 64))
    zygote_kill(z);
}

/* ---- life --------------------------------------------------------------------------------- */

static void late(struct timer *timer) {
  struct zygote *z = container_of(timer, struct zygote, deadline);
  z->late = true;
  zygote_kill(z);
}

static void executed_ready(struct source *source, uint32_t events) {
  (void)events;
  struct zygote *z = container_of(source, struct zygote, executed);
  struct spawn_failure failure;
  if (read(source->fd, &failure, sizeof failure) == (ssize_t)sizeof failure)
    z->failure = failure;
  loop_shared(-1);
  loop_drop(source);
}

static void zygote_free(struct zygote *z) {
  timer_clear(&z->deadline);
  if (z->executed.fd >= 0)
    loop_shared(-1);
  loop_drop(&z->executed);
  loop_drop(&z->control);
  loop_drop(&z->output);
  if (z->tmp)
    tree_remove(z->tmp);
  free(z->tmp);
  buffer_free(&z->line);
  function_config_release(z->config);
  free(z);
}

static bool user_taken(uid_t uid) {
  for (const struct zygote *z = zygotes; z; z = z->next)
    if (z->uid == uid)
      return true;
  return false;
}

/* A user id that no zygote has; one that was used comes again as late as possible. Each server
 * begins somewhere else: two of them on one system would end each other's zygotes. */
static uid_t free_user(void) {
  static uint32_t turn;
  uid_t uid;
  if (!turn)
    random_bytes(&turn, sizeof turn);
  do
    uid = zygote_first_uid + turn++ % ZYGOTE_USERS;
  while (user_taken(uid));
  return uid;
}

struct zygote *zygote_start(struct function *f, struct function_config *config) {
  static unsigned long serial;
  struct spawned s;
  struct zygote *z = calloc(1, sizeof *z);
  if (!z)
    return NULL;
  z->function = f;
  z->config = function_config_hold(config);
  z->control = (struct source){-1, control_ready};
  z->output = (struct source){-1, output_ready};
  z->executed = (struct source){-1, executed_ready};
  z->deadline.fire = late;
  z->born = loop_clock();
  int error = 0;
  if (asprintf(&z->tmp, "%s/%lu", zygote_tmp, ++serial) < 0)
    z->tmp = NULL, error = ENOMEM;
  z->uid = config->own_uid ? free_user() : config->uid;
  if (!error)
    error = -spawn(&s, config, z->uid, config->own_uid ? z->uid : config->gid, z->tmp);
  if (error)
    goto failed;
  z->pid = s.pid;
  z->control.fd = s.control;
  z->output.fd = s.output;
  z->executed.fd = s.executed;
  loop_shared(1);
  z->next = zygotes;
  zygotes = z;
  f->zygotes++;
  f->metrics.zygote_starts++;
  /* rapi has the same limit for an environment, and says more. */
  int64_t patience = config->warmup_ms + (config->bootstrap ? 10000 : 0);
  timer_set(&z->deadline, loop_clock() + patience * MS);
  if (loop_watch(&z->control, EPOLLIN) || loop_watch(&z->output, EPOLLIN) ||
      loop_watch(&z->executed, EPOLLIN))
    zygote_kill(z); /* its end is told in the usual way */
  return z;
failed:
  zygote_free(z);
  errno = error;
  return NULL;
}

void zygote_drain(struct zygote *z) {
  if (z->state == ZYGOTE_DYING || z->state == ZYGOTE_DRAINING)
    return;
  bool warming = z->state == ZYGOTE_WARMING;
  z->drained = true;
  z->state = ZYGOTE_DRAINING;
  timer_clear(&z->deadline);
  if (warming) /* listens to nobody, and nothing is lost */
    zygote_kill(z);
  else if (!z->blocked && zygote_order(z, UFAAS_DRAIN, 0, NULL) == -EPIPE)
    zygote_kill(z);
}

void zygote_kill(struct zygote *z) {
  if (z->state == ZYGOTE_DYING)
    return;
  z->state = ZYGOTE_DYING;
  kill(z->pid, SIGKILL); /* ours until zygotes_reap */
  if (z->control.fd >= 0)
    loop_rewatch(&z->control, EPOLLET); /* its end is known: to be told once is enough */
}

/* Why it ended, for people. */
static void describe(const struct zygote *z, int status, char *text, size_t size) {
  const struct function_config *c = z->config;
  int user = (int)z->uid;
  const char *why = strerror(z->failure.error);
  if (z->failure.error && z->failure.step == SPAWN_COMMAND)
    snprintf(text, size, "cannot execute %s: %s", c->command[0], why);
  else if (z->failure.error && z->failure.step == SPAWN_PATH)
    snprintf(text, size, "cannot enter %s as user %d: %s", c->path ? c->path : "/", user, why);
  else if (z->failure.error && z->failure.step == SPAWN_TMP)
    snprintf(text, size, "cannot make %s: %s", z->tmp, why);
  else if (z->failure.error)
    snprintf(text, size, "cannot become user %d with its limits: %s", user, why);
  else if (z->late)
    snprintf(text, size, "was not warm after %lld ms%s%s", (long long)z->config->warmup_ms,
             *z->last ? ": " : "", z->last);
  else if (WIFSIGNALED(status))
    snprintf(text, size, "ended by signal %d (%s)%s%s", WTERMSIG(status),
             strsignal(WTERMSIG(status)), *z->last ? ": " : "", z->last);
  else
    snprintf(text, size, "ended with status %d%s%s", WEXITSTATUS(status), *z->last ? ": " : "",
             z->last);
}

/* The zygote has been waited for. */
static void gone(struct zygote *z, int status) {
  z->state = ZYGOTE_DYING;
  /* That an order was left unread is told as an error in front of the notes. */
  if (!notes_read(z, 1 << 20))
    notes_read(z, 1 << 20);
  if (z->executed.fd >= 0)
    executed_ready(&z->executed, EPOLLIN);
  output_read(z);
  output_line(z);
  for (struct zygote **link = &zygotes; *link; link = &(*link)->next)
    if (*link == z) {
      *link = z->next;
      break;
    }
  char cause[256];
  describe(z, status, cause, sizeof cause);
  while (z->requests)
    request_zygote_gone(z->requests, cause);
  struct function *f = z->function;
  if (z->config->own_uid && geteuid() == 0)
    spawn_clear(z->uid); /* what has left its worker's group */
  f->zygotes--;
  function_zygote_ended(f, z, cause);
  zygote_free(z);
}

bool zygote_exists(pid_t pid) {
  for (const struct zygote *z = zygotes; z; z = z->next)
    if (z->pid == pid)
      return true;
  return false;
}

/* Waits for one child with these options; false: there is none. */
static bool reap(int options) {
  int status;
  pid_t pid = waitpid(-1, &status, options);
  for (struct zygote *z = zygotes; pid > 0 && z; z = z->next)
    if (z->pid == pid) {
      gone(z, status);
      break;
    }
  return pid > 0 || (pid < 0 && errno == EINTR);
}

void zygotes_reap(void) {
  while (reap(WNOHANG))
    ;
}

void zygotes_end(void) {
  do
    for (struct zygote *z = zygotes; z; z = z->next)
      zygote_kill(z);
  while (zygotes && reap(0));
}
