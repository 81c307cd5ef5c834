#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the build and the tests need, once; quiet when all are there.
# Needs root or sudo only if something is missing.
set -eu

# Compilers and what the tools are made of; sources and builds of the ports; tests and reports.
packages='gcc g++ make binutils clang-14 llvm-14 llvm-14-dev libc6-dev libzydis-dev libzycore-dev libcmocka-dev
dpkg-dev debian-archive-keyring xz-utils bzip2 patch python3 perl tcl cmake autoconf pkg-config
curl gnuplot-nox clang-format clang-tidy libclang-rt-14-dev git procps qemu-system-x86 redis-tools wrk netcat-openbsd'

# shellcheck disable=SC2086 # a list of words
missing=$(
  dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' $packages 2>/dev/null |
    awk -v want="$packages" '
      $2 == "ii" { have[$1] = 1 }
      END { n = split(want, p); for (i = 1; i <= n; i++) if (!(p[i] in have)) printf "%s ", p[i] }'
)
[ -n "$missing" ] || exit 0


command -v apt-get >/dev/null || {
  echo "deps: this needs Debian 12 or a relative; without apt-get, provide: $missing" >&2
  exit 1
}
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "deps: need root or sudo to run: apt-get install $missing" >&2
    exit 1
  }
  sudo=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends $missing >"$log" 2>&1 </dev/null
}
echo "deps: installing $missing"
# The package lists may be missing (a fresh container) or too old.
install || { $sudo apt-get update >"$log" 2>&1 && install; } || {
  tail -n 20 "$log" >&2
  echo "deps: cannot install: $missing" >&2
  exit 1
}
