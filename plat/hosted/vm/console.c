/* SPDX-License-Identifier: MIT */
/* The other end of plat/pc/stdio.c's framed console. */
#include "plat/hosted/vm/vm.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define DLE 0x10

static bool terminal; /* both input and output are one */
static struct termios saved;
static volatile sig_atomic_t caught;  /* a signal to pass on, 0: none */
static volatile sig_atomic_t resized; /* the terminal's window has another size */
static pid_t machine_pid;

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

const char *console_words(void) {
  static char words[96];
  struct winsize w = {0};
  terminal = tcgetattr(0, &saved) == 0 && isatty(1);
  if (terminal)
    ioctl(0, TIOCGWINSZ, &w);
  snprintf(words, sizeof words, "console=framed terminal=%s rows=%u cols=%u",
           terminal ? "yes" : "no", w.ws_row, w.ws_col);
  return words;
}

static void restore(void) {
  if (terminal)
    tcsetattr(0, TCSADRAIN, &saved);
}

static void go_raw(void) {
  struct termios raw = saved;
  cfmakeraw(&raw);
  if (terminal)
    tcsetattr(0, TCSADRAIN, &raw);
}

static void on_signal(int sig) {
  if (sig == SIGWINCH)
    resized = 1;
  else
    caught = sig;
}

/* They come while poll waits, so that none is missed; `waiting` is the mask for that. */
static void catch_signals(sigset_t *waiting) {
  struct sigaction sa = {.sa_handler = on_signal}, old;
  sigset_t caught_ones;
  sigemptyset(&caught_ones);
  for (unsigned i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
    if (sigaction(forwarded[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
      sigaction(forwarded[i], &sa, NULL);
      sigaddset(&caught_ones, forwarded[i]);
    }
  if (terminal) {
    sigaction(SIGWINCH, &sa, NULL);
    sigaddset(&caught_ones, SIGWINCH);
  }
  sigprocmask(SIG_BLOCK, &caught_ones, waiting);
  signal(SIGPIPE, SIG_IGN);
}

static bool write_all(int fd, const void *data, size_t n) {
  const char *p = data;
  while (n > 0) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (done <= 0)
      return false;
    p += done;
    n -= (size_t)done;
  }
  return true;
}

/* ---- to the machine
 * --------------------------------------------------------------------------------- */

/* False at the end of our input. */
static bool pass_input(int to) {
  unsigned char in[1024], out[2 * sizeof in];
  static const char end[] = {DLE, 'e'};
  ssize_t n = read(0, in, sizeof in);
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return true;
  if (n <= 0) {
    write_all(to, end, 2);
    return false;
  }
  size_t m = 0;
  for (ssize_t i = 0; i < n; i++) {
    if (in[i] == DLE)
      out[m++] = DLE;
    out[m++] = in[i];
  }
  write_all(to, out, m);
  return true;
}

static void pass_signal(int to) {
  char text[3] = {DLE, 's', (char)('A' + caught)};
  caught = 0;
  write_all(to, text, 3);
}

static void pass_window(int to) {
  struct winsize w;
  char text[16];
  resized = 0;
  if (ioctl(0, TIOCGWINSZ, &w) != 0)
    return;
  snprintf(text, sizeof text, "%cw%04x%04x", DLE, w.ws_row, w.ws_col);
  write_all(to, text, 10);
}

/* ---- from the machine
 * ------------------------------------------------------------------------------- */

static struct {
  int stream;      /* 1 or 2 */
  char command;    /* DLE: one is being read; 'x': digits of the status follow */
  unsigned digits; /* of the status so far */
  int status, partial;
  bool listens; /* the machine takes input now */
} state = {.stream = 1, .status = -1};

static void take_digit(unsigned char c) {
  state.partial = state.partial * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
  if (++state.digits < 2)
    return;
  state.status = state.partial;
  state.command = 0;
}

/* The shell that started us gets the terminal until it wants us to go on. */
static void suspend(void) {
  kill(machine_pid, SIGSTOP);
  restore();
  raise(SIGTSTP);
  go_raw();
  kill(machine_pid, SIGCONT);
  resized = terminal;
}

/* The byte after DLE; true if it is data. */
static bool take_command(unsigned char c) {
  state.command = 0;
  if (c == '1' || c == '2')
    state.stream = c - '0';
  else if (c == 'x')
    state.command = 'x';
  else if (c == 'r')
    state.listens = true;
  else if (c == 'z')
    suspend();
  return c == DLE;
}

static void take_output(const unsigned char *in, size_t n) {
  unsigned char out[4096];
  size_t m = 0;
  int stream = state.stream;
  for (size_t i = 0; i < n; i++) {
    bool data = false;
    if (state.command == 'x')
      take_digit(in[i]);
    else if (state.command)
      data = take_command(in[i]);
    else if (in[i] == DLE)
      state.command = DLE;
    else
      data = true;
    if (m > 0 && (state.stream != stream || m == sizeof out)) {
      write_all(stream, out, m);
      m = 0;
    }
    stream = state.stream;
    if (data)
      out[m++] = in[i];
  }
  if (m > 0)
    write_all(stream, out, m);
}

int console_relay(int to, int from, pid_t machine) {
  bool input = true;
  machine_pid = machine;
  sigset_t waiting;
  catch_signals(&waiting);
  go_raw();
  for (;;) {
    unsigned char buf[4096];
    struct pollfd p[2] = {{from, POLLIN, 0}, {input && state.listens ? 0 : -1, POLLIN, 0}};
    int ready = ppoll(p, 2, NULL, &waiting);
    if (caught && state.listens)
      pass_signal(to);
    if (resized && state.listens)
      pass_window(to);
    if (ready < 0)
      continue;
    if (p[1].revents)
      input = pass_input(to);
    if (!p[0].revents)
      continue;
    ssize_t n = read(from, buf, sizeof buf);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    take_output(buf, (size_t)n);
  }
  restore();
  return state.status;
}
