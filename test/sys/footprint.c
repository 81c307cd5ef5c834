/* SPDX-License-Identifier: MIT */
/*
 * What a forked process costs: under 64 KiB with all kernel structures, as /proc/PID/smaps_rollup
 * tells it and as the totals of /proc/meminfo grow; and when the processes have gone, every total
 * is back where it was.
 */
/* test: timeout=120 only=ufork */
#include "check.h"

enum { CHILDREN = 400, LIMIT_KIB = 64, KINDS = 9 };

static pid_t pids[CHILDREN];

static long field(const char *text, const char *name) {
  const char *at = strstr(text, name);
  CHECK(at && (at == text || at[-1] == '\n') && at[strlen(name)] == ':');
  return strtol(at + strlen(name) + 1, NULL, 10);
}

static const char *contents(const char *path) {
  static char buf[4096];
  int fd = OK(open(path, O_RDONLY));
  ssize_t n = 0, got;
  while ((got = OK(read(fd, buf + n, sizeof buf - 1 - (size_t)n))) > 0)
    n += got;
  buf[n] = 0;
  OK(close(fd));
  return buf;
}

struct totals {
  long slab, stack, tables, regions, kind[KINDS];
};

static const char *const kinds[KINDS] = {"KmemOther",  "KmemProcess", "KmemSignal",
                                         "KmemFile",   "KmemName",    "KmemSpace",
                                         "KmemRegion", "KmemSocket",  "KmemImage"};

static struct totals totals(void) {
  const char *text = contents("/proc/meminfo");
  struct totals t = {field(text, "Slab"),
                     field(text, "KernelStack"),
                     field(text, "PageTables"),
                     field(text, "Regions"),
                     {0}};
  for (int i = 0; i < KINDS; i++)
    t.kind[i] = field(text, kinds[i]);
  return t;
}

static void make(void) {
  int ready[2];
  OK(pipe(ready));
  for (int i = 0; i < CHILDREN; i++)
    if ((pids[i] = OK(fork())) == 0) {
      char text[64];
      snprintf(text, sizeof text, "hello from %d", i);
      tell(ready[1]);
      for (;;)
        pause();
    }
  for (int i = 0; i < CHILDREN; i++)
    await(ready[0]);
  OK(close(ready[0])), OK(close(ready[1]));
}

static void end(void) {
  for (int i = 0; i < CHILDREN; i++)
    OK(kill(pids[i], SIGKILL));
  for (int i = 0; i < CHILDREN; i++)
    EXPECT_SIGNAL(pids[i], SIGKILL);
}

/* KiB, by what the file says of this process. */
static long cost_of(pid_t pid, long *user) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
  const char *text = contents(path);
  *user = field(text, "Private_Dirty") + field(text, "Private_Clean");
  EXPECT(field(text, "KernelStack"), 16);
  CHECK(*user >= 4);
  CHECK(field(text, "Rss") >= *user && field(text, "Pss") >= *user);
  CHECK(field(text, "KernelStructs") >= 4 && field(text, "PageTables") >= 8);
  return *user + field(text, "KernelStructs") + field(text, "KernelStack") +
         field(text, "PageTables");
}

int main(void) {
  make(), end(); /* what is kept for the next fork is there from now on */
  struct totals before = totals();
  make();
  struct totals with = totals();
  long user = 0;
  for (int i = 0; i < CHILDREN; i += CHILDREN / 8) {
    long cost = cost_of(pids[i], &user);
    if (cost >= LIMIT_KIB)
      check_fail(__FILE__, __LINE__, "KiB of a child", cost);
  }
  EXPECT(with.regions - before.regions, CHILDREN);
  /* Each CPU may still have the stack of the last thread that ended there. */
  CHECK(labs(with.stack - before.stack - CHILDREN * 16) <= 8 * 16);
  long kernel = with.slab - before.slab + with.stack - before.stack + with.tables - before.tables;
  CHECK(kernel / CHILDREN + user < LIMIT_KIB);
  for (int i = 1; i <= 3; i += 2) /* processes, files: some of each for every child */
    CHECK(with.kind[i] - before.kind[i] >= CHILDREN / 8);
  long sum = 0;
  for (int i = 0; i < KINDS; i++)
    sum += with.kind[i];
  CHECK(sum <= with.slab && sum >= with.slab - KINDS);

  end();
  struct totals after = totals();
  EXPECT(after.regions, before.regions);
  CHECK(labs(after.stack - before.stack) <= 8 * 16);
  /* Stacks that are kept for new threads keep their signal masks, page tables their records, on
     some CPU or another; and each CPU may keep four blocks of 4 KiB for new processes. */
  long kept = 4 * 4 * OK(sysconf(_SC_NPROCESSORS_ONLN));
  for (int i = 0; i < KINDS; i++)
    if (labs(after.kind[i] - before.kind[i]) > (i == 1 ? 4 + kept : i == 2 || i == 6 ? 40 : 4))
      check_fail(__FILE__, __LINE__, kinds[i], after.kind[i] - before.kind[i]);
  CHECK(labs(after.slab - before.slab) <= 48 + kept);
  return done();
}
