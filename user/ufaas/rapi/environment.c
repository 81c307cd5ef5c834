// SPDX-License-Identifier: MIT
#include "../conn.h"
#include "../control.h"
#include "../protocol.h"
#include "../resident.h"
#include "../tree.h"
#include "rapi.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_PIECE 16384

struct environment *environments;

/* ---- what it prints ----------------------------------------------------------------------- */

/* To the log of the call that it has; else to our own, which the server reads at any time. false:
 * no room. */
static bool print(struct environment *e) {
  int fd = e->call ? e->call->log.fd : STDERR_FILENO;
  while (e->held.size) {
    ssize_t n = fd < 0 ? (ssize_t)e->held.size : write(fd, e->held.data, e->held.size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return false;
    buffer_take(&e->held, n < 0 ? e->held.size : (size_t)n);
  }
  return true;
}

static void pause_output(struct environment *e, bool paused) {
  if (e->paused == paused || e->output.fd < 0)
    return;
  e->paused = paused;
  loop_rewatch(&e->output, paused ? EPOLLET : EPOLLIN); /* its end is no news meanwhile */
}

bool environment_pump(struct environment *e) {
  /* No more than a pipe holds: what it prints without end does not keep us. */
  for (int piece = 0; piece < 65536 / OUTPUT_PIECE; piece++) {
    if (!print(e)) {
      pause_output(e, true); /* log_ready goes on */
      return false;
    }
    if (e->output.fd < 0 || !buffer_reserve(&e->held, OUTPUT_PIECE))
      break;
    ssize_t n = read(e->output.fd, e->held.data, OUTPUT_PIECE);
    if (n > 0)
      e->held.size = (size_t)n;
    else if (n == 0)
      loop_drop(&e->output);
    if (n <= 0)
      break;
  }
  pause_output(e, !print(e));
  return !e->held.size;
}

static void output_ready(struct source *source, uint32_t events) {
  (void)events;
  environment_pump(container_of(source, struct environment, output));
}

/* ---- its calls ---------------------------------------------------------------------------- */

static int64_t wall_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The lines of the call as headers. The deadline counts from now; what the client called its body
 * is told beside the type that events have. */
static void event_headers(struct buffer *out, const struct call *c) {
  static const char deadline[] = "Lambda-Runtime-Deadline-Ms:", type[] = "Content-Type:";
  const char *line = c->in.data + sizeof(struct ufaas_part), *end = line + c->header_size;
  for (const char *stop; line < end && (stop = memchr(line, '\n', (size_t)(end - line)));
       line = stop + 1) {
    size_t size = (size_t)(stop - line);
    if (size >= sizeof deadline && memcmp(line, deadline, sizeof deadline - 1) == 0) {
      long long when = wall_ms() + rapi_settings.timeout_ms;
      buffer_format(out, "%s %lld\r\n", deadline, when);
      continue;
    }
    if (size >= sizeof type && memcmp(line, type, sizeof type - 1) == 0)
      buffer_text(out, "Http-");
    buffer_add(out, line, size);
    buffer_text(out, "\r\n");
  }
  buffer_add(out, "", 1);
}

void environment_give(struct environment *e, struct call *c) {
  struct conn *conn = e->waiting;
  struct buffer headers = {0};
  e->waiting = NULL;
  e->state = ENV_BUSY;
  e->call = c;
  c->env = e;
  timer_clear(&e->timer);
  list_take(environments, e, next); /* to the front */
  e->next = environments;
  environments = e;
  control_note(UFAAS_STARTED, e->pid, c->id, (uint64_t)loop_clock());
  event_headers(&headers, c);
  const char *body = c->in.data + sizeof(struct ufaas_part) + c->header_size;
  if (headers.failed)
    environment_kill(e);
  else
    conn_reply(conn, 200, "application/json", headers.data, body, c->body_size);
  buffer_free(&headers);
}

static void become_idle(struct environment *e) {
  e->state = ENV_IDLE;
  e->proven = true;
  timer_set(&e->timer, loop_now() + rapi_settings.idle_ms * MS);
  rapi_ready(e);
}

void environment_settle(struct environment *e) {
  if (!e->waiting || e->killed || e->state == ENV_IDLE || e->state == ENV_BUSY)
    return;
  if (!environment_pump(e))
    return;
  struct call *c = e->call;
  e->call = NULL;
  if (c)
    call_end(c, 0, resident_bytes(e->pid));
  become_idle(e);
}

void environment_leaves(struct environment *e) {
  e->waiting = NULL;
  if (e->killed || e->state != ENV_IDLE)
    return;
  e->state = ENV_STARTING;
  timer_set(&e->timer, loop_now() + rapi_settings.init_ms * MS);
}

/* ---- its life ----------------------------------------------------------------------------- */

bool environment_lives(struct environment *e) {
  siginfo_t info = {0};
  if (waitid(P_PID, (id_t)e->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid)
    e->killed = true; /* environments_reap will find it */
  return !e->killed;
}

void environment_kill(struct environment *e) {
  e->killed = true;
  if (e->dead) /* the id is somebody else's */
    return;
  kill(-e->pid, SIGKILL);
  kill(e->pid, SIGKILL);
}

static bool is_last(const struct environment *e) {
  for (const struct environment *other = environments; other; other = other->next)
    if (other != e && !other->killed)
      return false;
  return true;
}

static void time_is_up(struct timer *timer) {
  struct environment *e = container_of(timer, struct environment, timer);
  if (e->state == ENV_IDLE) {
    if (is_last(e)) /* it stays */
      timer_set(timer, loop_now() + rapi_settings.idle_ms * MS);
    else
      environment_kill(e);
    return;
  }
  if (!e->error.size)
    buffer_format(
        &e->error,
        "{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"Runtime did not ask for an "
        "event within %.2f seconds\"}",
        (double)rapi_settings.init_ms / 1000);
  environment_kill(e);
}

static void environment_free(struct environment *e) {
  if (e->listener)
    conn_unlisten(e->listener);
  timer_clear(&e->timer);
  loop_drop(&e->output);
  buffer_free(&e->held);
  buffer_free(&e->error);
  if (e->tmp)
    tree_remove(e->tmp);
  free(e->tmp);
  free(e);
}

/* The child's way to the program. */
static void become(const struct environment *e, int output) {
  char address[32];
  sigset_t none;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  for (int i = 1; i < NSIG; i++)
    signal(i, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  snprintf(address, sizeof address, "127.0.0.1:%u", conn_port(e->listener));
  setenv("AWS_LAMBDA_RUNTIME_API", address, 1);
  setenv("TMPDIR", e->tmp, 1);
  setenv("HOME", e->tmp, 1);
  char *const words[] = {rapi_settings.bootstrap, NULL};
  if (dup2(output, 1) == 1 && dup2(output, 2) == 2)
    execv(rapi_settings.bootstrap, words);
  dprintf(2, "cannot execute %s: %s\n", rapi_settings.bootstrap, strerror(errno));
  _exit(127);
}

int environment_start(void) {
  static unsigned long serial;
  int error = ENOMEM, pair[2] = {-1, -1};
  const char *tmp = getenv("TMPDIR");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct environment *e = calloc(1, sizeof *e);
  if (!e)
    return -ENOMEM;
  e->serial = ++serial;
  e->output = (struct source){-1, output_ready};
  e->timer.fire = time_is_up;
  if (asprintf(&e->tmp, "%s/%lu", tmp ? tmp : "/tmp", e->serial) < 0) {
    e->tmp = NULL;
    goto failed;
  }
  e->listener = conn_listen((struct sockaddr *)&address, sizeof address, &runtime_api, e);
  if (!e->listener || mkdir(e->tmp, 0700) || pipe2(pair, O_CLOEXEC)) {
    error = errno;
    goto failed;
  }
  e->output.fd = pair[0];
  e->pid = fork();
  if (e->pid == 0)
    become(e, pair[1]);
  error = errno;
  close(pair[1]);
  if (e->pid < 0)
    goto failed;
  setpgid(e->pid, e->pid); /* whoever of us is first */
  e->next = environments;
  environments = e;
  timer_set(&e->timer, loop_clock() + rapi_settings.init_ms * MS);
  if (fcntl(pair[0], F_SETFL, O_NONBLOCK) || loop_watch(&e->output, EPOLLIN))
    environment_kill(e); /* its end is told in the usual way */
  return 0;
failed:
  environment_free(e);
  return -error;
}

/* How it ended, as an error object if it has not said so itself. */
static void describe(struct environment *e, int status) {
  if (e->error.size)
    return;
  buffer_text(&e->error, "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"Runtime ");
  if (WIFSIGNALED(status))
    buffer_format(&e->error, "exited with error: signal %d\"}", WTERMSIG(status));
  else if (WEXITSTATUS(status))
    buffer_format(&e->error, "exited with error: exit status %d\"}", WEXITSTATUS(status));
  else
    buffer_text(&e->error, "exited without asking for an event\"}");
}

/* One that has been waited for goes, when all that it printed has been passed on. */
static void bury(struct environment *e) {
  if (!environment_pump(e))
    return;
  list_take(environments, e, next);
  struct call *c = e->call;
  e->call = NULL;
  if (c)
    call_end(c, e->status, e->max_rss);
  if (e->state == ENV_STARTING && !e->proven) {
    describe(e, e->status);
    rapi_not_started(&e->error);
  }
  environment_free(e);
  rapi_go_on();
}

void environment_go_on(struct environment *e) {
  if (e->dead)
    bury(e);
  else if (environment_pump(e))
    environment_settle(e);
}

void environments_reap(void) {
  int status;
  pid_t pid;
  struct rusage usage;
  while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
    for (struct environment *e = environments; e; e = e->next)
      if (e->pid == pid && !e->dead) {
        kill(-pid, SIGKILL); /* what it has left behind in its group */
        e->dead = e->killed = true;
        e->status = status;
        e->max_rss = (uint64_t)usage.ru_maxrss * 1024;
        bury(e);
        break;
      }
}

void environments_end(void) {
  for (struct environment *e = environments; e; e = e->next)
    environment_kill(e);
  while (environments) {
    struct environment *e = environments;
    while (!e->dead && waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
      ;
    environment_pump(e);
    environments = e->next;
    environment_free(e);
  }
}
