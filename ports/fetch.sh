#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch.sh NAME DESTDIR: the pristine upstream source of Debian's source package NAME in DESTDIR.
#
# sources.lock pins the upstream version and the hash of its tarball; any Debian revision of that
# version will do, because nothing of it is used but the tarball. The mirrors are those of this
# machine's own apt configuration, read through a private list and private state, so neither root
# nor a change to the system is needed. DESTDIR must not exist or be empty.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
suites='bookworm bookworm-security bookworm-updates'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ufork/sources

die() {
  echo "fetch: $name: $*" >&2
  exit 1
}

# deb-src lines for SUITE of every Debian archive that this machine's apt knows.
source_list() {
  signed=
  [ ! -f $keyring ] || signed="[signed-by=$keyring] "
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT) ' |
    awk -v suite="$1" -v signed="$signed" '
      / main / && $1 !~ /^cdrom:/ && ($2 == suite || $3 == suite) && !seen[$1]++ {
        print "deb-src " signed $1 " " suite " main"
      }'
}

# apt_private LIST COMMAND ARGS...: apt-get or apt-cache on a private list and state.
apt_private() {
  list=$1 command=$2
  shift 2
  "$command" -qq -o Dir::Etc::SourceList="$apt/$list.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root \
    -o APT::Get::List-Cleanup=false -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

update_lists() {
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
  for suite in $suites; do source_list "$suite" >"$apt/$suite.list"; done
  (cd "$apt" && for suite in $suites; do cat "$suite.list"; done >all.list)
  [ -s "$apt/all.list" ] ||
    die "this machine's apt configuration has no Debian archive with any of: $suites"
  if ! apt_private all apt-get update >"$apt/log" 2>&1 ||
    grep -q 'Failed to fetch\|Some index files' "$apt/log"; then
    cat "$apt/log" >&2
    die "cannot read the package lists (no network?)"
  fi
}

# The Debian versions of the package in suite $1, one per line.
offered() {
  apt_private "$1" apt-cache showsrc --only-source "$name" 2>/dev/null |
    sed -n 's/^Version: //p' | sort -urV
}

# Downloads Debian version $2 in suite $1 to $work. What counts is the pinned file alone: mirrors
# drop superseded revisions, but the upstream tarball stays as long as any revision needs it.
download() {
  (cd "$work" && apt_private "$1" apt-get source --download-only --only-source "$name=$2") \
    >>"$work/log" 2>&1 || :
  [ -f "$work/$file" ] || return 1
  check "$work/$file" ||
    die "$file of Debian version $2 has sha256 $actual, sources.lock has $sha256"
  mv "$work/$file" "$cache/$file"
}

# Tries every revision of the pinned version; `seen` collects what there was instead.
download_any() {
  seen=
  for suite in $suites; do
    for candidate in $(offered "$suite"); do
      upstream=${candidate#*:}
      seen="$seen $candidate"
      [ "${upstream%-*}" != "$version" ] || ! download "$suite" "$candidate" || return 0
    done
  done
  return 1
}

fetch() {
  # In the cache's own file system, so that the last step is a rename.
  work=$(mktemp -d "$cache/$name.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  : >"$work/log"
  if [ -f "$apt/all.list" ] && download_any; then return; fi
  update_lists
  ! download_any || return 0
  cat "$work/log" >&2
  case " $seen" in
  ' ') die "no such source package on this machine's mirrors" ;;
  *[\ :]"$version"-*) die "cannot download upstream version $version (no network?)" ;;
  *) die "upstream version $version is gone, the mirrors have$seen (then change sources.lock)" ;;
  esac
}

check() {
  actual=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$actual" = "$sha256" ]
}

unpack() {
  [ ! -e "$dest" ] || [ -z "$(ls -A "$dest")" ] || die "$dest is not empty"
  mkdir -p "$dest"
  tar -xf "$cache/$file" -C "$dest" --strip-components=1 --no-same-owner ||
    die "cannot unpack $cache/$file"
}

[ $# = 2 ] || {
  echo "usage: fetch.sh NAME DESTDIR" >&2
  exit 2
}
name=$1
dest=$2
line=$(awk -v n="$name" '$1 == n' "$here/sources.lock")
[ -n "$line" ] || die "not in sources.lock"
# shellcheck disable=SC2086 # four words
set -- $line
version=$2 file=$3 sha256=$4
apt=$cache/apt

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -f "$cache/$file" ] && ! check "$cache/$file"; then
  echo "fetch: $name: $cache/$file is damaged, fetching it again" >&2
  rm -f "$cache/$file"
fi
[ -f "$cache/$file" ] || fetch
exec 9>&-
unpack
