// SPDX-License-Identifier: MIT
/*
 * A custom runtime of AWS Lambda for the tests: does what the event says, a word and its argument,
 * and so misbehaves. INIT says how it starts. It knows nothing of ufaas.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/2018-06-01/runtime"

struct reply {
  int status;
  char *head, *body;
  size_t size;
};

static int dial(void) {
  const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
  struct sockaddr_in to = {.sin_family = AF_INET};
  char host[64];
  snprintf(host, sizeof host, "%s", api);
  char *colon = strrchr(host, ':');
  *colon = 0;
  to.sin_port = htons((unsigned short)atoi(colon + 1));
  inet_pton(AF_INET, host, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
    perror("connect");
    exit(9);
  }
  return fd;
}

static void put(int fd, const void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
    if (n <= 0)
      return; /* it does not want so much */
    done += (size_t)n;
  }
}

/* All until the end of the connection. */
static struct reply receive(int fd) {
  struct reply r = {0};
  size_t room = 1 << 16, size = 0;
  char *data = malloc(room + 1);
  for (ssize_t n; (n = recv(fd, data + size, room - size, 0)) > 0;) {
    size += (size_t)n;
    if (size == room)
      data = realloc(data, (room *= 2) + 1);
  }
  close(fd);
  data[size] = 0;
  char *end = strstr(data, "\r\n\r\n");
  if (!end)
    return r;
  end[2] = 0;
  r.head = data;
  r.body = end + 4;
  r.size = size - (size_t)(r.body - data);
  r.status = atoi(data + 9);
  return r;
}

static struct reply ask(const char *method, const char *path, const char *headers, const void *body,
                        size_t size) {
  char head[1024];
  int fd = dial(), n = snprintf(head, sizeof head,
                                "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s"
                                "Content-Length: %zu\r\n\r\n",
                                method, path, headers, size);
  put(fd, head, (size_t)n);
  put(fd, body, size);
  return receive(fd);
}

static char *header(const struct reply *r, const char *name) {
  size_t n = strlen(name);
  for (const char *line = r->head; line && *line; line = strstr(line, "\r\n") + 2)
    if (strncasecmp(line, name, n) == 0 && line[n] == ':')
      return strndup(line + n + 2, strcspn(line + n + 2, "\r"));
  return strdup("none");
}

