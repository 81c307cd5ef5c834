/* SPDX-License-Identifier: MIT */
/* --fork: how regions are forked. */
#ifndef UFORK_HOSTED_REGION_MODE_H
#define UFORK_HOSTED_REGION_MODE_H

enum fork_mode {
  FORK_AUTO,  /* both tiers, learned pages */
  FORK_COPY,  /* all memory is copied */
  FORK_EAGER, /* both tiers */
  FORK_LAZY   /* the lazy tier wherever it can be */
};
extern enum fork_mode fork_mode;

#endif
