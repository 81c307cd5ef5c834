/* SPDX-License-Identifier: MIT */
#include "soak.h"

bool is_scarce(int err) {
  return err == ENOMEM || err == EAGAIN || err == ENOBUFS || err == ENFILE || err == ENOSPC;
}

void give_up_quietly(void) {
  slot->gave_up = true;
  _exit(STATUS_SCARCE);
}

void soak_fail(const char *file, int line, const char *what, long value, bool scarce) {
  int e = errno;
  if (lean && (scarce || slot->gave_up))
    give_up_quietly();
  dprintf(2, "soak: %s:%d: %s: got %ld (0x%lx), errno %d (%s), pid %d, job %s seed 0x%lx\n", file,
          line, what, value, (unsigned long)value, e, strerror(e), (int)getpid(), slot->job,
          (unsigned long)slot->seed);
  _exit(STATUS_FAILED);
}

void sleep_us(long us) {
  struct timespec t = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&t, &t) == -1 && errno == EINTR)
    ;
}

pid_t child(void) { return OK(fork()); }

int status_of(pid_t pid) {
  int status = 0;
  pid_t got;
  while ((got = waitpid(pid, &status, 0)) == -1 && errno == EINTR)
    ;
  if (got != pid)
    soak_fail(__FILE__, __LINE__, "waitpid", got, false);
  return status;
}

static int status_unless_scarce(pid_t pid) {
  int status = status_of(pid);
  if (lean && WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SCARCE)
    give_up_quietly();
  return status;
}

void expect_exit(pid_t pid, int code, const char *file, int line) {
  int status = status_unless_scarce(pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
    soak_fail(file, line, "exit of a child, wait status", status, false);
}

void expect_signal(pid_t pid, int sig, const char *file, int line) {
  int status = status_unless_scarce(pid);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
    soak_fail(file, line, "death of a child, wait status", status, false);
}

static uint8_t pattern_byte(uint64_t seed, uint64_t at) {
  return (uint8_t)((seed >> at % 8 * 8) + at * 167 + (at >> 8) * 13 + (at >> 16) * 7);
}

void pattern_fill(void *buf, size_t n, uint64_t seed, uint64_t at) {
  for (size_t i = 0; i < n; i++)
    ((uint8_t *)buf)[i] = pattern_byte(seed, at + i);
}

long pattern_check(const void *buf, size_t n, uint64_t seed, uint64_t at) {
  for (size_t i = 0; i < n; i++)
    if (((const uint8_t *)buf)[i] != pattern_byte(seed, at + i))
      return (long)i;
  return -1;
}

void write_full(int fd, const void *buf, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t k = write(fd, (const char *)buf + done, n - done);
    if (k < 0 && errno == EINTR)
      continue;
    CHECK(k > 0 || (lean && is_scarce(errno)));
    if (k < 0)
      give_up_quietly();
    done += (size_t)k;
  }
}

size_t read_full(int fd, void *buf, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t k = read(fd, (char *)buf + done, n - done);
    if (k < 0 && errno == EINTR)
      continue;
    CHECK(k >= 0 || (lean && is_scarce(errno)));
    if (k < 0)
      give_up_quietly();
    if (k == 0)
      break;
    done += (size_t)k;
  }
  return done;
}

void *shared_alloc(size_t n) {
  return OK(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

void catch_signal(int sig, void (*handler)(int), int flags) {
  struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
  sigemptyset(&sa.sa_mask);
  OK(sigaction(sig, &sa, NULL));
}
