// SPDX-License-Identifier: MIT
/* Answers what it was sent, with the content type it was sent as, and prints a line about it. */
#include "../worker.h"

#include <stdio.h>

int main(void) {
  struct ufaas_request request;
  while (ufaas_next(&request) == 0) {
    size_t size = 0;
    const char *type = ufaas_header(&request, "Content-Type", &size);
    char content_type[120];
    snprintf(content_type, sizeof content_type, "%.*s", (int)size, type ? type : "");
    printf("echo of %zu bytes\n", request.body_size);
    ufaas_respond(request.body, request.body_size, type ? content_type : NULL);
  }
  return 1;
}
