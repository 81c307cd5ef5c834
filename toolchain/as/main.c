/* SPDX-License-Identifier: MIT */
/*
 * `as` as gcc calls it: rewrites the input and hands the result to LLVM's assembler, the one
 * that knows bundles. Options that only concern the listing or the target are accepted and
 * dropped, so that gcc's own command line works.
 */
#include "as.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef UFORK_CLANG
#define UFORK_CLANG "clang-14"
#endif

#define MAX_INPUTS 64
#define MAX_DIRS 256

static struct {
  const char *output;
  const char *inputs[MAX_INPUTS];
  int input_count;
  const char *dirs[MAX_DIRS + 1];
  int dir_count;
  bool rewrite_only; /* --rewrite-only: write the rewritten text, for tests */
} opt = {.output = "a.out"};

static void add_dir(const char *dir) {
  if (opt.dir_count == MAX_DIRS)
    fatal("too many -I options");
  opt.dirs[opt.dir_count++] = dir;
}

static void add_input(const char *file) {
  if (opt.input_count == MAX_INPUTS)
    fatal("too many input files");
  opt.inputs[opt.input_count++] = file;
}

static void parse_option(const char *arg) {
  if (streq(arg, "--rewrite-only"))
    opt.rewrite_only = true;
  else if (streq(arg, "--32") || streq(arg, "--x32"))
    fatal("%s: only 64-bit code can be sandboxed", arg);
  else if (streq(arg, "--version")) {
    puts("GNU assembler (uFork rewriter, encoding by " UFORK_CLANG ") 2.40");
    exit(0);
  } else if (starts(arg, "-a") && !starts(arg, "-am"))
    fatal("%s: listings are not supported", arg);
}

static void parse_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    if (streq(arg, "-o") || streq(arg, "-I")) {
      if (++i == argc)
        fatal("%s needs an argument", arg);
      if (arg[1] == 'o')
        opt.output = argv[i];
      else
        add_dir(argv[i]);
    } else if (starts(arg, "-I")) {
      add_dir(arg + 2);
    } else if (arg[0] == '-' && arg[1]) {
      parse_option(arg);
    } else {
      add_input(arg);
    }
  }
  if (!opt.input_count)
    add_input("-");
}

static void write_all(int fd, const char *s, size_t n) {
  while (n) {
    ssize_t done = write(fd, s, n);
    if (done < 0)
      return; /* the assembler ended early; its status tells */
    s += done;
    n -= (size_t)done;
  }
}

static int assemble(const char *text, size_t size) {
  const char *argv[16 + 2 * MAX_DIRS] = {UFORK_CLANG,      "-c",      "-x",
                                         "assembler",      "-target", "x86_64-linux-gnu",
                                         "-mno-relax-all", "-o",      opt.output};
  int argc = 9, fds[2], status;
  for (int i = 0; i < opt.dir_count; i++) {
    argv[argc++] = "-I";
    argv[argc++] = opt.dirs[i];
  }
  argv[argc++] = "-";
  if (pipe(fds) < 0)
    fatal("pipe failed");
  pid_t pid = fork();
  if (pid < 0)
    fatal("fork failed");
  if (pid == 0) {
    dup2(fds[0], 0);
    close(fds[0]);
    close(fds[1]);
    execvp(argv[0], (char **)argv);
    fatal("cannot run %s", argv[0]);
  }
  close(fds[0]);
  signal(SIGPIPE, SIG_IGN);
  write_all(fds[1], text, size);
  close(fds[1]);
  if (waitpid(pid, &status, 0) < 0)
    fatal("waitpid failed");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int save(const char *text, size_t size) {
  FILE *f = streq(opt.output, "-") ? stdout : fopen(opt.output, "w");
  if (!f || fwrite(text, 1, size, f) != size || fflush(f))
    fatal("cannot write %s", opt.output);
  return 0;
}

int main(int argc, char **argv) {
  struct raws source = {0}, expanded = {0};
  struct prog prog = {0};
  char *text;
  size_t size;
  parse_options(argc, argv);
  for (int i = 0; i < opt.input_count; i++)
    read_source(&source, opt.inputs[i]);
  expand_macros(&source, &expanded, opt.dirs);
  parse(&expanded, &prog);
  scan(&prog);
  FILE *out = open_memstream(&text, &size);
  if (!out)
    fatal("out of memory");
  rewrite(&prog, out, streq(opt.inputs[0], "-") ? "<stdin>" : opt.inputs[0]);
  fclose(out);
  return opt.rewrite_only ? save(text, size) : assemble(text, size);
}
