/* SPDX-License-Identifier: MIT */
#include "plat/hosted/options.h"
#include "kernel/version.h"
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MIN (2 << 20)
#define CPUS_MAX 64

extern char **environ;

static const char usage[] =
    "usage: ufork run [options] PROGRAM [ARGS...]\n"
    "       ufork image [options] PROGRAM [ARGS...] -o FILE\n"
    "Runs PROGRAM as process 1 of a new uFork instance. A name without a slash is looked up in "
    "the\n"
    "root file system's PATH, one with a slash is a file of the host.\n"
    "\n"
    "  --isolation=full|fault|none  how far µprocesses are distrusted (full)\n"
    "  --cpus=N                     virtual CPUs (as many as it may use)\n"
    "  --memory=SIZE                limit of the instance, with K, M, G or T (the host's memory)\n"
    "  --root=DIR                   host directory shown as the root file system\n"
    "                               (rootfs beside this program's directory)\n"
    "  --dir=GUEST[:HOST][:ro]      shows a host directory at GUEST; may be repeated\n"
    "  --env=K=V                    sets a variable; may be repeated\n"
    "  --workdir=DIR                where PROGRAM starts (/)\n"
    "  --here                       shows the current directory and starts PROGRAM there\n"
    "  --fork=auto|copy|eager|lazy  how memory is forked, to compare (auto)\n"
    "  --vm                         in a virtual machine (QEMU) of its own instead of this "
    "process\n"
    "  -p HOST:GUEST                with --vm: TCP port of the host that leads to one of the "
    "guest\n"
    "  -o FILE                      of `image`: a kernel with PROGRAM and the root file system "
    "that\n"
    "                               any PVH loader boots (qemu-system-x86_64 -kernel FILE)\n"
    "  --quiet                      no messages of the kernel\n"
    "  --stats                      figures at the end\n"
    "  --trace                      a line for every system call\n"
    "  --help, --version\n";

static void complain(const char *format, va_list ap) {
  fputs("ufork: ", stderr);
  vfprintf(stderr, format, ap);
  fputc('\n', stderr);
}

/* The command line is wrong. */
static _Noreturn void fail(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  complain(format, ap);
  va_end(ap);
  exit(2);
}

/* A program cannot run: the statuses that a shell has for that. */
enum { NOT_RUNNABLE = 126, NOT_FOUND = 127 };
static _Noreturn void refuse(int status, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  complain(format, ap);
  va_end(ap);
  exit(status);
}

static void *must(void *p) {
  if (!p)
    fail("out of memory");
  return p;
}

/* ---- values ---------------------------------------------------------------------------------- */

static unsigned parse_cpus(const char *v) {
  char *end;
  errno = 0;
  unsigned long n = strtoul(v, &end, 10);
  if (errno || *end || end == v || n < 1 || n > CPUS_MAX)
    fail("--cpus=%s: expected a number from 1 to %d", v, CPUS_MAX);
  return (unsigned)n;
}

static uint64_t parse_size(const char *v) {
  static const char units[] = "KMGT";
  char *end;
  errno = 0;
  unsigned long long n = strtoull(v, &end, 10);
  const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
  unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
  if (unit)
    end++;
  if (errno || *end || end == v || *v == '-' || n == 0 || n > (UINT64_MAX >> shift))
    fail("--memory=%s: expected a size such as 512M or 4G", v);
  if (n << shift < MEMORY_MIN)
    fail("--memory=%s: the kernel alone needs %dM", v, MEMORY_MIN >> 20);
  return n << shift;
}

static unsigned choice(const char *option, const char *v, const char *const *names) {
  for (unsigned i = 0; names[i]; i++)
    if (strcmp(v, names[i]) == 0)
      return i;
  fprintf(stderr, "ufork: %s=%s: expected one of", option, v);
  for (unsigned i = 0; names[i]; i++)
    fprintf(stderr, " %s", names[i]);
  fputc('\n', stderr);
  exit(2);
}

static void require_dir(const char *option, const char *path) {
  struct stat st;
  if (stat(path, &st) != 0)
    fail("%s: %s: %s", option, path, strerror(errno));
  if (!S_ISDIR(st.st_mode))
    fail("%s: %s is not a directory", option, path);
}

static void add_mount(struct options *o, const char *v) {
  char *guest = must(strdup(v));
  struct boot_mount m = {.guest = guest};
  size_t n = strlen(guest);
  if (n > 3 && strcmp(guest + n - 3, ":ro") == 0) {
    m.read_only = true;
    guest[n - 3] = 0;
  }
  char *colon = strchr(guest, ':');
  if (colon)
    *colon = 0;
  m.host = colon ? colon + 1 : guest;
  if (guest[0] != '/')
    fail("--dir=%s: the guest's path must be absolute", v);
  require_dir("--dir", m.host);
  m.host = must(realpath(m.host, NULL));
  struct boot_mount *all = must(calloc(o->boot.n_mounts + 1, sizeof(m)));
  if (o->boot.n_mounts)
    memcpy(all, o->boot.mounts, o->boot.n_mounts * sizeof(m));
  all[o->boot.n_mounts++] = m;
  o->boot.mounts = all;
}

