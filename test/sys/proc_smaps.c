/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/smaps: what is resident of each mapping, alone and shared, after writes and after a
 * fork; and the sums, which smaps_rollup has.
 */
#include "check.h"

#include <sys/mman.h>

#define KIB(n) ((size_t)(n) << 10)

static char text[1 << 16], sums[4096];

struct block {
  long size, rss, private_, shared, anonymous;
};

static void contents(const char *path, char *to, size_t room) {
  int fd = OK(open(path, O_RDONLY));
  size_t n = 0;
  ssize_t got;
  memset(to, 0, room); /* resident before it is counted */
  while ((got = OK(read(fd, to + n, room - 1 - n))) > 0)
    n += (size_t)got;
  CHECK(n + 1 < room);
  to[n] = 0;
  OK(close(fd));
}

/* A field of the block that `at` begins; 0: it has none. */
static long field(const char *at, const char *name) {
  size_t n = strlen(name);
  for (at = strchr(at, '\n'); at && at[1] >= 'A' && at[1] <= 'Z'; at = strchr(at + 1, '\n'))
    if (strncmp(at + 1, name, n) == 0 && at[1 + n] == ':')
      return strtol(at + 2 + n, NULL, 10);
  return 0;
}

static struct block block_at(const char *at) {
  return (struct block){
      field(at, "Size"), field(at, "Rss"), field(at, "Private_Clean") + field(at, "Private_Dirty"),
      field(at, "Shared_Clean") + field(at, "Shared_Dirty"), field(at, "Anonymous")};
}

/* The next block after `at`; NULL: there is none. */
static const char *next_block(const char *at) {
  for (at = strchr(at, '\n'); at && at[1]; at = strchr(at + 1, '\n'))
    if (at[1] < 'A' || at[1] > 'Z')
      return at + 1;
  return NULL;
}

/* Reads both files: the block of what is mapped at p, and the sum of all. */
static void read_blocks(const void *p, struct block *found, struct block *all, struct block *told) {
  memset(found, 0, sizeof *found), memset(all, 0, sizeof *all);
  contents("/proc/self/smaps", text, sizeof text);
  contents("/proc/self/smaps_rollup", sums, sizeof sums);
  *told = block_at(sums);
  EXPECT(told->private_ + told->shared, told->rss);
  for (const char *at = text; at; at = next_block(at)) {
    struct block b = block_at(at);
    EXPECT(field(at, "KernelPageSize"), 4);
    CHECK(b.size >= 4 && b.rss <= b.size && b.private_ + b.shared == b.rss);
    CHECK(b.anonymous <= b.rss);
    if (strtoul(at, NULL, 16) == (unsigned long)p)
      *found = b;
    all->rss += b.rss, all->private_ += b.private_, all->shared += b.shared;
  }
}

/* The block of what is mapped at p. All together must be what the sums say, or with `hidden` not
 * more. These may be a few seconds old, where it took long to find out. */
static struct block look(const void *p, int hidden) {
  struct block found, all, told;
  int agree = 0;
  for (int tries = 0; !agree && tries < 400; tries++) {
    if (tries > 1) /* once to have the buffers resident */
      OK(usleep(50000));
    read_blocks(p, &found, &all, &told);
    agree = hidden
                ? all.rss <= told.rss
                : all.rss == told.rss && all.private_ == told.private_ && all.shared == told.shared;
  }
  if (!agree)
    check_fail(__FILE__, __LINE__, "sum of the blocks beyond the sums, KiB", all.rss - told.rss);
  return found;
}

/* A mapping with inaccessible pages on both sides, so that it is one block; `touched` of it is
 * written. */
static char *make(size_t size, size_t touched, int flags) {
  char *p = mmap(NULL, size + KIB(128), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  p += KIB(64);
  CHECK(mmap(p, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
  madvise(p, size, MADV_NOHUGEPAGE); /* where there is such a thing */
  memset(p, 1, touched);
  return p;
}

int main(void) {
  char *small = make(KIB(1024), KIB(512), MAP_PRIVATE);
  char *large = make(KIB(16384), KIB(3072), MAP_PRIVATE);
  char *common = make(KIB(256), KIB(64), MAP_SHARED);
  struct block b = look(small, 0);
  EXPECT(b.size, 1024);
  EXPECT(b.rss, 512);
  EXPECT(b.private_, 512);
  EXPECT(b.anonymous, 512);
  b = look(large, 0);
  EXPECT(b.size, 16384);
  EXPECT(b.private_, 3072);
  EXPECT(b.shared, 0);
  b = look(common, 0);
  EXPECT(b.size, 256);
  EXPECT(b.rss, 64);
  EXPECT(b.anonymous, 0);
  EXPECT(look(small - KIB(64), 0).rss, 0);

  int ready[2], go[2];
  OK(pipe(ready)), OK(pipe(go));
  pid_t pid = OK(fork());
  if (pid == 0) {
    memset(large, 2, KIB(1024));
    memset(large + KIB(8192), 2, KIB(256));
    memset(common, 2, KIB(96));
    b = look(large, 1);
    EXPECT(b.rss, 3072 + 256);
    EXPECT(b.private_, 1024 + 256);
    EXPECT(b.shared, 2048);
    EXPECT(b.anonymous, b.rss);
    EXPECT(look(small, 1).rss, 512);
    EXPECT(look(common, 1).rss, 96);
    tell(ready[1]);
    await(go[0]);
    _exit(0);
  }
  OK(close(ready[1])); /* it ends before it tells: no wait */
  await(ready[0]);
  /* What was empty and is touched by one of both may have a page for both. */
  b = look(large, 1);
  CHECK(b.rss >= 3072 && b.rss <= 3072 + 256);
  tell(go[1]);
  EXPECT_EXIT(pid, 0);
  b = look(large, 1);
  CHECK(b.private_ >= 3072 && b.private_ <= 3072 + 256);
  EXPECT(b.shared, 0);
  EXPECT(munmap(large, KIB(8192)), 0);
  CHECK(look(large + KIB(8192), 1).rss <= 256);
  return done();
}
