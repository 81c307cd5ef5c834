/* SPDX-License-Identifier: MIT */
/* Descriptor tables against an array: lowest free descriptor, dup, close-on-exec, fork, limits,
   and that every file is released exactly once. */
#include "kernel/fs/fdtable.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include <stdlib.h>
#include <string.h>

#define MODEL 300
#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2

static u64 state = 7;
static long live; /* files that exist */
static struct {
  struct file *f;
  bool cloexec;
} model[MODEL];

static u32 rnd(u32 n) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(state >> 33) % n;
}

static void released(struct file *f) {
  (void)f;
  live--;
}
static const struct file_ops ops = {.name = "test", .release = released};

static int lowest(int from) {
  while (from < MODEL && model[from].f)
    from++;
  return from;
}

static int random_used(void) {
  for (int k = 0; k < 50; k++) {
    int fd = (int)rnd(MODEL);
    if (model[fd].f)
      return fd;
  }
  return -1;
}

static void install(void) {
  struct file *f = file_alloc(&ops, O_RDWR, NULL);
  u32 flags = rnd(2) ? O_CLOEXEC : 0;
  int fd = fd_install(f, flags, 0), expected = lowest(0);
  live++;
  if (expected == MODEL) {
    CHECK(fd == -EMFILE);
    file_put(f);
    return;
  }
  CHECK(fd == expected);
  model[fd].f = f;
  model[fd].cloexec = flags;
}

static void duplicate(void) {
  int fd = random_used(), from = (int)rnd(MODEL), expected = lowest(from);
  i64 e;
  if (fd < 0)
    return;
  e = CALL(fcntl, fd, F_DUPFD, from);
  CHECK(e == (expected == MODEL ? -EMFILE : expected));
  if (e >= 0)
    model[e].f = model[fd].f, model[e].cloexec = false;
}

static void duplicate_to(void) {
  int fd = random_used(), to = (int)rnd(MODEL + 2);
  i64 e;
  if (fd < 0)
    return;
  e = CALL(dup2, fd, to);
  CHECK(e == (to >= MODEL ? -EBADF : to));
  if (e >= 0 && to != fd)
    model[to].f = model[fd].f, model[to].cloexec = false;
}

static void close_one(void) {
  int fd = (int)rnd(MODEL + 10);
  bool used = fd < MODEL && model[fd].f;
  CHECK(CALL(close, fd) == (used ? 0 : -EBADF));
  if (used)
    model[fd].f = NULL;
}

static void change_flag(void) {
  int fd = random_used();
  bool on = rnd(2);
  if (fd < 0)
    return;
  CHECK(CALL(fcntl, fd, F_GETFD) == model[fd].cloexec);
  CHECK(CALL(fcntl, fd, F_SETFD, on) == 0);
  model[fd].cloexec = on;
}

static void check_table(struct fdtable *t, bool after_exec) {
  for (int fd = 0; fd < MODEL; fd++) {
    bool cloexec = false;
    struct file *f = fdtable_file(t, fd, &cloexec);
    struct file *expected = after_exec && model[fd].cloexec ? NULL : model[fd].f;
    CHECK(f == expected);
    CHECK(!f || cloexec == model[fd].cloexec);
    file_put(f);
  }
}

/* A fork's table is the same; after exec the marked ones are gone; the parent's is untouched. */
static void fork_and_exec(void) {
  struct fdtable *mine = env_proc.files, *child;
  long before = live;
  CHECK(fdtable_fork(mine, &child) == 0);
  check_table(child, false);
  env_proc.files = child;
  fdtable_close_on_exec();
  child = env_proc.files;
  check_table(child, true);
  for (int k = 0; k < 3; k++) { /* the child's descriptors are its own */
    struct file *f = file_alloc(&ops, 0, NULL);
    live++;
    if (fd_install(f, 0, 0) < 0)
      file_put(f);
  }
  child = env_proc.files;
  env_proc.files = mine;
  fdtable_leave(child);
  CHECK(live == before);
  check_table(mine, false);
}

