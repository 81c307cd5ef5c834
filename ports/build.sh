#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh NAME {ufork|clang|native}: builds the port NAME with $O/bin/{ufork-cc,ufork-clang,native-cc}.
#
# The sources are unpacked into $O/ports/NAME-VARIANT/src and built there; the recipe puts what it
# installs into .../stage, from where the ufork variant goes to the root file system tree $O/rootfs,
# the clang variant to $O/rootfs-clang, and the native programs go to $O/native/bin. Nothing is done
# when the key is still the same; a stage built before with the same key is taken from the cache,
# unless UFORK_NO_CACHE=1.
#
# What other ports build against, headers and static libraries, goes to .../devel and not into any
# root file system. Ports that a recipe needs are brought up to date first, and what they provide is
# part of its key: whatever order ports are asked for in, what depends on a change is built anew.
#
# A recipe (ports/NAME/recipe, shell) sets
#   source     names of Debian source packages in sources.lock: the first one's source is unpacked
#              into the source tree, the others' into its deps/NAME; or nothing
#   needs      ports whose headers and libraries it builds against; devel NAME prints their folder
#   programs   files of the stage that the native variant installs into $O/native/bin
#   libraries  folders of the stage that it installs into $O/native/lib
# and defines
#   build      runs in the source tree with CC, HOSTCC, CFLAGS, AR, RANLIB, STRIP, BUILD, HOST and make
#   stage      runs in the source tree, puts files into $DEST; `put DIR FILE...` helps. What
#              others need goes to $DEVEL: `provide include|lib FILE...`
set -eu

die() {
  echo "port $name: $*" >&2
  exit 1
}

# What decides the outcome: the recipe and this file, the sources, the compiler and all that
# belongs to it. Absolute paths do not count, so a cache serves all build directories.
port_key() {
  {
    echo "$variant"
    for package in $source; do awk -v n="$package" '$1 == n' "$here/sources.lock"; done
    (cd "$here" && find build.sh "$name" -type f ! -name 'smoke*' ! -name 'suite*' |
      LC_ALL=C sort | xargs sha256sum)
    [ -z "$source" ] || "$here/toolchain-id.sh" "$variant"
    for port in $needs; do
      (cd "$O/ports/$port-$variant/devel" && find . -type f | LC_ALL=C sort | xargs sha256sum)
    done
  } | sha256sum | cut -c1-40
}

# Runs the recipe's functions in a clean environment: nothing of our own make leaks into theirs.
run_recipe() {
  # shellcheck disable=SC2016 # for the inner shell
  env -i PATH="$PATH" HOME="$work" LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 \
    CC="$O/bin/$cc" HOSTCC=gcc CFLAGS=-O2 AR=ar RANLIB=ranlib STRIP=strip \
    BUILD=x86_64-linux-gnu HOST=x86_64-linux-musl DEST="$work/stage" DEVEL="$work/devel" \
    PORTS="$O/ports" VARIANT="$variant" PORT="$here/$name" \
    sh -euc '
      put() { d=$DEST/$1; shift; mkdir -p "$d"; cp "$@" "$d"; }
      provide() { d=$DEVEL/$1; shift; mkdir -p "$d"; cp -R "$@" "$d"; }
      devel() { echo "$PORTS/$1-$VARIANT/devel"; }
      make() { command make -j2 "$@"; }
      . "$PORT/recipe"
      build
      stage' </dev/null
}

