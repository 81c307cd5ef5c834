/* SPDX-License-Identifier: MIT */
/*
 * The soak: forks, execs, threads, signals, pipes, sockets, mappings and exits at random, on all
 * CPUs, for a given time, everything checked as it goes, some processes killed in the middle of
 * it. After a round of each job the figures of the kernel are taken; at the end they must be the
 * same.
 *
 *   soak [--seconds=N] [--seed=N] [--jobs=N] [--only=NAME] [--limit=SECONDS] [--lean]
 *
 * --seed repeats the same jobs in the same order (not the same interleaving); --only with the seed
 * that a message names repeats one. --limit: a job that runs longer hangs. --lean: memory is meant
 * to run out (ufork run --memory=...); jobs may give up, but nothing else may go wrong.
 * Runs as process 1 of an instance and on Linux, where there are fewer figures.
 */
#include "soak.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define SLOTS_MAX 64
#define FIGURES_MAX 64
#define SETTLE_MS 20000 /* for what ends behind the scenes */
#define SLACK_KIB 2048  /* of memory: what caches may hold more than before */
#define SLACK_OBJECTS 3 /* of a size: arrays of this process's own that have grown */

const struct job jobs[] = {
    {"stream", job_stream, false},   {"messages", job_messages, false},
    {"memory", job_memory, false},   {"snapshot", job_snapshot, false},
    {"threads", job_threads, false}, {"signals", job_signals, false},
    {"family", job_family, false},   {"files", job_files, false},
    {"locks", job_locks, false},     {"sysv", job_sysv, false},
    {"events", job_events, false},   {"pty", job_pty, false},
    {"chaos", job_chaos, true},      {NULL, NULL, false},
};
#define NJOBS (sizeof jobs / sizeof *jobs - 1)

struct slot *slot;
bool lean;
const char *self_path;

static struct slot *slots;
static unsigned nslots = 0, seconds = 10, limit = 200;
static const char *only;
static uint64_t master;
static unsigned long counts[NJOBS], started, killed, scarce;

/* ---- figures --------------------------------------------------------------------------------- */

struct figure {
  char name[24];
  long value;
};

static long count_entries(const char *path) {
  DIR *d = opendir(path);
  long n = 0;
  if (!d)
    return -1;
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    n += e->d_name[0] != '.';
  closedir(d);
  return n - (strcmp(path, "/proc/self/fd") == 0); /* its own */
}

static long count_lines(const char *path) {
  FILE *f = fopen(path, "re");
  long n = 0;
  if (!f)
    return -1;
  for (int c; (c = getc(f)) != EOF;)
    n += c == '\n';
  fclose(f);
  return n;
}

static unsigned add_figure(struct figure *v, unsigned n, const char *name, long value) {
  if (value < 0)
    return n;
  snprintf(v[n].name, sizeof v[n].name, "%s", name);
  v[n].value = value;
  return n + 1;
}

static long figure(const struct figure *v, unsigned n, const char *name) {
  for (unsigned i = 0; i < n; i++)
    if (strcmp(v[i].name, name) == 0)
      return v[i].value;
  return 0;
}

/* /host is what the host knows of the process that is the instance, if the runner shows it. */
static unsigned take_figures(struct figure *v) {
  char line[80], name[24];
  long value;
  unsigned n = 0;
  n = add_figure(v, n, "own-descriptors", count_entries("/proc/self/fd"));
  n = add_figure(v, n, "own-mappings", count_lines("/proc/self/maps"));
  n = add_figure(v, n, "ipc-shm", count_lines("/proc/sysvipc/shm"));
  n = add_figure(v, n, "ipc-sem", count_lines("/proc/sysvipc/sem"));
  n = add_figure(v, n, "ipc-msg", count_lines("/proc/sysvipc/msg"));
  n = add_figure(v, n, "host-descriptors", count_entries("/host/fd"));
  n = add_figure(v, n, "host-threads", count_entries("/host/task"));
  FILE *f = fopen("/proc/ufork", "re");
  while (f && fgets(line, sizeof line, f) && n + 1 < FIGURES_MAX)
    if (sscanf(line, "%23s %ld", name, &value) == 2)
      n = add_figure(v, n, name, value);
  if (f) {
    fclose(f);
    /* What is in use beside the kernel's heap and its caches of thread blocks. */
    n = add_figure(v, n, "other-memory",
                   figure(v, n, "memory") - figure(v, n, "slabs") - figure(v, n, "blocks"));
  }
  return n;
}

