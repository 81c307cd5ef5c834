// SPDX-License-Identifier: MIT
#include "worker.h"
#include "control.h"
#include "protocol.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER_MAX 65536
/* With so many workers the zygote looks for ended ones between orders, which may follow each other
 * without a gap; with fewer it does when a signal says so. */
#define REAP_FROM 4

/* The workers that run: a short list as a rule. */
struct child {
  uint64_t id;
  pid_t pid;
};
static struct child *children;
static size_t child_count, child_room;
static bool draining, answered;
static int conversation = -1; /* >= 0: this is a worker */
static char request_id[40];
static char tmp_root[200]; /* the zygote's temporary directory */
/* TMPDIR in the environment: a worker changes the text, and need not allocate anything for it. */
static char tmp_variable[8 + sizeof tmp_root + 24];

/* ---- the zygote --------------------------------------------------------------------------- */

static void on_child(int signal) { (void)signal; /* interrupts ppoll */ }

/* A worker's temporary directory; the fast way if it has left nothing there. */
static void remove_tmp(uint64_t id) {
  char path[sizeof tmp_root + 24];
  if (!*tmp_root)
    return;
  snprintf(path, sizeof path, "%s/%llu", tmp_root, (unsigned long long)id);
  if (rmdir(path) == 0 || errno == ENOENT)
    return;
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/rm", "rm", "-rf", "--", path, (char *)NULL);
    _exit(127);
  }
  while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
    ;
}

static void kill_all(void) {
  for (size_t i = 0; i < child_count; i++) {
    kill(-children[i].pid, SIGKILL);
    kill(children[i].pid, SIGKILL);
  }
}

/* Waits for those that have ended. */
static void reap(void) {
  struct rusage usage;
  int status;
  pid_t pid;
  while (child_count && (pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
    for (size_t i = 0; i < child_count; i++)
      if (children[i].pid == pid) {
        uint64_t id = children[i].id;
        kill(-pid, SIGKILL); /* what it has started and not waited for */
        children[i] = children[--child_count];
        remove_tmp(id);
        control_note(UFAAS_ENDED, status, id, (uint64_t)usage.ru_maxrss * 1024);
        break;
      }
  }
  if (draining && !child_count)
    _exit(0);
}

/* The zygote goes when the server does. */
static void end(void) {
  kill_all();
  while (wait(NULL) > 0 || errno == EINTR)
    ;
  _exit(0);
}

/* In the child: its own group, and no descriptor but 0, 1, 2 and the conversation. */
static void become_worker(uint64_t id, const int fds[2], const sigset_t *mask) {
  setpgid(0, 0);
  conversation = fds[0];
  dup2(fds[1], STDOUT_FILENO);
  dup2(fds[1], STDERR_FILENO);
  close(fds[1]);
  close(UFAAS_CONTROL_FD);
  signal(SIGCHLD, SIG_DFL);
  sigprocmask(SIG_SETMASK, mask, NULL);
  if (*tmp_root) {
    snprintf(tmp_variable, sizeof tmp_variable, "TMPDIR=%s/%llu", tmp_root, (unsigned long long)id);
    mkdir(tmp_variable + 7, 0700);
  }
}

/* true: in the child. */
static bool invoke(uint64_t id, const int fds[2], const sigset_t *mask) {
  if (child_count == child_room) {
    size_t room = child_room ? 2 * child_room : 64;
    struct child *more = realloc(children, room * sizeof *more);
    if (!more) {
      control_note(UFAAS_FAILED, ENOMEM, id, 0);
      return false;
    }
    children = more;
    child_room = room;
  }
  pid_t pid = fork();
  if (pid == 0) {
    become_worker(id, fds, mask);
    return true;
  }
  if (pid < 0) {
    control_note(UFAAS_FAILED, errno, id, 0);
    return false;
  }
  children[child_count++] = (struct child){id, pid};
  control_note(UFAAS_STARTED, pid, id, 0);
  return false;
}

/* Serves orders; returns in a worker. */
static void zygote(const sigset_t *mask) {
  for (;;) {
    struct pollfd p = {.fd = UFAAS_CONTROL_FD, .events = POLLIN};
    struct ufaas_order order;
    int fds[2];
    int n = ppoll(&p, 1, NULL, mask);
    if (n < 0) { /* a child has ended */
      reap();
      continue;
    }
    int error = control_order(&order, fds);
    if (error == -EAGAIN || error == -EINTR || error == -EMFILE)
      continue;
    if (error)
      end();
    if (order.kind == UFAAS_INVOKE) {
      if (invoke(order.id, fds, mask))
        return;
      close(fds[0]);
      close(fds[1]);
      if (child_count >= REAP_FROM)
        reap();
    } else if (order.kind == UFAAS_KILL) {
      for (size_t i = 0; i < child_count; i++)
        if (children[i].id == order.id) {
          kill(-children[i].pid, SIGKILL);
          kill(children[i].pid, SIGKILL);
        }
    } else if (order.kind == UFAAS_DRAIN) {
      draining = true;
      reap();
    }
  }
}

/* ---- the worker --------------------------------------------------------------------------- */

static bool receive_all(void *to, size_t size) {
  for (char *p = to; size;) {
    ssize_t n = recv(conversation, p, size, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    p += n;
    size -= (size_t)n;
  }
  return true;
}

/* Takes the request, or ends: an incomplete one is nobody's any more. */
static void take_request(struct ufaas_request *r) {
  struct ufaas_part part;
  if (!receive_all(&part, sizeof part) || part.kind != UFAAS_REQUEST ||
      part.header_size > HEADER_MAX)
    _exit(1);
  size_t size = part.header_size + (size_t)part.body_size;
  static char small[4096]; /* most requests; memory for others costs a system call or two */
  char *data = size + 2 <= sizeof small ? small : malloc(size + 2);
  if (!data) {
    ufaas_fail("Runtime.OutOfMemory", "no memory for the request");
    _exit(1);
  }
  if (!receive_all(data, part.header_size) ||
      !receive_all(data + part.header_size + 1, (size_t)part.body_size))
    _exit(1);
  data[part.header_size] = 0;
  data[size + 1] = 0;
  *r = (struct ufaas_request){.id = request_id,
                              .header = data,
                              .body = data + part.header_size + 1,
                              .body_size = (size_t)part.body_size};
  size_t n = 0;
  const char *value = ufaas_header(r, "Lambda-Runtime-Aws-Request-Id", &n);
  snprintf(request_id, sizeof request_id, "%.*s", (int)n, value ? value : "");
  value = ufaas_header(r, "Lambda-Runtime-Deadline-Ms", &n);
  r->deadline_ms = value ? strtoll(value, NULL, 10) : 0;
}

int ufaas_next(struct ufaas_request *request) {
  static bool warm;
  if (conversation >= 0) {
    fflush(NULL);
    _exit(answered ? 0 : 1);
  }
  sigset_t chld, mask;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, &mask);
  if (!warm) {
    struct ufaas_note n = {.kind = UFAAS_READY};
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
    const char *tmp = getenv("TMPDIR");
    if (tmp && strlen(tmp) < sizeof tmp_root)
      strcpy(tmp_root, tmp); // NOLINT(*insecureAPI.strcpy)
    snprintf(tmp_variable, sizeof tmp_variable, "TMPDIR=%s", tmp ? tmp : "/tmp");
    putenv(tmp_variable);
    fflush(NULL); /* nothing of it may be printed by every worker again */
    if (send(UFAAS_CONTROL_FD, &n, sizeof n, MSG_NOSIGNAL) < 0)
      return -1;
    warm = true;
  }
  zygote(&mask);
  take_request(request);
  return 0;
}

const char *ufaas_header(const struct ufaas_request *request, const char *name, size_t *size) {
  size_t n = strlen(name);
  for (const char *line = request->header; *line;) {
    const char *end = strchr(line, '\n');
    if (!end)
      return NULL;
    if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
      line += n + 1;
      while (*line == ' ')
        line++;
      *size = (size_t)(end - line);
      return line;
    }
    line = end + 1;
  }
  return NULL;
}

