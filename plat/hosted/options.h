/* SPDX-License-Identifier: MIT */
/* The command line of `ufork`. */
#ifndef UFORK_HOSTED_OPTIONS_H
#define UFORK_HOSTED_OPTIONS_H

#include "kernel/boot.h"
#include "plat/hosted/region_mode.h"

struct options {
  struct boot_args boot;
  unsigned cpus; /* 0: all */
  enum fork_mode fork;
};

/* Fills o from `run [options] PROGRAM [ARGS...]`, or prints what is wrong, or what --help and
   --version ask for, and exits. Allocations live as long as the process. */
void options_parse(struct options *o, int argc, char **argv);

#endif