/* Caches may grow; what they hold is counted apart. */
static bool is_cache(const char *name) {
  return !strcmp(name, "memory") || !strcmp(name, "slabs") || !strcmp(name, "blocks");
}

static bool same(const struct figure *before, const struct figure *after) {
  long d = after->value - before->value;
  if (is_cache(before->name))
    return true;
  if (!strcmp(before->name, "other-memory"))
    return d <= SLACK_KIB * 1024;
  if (!strcmp(before->name, "heap")) /* the network of platform pc keeps buffers */
    return d <= (access("/host", F_OK) == 0 ? 4096 : 2048 * 1024);
  if (!strncmp(before->name, "heap-", 5))
    return d <= SLACK_OBJECTS && -d <= SLACK_OBJECTS;
  return d == 0;
}

static bool all_same(const struct figure *before, const struct figure *after, unsigned n) {
  for (unsigned i = 0; i < n; i++)
    if (!same(&before[i], &after[i]))
      return false;
  return true;
}

static unsigned print_figures(const struct figure *before, const struct figure *after, unsigned n) {
  unsigned wrong = 0;
  for (unsigned i = 0; i < n; i++) {
    bool good = same(&before[i], &after[i]);
    wrong += !good;
    if (before[i].value != after[i].value || strncmp(before[i].name, "heap-", 5) != 0)
      printf("  %-18s %12ld %12ld%s\n", before[i].name, before[i].value, after[i].value,
             good ? "" : "  <-- differs");
  }
  return wrong;
}

/* Figures that stay the same for a while, as far as they ever do. */
static unsigned settled_figures(struct figure *v) {
  struct figure last[FIGURES_MAX];
  unsigned n = take_figures(v);
  for (int quiet = 0, tries = 0; quiet < 5 && tries < 100; tries++) {
    memcpy(last, v, sizeof last);
    sleep_us(100000);
    n = take_figures(v);
    quiet = all_same(last, v, n) && all_same(v, last, n) ? quiet + 1 : 0;
  }
  return n;
}

/* ---- running jobs
 * -------------------------------------------------------------------------------- */

static void start(unsigned kind, uint64_t seed, bool victim) {
  struct slot *s = slots;
  while (s->pid)
    s++;
  uint64_t r = mix(seed, 77);
  *s = (struct slot){.pid = -1, .job = jobs[kind].name, .seed = seed, .started = now_ms()};
  snprintf(s->dir, sizeof s->dir, "/tmp/soak-%d-%ld", (int)getpid(), (long)(s - slots));
  s->key = (key_t)((getpid() << 8 | (s - slots)) & 0x7fffffff);
  if (jobs[kind].victim || victim)
    s->kill_at = s->started + 1 + below(&r, 60);
  counts[kind]++;
  started++;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == -1 && lean && is_scarce(errno)) {
    scarce++;
    s->pid = 0;
    sleep_us(2000);
    return;
  }
  if (pid == 0) {
    slot = s;
    uint64_t state = seed;
    OK(setpgid(0, 0));
    sigset_t none;
    sigemptyset(&none);
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    if (mkdir(s->dir, 0700) == -1)
      CHECK(errno == EEXIST || (lean && is_scarce(errno)));
    OK(chdir(s->dir));
    jobs[kind].run(&state);
    _exit(0);
  }
  if (pid < 0) {
    perror("soak: fork");
    exit(1);
  }
  setpgid(pid, pid);
  s->pid = pid;
}

static struct slot *slot_of(pid_t pid) {
  for (unsigned i = 0; i < nslots; i++)
    if (slots[i].pid == pid)
      return &slots[i];
  return NULL;
}