static void wait_ms(int ms) {
  nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static char path[256]; /* of the event at hand */

static const char *at(const char *what) {
  static char whole[300];
  snprintf(whole, sizeof whole, "%s/%s", path, what);
  return whole;
}

static int respond(const char *text) {
  return ask("POST", at("response"), "Content-Type: text/plain\r\n", text, strlen(text)).status;
}

static void respond_number(long number) {
  char text[32];
  snprintf(text, sizeof text, "%ld", number);
  respond(text);
}

/* What it is told when it does not keep to the rules. */
static void rules(void) {
  static const char object[] = "{\"errorType\":\"X\",\"errorMessage\":\"y\"}";
  char text[256];
  int status[] = {
      ask("POST", ROOT "/invocation/no-such-id/response", "", "x", 1).status,
      ask("POST", ROOT "/invocation/no-such-id/error", "", object, sizeof object - 1).status,
      ask("GET", ROOT "/invocation/next", "", "", 0).status,
      ask("POST", ROOT "/init/error", "", object, sizeof object - 1).status,
      ask("GET", at("response"), "", "", 0).status,
      ask("POST", ROOT "/invocation/next", "", "", 0).status,
      ask("GET", ROOT "/invocation/next", "", "x", 1).status,
      ask("GET", "/2015-03-31/functions", "", "", 0).status,
      ask("POST", ROOT "/invocation//response", "", "x", 1).status,
      ask("GET ", ROOT, "", "", 0).status,
  };
  int n = 0;
  for (size_t i = 0; i < sizeof status / sizeof *status; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, "%d ", status[i]);
  if (respond(text) != 202 || respond("again") != 403)
    exit(8);
}

static void describe(void) {
  char text[1024];
  int n = snprintf(text, sizeof text, "leader=%d uid=%d fds=", getpgrp() == getpid(), getuid());
  DIR *dir = opendir("/proc/self/fd");
  for (struct dirent *e; (e = readdir(dir));)
    if (*e->d_name != '.' && atoi(e->d_name) != dirfd(dir))
      n += snprintf(text + n, sizeof text - (size_t)n, "%s,", e->d_name);
  closedir(dir);
  snprintf(text + n, sizeof text - (size_t)n, " ours=%s",
           getenv("UFAAS_OWN_UID") ? "seen" : "unset");
  respond(text);
}

static void big(size_t size) {
  char *body = malloc(size);
  memset(body, 'b', size);
  struct reply r = ask("POST", at("response"), "", body, size);
  printf("told %d\n", r.status);
  fflush(stdout);
  free(body);
}

static void chunked(const char *text) {
  char data[512];
  int fd = dial();
  int n = snprintf(data, sizeof data,
                   "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n2\r\n!!\r\n0\r\n\r\n",
                   at("response"), strlen(text), text);
  put(fd, data, (size_t)n);
  receive(fd);
}

static void impatient(int fd, int ms) { /* asks, and goes away for so long */
  static const char request[] = "GET " ROOT "/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
  put(fd, request, sizeof request - 1);
  wait_ms(50);
  close(fd);
  puts("left");
  fflush(stdout);
  wait_ms(ms);
}

static void print_lines(long n) {
  for (long i = 0; i < n; i++)
    printf("line %ld\n", i);
  fputs("no end of line", stdout);
  fflush(stdout);
}

/* Whether somebody else's Runtime API lets us in. */
static void intrude(const char *address) {
  setenv("AWS_LAMBDA_RUNTIME_API", address, 1);
  int status = ask("GET", "/nothing", "", "", 0).status;
  setenv("AWS_LAMBDA_RUNTIME_API", getenv("OWN"), 1);
  respond_number(status);
}

static void serve(const struct reply *event) {
  static int served;
  char *id = header(event, "Lambda-Runtime-Aws-Request-Id");
  char *word = strndup(event->body, event->size), *rest = strchr(word, ' ');
  if (rest)
    *rest++ = 0;
  else
    rest = "";
  long number = atol(rest);
  snprintf(path, sizeof path, ROOT "/invocation/%s", id);
  served++;
  if (strcmp(word, "echo") == 0) {
    respond(rest);
  } else if (strcmp(word, "count") == 0) {
    respond_number(served);
  } else if (strcmp(word, "pid") == 0) {
    respond_number(getpid());
  } else if (strcmp(word, "header") == 0) {
    respond(header(event, rest));
  } else if (strcmp(word, "env") == 0) {
    respond(getenv(rest) ? getenv(rest) : "unset");
  } else if (strcmp(word, "sleep") == 0) {
    wait_ms((int)number);
    respond("slept");
  } else if (strcmp(word, "after") == 0) {
    respond("before");
    wait_ms((int)number);
    puts("after the answer");
    fflush(stdout);
  } else if (strcmp(word, "exit") == 0) {
    exit((int)number);
  } else if (strcmp(word, "segv") == 0) {
    raise(SIGSEGV);
  } else if (strcmp(word, "answer-exit") == 0) {
    respond("last words");
    exit(3);
  } else if (strcmp(word, "error") == 0) {
    char text[256];
    snprintf(text, sizeof text, "{\"errorType\":\"Oops\",\"errorMessage\":\"%s\"}", rest);
    ask("POST", at("error"), "Lambda-Runtime-Function-Error-Type: Function.Oops\r\n", text,
        strlen(text));
  } else if (strcmp(word, "bare-error") == 0) {
    ask("POST", at("error"), "Lambda-Runtime-Function-Error-Type: Function.Bare\r\n", rest,
        strlen(rest));
  } else if (strcmp(word, "form") == 0) {
    ask("POST", at("response"), "Content-Type: application/x-www-form-urlencoded\r\n", "{}", 2);
  } else if (strcmp(word, "big") == 0) {
    big((size_t)number);
  } else if (strcmp(word, "chunked") == 0) {
    chunked(rest);
  } else if (strcmp(word, "print") == 0) {
    print_lines(number);
    respond("printed");
  } else if (strcmp(word, "print-exit") == 0) {
    print_lines(number);
    exit(5);
  } else if (strcmp(word, "rules") == 0) {
    rules();
  } else if (strcmp(word, "describe") == 0) {
    describe();
  } else if (strcmp(word, "impatient") == 0) {
    respond("gone");
    impatient(dial(), number ? (int)number : 50);
  } else if (strcmp(word, "leave") == 0) {
    respond("left");
    if (fork() == 0) /* stays in the group */
      for (;;)
        pause();
  } else if (strcmp(word, "intrude") == 0) {
    intrude(rest);
  } else {
    respond("what?");
  }
}

int main(void) {
  const char *init = getenv("INIT"), *tmp = getenv("TMPDIR");
  static const char object[] = "{\"errorType\":\"NoLibrary\",\"errorMessage\":\"it is missing\"}";
  setenv("OWN", getenv("AWS_LAMBDA_RUNTIME_API"), 1);
  bool first = strcmp(strrchr(tmp, '/'), "/1") == 0;
  if (init && strcmp(init, "slow") == 0 && !first)
    wait_ms(4000);
  if (init && strcmp(init, "hang") == 0)
    pause();
  if (init && strcmp(init, "exit") == 0)
    exit(7);
  if (init && (strcmp(init, "error") == 0 || (strcmp(init, "once") == 0 && !first))) {
    ask("POST", ROOT "/init/error", "", object, sizeof object - 1);
    exit(1);
  }
  puts("started");
  fflush(stdout);
  for (;;) {
    struct reply event = ask("GET", ROOT "/invocation/next", "", "", 0);
    if (event.status != 200)
      exit(6);
    serve(&event);
  }
}
