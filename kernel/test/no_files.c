/* SPDX-License-Identifier: MIT */
/* For tests of kernel/mm: files that only count references, one process, free locks. */
#include "kernel/test/no_files.h"
#include "kernel/errno.h"
#include "kernel/fs/vfs.h"
#include "kernel/test/fake/fake.h"
#include <stdlib.h>
#include <string.h>

struct proc test_proc;
static struct thread test_thread;

void test_process(struct space *s) {
  for (int i = 0; i < RLIM_NLIMITS; i++)
    test_proc.limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
  test_proc.limits[RLIMIT_STACK].cur = MIB(8);
  test_proc.space = s;
  test_thread.proc = &test_proc;
  test_thread.region = s ? s->region : NULL;
  test_thread.tcb_base = s ? region_base(s->region) : 0;
  fake_become(&test_thread);
}

/* ---- one regular file: byte i is i / PAGE_SIZE + 1 ---------------------------------------- */

static i64 pattern_read(struct file *f, struct uio *u, u64 *pos) {
  (void)f;
  u8 page[PAGE_SIZE];
  i64 done = 0;
  while (*pos < TEST_FILE_SIZE && u->left > 0) {
    u64 n = min_u64(TEST_FILE_SIZE - *pos, PAGE_SIZE - *pos % PAGE_SIZE);
    memset(page, (int)(*pos / PAGE_SIZE + 1), n);
    i64 got = uio_write_to(u, page, n);
    if (got < 0)
      return done ? done : got;
    done += got;
    *pos += (u64)got;
  }
  return done;
}

static const struct file_ops ops = {.name = "pattern", .read = pattern_read};
static struct inode inode = {.mode = S_IFREG | 0644};
struct file test_file = {.refs = 1, .flags = O_RDWR, .ops = &ops, .inode = &inode};

void file_get(struct file *f) { f->refs++; }
void file_put(struct file *f) { f->refs--; }

struct file *fd_get(int fd) {
  if (fd != TEST_FD)
    return NULL;
  file_get(&test_file);
  return &test_file;
}

/* ---- locks --------------------------------------------------------------------------------- */

/* One thread: a lock that is taken twice is a bug. */
void mutex_init(struct mutex *m) { m->state = MUTEX_FREE; }
void mutex_lock_slow(struct mutex *m) {
  (void)m;
  abort();
}
void mutex_unlock_slow(struct mutex *m) {
  (void)m;
  abort();
}
