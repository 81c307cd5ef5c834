#!/bin/sh
# Installs the Debian packages that the build and the tests need, once; quiet when all are there.
# Needs root or sudo only if something is missing.
set -eu

packages='gcc make binutils clang-14 llvm-14 libc6-dev libzydis-dev libzycore-dev libcmocka-dev
dpkg-dev xz-utils bzip2 patch python3 perl tclsh curl gnuplot-nox clang-format clang-tidy
libclang-rt-14-dev git procps pkg-config cmake autoconf redis-tools netcat-openbsd'

missing=
for p in $packages; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "deps: need root or sudo to install:$missing" >&2; exit 1; }
  sudo=sudo
fi
echo "deps: installing$missing"
# shellcheck disable=SC2086
if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing \
  >/dev/null 2>&1; then
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing \
    >/dev/null
fi
