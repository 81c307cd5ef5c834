/* SPDX-License-Identifier: MIT */
#include "as.h"
void expand_macros(const struct raws *in, struct raws *out, const char *const *dirs) {
  (void)dirs;
  *out = *in;
}
