#!/bin/sh
# SPDX-License-Identifier: MIT
# toolchain-id.sh {ufork|clang|native}: a hash of everything that decides what the variant's compiler makes:
# the compiler's version, the driver and its stages, the C library. Programs are compared without
# debugging information, which names the build directory.
set -eu

variant=${1:?ufork, clang or native}
: "${O:?the build directory}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

hash_file() {
  if objcopy -S -R .note.gnu.build-id "$1" "$work/file" 2>/dev/null; then
    sha256sum <"$work/file"
  else
    sha256sum <"$1"
  fi
}

case $variant in
ufork) compiler=gcc sysroot=sysroot tools="bin/ufork-cc libexec/ufork" ;;
clang) compiler=clang-14 sysroot=sysroot tools="bin/ufork-cc libexec/ufork" ;;
native) compiler=gcc sysroot=native-sysroot tools="bin/native-cc libexec/ufork/native.specs" ;;
esac
{
  $compiler --version | head -n 1
  as --version | head -n 1
  ld --version | head -n 1
  cd "$O"
  # shellcheck disable=SC2086 # a list
  find -L $tools -type f | LC_ALL=C sort | while read -r file; do
    echo "$file"
    hash_file "$file"
  done
  find -L "$sysroot/lib" "$sysroot/include" -type f \
    ! -path '*/include/linux/*' ! -path '*/include/asm*/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum
} | sha256sum | cut -c1-40
