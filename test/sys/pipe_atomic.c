/* SPDX-License-Identifier: MIT */
/* Writes of up to PIPE_BUF bytes are atomic: records of eight writers never mix. */
/* test: timeout=120 */
#include "check.h"

enum { WRITERS = 8, RECORDS = 400, SIZE = 1000 };

int main(void) {
  int p[2];
  OK(pipe(p));
  for (int w = 0; w < WRITERS; w++)
    if (OK(fork()) == 0) {
      char record[SIZE];
      memset(record, 'A' + w, SIZE);
      for (int i = 0; i < RECORDS; i++)
        EXPECT(write(p[1], record, SIZE), SIZE);
      _exit(0);
    }
  OK(close(p[1]));
  int count[WRITERS] = {0};
  char record[SIZE];
  for (size_t have = 0;;) {
    ssize_t n = OK(read(p[0], record + have, SIZE - have));
    if (n == 0)
      break;
    if ((have += (size_t)n) < SIZE)
      continue;
    have = 0;
    for (int i = 1; i < SIZE; i++)
      EXPECT(record[i], record[0]);
    count[record[0] - 'A']++;
  }
  for (int w = 0; w < WRITERS; w++) {
    EXPECT(count[w], RECORDS);
    int status;
    OK(wait(&status));
    EXPECT(status, 0);
  }
  return done();
}
