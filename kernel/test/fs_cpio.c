/* SPDX-License-Identifier: MIT */
/* The initramfs: archives become trees; damaged ones are refused and nothing outside is read. */
#include "kernel/fs/cpio.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include <stdlib.h>
#include <string.h>

#define ARCHIVE_MAX 65536

static char archive[ARCHIVE_MAX];
static size_t length;

static void pad(void) {
  while (length % 4)
    archive[length++] = 0;
}

static void add(const char *name, unsigned mode, unsigned ino, unsigned nlink, const char *data,
                size_t n) {
  length += (size_t)sprintf(archive + length,
                            "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ino, mode,
                            0, 0, nlink, 0, (unsigned)n, 0, 0, 1, 3, (unsigned)strlen(name) + 1, 0);
  strcpy(archive + length, name);
  length += strlen(name) + 1;
  pad();
  memcpy(archive + length, data, n);
  length += n;
  pad();
}

static void finish(void) { add("TRAILER!!!", 0, 0, 1, "", 0); }

/* The archive in a block of its exact size, so that the sanitizer sees reads behind it. */
static int unpack(size_t n) {
  char *exact = malloc(n ? n : 1);
  memcpy(exact, archive, n);
  int err = cpio_unpack(exact, n);
  free(exact);
  return err;
}

static int walk(size_t n) {
  struct cpio_entry e;
  u64 at = 0;
  char *exact = malloc(n ? n : 1);
  int r, sum = 0;
  memcpy(exact, archive, n);
  while ((r = cpio_next(exact, n, &at, &e)) > 0) {
    for (u64 i = 0; i < e.size; i++)
      sum += ((const char *)e.data)[i];
    sum += (int)strlen(e.name);
  }
  free(exact);
  return r + 0 * sum;
}

static void file_is(const char *path, const char *want) {
  char buf[256] = {0};
  struct file *f;
  int err = vfs_open(path, O_RDONLY, 0, &f);
  CHECK(err == 0);
  if (err)
    return;
  CHECK(file_pread_kernel(f, buf, sizeof buf - 1, 0) == (i64)strlen(want));
  CHECK(strcmp(buf, want) == 0);
  file_put(f);
}

static void tree(void) {
  struct dentry *d;
  length = 0;
  add(".", S_IFDIR | 0755, 1, 2, "", 0);
  add("./a", S_IFDIR | 0700, 2, 2, "", 0);
  add("/a/file", S_IFREG | 0640, 3, 1, "hello", 5);
  add("deep/er/file", S_IFREG | 0644, 4, 1, "", 0);
  add("a/link", S_IFLNK | 0777, 5, 1, "file", 4);
  add("one", S_IFREG | 0644, 6, 2, "", 0);
  add("two", S_IFREG | 0644, 6, 2, "both", 4);
  add("null", S_IFCHR | 0666, 7, 1, "", 0);
  finish();
  CHECK(unpack(length) == 0);
  file_is("/a/file", "hello");
  file_is("/a/link", "hello");
  file_is("/deep/er/file", "");
  file_is("/one", "both");
  file_is("/two", "both");
  CHECK(path_walk(NULL, "/a/file", 0, &d) == 0);
  CHECK((d->inode->mode & 07777) == 0640);
  dentry_put(d);
  CHECK(path_walk(NULL, "/null", 0, &d) == 0);
  CHECK(S_ISCHR(d->inode->mode) && d->inode->rdev == MAKEDEV(1, 3));
  dentry_put(d);
}

static void refused(void) {
  CHECK(unpack(0) == -EINVAL);
  length = 0;
  add("../escape", S_IFREG | 0644, 1, 1, "x", 1);
  finish();
  CHECK(unpack(length) == -EINVAL);
  length = 0;
  add("a/../../escape", S_IFREG | 0644, 1, 1, "x", 1);
  finish();
  CHECK(unpack(length) == -EINVAL);
  length = 0;
  add("link", S_IFLNK | 0777, 1, 1, "", 0);
  finish();
  CHECK(unpack(length) == -EINVAL);
  memset(archive, 0, 512);
  CHECK(unpack(512) == -EINVAL);
  memcpy(archive, "070702", 6);
  CHECK(unpack(512) == -EINVAL);
}

/* Every prefix: an end, or refused. */
static void cut_short(void) {
  length = 0;
  add("x", S_IFREG | 0644, 1, 1, "contents", 8);
  finish();
  for (size_t n = 0; n < length; n++)
    CHECK(walk(n) <= 0);
  CHECK(walk(length) == 0);
}

static void damaged(void) {
  srand(1);
  for (int round = 0; round < 20000; round++) {
    length = 0;
    add("some/name", S_IFREG | 0644, 1, 1, "contents", 8);
    add("dir", S_IFDIR | 0755, 2, 1, "", 0);
    finish();
    for (int i = rand() % 4; i >= 0; i--)
      archive[(size_t)rand() % length] = rand() % 2 ? (char)rand() : "0f8"[rand() % 3];
    CHECK(walk(length) <= 0);
  }
}

int main(void) {
  env_boot();
  TEST(tree);
  TEST(refused);
  TEST(cut_short);
  TEST(damaged);
  return check_summary("fs_cpio");
}
