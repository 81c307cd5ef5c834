// SPDX-License-Identifier: MIT
#include "unit.h"

int main(void) {
  test_text();
  test_config();
  test_http();
  test_rapi();
  test_timers();
  puts("ufaas: unit tests passed");
  return 0;
}
