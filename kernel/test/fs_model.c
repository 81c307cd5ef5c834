/* SPDX-License-Identifier: MIT */
/*
 * The file system against Linux: the same random calls go to our system calls on tmpfs and to the
 * host's in a fresh directory; results, errors, attributes, contents and listings must agree.
 * Names are few and paths short, so that calls hit each other. Both sides start many levels deep,
 * so that neither `..` nor links lead out of the directory of the test.
 *
 *   fs_model [SEED [CALLS [DIR [RENAME_FLAGS]]]]: our side works in DIR of the booted tree, and its
 * file system knows these flags of renameat2 (others are not tried).
 */
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH 48
#define BLOCK 9000
#define LISTING 200 /* small: a directory takes several calls */
#define DEFAULT_CALLS 60000

/* kernel/fs/vfs.h has the kernel's layout; this is the user's. */
struct linux_stat {
  u64 dev, ino, nlink;
  u32 mode, uid, gid, pad;
  u64 rdev;
  i64 size, rest[14];
};

static u64 state;
static u32 rename_flags = RENAME_NOREPLACE | RENAME_EXCHANGE;
static char log_line[600];

static u32 rnd(u32 n) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (u32)(state >> 33) % n;
}

static void add_component(char *path) {
  static const char *const names[] = {
      "a", "b", "c",  "a",
      "b", ".", "..", "long-name-that-is-more-than-forty-characters-long-indeed"};
  strcat(path, names[rnd(ARRAY_LEN(names))]);
}

static void make_path(char *path) {
  u32 n = 1 + rnd(3);
  *path = 0;
  for (u32 k = 0; k < n; k++) {
    if (k)
      strcat(path, rnd(8) ? "/" : "//");
    add_component(path);
  }
  if (rnd(12) == 0)
    strcat(path, "/");
  if (rnd(200) == 0)
    *path = 0;
}

static i64 host(long result) { return result < 0 ? -errno : result; }

static bool same(const char *what, i64 ours, i64 theirs) {
  if (ours == theirs)
    return true;
  printf("  %s: %s: uFork %ld, Linux %ld\n", log_line, what, (long)ours, (long)theirs);
  check_bad++;
  return false;
}

/* ---- single calls ---------------------------------------------------------------------------- */

static void compare_stat(const char *path, bool follow) {
  struct linux_stat o, h;
  i64 a = follow ? CALL(stat, path, &o) : CALL(lstat, path, &o);
  i64 b = host(syscall(follow ? SYS_stat : SYS_lstat, path, &h));
  if (!same("stat", a, b) || a < 0)
    return;
  same("mode", o.mode, h.mode);
  if (!S_ISDIR(o.mode)) {
    same("nlink", (i64)o.nlink, (i64)h.nlink);
    same("size", o.size, h.size);
  }
}

static void compare_contents(int ours, int theirs) {
  static char *a, b[BLOCK];
  u32 size = 1 + rnd(BLOCK), at = rnd(3) ? 0 : rnd(20000);
  struct stat st;
  if (!a)
    a = env_user_memory(BLOCK);
  for (u32 k = 0; k < size; k++)
    a[k] = (char)rnd(256);
  switch (rnd(4)) {
  case 0:
    same("pwrite", CALL(pwrite64, ours, a, size, at), host(pwrite(theirs, a, size, at)));
    break;
  case 1:
    same("write", CALL(write, ours, a, size), host(write(theirs, a, size)));
    break;
  case 2:
    same("ftruncate", CALL(ftruncate, ours, at), host(ftruncate(theirs, at)));
    break;
  default: {
    i64 n = CALL(pread64, ours, a, BLOCK, at);
    if (same("pread", n, host(pread(theirs, b, sizeof b, at))) && n > 0)
      same("contents", memcmp(a, b, (size_t)n), 0);
  }
  }
  if (fstat(theirs, &st) < 0 || S_ISDIR(st.st_mode)) /* positions of directories differ */
    return;
  u32 whence = rnd(3);
  i64 off = (i64)rnd(3000) - 1000;
  same("lseek", CALL(lseek, ours, off, whence), host(lseek(theirs, off, (int)whence)));
}

static void call_open(const char *path) {
  static const int flags[] = {O_RDONLY,
                              O_WRONLY,
                              O_RDWR | O_CREAT,
                              O_WRONLY | O_CREAT | O_TRUNC,
                              O_RDWR | O_CREAT | O_EXCL,
                              O_RDONLY | O_DIRECTORY,
                              O_RDONLY | O_NOFOLLOW,
                              O_WRONLY | O_APPEND,
                              O_RDWR | O_CREAT | O_APPEND,
                              O_PATH | O_NOFOLLOW,
                              O_RDWR | O_TRUNC};
  int fl = flags[rnd(ARRAY_LEN(flags))];
  snprintf(log_line, sizeof log_line, "open(%s, 0%o)", path, fl);
  i64 ours = CALL(open, path, fl, 0777), theirs = host(open(path, fl, 0777));
  same("success", ours < 0 ? ours : 0, theirs < 0 ? theirs : 0);
  if (ours >= 0 && theirs >= 0)
    for (u32 k = rnd(4); k > 0; k--)
      compare_contents((int)ours, (int)theirs);
  if (ours >= 0)
    CALL(close, ours);
  if (theirs >= 0)
    close((int)theirs);
}

static void call_readlink(const char *path) {
  char a[300] = "", b[300] = "";
  snprintf(log_line, sizeof log_line, "readlink(%s)", path);
  i64 n = CALL(readlink, path, a, sizeof a);
  if (same("length", n, host(readlink(path, b, sizeof b))) && n > 0)
    same("target", memcmp(a, b, (size_t)n), 0);
}

