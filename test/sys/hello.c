/* SPDX-License-Identifier: MIT */
/* A program starts, sees its arguments, prints, and ends with main's value. */
/* test: args=one,two exit=3 */
#include "check.h"

int main(int argc, char **argv) {
  printf("Hello, %d arguments: %s %s\n", argc - 1, argv[1], argv[2]);
  CHECK(argv[argc] == NULL);
  return 3;
}
