#!/bin/sh
# SPDX-License-Identifier: MIT
# Plain gcc with the same musl source as ufork-cc, for Linux: the baseline of the benchmarks.
here=$(cd "$(dirname "$0")" && pwd)
UFORK_SYSROOT=$here/../native-sysroot
export UFORK_SYSROOT
exec gcc -specs="$here/../libexec/ufork/native.specs" "$@" -fno-pie -no-pie -fcf-protection=none -fno-stack-protector -static