static void call_symlink(const char *path) {
  char target[200];
  make_path(target);
  snprintf(log_line, sizeof log_line, "symlink(%s, %s)", target, path);
  same("symlink", CALL(symlink, target, path), host(symlink(target, path)));
}

static void call_two(const char *path) {
  char other[200];
  u32 flags = rnd(4) & rename_flags;
  make_path(other);
  switch (rnd(3)) {
  case 0:
    snprintf(log_line, sizeof log_line, "link(%s, %s)", path, other);
    same("link", CALL(link, path, other), host(link(path, other)));
    break;
  case 1:
    snprintf(log_line, sizeof log_line, "renameat2(%s, %s, %u)", path, other, flags);
    same("rename", CALL(renameat2, AT_FDCWD, path, AT_FDCWD, other, flags),
         host(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, flags)));
    break;
  default:
    snprintf(log_line, sizeof log_line, "rename(%s, %s)", path, other);
    same("rename", CALL(rename, path, other), host(rename(path, other)));
  }
}

static void one_call(void) {
  char path[200];
  make_path(path);
  switch (rnd(12)) {
  case 0:
  case 1:
    snprintf(log_line, sizeof log_line, "mkdir(%s)", path);
    same("mkdir", CALL(mkdir, path, 0777), host(mkdir(path, 0777)));
    break;
  case 2:
    snprintf(log_line, sizeof log_line, "rmdir(%s)", path);
    same("rmdir", CALL(rmdir, path), host(rmdir(path)));
    break;
  case 3:
    snprintf(log_line, sizeof log_line, "unlink(%s)", path);
    same("unlink", CALL(unlink, path), host(unlink(path)));
    break;
  case 4:
    call_symlink(path);
    break;
  case 5:
    call_readlink(path);
    break;
  case 6:
  case 7:
    call_two(path);
    break;
  case 8:
    snprintf(log_line, sizeof log_line, "stat(%s)", path);
    compare_stat(path, rnd(2));
    break;
  case 9:
    snprintf(log_line, sizeof log_line, "truncate(%s)", path);
    u32 size = rnd(10000);
    same("truncate", CALL(truncate, path, size), host(truncate(path, size)));
    break;
  default:
    call_open(path);
  }
}

/* ---- listings -------------------------------------------------------------------------------- */

struct names {
  char list[16][80];
  int n;
};

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static void list_ours(const char *path, struct names *out) {
  static char *buf;
  i64 fd = CALL(open, path, O_RDONLY | O_DIRECTORY), n;
  if (!buf)
    buf = env_user_memory(LISTING);
  out->n = 0;
  while ((n = CALL(getdents64, fd, buf, LISTING)) > 0)
    for (i64 at = 0; at < n; at += *(u16 *)(buf + at + 16))
      strcpy(out->list[out->n++], buf + at + 19);
  CALL(close, fd);
  qsort(out->list, (size_t)out->n, sizeof out->list[0], by_name);
}

static void list_theirs(const char *path, struct names *out) {
  DIR *d = opendir(path);
  struct dirent *e;
  out->n = 0;
  while ((e = readdir(d)))
    strcpy(out->list[out->n++], e->d_name);
  closedir(d);
  qsort(out->list, (size_t)out->n, sizeof out->list[0], by_name);
}

/* Walks both trees. */
static void compare_trees(const char *path, int depth) {
  struct names a, b;
  snprintf(log_line, sizeof log_line, "tree %s", path);
  list_ours(path, &a);
  list_theirs(path, &b);
  if (!same("entries", a.n, b.n))
    return;
  for (int k = 0; k < a.n; k++) {
    char child[2000];
    struct linux_stat st;
    same("name", strcmp(a.list[k], b.list[k]), 0);
    if (a.list[k][0] == '.')
      continue;
    snprintf(child, sizeof child, "%s/%s", path, a.list[k]);
    compare_stat(child, false);
    if (depth < 20 && CALL(lstat, child, &st) == 0 && S_ISDIR(st.mode))
      compare_trees(child, depth + 1);
  }
}

/* ---- the test
 * ------------------------------------------------------------------------------------ */

static int calls = DEFAULT_CALLS;

static void random_calls(void) {
  for (int k = 0; k < calls && check_bad < 20; k++) {
    one_call();
    if (k % 500 == 0)
      compare_trees(".", 0);
  }
  compare_trees(".", 0);
}

static void go_deep(void) {
  for (int k = 0; k < DEPTH; k++) {
    if (CALL(mkdir, "d", 0777) < 0 || CALL(chdir, "d") < 0 || mkdir("d", 0777) < 0 ||
        chdir("d") < 0)
      exit(2);
  }
}

int main(int argc, char **argv) {
  char base[] = "/tmp/ufork-fs-XXXXXX", command[100];
  state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
  if (argc > 2)
    calls = atoi(argv[2]);
  if (argc > 4)
    rename_flags = (u32)strtoul(argv[4], NULL, 0);
  env_boot();
  umask(0);
  CALL(umask, 0);
  if (argc > 3 && CALL(chdir, argv[3]) < 0)
    return 2;
  if (!mkdtemp(base) || chdir(base) < 0)
    return 2;
  go_deep();
  TEST(random_calls);
  snprintf(command, sizeof command, "rm -rf %s", base);
  if (chdir("/") < 0 || system(command) != 0)
    return 2;
  return check_summary("fs_model");
}
