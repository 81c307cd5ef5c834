/* SPDX-License-Identifier: MIT */
#ifndef UFORK_TEST_NO_FILES_H
#define UFORK_TEST_NO_FILES_H

#include "kernel/fs/file.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"

#define TEST_FD 3
#define TEST_FILE_SIZE (3 * PAGE_SIZE + 100)

extern struct proc test_proc;
extern struct file test_file;
extern int test_image_refs;

/* Makes a thread of test_proc with space s (may be NULL) the running one. */
void test_process(struct space *s);

#endif
