// SPDX-License-Identifier: MIT
/* The smallest function: answers null. What a request costs at least. */
#include "../worker.h"

int main(void) {
  struct ufaas_request request;
  while (ufaas_next(&request) == 0)
    ufaas_respond("null", 4, NULL);
  return 1;
}
