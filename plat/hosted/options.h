/* SPDX-License-Identifier: MIT */
/* The command line of `ufork`. */
#ifndef UFORK_HOSTED_OPTIONS_H
#define UFORK_HOSTED_OPTIONS_H

#include "kernel/boot.h"
#include "plat/hosted/region_mode.h"

#define PORTS_MAX 16

struct options {
  struct boot_args boot;
  bool vm;            /* in a virtual machine: plat/hosted/vm */
  const char *output; /* `image`: the file to write; NULL: `run` */
  struct {
    unsigned host, guest;
  } ports[PORTS_MAX]; /* forwarded to the machine */
  unsigned n_ports;
  unsigned cpus; /* 0: not said; see options_cpus */
  enum fork_mode fork;
};

/* Fills o from `run [options] PROGRAM [ARGS...]` or `image -o FILE [options] PROGRAM [ARGS...]`, or
   prints what is wrong, or what --help and
   --version ask for, and exits. Allocations live as long as the process. */
void options_parse(struct options *o, int argc, char **argv);
/* Virtual CPUs: what --cpus says, else as many as there are CPUs that we may use. */
unsigned options_cpus(const struct options *o);

#endif
