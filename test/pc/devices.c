/* SPDX-License-Identifier: MIT */
/*
 * µprocess 1 of a machine with one device of each kind: uses them all and leaves traces that the
 * host looks at (test/pc_devices.py). With the argument `records` it only writes records to the
 * host's directory, each made durable and then acknowledged, until the machine is killed.
 */
#include "../sys/check.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define BIG (1 << 20)
#define WRITERS 8
#define LINES 40
#define BLKGETSIZE64 0x80081272

static unsigned char big[BIG], back[BIG];

static void fill(unsigned char *p, size_t n, unsigned seed) {
  for (size_t k = 0; k < n; k++)
    p[k] = (unsigned char)((k * 2654435761u + seed) >> 13);
}

static void random_device(void) {
  unsigned char a[64], b[64];
  int fd = OK(open("/dev/urandom", O_RDONLY));
  CHECK(read(fd, a, sizeof a) == sizeof a && read(fd, b, sizeof b) == sizeof b);
  CHECK(memcmp(a, b, sizeof a) != 0);
  close(fd);
}

/* Whole sectors from the start; then bytes across the boundary of two. */
static void disk(void) {
  uint64_t size;
  int fd = OK(open("/dev/vda", O_RDWR));
  OK(ioctl(fd, BLKGETSIZE64, &size));
  CHECK(size == 2 * BIG);
  fill(big, BIG, 1);
  CHECK(write(fd, big, BIG) == BIG);
  CHECK(pwrite(fd, "across", 6, 1021) == 6);
  memcpy(big + 1021, "across", 6);
  OK(fsync(fd));
  CHECK(pread(fd, back, BIG, 0) == BIG && memcmp(big, back, BIG) == 0);
  CHECK(pread(fd, back, BIG, size - 100) == 100 && pread(fd, back, 1, size) == 0);
  FAILS(pwrite(fd, "x", 1, size), ENOSPC);
  close(fd);
}

static void console(void) {
  char line[100];
  int fd = OK(open("/dev/hvc0", O_RDWR));
  CHECK(isatty(fd) && write(fd, "ready\n", 6) == 6);
  ssize_t n = read(fd, line, sizeof line);
  CHECK(n > 0 && line[n - 1] == '\n');
  CHECK(dprintf(fd, "got %.*s", (int)n, line) > 0);
  close(fd);
}

static void names(void) {
  struct stat st, other;
  char target[20];
  OK(mkdir("dir", 0750));
  int fd = OK(open("dir/a", O_RDWR | O_CREAT | O_EXCL, 0640));
  FAILS(open("dir/a", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
  CHECK(write(fd, "text", 4) == 4);
  OK(link("dir/a", "b"));
  OK(symlink("dir/a", "link"));
  CHECK(readlink("link", target, sizeof target) == 5);
  OK(stat("link", &st));
  OK(fstat(fd, &other));
  CHECK(st.st_ino == other.st_ino && st.st_nlink == 2 && st.st_size == 4 &&
        (st.st_mode & 07777) == 0640);
  OK(rename("dir/a", "c"));
  FAILS(stat("link", &st), ENOENT);
  OK(unlink("b"));
  OK(fstat(fd, &st));
  CHECK(st.st_nlink == 1);
  FAILS(rmdir("."), EINVAL);
  OK(rmdir("dir"));
  if (mkfifo("fifo", 0600) == 0) /* QEMU 10 makes it, older ones refuse */
    OK(unlink("fifo"));
  else
    CHECK(errno == EPERM);
  close(fd);
}

static void file_without_name(void) {
  struct stat st;
  int fd = OK(open("gone", O_RDWR | O_CREAT, 0600));
  CHECK(write(fd, "still here", 10) == 10);
  OK(unlink("gone"));
  OK(fstat(fd, &st));
  CHECK(st.st_size == 10 && st.st_nlink == 0);
  CHECK(pread(fd, back, 20, 0) == 10 && memcmp(back, "still here", 10) == 0);
  close(fd);
}

static void large_file(void) {
  struct statfs fs;
  int fd = OK(open("big.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644));
  fill(big, BIG, 2);
  CHECK(write(fd, big, BIG) == BIG);
  OK(fsync(fd));
  CHECK(pread(fd, back, BIG, 0) == BIG && memcmp(big, back, BIG) == 0);
  OK(rename("big.tmp", "big"));
  OK(fstatfs(fd, &fs));
  CHECK(fs.f_type == 0x01021997 && fs.f_blocks > 0);
  close(fd);
}

static void append_lines(int writer) {
  int fd = OK(open("log", O_WRONLY | O_CREAT | O_APPEND, 0644));
  for (int k = 0; k < LINES; k++)
    CHECK(dprintf(fd, "%d %d\n", writer, k) > 0);
  _exit(0);
}

/* Their requests are on their way at the same time. */
static void writers_at_once(void) {
  for (int k = 0; k < WRITERS; k++)
    if (OK(fork()) == 0)
      append_lines(k);
  for (int k = 0, status; k < WRITERS; k++)
    CHECK(wait(&status) > 0 && status == 0);
}

static void read_only_mount(void) {
  FAILS(open("/ro/big", O_RDWR), EROFS);
  FAILS(mkdir("/ro/x", 0700), EROFS);
  int fd = OK(open("/ro/big", O_RDONLY));
  close(fd);
}

static void listing(void) {
  DIR *d = opendir(".");
  int n = 0;
  CHECK(d);
  for (struct dirent *e; (e = readdir(d));)
    n++;
  closedir(d);
  CHECK(n == 6); /* . .. big c link log */
}

static _Noreturn void write_records(void) {
  char text[32];
  for (int k = 1;; k++) {
    int fd = OK(open("records.tmp", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    int n = snprintf(text, sizeof text, "record %d\n", k);
    CHECK(write(fd, text, (size_t)n) == n);
    OK(fsync(fd));
    close(fd);
    OK(rename("records.tmp", "record"));
    printf("saved %d\n", k);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  OK(chdir("/host"));
  if (argc > 1 && strcmp(argv[1], "records") == 0)
    write_records();
  random_device();
  disk();
  console();
  names();
  file_without_name();
  large_file();
  writers_at_once();
  read_only_mount();
  listing();
  return 0;
}
