/* SPDX-License-Identifier: MIT */
/* Shared mappings: anonymous, of a file, a memfd, a POSIX object: at the same place and the same
   bytes after fork, in both ways and for grandchildren, beside private ones of the same object;
   what is left after close, unlink and exec; msync; ends of files; protections. */
#include "check.h"
#include <sched.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096
#define SIZE (16 * PAGE)
enum { ANONYMOUS, FILE_, MEMFD, POSIX, KINDS };

static char path[40], shm_name[40];

static int object(int kind) {
  int fd = -1;
  if (kind == FILE_)
    fd = OK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
  else if (kind == MEMFD)
    fd = OK(memfd_create("shm_life", 0));
  else if (kind == POSIX)
    fd = OK(shm_open(shm_name, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (fd >= 0)
    OK(ftruncate(fd, SIZE));
  return fd;
}

static volatile int *map(int fd, int flags) {
  return OK((volatile int *)mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                                 flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0));
}

static sigjmp_buf out;
static volatile sig_atomic_t got;
static void on_fault(int sig) {
  got = sig;
  siglongjmp(out, 1);
}
static int fault_of(volatile int *p, bool write) {
  got = 0;
  if (sigsetjmp(out, 1) == 0) {
    if (write)
      *p = 1;
    else
      (void)*p;
  }
  return got;
}

/* Parent, child and grandchild write in turn, at one address. */
static void across_fork(volatile int *s, volatile int *own) {
  s[0] = 1, s[SIZE / 4 - 1] = 2;
  if (own)
    own[0] = 50; /* private from now on */
  pid_t pid = OK(fork());
  if (pid == 0) {
    EXPECT(s[0], 1);
    s[1] = 11;
    IN_CHILD {
      EXPECT(s[1], 11);
      s[2] = 22;
      OK(munmap((void *)s, SIZE)); /* its own view */
    }
    END_CHILD(0);
    EXPECT(s[2], 22);
    if (own) {
      EXPECT(own[0], 50);
      own[0] = 51;
    }
    while (s[3] != 33)
      sched_yield();
    s[4] = 44;
    _exit(0);
  }
  while (s[2] != 22)
    sched_yield();
  s[3] = 33;
  while (s[4] != 44)
    sched_yield();
  EXPECT_EXIT(pid, 0);
  EXPECT(s[1], 11);
  if (own)
    EXPECT(own[0], 50);
}

static void synced(volatile int *s) {
  OK(msync((void *)s, SIZE, MS_SYNC));
  OK(msync((void *)s, SIZE, MS_ASYNC));
  OK(msync((void *)s, 100, MS_SYNC | MS_INVALIDATE));
  OK(msync((void *)s, 0, MS_SYNC));
  FAILS(msync((char *)s + 1, PAGE, MS_SYNC), EINVAL);
  FAILS(msync((void *)s, SIZE, MS_SYNC | MS_ASYNC), EINVAL);
  FAILS(msync((void *)s, SIZE, 64), EINVAL);
}

/* read, write and the mapping are one; what was cut off and comes back is zero. */
static void with_file(int fd, volatile int *s) {
  int v = 77;
  s[3 * PAGE / 4] = 5;
  EXPECT(pwrite(fd, &v, sizeof v, 4 * 100), sizeof v);
  EXPECT(s[100], 77);
  s[101] = 78;
  EXPECT(pread(fd, &v, sizeof v, 4 * 101), sizeof v);
  EXPECT(v, 78);
  OK(ftruncate(fd, 2 * PAGE + 10));
  EXPECT(s[100], 77);
  EXPECT(fault_of(&s[2 * PAGE / 4 + 5], true), 0);
  OK(ftruncate(fd, SIZE)); /* back, and zero */
  EXPECT(s[3 * PAGE / 4], 0);
  EXPECT(s[100], 77);
}

static void protections(int fd) {
  volatile int *r = OK((volatile int *)mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0));
  EXPECT(fault_of((volatile int *)r, true), SIGSEGV);
  OK(mprotect((void *)r, PAGE, PROT_READ | PROT_WRITE));
  EXPECT(fault_of(r, true), 0);
  EXPECT(fault_of(r + PAGE / 4, true), SIGSEGV);
  IN_CHILD {
    EXPECT(fault_of(r, true), 0);
    EXPECT(fault_of(r + PAGE / 4, true), SIGSEGV);
  }
  END_CHILD(0);
  OK(munmap((void *)r, SIZE));
}

