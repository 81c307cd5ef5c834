#!/bin/sh
# SPDX-License-Identifier: MIT
# images.sh BUILD LENGTHS: compares instruction lengths with objdump in a program that ufork-cc
# builds here and in every image of BUILD/rootfs.
set -eu
build=$1 lengths=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/probe.c" <<'C'
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static jmp_buf env;
static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(int argc, char **argv) {
  int v[64];
  for (int i = 0; i < 64; i++)
    v[i] = (int)(sin(i) * 1000) ^ argc;
  qsort(v, 64, sizeof *v, by_value);
  if (setjmp(env) == 0)
    longjmp(env, 1);
  return printf("%d %f %s\n", v[0], sqrt(v[63]), strrchr(argv[0], '/')) < 0;
}
C
for flags in -O0 -O2 '-O3 -mavx2 -mfma -mbmi2'; do
  # shellcheck disable=SC2086
  "$build/bin/ufork-cc" $flags "$work/probe.c" -lm -o "$work/probe$(echo "$flags" | tr -d ' ')"
done
set -- "$work"/probe-*
for image in $(find "$build/rootfs" -type f 2>/dev/null | sort); do
  "$build/bin/ufork-verify" -q "$image" && set -- "$@" "$image"
done
"$build/bin/ufork-verify" -q "$@"
"$lengths" "$@"
