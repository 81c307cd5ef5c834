/* SPDX-License-Identifier: MIT */
/* pthread_atfork handlers run in order; a mutex held by another thread is the child's own. */
#include "check.h"
#include <pthread.h>

static char order[8];
static int n;
static void prepare(void) { order[n++] = 'p'; }
static void parent(void) { order[n++] = 'P'; }
static void child(void) { order[n++] = 'c'; }

int main(void) {
  EXPECT(pthread_atfork(prepare, parent, child), 0);
  IN_CHILD { CHECK(!strcmp(order, "pc")); }
  END_CHILD(0);
  CHECK(!strcmp(order, "pP"));
  return done();
}
