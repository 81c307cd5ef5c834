#!/bin/sh
# SPDX-License-Identifier: MIT
# toolchain-id.sh {ufork|native}: a hash of everything that decides what $O/bin/VARIANT-cc makes.
set -eu
: "${O:?the build directory}"
gcc --version | head -n 1
sha256sum <"$O/bin/$1-cc"
