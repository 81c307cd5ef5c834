/* SPDX-License-Identifier: MIT */
/* For tests whose thread is to be one of the kernel: thread_current() finds it from its stack. */
#ifndef UFORK_HOSTED_TEST_AS_THREAD_H
#define UFORK_HOSTED_TEST_AS_THREAD_H

#include "kernel/test/fake/check_once.h"
#include "kernel/thread.h"
#include <pthread.h>
#include <stdlib.h>

/* Runs f on a stack with a struct thread, and waits for it. */
static inline void run_as_thread(void *(*f)(void *)) {
  pthread_attr_t attr;
  pthread_t id;
  char *span = aligned_alloc(KSTACK_SPAN, KSTACK_SPAN);
  CHECK(span && pthread_attr_init(&attr) == 0);
  CHECK(pthread_attr_setstack(&attr, span, KSTACK_SPAN - THREAD_ROOM) == 0);
  CHECK(pthread_create(&id, &attr, f, NULL) == 0 && pthread_join(id, NULL) == 0);
  free(span);
}

#endif
