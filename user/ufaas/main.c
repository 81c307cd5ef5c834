// SPDX-License-Identifier: MIT
/* ufaas: serves functions over HTTP, each request by a fork of a warmed process. doc/faas.md. */
#include "api.h"
#include "config.h"
#include "conn.h"
#include "function.h"
#include "log.h"
#include "loop.h"
#include "request.h"
#include "server.h"
#include "tree.h"
#include "zygote.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef UFAAS_VERSION
#define UFAAS_VERSION "1"
#endif

static const char *config_path;
static struct config_override overrides[16]; /* from the command line */
static struct source signals;
static struct timer ending_timer, log_timer;
static bool ending;

static const char usage[] = "usage: ufaas --config=FILE [options]\n"
                            "Serves the functions of FILE over HTTP (doc/faas.md).\n"
                            "  --config=FILE          the configuration (TOML)\n"
                            "  --listen=ADDRESS:PORT  these go before its [server] section\n"
                            "  --admin=ADDRESS:PORT\n"
                            "  --log=FILE, --log-level=LEVEL\n"
                            "  --python=FILE, --runtime=FILE, --programs=DIR, --tmp=DIR\n"
                            "  --check                only checks the configuration\n"
                            "  --help, --version\n"
                            "SIGHUP reads the configuration again, SIGTERM ends in order.\n";

/* Reads the configuration; complains as FILE:LINE: CAUSE. */
static struct config *read_config(char *cause, size_t size) {
  struct config_error error;
  struct config *config = config_read(config_path, overrides, &error);
  if (config)
    return config;
  if (error.line)
    snprintf(cause, size, "%s:%d: %s", config_path, error.line, error.text);
  else
    snprintf(cause, size, "%s: %s", config_path, error.text);
  return NULL;
}

/* ---- ending ------------------------------------------------------------------------------- */

bool server_ending(void) { return ending; }

void server_check(void) {
  if (!ending || !functions_idle() || !conns_idle())
    return;
  for (struct zygote *z = zygotes; z; z = z->next)
    zygote_drain(z);
  if (!zygotes)
    loop_stop();
}

static void end_now(struct timer *timer) {
  (void)timer;
  static bool killed;
  log_server(LOG_WARN, NULL, "not everything has ended in time");
  for (struct zygote *z = zygotes; z; z = z->next)
    zygote_kill(z);
  if (killed || !zygotes)
    loop_stop();
  killed = true; /* their workers die when they have been waited for */
  timer_set(&ending_timer, loop_now() + 1000 * MS);
}

static void end_orderly(int64_t drain_ms) {
  if (ending) { /* told twice: at once */
    end_now(NULL);
    return;
  }
  log_server(LOG_INFO, NULL, "ending");
  ending = true;
  ending_timer.fire = end_now;
  timer_set(&ending_timer, loop_now() + drain_ms * MS);
  functions_stop();
  conns_stop();
  server_check();
}

/* ---- configuration ------------------------------------------------------------------------ */

static int64_t drain_ms;

/* What can change while the server runs. */
static void apply(const struct config *config) {
  log_set_level((enum log_level)config->log_level);
  conn_settings = (struct conn_settings){
      .max_connections = config->max_connections,
      .header_ms = config->header_ms,
      .idle_ms = config->idle_ms,
  };
  drain_ms = config->drain_ms;
  int error = log_open(config->log);
  if (error)
    log_server(LOG_ERROR, NULL, "log %s: %s", config->log, strerror(-error));
}

static void reload(void) {
  char cause[400];
  struct config *config = read_config(cause, sizeof cause);
  if (!config) {
    log_server(LOG_ERROR, NULL, "%s; everything stays as it was", cause);
    return;
  }
  log_server(LOG_INFO, NULL, "configuration read");
  apply(config);
  functions_configure(config);
  config_free(config);
}

int server_deploy(const char *name, struct waiter *waiter, char *cause, size_t cause_size) {
  struct config *config = read_config(cause, cause_size);
  if (!config)
    return -EINVAL;
  int result = -ENOENT;
  for (size_t i = 0; i < config->function_count; i++)
    if (strcmp(config->functions[i]->name, name) == 0) {
      struct function *f = function_make(config->functions[i]);
      result = f ? 0 : -ENOMEM;
      if (f)
        function_deploy(f, config->functions[i], waiter);
      break;
    }
  config_free(config);
  if (result == -ENOMEM)
    snprintf(cause, cause_size, "out of memory");
  return result;
}

/* ---- signals ------------------------------------------------------------------------------ */