/* The object outlives its names and descriptors, not the last mapping. */
static void outlives(int kind) {
  int fd = object(kind);
  volatile int *s = map(fd, MAP_SHARED);
  struct stat st;
  if (kind == FILE_)
    OK(unlink(path));
  if (kind == POSIX)
    OK(shm_unlink(shm_name));
  OK(close(fd));
  across_fork(s, NULL);
  if (kind == POSIX) {
    FAILS(shm_open(shm_name, O_RDWR, 0), ENOENT);
    fd = object(kind); /* another one of the same name */
    volatile int *other = map(fd, MAP_SHARED);
    EXPECT(other[0], 0);
    OK(fstat(fd, &st));
    EXPECT(st.st_mode & 0777, 0600);
    OK(munmap((void *)other, SIZE));
    OK(close(fd));
    OK(shm_unlink(shm_name));
  }
  OK(munmap((void *)s, SIZE));
}

/* exec takes mappings away; the descriptor of a memfd goes through it. */
static void through_exec(void) {
  char number[12];
  int fd = object(MEMFD);
  volatile int *s = map(fd, MAP_SHARED);
  s[0] = 1234;
  snprintf(number, sizeof number, "%d", fd);
  IN_CHILD { execl("/proc/self/exe", "x", number, NULL); }
  END_CHILD(0);
  EXPECT(s[0], 4321);
}

static void arguments(void) {
  int fd = object(MEMFD), r;
  FAILS(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mmap(NULL, SIZE, PROT_READ, 0, fd, 0) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 100) == MAP_FAILED ? -1 : 0, EINVAL);
  FAILS(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, -1, 0) == MAP_FAILED ? -1 : 0, EBADF);
  OK(close(object(FILE_)));
  r = OK(open(path, O_RDONLY));
  FAILS(mmap(NULL, SIZE, PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED ? -1 : 0, EACCES);
  CHECK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0) != MAP_FAILED);
  FAILS(shm_open("/no/slash", O_RDWR | O_CREAT, 0600), EINVAL);
  FAILS(shm_open(shm_name, O_RDWR, 0600), ENOENT);
  OK(close(fd));
  OK(close(r));
}

int main(int argc, char **argv) {
  if (argc > 1) {
    volatile int *s = map(atoi(argv[1]), MAP_SHARED);
    EXPECT(s[0], 1234);
    s[0] = 4321;
    return 0;
  }
  handle(SIGSEGV, on_fault, 0);
  snprintf(path, sizeof path, "/tmp/shm_life_%d", (int)getpid());
  snprintf(shm_name, sizeof shm_name, "/shm_life_%d", (int)getpid());
  for (int kind = 0; kind < KINDS; kind++) {
    int fd = object(kind);
    volatile int *s = map(fd, MAP_SHARED), *own = fd >= 0 ? map(fd, MAP_PRIVATE) : NULL;
    across_fork(s, own);
    synced(s);
    if (fd >= 0) {
      with_file(fd, s);
      protections(fd);
      OK(munmap((void *)own, SIZE));
      OK(close(fd));
    }
    OK(munmap((void *)s, SIZE));
    FAILS(msync((void *)s, SIZE, MS_SYNC), ENOMEM);
    if (kind == POSIX)
      OK(shm_unlink(shm_name));
    if (kind != ANONYMOUS)
      outlives(kind);
  }
  through_exec();
  arguments();
  OK(unlink(path));
  return done();
}
