/* SPDX-License-Identifier: MIT */
/*
 * 9P exports beyond what the model test covers: files without a name, changes made by the host,
 * large transfers, durability calls, limits, and servers that answer nonsense.
 */
#include "kernel/boot.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include "plat/pc/p9/client.h"
#include "plat/pc/p9/p9fs.h"
#include "plat/pc/test/p9_env.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BIG 300000

struct user_stat { /* as user space sees it */
  u64 dev, ino, nlink;
  u32 mode, uid, gid, pad;
  u64 rdev;
  i64 size, blksize, blocks;
  i64 atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns, rest[3];
};

static const char *root;
static char *user; /* BIG bytes of user memory */
static char host_path[4096];

static const char *on_host(const char *name) {
  snprintf(host_path, sizeof host_path, "%s/%s", root, name);
  return host_path;
}

static void host_write(const char *name, const char *text) {
  FILE *f = fopen(on_host(name), "w");
  if (!f || fputs(text, f) < 0 || fclose(f) != 0)
    abort();
}

static bool host_holds(const char *name, const char *text) {
  char buf[256] = "";
  FILE *f = fopen(on_host(name), "r");
  if (!f)
    return false;
  size_t n = fread(buf, 1, sizeof buf - 1, f);
  fclose(f);
  return n == strlen(text) && memcmp(buf, text, n) == 0;
}

static void write_text(i64 fd, const char *text) {
  strcpy(user, text);
  CHECK(CALL(write, fd, user, strlen(text)) == (i64)strlen(text));
}

static bool reads(i64 fd, const char *text) {
  i64 n = CALL(pread64, fd, user, 256, 0);
  return n == (i64)strlen(text) && memcmp(user, text, (size_t)n) == 0;
}

/* ---- files without a name
 * ------------------------------------------------------------------------------ */

static void unlinked_file_stays_usable(void) {
  struct user_stat st;
  i64 fd = CALL(open, "/h/tmp", O_RDWR | O_CREAT | O_EXCL, 0600);
  CHECK(fd >= 0);
  write_text(fd, "first");
  CHECK(CALL(unlink, "/h/tmp") == 0);
  CHECK(access(on_host("tmp"), F_OK) < 0);
  CHECK(CALL(fstat, fd, &st) == 0 && st.nlink == 0 && st.size == 5);
  write_text(fd, " and more");
  CHECK(CALL(fstat, fd, &st) == 0 && st.size == 14);
  CHECK(reads(fd, "first and more"));
  CHECK(CALL(lseek, fd, 0, 2) == 14);
  CHECK(CALL(open, "/h/tmp", O_RDWR) == -ENOENT);
  CHECK(CALL(close, fd) == 0);
}

/* The server would apply these to the file that has the name now. */
static void replaced_file_does_not_touch_its_successor(void) {
  struct user_stat st;
  i64 fd = CALL(open, "/h/dump", O_RDWR | O_CREAT, 0600), tmp;
  write_text(fd, "old");
  tmp = CALL(open, "/h/dump.tmp", O_RDWR | O_CREAT, 0644);
  write_text(tmp, "newer");
  CHECK(CALL(fsync, tmp) == 0);
  CHECK(CALL(rename, "/h/dump.tmp", "/h/dump") == 0);
  CHECK(host_holds("dump", "newer"));
  CHECK(reads(fd, "old") && reads(tmp, "newer"));
  CHECK(CALL(fstat, fd, &st) == 0 && st.size == 3 && st.nlink == 0 && (st.mode & 0777) == 0600);
  CHECK(CALL(ftruncate, fd, 0) == -ESTALE);
  CHECK(CALL(fchmod, fd, 0777) == -ESTALE);
  CHECK(host_holds("dump", "newer"));
  CHECK(CALL(fstat, tmp, &st) == 0 && st.size == 5 && st.nlink == 1);
  CHECK(CALL(ftruncate, tmp, 2) == 0 && host_holds("dump", "ne"));
  CALL(close, fd);
  CALL(close, tmp);
  CHECK(CALL(unlink, "/h/dump") == 0);
}