/* All that is left of processes, as /proc has it. */
static void print_processes(void) {
  DIR *d = opendir("/proc");
  char path[300], line[300];
  if (!d || access("/proc/ufork", R_OK) != 0) /* elsewhere there are too many */
    return;
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (e->d_name[0] < '1' || e->d_name[0] > '9')
      continue;
    snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f))
      fprintf(stderr, "  %.100s\n", line);
    if (f)
      fclose(f);
  }
  closedir(d);
}

static void print_slots(void) {
  long now = now_ms();
  for (unsigned i = 0; i < nslots; i++)
    if (slots[i].pid)
      fprintf(stderr, "  job %s seed 0x%lx pid %d, %ld ms old%s, last seen at %s:%d\n",
              slots[i].job, (unsigned long)slots[i].seed, (int)slots[i].pid, now - slots[i].started,
              slots[i].killed ? ", killed" : "", slots[i].file ? slots[i].file : "start",
              slots[i].line);
}

static _Noreturn void give_up(const char *why) {
  fprintf(stderr, "soak: %s (seed %lu)\n", why, (unsigned long)master);
  print_slots();
  print_processes();
  for (unsigned i = 0; i < nslots; i++)
    if (slots[i].pid > 0)
      kill(-slots[i].pid, SIGKILL);
  exit(1);
}

static void judge(struct slot *s, int status) {
  bool by_exit = WIFEXITED(status);
  if (by_exit && WEXITSTATUS(status) == 0)
    return;
  if (!by_exit && WTERMSIG(status) == SIGKILL && s->killed)
    return;
  if (lean && ((by_exit && WEXITSTATUS(status) == STATUS_SCARCE) || s->gave_up)) {
    scarce++;
    return;
  }
  /* What fork shared is copied at the first write: if there is no memory then, that is the end. */
  if (lean && !by_exit && (WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGKILL)) {
    scarce++;
    return;
  }
  fprintf(stderr, "soak: job %s seed 0x%lx: wait status 0x%x\n", s->job, (unsigned long)s->seed,
          (unsigned)status);
  give_up("a job failed");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f) {
  (void)st, (void)flag, (void)f;
  return remove(path), 0;
}

/* A grandchild that nobody could kill may still make a file: tried again when the slot is used
   again, and at the end. */
static void remove_files(const struct slot *s) {
  if (s->dir[0] && access(s->dir, F_OK) == 0)
    nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_ids(key_t key) {
  int id = shmget(key, 0, 0);
  if (id >= 0)
    shmctl(id, IPC_RMID, NULL);
  id = semget(key, 0, 0);
  if (id >= 0)
    semctl(id, 0, IPC_RMID);
  id = msgget(key, 0);
  if (id >= 0)
    msgctl(id, IPC_RMID, NULL);
}

/* Reaps what has ended: jobs, and orphans of killed ones. */
static void reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    struct slot *s = slot_of(pid);
    if (!s)
      continue;
    if (s->killed || lean)
      kill(-pid, SIGKILL); /* its children, if it could not look after them */
    judge(s, status);
    remove_ids(s->key);
    remove_files(s);
    s->pid = 0;
  }
}

static unsigned look_after(void) {
  unsigned running = 0;
  long now = now_ms();
  reap();
  for (unsigned i = 0; i < nslots; i++) {
    struct slot *s = &slots[i];
    if (!s->pid)
      continue;
    running++;
    if (s->kill_at && now >= s->kill_at && !s->killed) {
      s->killed = true;
      killed++;
      kill(-s->pid, SIGKILL);
    }
    if (now - s->started > (long)limit * 1000)
      give_up("a job hangs");
  }
  return running;
}

static void wait_a_moment(void) {
  sigset_t chld;
  struct timespec moment = {0, 5000000};
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigtimedwait(&chld, NULL, &moment);
}

static void run_until(unsigned room) {
  while (look_after() > room)
    wait_a_moment();
}

