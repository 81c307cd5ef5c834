// SPDX-License-Identifier: MIT
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PENDING_MAX (4u << 20)

static int log_fd = STDERR_FILENO;
static bool slow_reader; /* not a file: a write may have to wait */
static enum log_level lowest = LOG_INFO;
static struct buffer pending;
static uint64_t lost;

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

int log_open(const char *where) {
  int fd = STDERR_FILENO;
  if (strcmp(where, "stderr") != 0) {
    fd = open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
      return -errno;
  }
  log_flush();
  if (log_fd != STDERR_FILENO)
    close(log_fd);
  log_fd = fd;
  struct stat st;
  slow_reader = fstat(fd, &st) != 0 || !S_ISREG(st.st_mode);
  return 0;
}

void log_set_level(enum log_level level) { lowest = level; }
enum log_level log_level_of(void) { return lowest; }
uint64_t log_lost(void) { return lost; }

/* Starts a line; false: the reader is too slow for it. */
static bool begin(enum log_level level, const char *function, const char *request_id) {
  if (pending.size > PENDING_MAX) {
    lost++;
    return false;
  }
  /* The form of the time changes once a millisecond. */
  static char stamp[25];
  static struct timespec stamped;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (t.tv_sec != stamped.tv_sec || t.tv_nsec / 1000000 != stamped.tv_nsec / 1000000) {
    time_iso(stamp, &t);
    stamped = t;
  }
  buffer_format(&pending, "{\"time\":\"%s\",\"level\":\"%s\"", stamp, level_names[level]);
  if (function)
    buffer_format(&pending, ",\"function\":\"%s\"", function);
  if (request_id)
    buffer_format(&pending, ",\"requestId\":\"%s\"", request_id);
  return true;
}

static void message(const char *text, size_t size) {
  buffer_text(&pending, ",\"message\":\"");
  json_escape(&pending, text, size);
  buffer_text(&pending, "\"}\n");
}

void log_server(enum log_level level, const char *function, const char *format, ...) {
  char text[1024];
  if (level < lowest || !begin(level, function, NULL))
    return;
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  message(text, strlen(text));
}

void log_output(const char *function, const char *request_id, const char *text, size_t size) {
  if (lowest > LOG_ERROR || !begin(LOG_INFO, function, request_id))
    return;
  buffer_text(&pending, ",\"type\":\"output\"");
  message(text, size);
}

void log_report(const char *function, const char *request_id, const char *outcome, int status,
                int64_t duration_ns, int64_t queued_ns, uint64_t max_rss, int32_t worker) {
  if (lowest > LOG_INFO || !begin(LOG_INFO, function, request_id))
    return;
  buffer_format(&pending,
                ",\"type\":\"report\",\"outcome\":\"%s\",\"status\":%d,\"durationMs\":%.3f,"
                "\"queuedMs\":%.3f,\"maxMemoryBytes\":%llu,\"worker\":%d}\n",
                outcome, status, (double)duration_ns / 1e6, (double)queued_ns / 1e6,
                (unsigned long long)max_rss, worker);
}

bool log_flush(void) {
  size_t done = 0;
  while (done < pending.size) {
    size_t size = pending.size - done;
    if (slow_reader) {
      /* Ready means that at least PIPE_BUF bytes go through without waiting. */
      struct pollfd p = {.fd = log_fd, .events = POLLOUT};
      if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
        break;
      size = size < PIPE_BUF ? size : PIPE_BUF;
    }
    ssize_t n = write(log_fd, pending.data + done, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) { /* a full disk, a reader that has gone: there is nobody to tell */
      lost++;
      done = pending.size;
      break;
    }
    done += (size_t)n;
  }
  buffer_take(&pending, done);
  pending.failed = false;
  return !pending.size;
}