/* The server would show what the new directory of the name holds. */
static void removed_directory_is_empty(void) {
  struct user_stat st;
  CHECK(CALL(mkdir, "/h/cwd", 0755) == 0 && CALL(chdir, "/h/cwd") == 0);
  i64 fd = CALL(open, ".", O_RDONLY);
  CHECK(CALL(rmdir, "/h/cwd") == 0);
  CHECK(CALL(mkdir, "/h/cwd", 0755) == 0);
  host_write("cwd/file", "x");
  CHECK(CALL(stat, "file", &st) == -ENOENT &&
        CALL(open, "file", O_RDWR | O_CREAT, 0600) == -ENOENT);
  CHECK(CALL(stat, ".", &st) == 0 && st.nlink == 0 && (st.mode & S_IFMT) == S_IFDIR);
  CHECK(CALL(open, "/h/cwd/file", O_RDWR) >= 0);
  CALL(close, fd + 1);
  CALL(close, fd);
  CHECK(CALL(chdir, "/") == 0 && CALL(unlink, "/h/cwd/file") == 0 && CALL(rmdir, "/h/cwd") == 0);
}

/* An inode keeps working when the name it was reached by goes and another one is left. */
static void other_link_keeps_the_object(void) {
  struct user_stat st;
  host_write("one", "same");
  i64 fd = CALL(open, "/h/one", O_RDWR);
  CHECK(CALL(link, "/h/one", "/h/two") == 0);
  CHECK(CALL(unlink, "/h/one") == 0);
  CHECK(CALL(stat, "/h/two", &st) == 0 && st.nlink == 1);
  CHECK(CALL(chmod, "/h/two", 0640) == 0);
  CHECK(CALL(fstat, fd, &st) == 0 && st.nlink == 1 && (st.mode & 0777) == 0640);
  CHECK(CALL(ftruncate, fd, 2) == 0 && host_holds("two", "sa"));
  CALL(close, fd);
  CHECK(CALL(unlink, "/h/two") == 0);
}

/* ---- the host changes things
 * ----------------------------------------------------------------------------- */

static void host_changes_are_seen(void) {
  struct user_stat st;
  char old[4096];
  host_write("config", "one");
  i64 fd = CALL(open, "/h/config", O_RDONLY);
  CHECK(reads(fd, "one"));
  host_write("config", "three");
  CHECK(reads(fd, "three"));
  host_write("config.new", "4");
  strcpy(old, on_host("config.new"));
  CHECK(rename(old, on_host("config")) == 0);
  CHECK(CALL(stat, "/h/config", &st) == 0 && st.size == 1);
  CHECK(reads(fd, "three"));
  CHECK(CALL(fstat, fd, &st) == 0 && st.size == 5);
  CALL(close, fd);
  CHECK(unlink(on_host("config")) == 0);
  CHECK(CALL(stat, "/h/config", &st) == -ENOENT);
}

static void links_of_the_host_stay_inside(void) {
  struct user_stat st;
  CHECK(symlink("/etc/passwd", on_host("absolute")) == 0);
  CHECK(symlink("../../../../../../etc/passwd", on_host("relative")) == 0);
  CHECK(symlink("absolute", on_host("dir")) == 0);
  CHECK(CALL(open, "/h/absolute", O_RDONLY) == -ENOENT); /* the guest's own /etc is empty */
  CHECK(CALL(open, "/h/relative", O_RDONLY) == -ENOENT);
  CHECK(CALL(open, "/h/absolute", O_RDONLY | O_NOFOLLOW) == -ELOOP);
  CHECK(CALL(stat, "/h/dir/x", &st) == -ENOENT);
  CHECK(CALL(stat, "/h/..", &st) == 0);
  struct inode *i;
  CHECK(plat_hostfs("export/..", true, &i) == -EINVAL);
  CHECK(plat_hostfs("export/absolute/x", true, &i) == -ENOTDIR);
  CHECK(plat_hostfs("nothing", true, &i) == -ENODEV);
  CHECK(plat_hostfs("export/none", true, &i) == -ENOENT);
  CHECK(unlink(on_host("absolute")) == 0 && unlink(on_host("relative")) == 0 &&
        unlink(on_host("dir")) == 0);
}

static void subdirectory_can_be_mounted(void) {
  struct inode *i, *j;
  CHECK(mkdir(on_host("a"), 0755) == 0 && mkdir(on_host("a/b"), 0700) == 0);
  CHECK(plat_hostfs("/export/a//b/", false, &i) == 0 && S_ISDIR(i->mode));
  CHECK(i->ops->lookup(i, "none", &j) == -ENOENT);
  inode_put(i);
  CHECK(rmdir(on_host("a/b")) == 0 && rmdir(on_host("a")) == 0);
}

