/* SPDX-License-Identifier: MIT */
/* 100 MB of heap through fork: the child sees all of it, writes are private, both ways. */
/* test: timeout=120 */
#include "check.h"

enum { WORDS = 100 << 17 };

static void check_all(const uint64_t *heap, uint64_t factor) {
  for (size_t i = 0; i < WORDS; i++)
    CHECK(heap[i] == i * factor);
}

int main(void) {
  uint64_t *heap = malloc(WORDS * sizeof *heap);
  CHECK(heap);
  for (size_t i = 0; i < WORDS; i++)
    heap[i] = i * 3;
  int sync[2];
  OK(pipe(sync));
  pid_t reader = OK(fork());
  if (reader == 0) {
    await(sync[0]); /* the parent has changed everything meanwhile */
    check_all(heap, 3);
    _exit(0);
  }
  pid_t writer = OK(fork());
  if (writer == 0) {
    for (size_t i = 0; i < WORDS; i++)
      heap[i] = i * 5;
    check_all(heap, 5);
    _exit(0);
  }
  EXPECT_EXIT(writer, 0);
  check_all(heap, 3);
  for (size_t i = 0; i < WORDS; i++)
    heap[i] = i * 7;
  tell(sync[1]);
  EXPECT_EXIT(reader, 0);
  check_all(heap, 7);
  return done();
}