static int answer(uint32_t kind, const void *body, size_t size, const char *header) {
  struct ufaas_part part = {
      .kind = kind, .header_size = (uint32_t)strlen(header), .body_size = size};
  struct iovec iov[3] = {
      {&part, sizeof part}, {(void *)header, part.header_size}, {(void *)body, size}};
  struct msghdr message = {.msg_iov = iov, .msg_iovlen = 3};
  if (conversation < 0 || answered) {
    errno = EINVAL;
    return -1;
  }
  fflush(NULL); /* what it printed belongs in front of the answer */
  answered = true;
  for (;;) {
    ssize_t n = sendmsg(conversation, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    while (message.msg_iovlen && (size_t)n >= message.msg_iov->iov_len) {
      n -= (ssize_t)message.msg_iov->iov_len;
      message.msg_iov++;
      message.msg_iovlen--;
    }
    if (!message.msg_iovlen)
      return 0;
    message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
    message.msg_iov->iov_len -= (size_t)n;
  }
}

int ufaas_respond(const void *body, size_t size, const char *content_type) {
  char header[160] = "";
  if (content_type)
    snprintf(header, sizeof header, "Content-Type: %.120s\n", content_type);
  return answer(UFAAS_RESPONSE, body, size, header);
}

/* `text` between the quotes of a JSON string; what does not fit is cut off. */
static void quote(char *out, size_t size, const char *text) {
  size_t n = 0;
  for (; *text && n + 7 < size; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20)
      n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
    else if (c == '"' || c == '\\')
      n += (size_t)snprintf(out + n, size - n, "\\%c", c);
    else
      out[n++] = (char)c;
  }
  out[n] = 0;
}

int ufaas_fail(const char *type, const char *message) {
  char quoted_type[128], quoted[2048], body[2400];
  quote(quoted_type, sizeof quoted_type, type);
  quote(quoted, sizeof quoted, message);
  int n = snprintf(body, sizeof body,
                   "{\"errorMessage\":\"%s\",\"errorType\":\"%s\",\"requestId\":\"%s\","
                   "\"stackTrace\":[]}",
                   quoted, quoted_type, request_id);
  return answer(UFAAS_ERROR, body, (size_t)n, "");
}
