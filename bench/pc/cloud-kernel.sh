#!/bin/sh
# SPDX-License-Identifier: MIT
# cloud-kernel.sh DESTDIR: Debian's kernel for virtual machines (linux-image-cloud-amd64), unpacked
# for the measurements and not installed.
#
# DESTDIR gets `version`, `kernel` (the ELF file that is inside of vmlinuz, for the same way of booting
# as µFork's, or vmlinuz itself if $LZ4 cannot unpack it) and `modules/NAME.ko`. The package comes from
# the archives of this machine's apt configuration; what is there is kept.
set -eu

meta=linux-image-cloud-amd64
modules='virtio_ring virtio virtio_mmio failover net_failover virtio_net'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ufork/kernel

die() {
  echo "cloud-kernel: $*" >&2
  exit 1
}

# apt_own COMMAND ARGS...: apt with the system's sources, and package lists of our own.
apt_own() {
  command=$1
  shift
  "$command" -qq -o Dir::State="$cache/state" -o Dir::State::status=/var/lib/dpkg/status \
    -o Dir::Cache="$cache/apt" -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o Acquire::Retries=3 "$@"
}

# What the package depends on now; nothing if no list has it.
image_name() {
  "$@" depends $meta 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[^ ]*cloud-amd64\)$/\1/p'
}

# The system's package lists may be missing or too old; then ours are read.
download() {
  mkdir -p "$cache/state/lists/partial" "$cache/apt/archives/partial"
  image=$(image_name apt-cache)
  if [ -n "$image" ] && (cd "$work" && apt-get -qq download "$image") >"$work/log" 2>&1; then
    return
  fi
  apt_own apt-get update >"$work/log" 2>&1 || :
  image=$(image_name apt_own apt-cache)
  [ -n "$image" ] || die "this machine's archives have no $meta"
  (cd "$work" && apt_own apt-get download "$image") >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    die "cannot download $image"
  }
}

# The ELF file in a vmlinuz whose payload is an lz4 legacy frame (Debian's choice).
unpack_kernel() {
  python3 - "$1" "$work/payload.lz4" <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()
offset, length = struct.unpack_from("<II", data, 0x248)
start = (data[0x1f1] + 1) * 512 + offset
payload = data[start:start + length - 4]  # the last word is the size of what it holds
if payload[:4] != b"\x02\x21\x4c\x18":
    sys.exit("not lz4")
open(sys.argv[2], "wb").write(payload)
PY
  "$LZ4" -qdf "$work/payload.lz4" "$2"
}

[ $# = 1 ] || {
  echo "usage: cloud-kernel.sh DESTDIR" >&2
  exit 2
}
dest=$1
LZ4=${LZ4:-lz4}
[ ! -f "$dest/version" ] || exit 0
command -v apt-get >/dev/null || die 'there is no apt-get'
mkdir -p "$cache" "$dest/modules"
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
download
for package in "$work"/linux-image-*.deb; do
  dpkg-deb -x "$package" "$work/tree"
done
for kernel in "$work"/tree/boot/vmlinuz-*; do
  version=${kernel##*/vmlinuz-}
  unpack_kernel "$kernel" "$dest/kernel" 2>/dev/null || cp "$kernel" "$dest/kernel"
done
for module in $modules; do
  found=$(find "$work/tree/lib/modules" -name "$module.ko")
  [ -z "$found" ] || cp "$found" "$dest/modules/"
done
dpkg-deb -W --showformat='${Package} ${Version}\n' "$work"/linux-image-*.deb >"$dest/version"
echo "cloud-kernel: $version"
