// SPDX-License-Identifier: MIT
/*
 * filter COMMAND [ARGUMENTS]: a function in any language, a shell script say. The command runs once
 * per request: the body is its standard input, its standard output is the answer (text/plain, or
 * what the variable CONTENT_TYPE says), its standard error goes to the log, and a status other
 * than 0 is an error. It sees Http_Method, Http_Path, Http_Query, Http_Content_Type and Request_Id.
 */
#include "../worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file without a name that has the body. -1 with errno. */
static int body_file(const struct ufaas_request *r) {
  const char *tmp = getenv("TMPDIR");
  char name[300];
  snprintf(name, sizeof name, "%s/body", tmp ? tmp : "/tmp");
  int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return -1;
  unlink(name);
  for (size_t done = 0; done < r->body_size;) {
    ssize_t n = write(fd, r->body + done, r->body_size - done);
    if (n < 0 && errno != EINTR)
      return -1;
    done += n > 0 ? (size_t)n : 0;
  }
  return lseek(fd, 0, SEEK_SET) < 0 ? -1 : fd;
}

static void set(const struct ufaas_request *r, const char *header, const char *variable) {
  size_t size = 0;
  const char *value = ufaas_header(r, header, &size);
  char *text = value ? strndup(value, size) : NULL;
  if (text)
    setenv(variable, text, 1);
  free(text);
}

static void run(char **command, const struct ufaas_request *r, int body, int out) {
  set(r, "Http-Method", "Http_Method");
  set(r, "Http-Path", "Http_Path");
  set(r, "Http-Query", "Http_Query");
  set(r, "Content-Type", "Http_Content_Type");
  setenv("Request_Id", r->id, 1);
  dup2(body, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  execvp(command[0], command);
  perror(command[0]);
  _exit(127);
}

/* All that comes out of the pipe; NULL: no memory. */
static char *read_all(int fd, size_t *size) {
  size_t room = 0;
  char *data = NULL;
  *size = 0;
  for (;;) {
    if (*size == room) {
      room = room ? 2 * room : 16384;
      char *more = realloc(data, room);
      if (!more) {
        free(data);
        return NULL;
      }
      data = more;
    }
    ssize_t n = read(fd, data + *size, room - *size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return data;
    *size += (size_t)n;
  }
}

static void serve(char **command, const struct ufaas_request *r) {
  int status = 0, pair[2], body = body_file(r);
  pid_t pid = -1;
  if (body >= 0 && pipe2(pair, O_CLOEXEC) == 0)
    pid = fork();
  if (pid == 0)
    run(command, r, body, pair[1]);
  if (pid < 0) {
    ufaas_fail("OSError", strerror(errno));
    return;
  }
  close(pair[1]);
  size_t size;
  char *out = read_all(pair[0], &size);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  char text[80];
  const char *type = getenv("CONTENT_TYPE");
  if (WIFSIGNALED(status))
    snprintf(text, sizeof text, "the command was ended by signal %d", WTERMSIG(status));
  else
    snprintf(text, sizeof text, "the command ended with status %d", WEXITSTATUS(status));
  if (status || !out)
    ufaas_fail("CommandError", out ? text : "out of memory");
  else
    ufaas_respond(out, size, type ? type : "text/plain");
  free(out);
}

int main(int argc, char **argv) {
  struct ufaas_request request;
  if (argc < 2) {
    fputs("usage: filter COMMAND [ARGUMENTS]\n", stderr);
    return 2;
  }
  while (ufaas_next(&request) == 0)
    serve(argv + 1, &request);
  return 1;
}