/* While a table is lent, parent and children hold one; whoever changes something gets his own, with
   the model's contents, and the others see nothing of it. No file is lost or kept. */
static void lent_tables(void) {
  enum { CHILDREN = 4 };
  struct fdtable *mine = env_proc.files, *held[CHILDREN + 1] = {mine};
  struct file *f = file_alloc(&ops, 0, NULL);
  live++;
  CHECK(fd_install(f, 0, 0) == 0);
  for (int i = 1; i <= CHILDREN; i++)
    CHECK(fdtable_fork(mine, &held[i]) == 0 && held[i] == mine);
  for (int i = 0; i <= CHILDREN; i++) { /* each in turn closes it, the parent first */
    env_proc.files = held[i];
    CHECK(fd_borrow_only(0) == f);
    CHECK(fd_close(0) == 0 && fd_close(0) == -EBADF);
    CHECK((i < CHILDREN) == (env_proc.files != held[i])); /* the last one keeps it */
    CHECK(live == (i < CHILDREN));
    held[i] = env_proc.files;
  }
  for (int i = 0; i < CHILDREN; i++) /* with record locks, a child gets a copy at once */
    fdtable_leave(held[i]);
  env_proc.files = held[CHILDREN];
  held[CHILDREN]->keyed = true;
  CHECK(fdtable_fork(held[CHILDREN], &held[0]) == 0 && held[0] != held[CHILDREN]);
  fdtable_leave(held[0]);
  held[CHILDREN]->keyed = false;
}

/* A child that ends without a change leaves nothing behind, and the parent changes in place again.
 */
static void lent_and_given_back(void) {
  struct fdtable *mine = env_proc.files, *child;
  for (int i = 0; i < 3; i++) {
    CHECK(fdtable_fork(mine, &child) == 0 && child == mine);
    fdtable_leave(child);
    install();
    CHECK(env_proc.files == mine && !mine->lend.lent);
  }
  enum { MANY = 10 }; /* alive at once: what was put by for them does not stay */
  for (int i = 0; i < MANY; i++)
    CHECK(fdtable_fork(mine, &child) == 0 && child == mine);
  CHECK(mine->lend.n_spares >= MANY);
  for (int i = 0; i < MANY; i++)
    fdtable_leave(child);
  CHECK(mine->lend.n_spares <= LEND_SPARES_KEPT);
}

static void random_calls(void) {
  env_proc.limits[RLIMIT_NOFILE].cur = MODEL;
  for (int k = 0; k < 100000 && !check_bad; k++) {
    switch (rnd(k / 5000 % 2 ? 12 : 9)) { /* times of growing and of shrinking */
    case 0:
    case 1:
      install();
      break;
    case 2:
      duplicate();
      break;
    case 3:
      duplicate_to();
      break;
    case 4:
      change_flag();
      break;
    case 5:
      if (rnd(20) == 0)
        fork_and_exec();
      break;
    default:
      close_one();
    }
  }
  check_table(env_proc.files, false);
}

static void close_ranges(void) {
  for (int k = 0; k < 50; k++)
    install();
  CHECK(CALL(close_range, 20, 10, 0) == -EINVAL);
  CHECK(CALL(close_range, 10, 20, 4 /* CLOEXEC */) == 0);
  for (int fd = 10; fd <= 20; fd++)
    CHECK(!model[fd].f || CALL(fcntl, fd, F_GETFD) == 1);
  CHECK(CALL(close_range, 0, ~0u, 0) == 0);
  CHECK(fdtable_next(env_proc.files, 0) == -1);
  CHECK(live == 0);
}

int main(void) {
  env_boot();
  TEST(lent_tables);
  TEST(lent_and_given_back);
  TEST(random_calls);
  TEST(close_ranges);
  return check_summary("fs_fdtable");
}