static void signal_ready(struct source *source, uint32_t events) {
  (void)events;
  struct signalfd_siginfo info;
  while (read(source->fd, &info, sizeof info) == (ssize_t)sizeof info)
    switch (info.ssi_signo) {
    case SIGCHLD:
      zygotes_reap();
      server_check();
      break;
    case SIGHUP:
      if (!ending)
        reload();
      break;
    default:
      end_orderly(drain_ms);
      break;
    }
}

static int watch_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  signals = (struct source){signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), signal_ready};
  return signals.fd < 0 ? -errno : loop_watch(&signals, EPOLLIN);
}

/* ---- the start ---------------------------------------------------------------------------- */

static void after_events(void) {
  if (!log_flush() && !log_timer.place)
    timer_set(&log_timer, loop_now() + 20 * MS); /* its reader is slow */
}

static void log_again(struct timer *timer) { (void)timer; /* after_events does it */ }

static int fail(const char *what, int error) {
  fprintf(stderr, "ufaas: %s: %s\n", what, strerror(error));
  return 1;
}

/* As many descriptors as allowed: each running request takes two, and two more at its start. */
static void raise_limits(void) {
  struct rlimit l;
  if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
  }
}

static int serve(struct config *config) {
  int error = loop_init();
  if (error)
    return fail("epoll", -error);
  if ((error = log_open(config->log)))
    return fail(config->log, -error);
  apply(config);
  raise_limits();
  umask(077);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* see kill_orphan in request.c */
  if ((error = watch_signals()))
    return fail("signalfd", -error);
  if (!conn_listen((const struct sockaddr *)&config->listen.socket, config->listen.size,
                   &api_clients, NULL))
    return fail(config->listen.text, errno);
  if (config->admin.size && !conn_listen((const struct sockaddr *)&config->admin.socket,
                                         config->admin.size, &api_administration, NULL))
    return fail(config->admin.text, errno);
  /* Ours alone, so that no function can take the name of another's directory. */
  char *tmp;
  if (asprintf(&tmp, "%s/ufaas-XXXXXX", config->tmp) < 0)
    return fail("tmp", ENOMEM);
  if (!mkdtemp(tmp) || chmod(tmp, 0711))
    return fail(config->tmp, errno);
  zygote_tmp = tmp;
  zygote_first_uid = (uid_t)config->first_uid;
  log_timer.fire = log_again;
  log_server(LOG_INFO, NULL, "listening at %s", config->listen.text);
  functions_configure(config);
  config_free(config);
  loop_run(after_events);
  zygotes_end(); /* none is left, unless they were slow to die */
  log_server(LOG_INFO, NULL, "ended");
  for (int i = 0; i < 200 && !log_flush(); i++)
    usleep(10000); /* its reader has two seconds */
  tree_remove(tmp);
  free(tmp);
  return 0;
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"listen", required_argument, NULL, 'o'},
      {"admin", required_argument, NULL, 'o'},
      {"log", required_argument, NULL, 'o'},
      {"log-level", required_argument, NULL, 'o'},
      {"python", required_argument, NULL, 'o'},
      {"runtime", required_argument, NULL, 'o'},
      {"programs", required_argument, NULL, 'o'},
      {"tmp", required_argument, NULL, 'o'},
      {"config", required_argument, NULL, 'c'},
      {"check", no_argument, NULL, 'k'},
      {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'v'},
      {NULL, 0, NULL, 0},
  };
  bool check = false;
  size_t count = 0;
  for (int o, i; (o = getopt_long(argc, argv, "", options, &i)) >= 0;)
    switch (o) {
    case 'c':
      config_path = optarg;
      break;
    case 'o':
      if (count == sizeof overrides / sizeof *overrides - 1)
        return fail("options", E2BIG);
      overrides[count++] = (struct config_override){
          strcmp(options[i].name, "log-level") == 0 ? "log_level" : options[i].name, optarg};
      break;
    case 'k':
      check = true;
      break;
    case 'h':
      fputs(usage, stdout);
      return 0;
    case 'v':
      puts("ufaas " UFAAS_VERSION);
      return 0;
    default:
      fputs(usage, stderr);
      return 2;
    }
  if (!config_path || optind < argc) {
    fputs(usage, stderr);
    return 2;
  }
  char cause[400];
  struct config *config = read_config(cause, sizeof cause);
  if (!config) {
    fprintf(stderr, "ufaas: %s\n", cause);
    return 1;
  }
  if (check) {
    printf("%s: %zu functions\n", config_path, config->function_count);
    config_free(config);
    return 0;
  }
  return serve(config);
}
