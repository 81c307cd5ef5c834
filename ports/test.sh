#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh {ufork|clang|native} [NAME...]: the smoke tests of the ports, ports/NAME/smoke.sh, against the
# programs that build.sh installed. One line each, then the counts; status 1 if one failed.
#
# A smoke test is a shell script that runs on the host with -eu, in an empty directory $T which
# the programs see under the same path, and with these functions:
#   run PROGRAM ARGS...       runs an installed program
#   start PROGRAM ARGS...     the same in the background, killed when the test ends; pid in $started
#   stop                      ends that by SIGTERM, which it must obey
#   native PROGRAM ARGS...    runs the native variant of a program
#   same WHAT GOT WANTED      fails unless the two are equal
#   fail WHAT                 fails
#   eventually WHAT CMD...    waits until CMD succeeds: up to 5 minutes, which only a hang takes
#   free_port                 prints a TCP port that nothing listens on, and none that an outgoing connection gets
#   certificate_config NAMES  writes req.cnf for openssl: sections `ca` and `server`, the latter for these NAMES
#   certificate NAME SECTION OPTIONS...   makes NAME.key and NAME.pem by the port openssl, as that file says
# Files beside smoke.sh are in $PORT.
set -u

# What smoke.sh sees; runs in a shell of its own.
# shellcheck disable=SC2016 # for the inner shell
prelude='
started=
trap "[ -z \"\$started\" ] || kill -9 \$started 2>/dev/null" EXIT
trap "exit 143" TERM INT
ended() { ! [ -d "/proc/$started" ] || grep -q "^State:.Z" "/proc/$started/status"; }
stop() {
  kill "$started" || fail "the program in the background has ended"
  eventually "SIGTERM ends the program in the background" ended
  wait "$started" || :
  started=
}
fail() { echo "failed: $*"; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1
  got:    $2
  wanted: $3"; }
native() { p=$1; shift; "$O/native/bin/$p" "$@"; }
start() { launch exec "$@" & started=$!; }
run() { launch "" "$@"; }
eventually() {
  what=$1; shift
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 3000 ] || fail "$what: still not so after 5 minutes"
    sleep 0.1
  done
}
free_port() {
  python3 -c "
import random, socket
while True:
    try:
        with socket.socket() as s:
            s.bind((\"127.0.0.1\", random.randrange(10000, 32768)))
            print(s.getsockname()[1])
            break
    except OSError:
        pass"
}
certificate_config() {
  cat >req.cnf <<CONF
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:true
subjectKeyIdentifier = hash
[server]
subjectAltName = $1
CONF
}
certificate() {
  subject=$1; shift
  run openssl req -config "$T/req.cnf" -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -keyout "$T/$subject.key" -out "$T/$subject.pem" -subj "/CN=$subject" -extensions "$@" 2>log ||
    fail "a certificate: $(cat log)"
}
if [ "$VARIANT" != native ]; then
  root=$O/rootfs
  [ "$VARIANT" = ufork ] || root=$root-$VARIANT
  launch() { e=$1; shift; $e "$O/bin/ufork" run --root="$root" --dir="$T:$T" --workdir="$T" "$@"; }
else
  mkdir "$T/bin"
  "$O/native/bin/busybox" --install -s "$T/bin"
  PATH=$O/native/bin:$T/bin:$PATH
  launch() { e=$1; shift; $e "$@"; }
fi
'

one() {
  T=$(mktemp -d "${TMPDIR:-/tmp}/ufork-smoke.XXXXXX")
  log=$O/ports/$1-$variant.smoke.log
  mkdir -p "$O/ports"
  (cd "$T" && O=$O T=$T VARIANT=$variant PORT=$here/$1 \
    timeout -k 5 900 sh -euc "$prelude . \"\$PORT/smoke.sh\"") </dev/null >"$log" 2>&1
  status=$?
  rm -rf "$T"
  return $status
}

variant=${1:?ufork, clang or native}
shift
: "${O:?the build directory}"
here=$(cd "$(dirname "$0")" && pwd)
if [ $# = 0 ]; then
  for file in "$here"/*/smoke.sh; do
    file=${file%/smoke.sh}
    set -- "$@" "${file##*/}"
  done
fi
passed=0 failed=0
for name in "$@"; do
  if one "$name"; then
    echo "ok $name"
    passed=$((passed + 1))
  else
    echo "FAIL $name"
    sed 's/^/  | /' "$log" | tail -n 30
    failed=$((failed + 1))
  fi
done
echo "ports: $passed passed, $failed failed"
[ $failed = 0 ]
