// SPDX-License-Identifier: MIT
/* The zygote's side: orders and notes, and which environment gets which call. */
#include "../conn.h"
#include "../control.h"
#include "../log.h"
#include "../protocol.h"
#include "rapi.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE (10 * MS)
#define FOREVER (INT64_MAX / (4 * MS))

struct rapi_settings rapi_settings = {NULL, 10000, 3000, 300000, 6 << 20};
static struct source control, signals;
static bool draining, ready;
static struct call *waiting, **waiting_end = &waiting; /* for an environment */
static unsigned waiting_count;
static struct timer patience;

static void leave(int status) {
  environments_end();
  log_flush();
  exit(status);
}

void rapi_check(void) {
  if (draining && !calls)
    leave(0);
}

static void start_missing(void);

void rapi_go_on(void) {
  start_missing();
  rapi_check();
}

/* ---- calls and environments --------------------------------------------------------------- */

void rapi_forget(struct call *c) {
  struct call **link = list_take(waiting, c, after);
  if (!*link)
    waiting_end = link;
  c->waits = false;
  waiting_count--;
}

static unsigned count(enum environment_state state) {
  unsigned n = 0;
  for (const struct environment *e = environments; e; e = e->next)
    n += e->state == state && !e->killed;
  return n;
}

/* One for each call that waits, beside `have`: what becomes idle earlier takes a call as well. */
static void start_beside(unsigned have) {
  for (; have < waiting_count; have++) {
    int error = environment_start();
    if (error && environments)
      return; /* those that there are can do it, one after the other */
    if (error) {
      have--;
      call_fail(waiting, -error);
    }
  }
}

static void patience_ended(struct timer *timer) {
  (void)timer;
  start_beside(count(ENV_STARTING));
}

/* An environment that has answered asks again in a moment as a rule; that is waited for. */
static void start_missing(void) {
  unsigned soon = count(ENV_ANSWERED), starting = count(ENV_STARTING);
  start_beside(starting + soon);
  if (waiting_count > starting && soon && !patience.place)
    timer_set(&patience, loop_now() + PATIENCE);
}

void rapi_wait(struct call *c) {
  for (struct environment *e = environments; e; e = e->next)
    if (e->state == ENV_IDLE && !e->killed && environment_lives(e)) {
      environment_give(e, c);
      return;
    }
  c->waits = true;
  c->after = NULL;
  *waiting_end = c;
  waiting_end = &c->after;
  waiting_count++;
  start_missing();
}

void rapi_ready(struct environment *e) {
  if (!ready) {
    ready = true;
    control_note(UFAAS_READY, 0, 0, 0);
  }
  if (waiting && environment_lives(e)) {
    struct call *c = waiting;
    rapi_forget(c);
    environment_give(e, c);
  }
}

void rapi_not_started(const struct buffer *error) {
  if (!ready) {
    fprintf(stderr, "%.*s\n", (int)error->size, error->data);
    leave(1);
  }
  if (waiting_count > count(ENV_STARTING) + count(ENV_ANSWERED)) {
    struct call *c = waiting;
    rapi_forget(c);
    call_error(c, "Runtime.ExitError", error->data, error->size);
    call_end(c, 1 << 8, 0);
  }
}

/* ---- orders ------------------------------------------------------------------------------- */

static void obey(const struct ufaas_order *order, const int *fds) {
  struct call *c;
  switch (order->kind) {
  case UFAAS_INVOKE:
    call_new(order->id, fds[0], fds[1]);
    break;
  case UFAAS_KILL:
    c = call_find(order->id);
    if (c && c->env)
      environment_kill(c->env);
    else if (c)
      call_abort(c, SIGKILL);
    break;
  case UFAAS_DRAIN:
    draining = true;
    rapi_check();
    break;
  default:
    break;
  }
}

/* Takes one order. false: there is none. */
static bool take_order(void) {
  struct ufaas_order order;
  int fds[2], error = control_order(&order, fds);
  if (error == -EAGAIN || error == -EINTR || error == -EMFILE)
    return error != -EAGAIN;
  if (error)
    leave(error != -EPIPE);
  obey(&order, fds);
  return true;
}

static void control_ready(struct source *source, uint32_t events) {
  (void)source, (void)events;
  for (int i = 0; i < 64 && take_order(); i++)
    ;
}

static void signal_ready(struct source *source, uint32_t events) {
  (void)events;
  struct signalfd_siginfo info;
  while (read(source->fd, &info, sizeof info) == (ssize_t)sizeof info)
    ;
  environments_reap();
}

/* ---- the start ---------------------------------------------------------------------------- */

static void after_events(void) { log_flush(); }

static int watch(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  signals = (struct source){signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), signal_ready};
  control = (struct source){UFAAS_CONTROL_FD, control_ready};
  if (signals.fd < 0 || fcntl(UFAAS_CONTROL_FD, F_SETFD, FD_CLOEXEC))
    return -errno;
  int error = loop_watch(&signals, EPOLLIN);
  return error ? error : loop_watch(&control, EPOLLIN);
}

/* What environments see beside what ufaas has set; the configuration wins. */
static void complete_environment(void) {
  const char *name = getenv("AWS_LAMBDA_FUNCTION_NAME");
  char group[160];
  snprintf(group, sizeof group, "/aws/lambda/%s", name ? name : "");
  setenv("AWS_LAMBDA_LOG_GROUP_NAME", group, 0);
  setenv("AWS_LAMBDA_LOG_STREAM_NAME", "local", 0);
  setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand", 0);
  setenv("AWS_REGION", "local", 0);
  unsetenv("UFAAS_OWN_UID");
}

static int64_t number(const char *text) {
  char *end;
  errno = 0;
  long long n = strtoll(text, &end, 10);
  return errno || *end || end == text || n < 0 ? -1 : n;
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"init-ms", required_argument, NULL, 'i'},
      {"timeout-ms", required_argument, NULL, 't'},
      {"idle-ms", required_argument, NULL, 'l'},
      {"max-response", required_argument, NULL, 'r'},
      {NULL, 0, NULL, 0},
  };
  struct rapi_settings *s = &rapi_settings;
  bool bad = false;
  for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
    int64_t n = optarg ? number(optarg) : -1;
    bad |= n < 0;
    if (o == 'i')
      s->init_ms = n;
    else if (o == 't')
      s->timeout_ms = n;
    else if (o == 'l')
      s->idle_ms = n;
    else
      s->max_response = (uint64_t)n;
  }
  if (bad || optind != argc - 1) {
    fputs("usage: rapi [--init-ms=N] [--timeout-ms=N] [--idle-ms=N] [--max-response=N] BOOTSTRAP\n",
          stderr);
    return 2;
  }
  s->bootstrap = argv[optind];
  conn_settings =
      (struct conn_settings){.max_connections = 10000, .header_ms = 10000, .idle_ms = FOREVER};
  int error = loop_init();
  if (!error)
    error = watch();
  if (error) {
    fprintf(stderr, "rapi: not started by ufaas: %s\n", strerror(-error));
    return 1;
  }
  loop_shared(1); /* at any time a child may be on its way to its program */
  complete_environment();
  patience.fire = patience_ended;
  error = environment_start();
  if (error) {
    fprintf(stderr, "no environment could be started: %s\n", strerror(-error));
    return 1;
  }
  loop_run(after_events);
  return 0;
}