static void host_fifo_and_device_do_not_open(void) {
  CHECK(mknod(on_host("zero"), S_IFCHR | 0666, makedev(1, 5)) == 0 || getuid() != 0);
  if (getuid() == 0) {
    CHECK(CALL(open, "/h/zero", O_RDONLY) == -ENXIO);
    CHECK(unlink(on_host("zero")) == 0);
  }
  CHECK(CALL(mknod, "/h/dev", S_IFCHR | 0666, 0x105) == -EPERM);
  CHECK(CALL(mknod, "/h/fifo", S_IFIFO | 0600, 0) == 0);
  struct stat st;
  CHECK(lstat(on_host("fifo"), &st) == 0 && S_ISFIFO(st.st_mode));
  CHECK(CALL(unlink, "/h/fifo") == 0);
}

/* ---- contents
 * --------------------------------------------------------------------------------------------- */

static void large_transfers_cross_messages(void) {
  i64 fd = CALL(open, "/h/big", O_RDWR | O_CREAT | O_TRUNC, 0600);
  for (u32 k = 0; k < BIG; k++)
    user[k] = (char)(k * 2654435761u >> 13);
  CHECK(CALL(write, fd, user, BIG) == BIG);
  memset(user, 0, BIG);
  CHECK(CALL(pread64, fd, user, BIG, 0) == BIG);
  u32 bad = 0;
  for (u32 k = 0; k < BIG; k++)
    bad += user[k] != (char)(k * 2654435761u >> 13);
  CHECK(bad == 0);
  CHECK(CALL(pread64, fd, user, BIG, BIG - 10) == 10);
  CHECK(CALL(pread64, fd, user, BIG, BIG + 10) == 0);
  CHECK(CALL(pwrite64, fd, user, 10, INT64_MAX - 5) == -EFBIG);
  CALL(close, fd);
  CHECK(CALL(unlink, "/h/big") == 0);
}