# unpack [NAME [NAME...]]: the sources of the port and of the libraries that it needs.
unpack() {
  [ $# != 0 ] || return 0
  "$here/fetch.sh" "$1" "$work/src"
  shift
  for package; do "$here/fetch.sh" "$package" "$work/src/deps/$package"; done
}

compile() {
  rm -rf "$work/src" "$work/stage" "$work/devel"
  mkdir -p "$work/src" "$work/stage" "$work/devel"
  # shellcheck disable=SC2086 # a list
  unpack $source
  echo "port $name: building ($variant)"
  (cd "$work/src" && run_recipe) >"$work/log" 2>&1 || {
    tail -n 25 "$work/log" >&2
    die "build failed, see $work/log"
  }
}

# Unpacks the cached stage and devel for $key, or compiles and caches.
obtain() {
  cached=$cache/$key.tar.gz
  if [ -z "${UFORK_NO_CACHE:-}" ] && [ -f "$cached" ]; then
    rm -rf "$work/stage" "$work/devel"
    ! tar -xzf "$cached" -C "$work" 2>/dev/null || {
      echo "port $name: from the cache ($variant)"
      return
    }
    echo "port $name: the cached $cached is damaged, building" >&2
  fi
  compile
  programs_staged | xargs -r strip --strip-debug
  [ "$variant" = native ] || verify_images
  [ -z "${UFORK_NO_CACHE:-}" ] || return 0
  mkdir -p "$cache"
  tar -czf "$cached.$$" -C "$work" stage devel && mv "$cached.$$" "$cached"
}

# The ELF files of the stage.
programs_staged() {
  find "$work/stage" -type f -perm -u+x | while read -r file; do
    [ "$(head -c4 "$file" | tail -c3)" != ELF ] || echo "$file"
  done
}

# Every program of the stage must be an image that the kernel would accept.
verify_images() {
  programs_staged | while read -r file; do
    "$O/bin/ufork-verify" "$file" >"$work/verify.log" 2>&1 || {
      head -n 20 "$work/verify.log" >&2
      die "${file#"$work/stage/"} is refused by ufork-verify"
    }
  done
}

# Replaces what the last install of this port put into the tree.
install_rootfs() {
  mkdir -p "$root"
  (cd "$work/stage" && find . ! -type d | LC_ALL=C sort) >"$work/files.new"
  [ ! -f "$work/files" ] ||
    LC_ALL=C comm -23 "$work/files" "$work/files.new" | (cd "$root" && xargs -r -d '\n' rm -f)
  cp -a --remove-destination "$work/stage/." "$root/"
  mv "$work/files.new" "$work/files"
}

install_native() {
  mkdir -p "$O/native/bin"
  for program in $programs; do
    cp --remove-destination "$work/stage/$program" "$O/native/bin/"
  done
  for folder in $libraries; do
    rm -rf "$O/native/lib/${folder##*/}"
    mkdir -p "$O/native/lib"
    cp -a "$work/stage/$folder" "$O/native/lib/"
  done
}

# Whether what the last run installed is still there.
installed() {
  [ -d "$work/devel" ] || return 1
  if [ "$variant" = native ]; then
    for program in $programs; do [ -f "$O/native/bin/${program##*/}" ] || return 1; done
    for folder in $libraries; do [ -d "$O/native/lib/${folder##*/}" ] || return 1; done
  else
    [ -f "$work/files" ] || return 1
    while read -r file; do
      [ -e "$root/$file" ] || [ -L "$root/$file" ] || return 1
    done <"$work/files"
  fi
}

[ $# = 2 ] || {
  echo "usage: build.sh NAME {ufork|clang|native}" >&2
  exit 2
}
name=$1 variant=$2
: "${O:?the build directory}"
case $variant in
ufork) cc=ufork-cc root=$O/rootfs ;;
clang) cc=ufork-clang root=$O/rootfs-clang ;;
native) cc=native-cc root= ;;
*) die "no variant $variant" ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ufork/ports
work=$O/ports/$name-$variant
source='' needs='' programs='' libraries='' # set by the recipe

[ -f "$here/$name/recipe" ] || die "no recipe"
# shellcheck source=/dev/null
. "$here/$name/recipe"
mkdir -p "$work"
for port in $needs; do "$here/build.sh" "$port" "$variant"; done
# One port at a time: each build already uses two processors.
exec 9>"$O/ports/lock"
flock 9
key=$(port_key)
if [ "$(cat "$work/key" 2>/dev/null)" != "$key" ] || ! installed; then
  rm -f "$work/key"
  obtain
  if [ "$variant" = native ]; then install_native; else install_rootfs; fi
  echo "$key" >"$work/key"
fi