/* Everybody is gone, orphans too. */
static void wait_for_all(void) {
  long until = now_ms() + (long)limit * 1000;
  run_until(0);
  for (;;) {
    reap();
    if (waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD)
      break;
    if (now_ms() > until)
      give_up("orphans hang");
    wait_a_moment();
  }
  for (unsigned i = 0; i < nslots; i++)
    remove_files(&slots[i]);
}

static void one_of_each(void) {
  for (unsigned k = 0; k < NJOBS; k++) {
    if (only && strcmp(jobs[k].name, only))
      continue;
    for (unsigned i = 0; i < 4; i++) {
      start(k, mix(k + 1, i), i == 3);
      run_until(nslots - 1);
    }
  }
  wait_for_all();
}

static unsigned pick(uint64_t *r) {
  for (;;) {
    unsigned k = below(r, NJOBS);
    if (!only || strcmp(jobs[k].name, only) == 0)
      return k;
  }
}

static void soak(void) {
  long now, end = now_ms() + (long)seconds * 1000, report = now_ms() + 60000;
  for (uint64_t i = 1; (now = now_ms()) < end; i++) {
    uint64_t seed = mix(master, i), r = mix(seed, 5);
    unsigned kind = pick(&r);
    start(kind, seed, below(&r, 6) == 0);
    run_until(nslots - 1);
    if (now > report) {
      printf("soak: %lu jobs, %ld s to go\n", started, (end - now) / 1000);
      fflush(stdout);
      report += 60000;
    }
  }
  wait_for_all();
}

/* ---- main ------------------------------------------------------------------------------------ */

static void parse(int argc, char **argv) {
  master = (uint64_t)time(NULL);
  for (int i = 1; i < argc; i++) {
    char *v = strchr(argv[i], '=');
    if (!strcmp(argv[i], "--lean"))
      lean = true;
    else if (v && !strncmp(argv[i], "--seconds=", 10))
      seconds = (unsigned)atoi(v + 1);
    else if (v && !strncmp(argv[i], "--seed=", 7))
      master = v[1] ? strtoul(v + 1, NULL, 0) : master;
    else if (v && !strncmp(argv[i], "--jobs=", 7))
      nslots = (unsigned)atoi(v + 1);
    else if (v && !strncmp(argv[i], "--limit=", 8))
      limit = (unsigned)atoi(v + 1);
    else if (v && !strncmp(argv[i], "--only=", 7))
      only = v + 1;
    else {
      fprintf(stderr, "soak: unknown argument %s\n", argv[i]);
      exit(2);
    }
  }
  if (nslots < 1 || nslots > SLOTS_MAX)
    nslots = 2 * (unsigned)sysconf(_SC_NPROCESSORS_ONLN) + 2;
  if (nslots > SLOTS_MAX)
    nslots = SLOTS_MAX;
}

static void summary(void) {
  printf("soak: %lu jobs (", started);
  for (unsigned k = 0; k < NJOBS; k++)
    printf("%s%s %lu", k ? ", " : "", jobs[k].name, counts[k]);
  printf("), %lu killed, %lu short of memory\n", killed, scarce);
}

int main(int argc, char **argv) {
  static struct figure before[FIGURES_MAX], after[FIGURES_MAX];
  static struct slot own = {.job = "main"};
  slot = &own;
  self_path = "/proc/self/exe";
  if (argc > 1 && !strcmp(argv[1], "child"))
    return family_exec(argc, argv);
  parse(argc, argv);
  printf("soak: seed %lu, %u s, %u jobs at once%s\n", (unsigned long)master, seconds, nslots,
         lean ? ", lean" : "");
  slots = shared_alloc(SLOTS_MAX * sizeof *slots);
  OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  OK(sigprocmask(SIG_BLOCK, &chld, NULL));

  one_of_each();
  unsigned n = settled_figures(before);
  soak();
  summary();
  settled_figures(after);
  for (long until = now_ms() + SETTLE_MS; !all_same(before, after, n) && now_ms() < until;)
    settled_figures(after);
  if (print_figures(before, after, n) != 0) {
    fprintf(stderr, "soak: figures differ (seed %lu)\n", (unsigned long)master);
    print_processes();
    return 1;
  }
  puts("ok");
  return 0;
}