static void append_and_flags(void) {
  i64 a = CALL(open, "/h/log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  i64 b = CALL(open, "/h/log", O_RDWR | O_APPEND);
  write_text(a, "one ");
  write_text(b, "two ");
  write_text(a, "three");
  CHECK(reads(b, "one two three"));
  CHECK(CALL(lseek, a, 0, 1) == 13);
  CHECK(CALL(fcntl, b, F_SETFL, 0) == 0);
  CHECK(CALL(pwrite64, b, strcpy(user, "ONE"), 3, 0) == 3);
  CHECK(reads(b, "ONE two three"));
  CALL(close, a);
  CALL(close, b);
  CHECK(CALL(unlink, "/h/log") == 0);
}

static void fsync_reaches_the_server(void) {
  i64 fd = CALL(open, "/h/s", O_RDWR | O_CREAT, 0600), dir = CALL(open, "/h", O_RDONLY);
  unsigned before = env_server.fsyncs;
  CHECK(CALL(fsync, fd) == 0 && CALL(fdatasync, fd) == 0 && CALL(fsync, dir) == 0);
  CHECK(env_server.fsyncs == before + 3);
  CALL(close, fd);
  CALL(close, dir);
  CHECK(CALL(unlink, "/h/s") == 0);
}

static void attributes_reach_the_host(void) {
  struct user_stat st;
  struct stat h;
  i64 times[4] = {1000000000, 123456789, -5, 999999999};
  i64 fd = CALL(open, "/h/f", O_RDWR | O_CREAT, 0600);
  CHECK(CALL(close, fd) == 0);
  CHECK(CALL(utimensat, AT_FDCWD, "/h/f", times, 0) == 0);
  CHECK(lstat(on_host("f"), &h) == 0 && h.st_atim.tv_sec == 1000000000 &&
        h.st_atim.tv_nsec == 123456789 && h.st_mtim.tv_sec == -5);
  CHECK(CALL(stat, "/h/f", &st) == 0 && st.mtime == -5 && st.mtime_ns == 999999999);
  CHECK(CALL(chmod, "/h/f", 0751) == 0 && lstat(on_host("f"), &h) == 0 &&
        (h.st_mode & 07777) == 0751);
  if (getuid() == 0) {
    CHECK(CALL(chown, "/h/f", 33, 44) == 0 && lstat(on_host("f"), &h) == 0 && h.st_uid == 33 &&
          h.st_gid == 44);
    CHECK(CALL(stat, "/h/f", &st) == 0 && st.uid == 33 && st.gid == 44);
  }
  u64 buf[15];
  CHECK(CALL(statfs, "/h", buf) == 0 && buf[0] == 0x01021997 && buf[1] > 0 && buf[2] > 0);
  CHECK(CALL(unlink, "/h/f") == 0);
}

static void large_directory_is_listed_once(void) {
  enum { FILES = 700 };
  static u8 seen[FILES];
  char name[300];
  memset(seen, 0, sizeof seen);
  CHECK(CALL(mkdir, "/h/many", 0755) == 0);
  for (int k = 0; k < FILES; k++) {
    snprintf(name, sizeof name, "many/%03d-%0*d", k, 1 + k % 240, 0);
    host_write(name, "");
  }
  i64 fd = CALL(open, "/h/many", O_RDONLY | O_DIRECTORY), n;
  int dots = 0, entries = 0;
  while ((n = CALL(getdents64, fd, user, 500)) > 0)
    for (i64 at = 0; at < n; at += *(u16 *)(user + at + 16), entries++) {
      const char *e = user + at + 19;
      if (e[0] == '.')
        dots++;
      else
        seen[atoi(e) % FILES]++;
    }
  CHECK(n == 0 && dots == 2 && entries == FILES + 2);
  for (int k = 0; k < FILES; k++)
    CHECK(seen[k] == 1);
  CHECK(CALL(getdents64, fd, user, 10) == 0 && CALL(lseek, fd, 0, 0) == 0);
  CHECK(CALL(getdents64, fd, user, 10) == -EINVAL);
  CALL(close, fd);
  snprintf(name, sizeof name, "rm -rf %s", on_host("many"));
  CHECK(system(name) == 0);
}

/* ---- fids
 * ---------------------------------------------------------------------------------------------------
 */

static void many_files_and_no_leaks(void) {
  i64 fds[300];
  unsigned before = env_server.n_fids;
  for (int k = 0; k < 300; k++) {
    snprintf(user, 100, "/h/m%d", k % 100);
    fds[k] = CALL(open, user, O_RDWR | O_CREAT, 0600);
    CHECK(fds[k] >= 0);
  }
  env_export.hold = true; /* more clunks than can be on their way at once */
  for (int k = 0; k < 300; k++)
    CHECK(CALL(close, fds[k]) == 0);
  CHECK(env_server.n_fids >= before + 300);
  env_export.hold = false;
  for (int k = 0; k < 100; k++) {
    snprintf(user, 100, "/h/m%d", k);
    CHECK(CALL(unlink, user) == 0);
  }
  CHECK(CALL(open, "/h/none", O_RDONLY) == -ENOENT);
  vq_poll(env_export.dev->queues[0]);
  CHECK(env_server.n_fids == before);
}

/* ---- hostile servers
 * ------------------------------------------------------------------------------------------ */

static u32 rate; /* one reply in `rate` is changed */

static void mutate(const u8 *request, u8 *reply, u32 *n, u32 cap) {
  static const u8 special[] = {0, 1, 0x7f, 0x80, 0xff};
  if (request[4] == P9_CLUNK || fake_random(rate) != 0)
    return;
  switch (fake_random(6)) {
  case 0: /* cut */
    *n = fake_random(*n + 1);
    break;
  case 1: /* longer than it says */
    *n = (u32)min_u64(cap, *n + fake_random(200));
    break;
  case 2: { /* another size */
    u32 size = fake_random(3) ? fake_random(2 * *n + 2) : 0x80000000u + fake_random(0x7fffffff);
    memcpy(reply, &size, 4);
    break;
  }
  case 3: /* another type or tag */
    reply[4 + fake_random(3)] ^= (u8)(1u << fake_random(8));
    break;
  default:
    for (u32 k = fake_random(4) + 1; k > 0; k--)
      reply[fake_random((u32)min_u64(*n, 200))] =
          fake_random(2) ? special[fake_random(sizeof special)] : (u8)fake_random(256);
  }
}

static void random_call(void) {
  static const char *const paths[] = {"/h/x", "/h/y", "/h/d", "/h/d/x", "/h/d/y", "/h/l"};
  const char *p = paths[fake_random(6)], *q = paths[fake_random(6)];
  struct user_stat st;
  u64 sf[15];
  i64 fd;
  switch (fake_random(14)) {
  case 0:
    CALL(mkdir, p, 0777);
    break;
  case 1:
    CALL(rmdir, p);
    break;
  case 2:
    CALL(unlink, p);
    break;
  case 3:
    CALL(rename, p, q);
    break;
  case 4:
    CALL(link, p, q);
    break;
  case 5:
    CALL(symlink, q + 1, p);
    break;
  case 6:
    CALL(readlink, p, user, 200);
    break;
  case 7:
    CALL(lstat, p, &st);
    CALL(statfs, p, sf);
    break;
  case 8:
    CALL(truncate, p, fake_random(100000));
    CALL(chmod, p, 0600 | fake_random(0777));
    break;
  case 9:
  case 10:
    fd = CALL(open, p, O_RDONLY);
    if (fd >= 0) {
      CALL(getdents64, fd, user, 4096);
      i64 n = CALL(read, fd, user, 1 + fake_random(BIG - 1));
      CHECK(n <= BIG);
      CALL(close, fd);
    }
    break;
  default:
    fd = CALL(open, p, O_RDWR | O_CREAT | (fake_random(2) ? O_TRUNC : O_APPEND), 0600);
    if (fd >= 0) {
      u32 n = fake_random(150000);
      CHECK(CALL(write, fd, user, n) <= (i64)n);
      CALL(fstat, fd, &st);
      if (fake_random(30) == 0)
        CALL(fsync, fd);
      CALL(close, fd);
    }
  }
}

/* Whatever is answered, calls return, nothing outside of the buffers is touched (the sanitizers
   look), and afterwards the session is still of use. The server aborts on a broken request. */
static void changed_replies_do_no_harm(void) {
  struct user_stat st;
  char command[200];
  env_mutate = mutate;
  env_server.lenient = true;
  for (u32 k = 0; k < 40000; k++) {
    rate = 2 + k % 40;
    random_call();
  }
  env_mutate = NULL;
  snprintf(command, sizeof command, "rm -rf %s/*", root);
  CHECK(system(command) == 0);
  CHECK(CALL(stat, "/h", &st) == 0);
  i64 fd = CALL(open, "/h/after", O_RDWR | O_CREAT, 0600);
  write_text(fd, "fine");
  CHECK(reads(fd, "fine"));
  CALL(close, fd);
}

static u8 error_code[4];
static void answer_error(const u8 *request, u8 *reply, u32 *n, u32 cap) {
  (void)request, (void)cap;
  if (reply[4] == P9_CLUNK + 1)
    return;
  *n = 11;
  memcpy(reply, "\x0b\0\0\0\x07", 5);
  memcpy(reply + 7, error_code, 4);
}

static void error_numbers_are_checked(void) {
  struct user_stat st;
  static const struct {
    u32 code;
    int result;
  } cases[] = {{13, -EACCES}, {28, -ENOSPC}, {0, -EIO},
               {134, -EIO},   {512, -EIO},   {UINT32_MAX, -EIO}};
  env_mutate = answer_error;
  for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
    memcpy(error_code, &cases[k].code, 4);
    CHECK(CALL(stat, "/h/after", &st) == cases[k].result);
  }
  env_mutate = NULL;
}

