/* SPDX-License-Identifier: MIT */
/*
 * While a child shares the memory of its parent, whatever either maps anew, drops or grows reads as
 * zeros: munmap + mmap, MADV_DONTNEED, brk down and up. The other's view does not change.
 */
#include "check.h"
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SIZE = 8 << 20 };

static void all(const char *p, int value) {
  for (size_t i = 0; i < SIZE; i += 512)
    EXPECT(p[i], value);
}

static char *map_at(char *at) {
  return OK((char *)mmap(at, SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0));
}

static void shake(char *dropped, char *remapped, char *over, char *brk_lo) {
  OK(madvise(dropped, SIZE, MADV_DONTNEED));
  all(dropped, 0);
  OK(munmap(remapped, SIZE));
  CHECK(map_at(remapped) == remapped);
  all(remapped, 0);
  CHECK(map_at(over) == over);
  all(over, 0);
  EXPECT(syscall(SYS_brk, brk_lo), (long)brk_lo);
  EXPECT(syscall(SYS_brk, brk_lo + SIZE), (long)(brk_lo + SIZE));
  all(brk_lo, 0);
  memset(dropped, 5, SIZE), memset(remapped, 6, SIZE), memset(over, 7, SIZE);
  memset(brk_lo, 8, SIZE);
}

static void both(int child_first) {
  char *dropped = map_at(NULL), *remapped = map_at(NULL), *over = map_at(NULL);
  char *lo = (char *)((syscall(SYS_brk, 0) + 4095) & -4096L);
  EXPECT(syscall(SYS_brk, lo + SIZE), (long)(lo + SIZE));
  memset(dropped, 1, SIZE), memset(remapped, 2, SIZE), memset(over, 3, SIZE), memset(lo, 4, SIZE);
  int sync[2];
  OK(pipe(sync));
  pid_t pid = OK(fork());
  if ((pid == 0) == child_first)
    shake(dropped, remapped, over, lo);
  if (pid == 0) {
    if (!child_first) {
      await(sync[0]);
      all(dropped, 1), all(remapped, 2), all(over, 3), all(lo, 4);
    }
    _exit(0);
  }
  tell(sync[1]);
  EXPECT_EXIT(pid, 0);
  if (child_first)
    all(dropped, 1), all(remapped, 2), all(over, 3), all(lo, 4);
  else
    all(dropped, 5), all(remapped, 6), all(over, 7), all(lo, 8);
  OK(munmap(dropped, SIZE)), OK(munmap(remapped, SIZE)), OK(munmap(over, SIZE));
  EXPECT(syscall(SYS_brk, lo), (long)lo); /* a heap may be bounded well below the address space */
}

int main(void) {
  for (int i = 0; i < 3; i++)
    both(0), both(1);
  return done();
}
