// SPDX-License-Identifier: MIT
#include "random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Fetched in portions. */
void random_bytes(void *out, size_t size) {
  static unsigned char portion[4096];
  static size_t left;
  if (left < size) {
    for (size_t done = 0; done < sizeof portion;) {
      ssize_t n = getrandom(portion + done, sizeof portion - done, 0);
      if (n < 0 && errno != EINTR)
        abort(); /* ids that can be guessed are worse than none */
      done += n > 0 ? (size_t)n : 0;
    }
    left = sizeof portion;
  }
  left -= size;
  memcpy(out, portion + left, size);
}

void random_uuid(char *out) {
  static const char digits[] = "0123456789abcdef";
  unsigned char b[16];
  random_bytes(b, sizeof b);
  b[6] = 0x40 | (b[6] & 0x0f);
  b[8] = 0x80 | (b[8] & 0x3f);
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *out++ = '-';
    *out++ = digits[b[i] >> 4];
    *out++ = digits[b[i] & 15];
  }
  *out = 0;
}