/* The last test: the device breaks. */
static void broken_device_is_an_error(void) {
  struct user_stat st;
  i64 fd = CALL(open, "/h/after", O_RDWR);
  CHECK(fd >= 0);
  env_export.lie = true;
  env_export.lie_id = 77;
  CHECK(CALL(stat, "/h/after", &st) == -EIO);
  CHECK(env_export.resets == 2);
  env_export.lie = false;
  CHECK(CALL(stat, "/h/after", &st) == -EIO);
  CHECK(CALL(pwrite64, fd, user, 10, 0) == -EIO && CALL(fsync, fd) == -EIO);
  CHECK(CALL(close, fd) == 0);
}

int main(void) {
  static const struct boot_mount mount = {"/h", "export", false};
  root = env_export_start();
  env_boot_args.mounts = &mount;
  env_boot_args.n_mounts = 1;
  umask(0);
  env_boot();
  CALL(umask, 0);
  user = env_user_memory(BIG + PAGE_SIZE);
  TEST(unlinked_file_stays_usable);
  TEST(replaced_file_does_not_touch_its_successor);
  TEST(removed_directory_is_empty);
  TEST(other_link_keeps_the_object);
  TEST(host_changes_are_seen);
  TEST(links_of_the_host_stay_inside);
  TEST(subdirectory_can_be_mounted);
  TEST(host_fifo_and_device_do_not_open);
  TEST(large_transfers_cross_messages);
  TEST(append_and_flags);
  TEST(fsync_reaches_the_server);
  TEST(attributes_reach_the_host);
  TEST(large_directory_is_listed_once);
  TEST(many_files_and_no_leaks);
  TEST(changed_replies_do_no_harm);
  TEST(error_numbers_are_checked);
  TEST(broken_device_is_an_error);
  return check_summary("p9_test");
}