static void here(struct options *o) {
  o->boot.workdir = must(getcwd(NULL, 0));
  add_mount(o, o->boot.workdir);
}

/* ---- environment ----------------------------------------------------------------------------- */

static const char **env;
static unsigned n_env;

static void set_env(const char *kv) {
  size_t name = strcspn(kv, "=");
  for (unsigned i = 0; i < n_env; i++)
    if (strncmp(env[i], kv, name + 1) == 0) {
      env[i] = kv;
      return;
    }
  env = must(realloc(env, (n_env + 2) * sizeof(*env)));
  env[n_env++] = kv;
  env[n_env] = NULL;
}

static void add_env(const char *v) {
  if (v[0] == '=' || !strchr(v, '='))
    fail("--env=%s: expected NAME=VALUE", v);
  set_env(v);
}

/* What programs expect, and of the caller's environment only what describes the terminal. */
static void default_env(void) {
  static const char *const inherited[] = {"TERM=", "LANG=", "TZ=", "COLUMNS=", "LINES=", NULL};
  set_env("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  set_env("HOME=/");
  set_env("USER=root");
  set_env("SHELL=/bin/sh");
  for (char **e = environ; *e; e++)
    for (unsigned i = 0; inherited[i]; i++)
      if (strncmp(*e, inherited[i], strlen(inherited[i])) == 0)
        set_env(*e);
}

/* ---- the command line ------------------------------------------------------------------------ */

static const char *default_root(void) {
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
  if (n <= 0)
    return NULL;
  exe[n] = 0;
  for (int up = 0; up < 2; up++) {
    char *slash = strrchr(exe, '/');
    if (!slash)
      return NULL;
    *slash = 0;
  }
  char *root;
  struct stat st;
  if (asprintf(&root, "%s/rootfs", exe) < 0 || stat(root, &st) != 0 || !S_ISDIR(st.st_mode))
    return NULL;
  return root;
}

static bool option(struct options *o, const char *name, const char *v) {
  static const char *const isolation[] = {"full", "fault", "none", NULL};
  static const char *const fork[] = {"auto", "copy", "eager", "lazy", NULL};
  if (strcmp(name, "isolation") == 0)
    o->boot.isolation = (enum isolation)choice("--isolation", v, isolation);
  else if (strcmp(name, "cpus") == 0)
    o->cpus = parse_cpus(v);
  else if (strcmp(name, "memory") == 0)
    o->boot.memory_limit = parse_size(v);
  else if (strcmp(name, "root") == 0)
    o->boot.root = v;
  else if (strcmp(name, "dir") == 0)
    add_mount(o, v);
  else if (strcmp(name, "env") == 0)
    add_env(v);
  else if (strcmp(name, "workdir") == 0)
    o->boot.workdir = v;
  else if (strcmp(name, "fork") == 0)
    o->fork = (enum fork_mode)choice("--fork", v, fork);
  else
    return false;
  return true;
}

static bool flag(struct options *o, const char *name) {
  if (strcmp(name, "quiet") == 0)
    o->boot.quiet = true;
  else if (strcmp(name, "stats") == 0)
    o->boot.stats = true;
  else if (strcmp(name, "trace") == 0)
    o->boot.trace = true;
  else if (strcmp(name, "vm") == 0)
    o->vm = true;
  else if (strcmp(name, "here") == 0)
    here(o);
  else
    return false;
  return true;
}

static void add_port(struct options *o, const char *v) {
  unsigned host, guest;
  char more;
  if (!v || sscanf(v, "%u:%u%c", &host, &guest, &more) != 2 || host < 1 || guest < 1 ||
      host > 65535 || guest > 65535)
    fail("-p %s: expected HOSTPORT:GUESTPORT", v ? v : "");
  if (o->n_ports == PORTS_MAX)
    fail("-p: at most %d ports", PORTS_MAX);
  o->ports[o->n_ports].host = host;
  o->ports[o->n_ports++].guest = guest;
}

static bool wants_value(const char *name) {
  static const char *const names[] = {"isolation", "cpus",    "memory", "root", "dir",
                                      "env",       "workdir", "fork",   NULL};
  for (unsigned i = 0; names[i]; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return false;
}

/* One argument that starts with "--"; *next may be used as its value. True if it was. */
static bool parse_option(struct options *o, const char *arg, const char *next) {
  char name[32];
  const char *eq = strchr(arg, '=');
  size_t n = eq ? (size_t)(eq - arg) : strlen(arg);
  if (n >= sizeof(name))
    fail("unknown option --%s (see ufork --help)", arg);
  memcpy(name, arg, n);
  name[n] = 0;
  if (strcmp(name, "help") == 0) {
    fputs(usage, stdout);
    exit(0);
  }
  if (strcmp(name, "version") == 0) {
    printf("ufork %s\n", UFORK_VERSION);
    exit(0);
  }
  if (!eq && wants_value(name)) {
    if (!next)
      fail("--%s needs a value", name);
    option(o, name, next);
    return true;
  }
  if (eq ? !option(o, name, eq + 1) : !flag(o, name))
    fail("unknown option --%s (see ufork --help)", arg);
  return false;
}

/* Could `name` of the root file system be run? The PATH of --env counts, as it will. */
static bool in_root(const char *root, const char *name) {
  const char *path = "";
  for (unsigned i = 0; i < n_env; i++)
    if (strncmp(env[i], "PATH=", 5) == 0)
      path = env[i] + 5;
  for (size_t n; *path; path += n + (path[n] == ':')) {
    char *file;
    struct stat st;
    n = strcspn(path, ":");
    if (asprintf(&file, "%s/%.*s/%s", root, (int)n, path, name) < 0)
      fail("out of memory");
    /* where a link leads is not the host's to say */
    bool found = lstat(file, &st) == 0;
    free(file);
    if (found)
      return true;
  }
  return false;
}

/* Tells early, in the host's terms, why a host program cannot run. */
static void check_program(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0)
    refuse(NOT_FOUND, "%s: %s", path, strerror(errno));
  if (S_ISDIR(st.st_mode))
    refuse(NOT_RUNNABLE, "%s is a directory", path);
  if (!(st.st_mode & 0111))
    refuse(NOT_RUNNABLE, "%s is not executable", path);
}

/* Options from argv[i] on; the index behind them. `--` ends them. */
static int parse_options(struct options *o, int i, int argc, char **argv) {
  while (i < argc && argv[i][0] == '-') {
    const char *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--") == 0)
      return i + 1;
    if (strcmp(argv[i], "-p") == 0) {
      add_port(o, next);
      i += 2;
    } else if (strcmp(argv[i], "-o") == 0) {
      if (!next)
        fail("-o needs a file");
      o->output = next;
      i += 2;
    } else if (argv[i][1] == '-') {
      i += 1 + parse_option(o, argv[i] + 2, next);
    } else {
      fail("unknown option %s (see ufork --help)", argv[i]);
    }
  }
  return i;
}

/* `run` or `image`; the latter's file may also be named at the very end. */
static void parse_command(struct options *o, const char *name, int *argc, char **argv) {
  bool image = name && strcmp(name, "image") == 0;
  if (name && !image && strcmp(name, "run") != 0)
    fail("unknown command %s (see ufork --help)", name);
  if (!name) {
    fputs(usage, stderr);
    exit(2);
  }
  if (!image && o->output)
    fail("-o belongs to `ufork image`");
  if (!image)
    return;
  if (!o->output && *argc > 2 && strcmp(argv[*argc - 2], "-o") == 0) {
    o->output = argv[*argc - 1];
    *argc -= 2;
    argv[*argc] = NULL;
  }
}

void options_parse(struct options *o, int argc, char **argv) {
  memset(o, 0, sizeof(*o));
  o->boot.workdir = "/";
  default_env();
  int i = parse_options(o, 1, argc, argv);
  const char *command = i < argc ? argv[i] : NULL;
  parse_command(o, command, &argc, argv);
  i = parse_options(o, i + 1, argc, argv);
  if (i >= argc)
    fail("no program given (see ufork --help)");
  if (strcmp(command, "image") == 0 && !o->output)
    fail("image: -o FILE is missing");
  if (strcmp(command, "run") == 0 && o->output)
    fail("-o belongs to `ufork image`");
  if (o->n_ports && !o->vm)
    fail("-p needs --vm: without it programs use the host's own ports");
  o->boot.program = argv[i];
  o->boot.program_is_host = strchr(argv[i], '/') != NULL;
  o->boot.argv = (const char *const *)argv + i;
  o->boot.envp = env;
  if (o->boot.program_is_host)
    check_program(o->boot.program);
  if (o->boot.root)
    require_dir("--root", o->boot.root);
  else
    o->boot.root = default_root();
  if (!o->boot.program_is_host && !(o->boot.root && in_root(o->boot.root, o->boot.program)) &&
      o->boot.n_mounts == 0)
    refuse(NOT_FOUND, "%s: not found%s", o->boot.program,
           o->boot.root ? "" : " (there is no root file system: --root=DIR)");
}

unsigned options_cpus(const struct options *o) {
  cpu_set_t set;
  if (o->cpus)
    return o->cpus;
  if (sched_getaffinity(0, sizeof(set), &set)) /* more CPUs than a set has: EINVAL */
    return CPUS_MAX;
  int n = CPU_COUNT(&set);
  return n < CPUS_MAX ? (unsigned)n : CPUS_MAX;
}
