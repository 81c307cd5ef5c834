# SPDX-License-Identifier: MIT
# A tour of the shell and the applets; the output is compared with smoke.out. $1: scratch directory.
cd "$1" || exit 1
t() { echo "== $*"; }

t pipes
seq 1 1000 | grep 7 | sed 's/7/x/g' | sort -r | head -n 3
yes | head -n 100000 | wc -l
echo abc | tr a-c x-z | rev | tee copy | cat -
cat copy
(echo 1; echo 2) | while read -r n; do echo "read $n"; done
true | false | true; echo "status $?"
set -o pipefail; true | false | true; echo "pipefail $?"; set +o pipefail
! false; echo "not $?"

t redirection
echo one >f; echo two >>f; cat <f
{ echo out; echo err >&2; } 2>&1 >/dev/null | sed 's/^/captured: /'
exec 3>f3; echo through three >&3; exec 3>&-; cat f3
cat <<END
here $((6 * 7)) $(echo substituted)
END
cat <<'END'
not $expanded
END
echo long >f; : >f; wc -c <f
set -C; (echo x >f) 2>/dev/null || echo noclobber; set +C

t subshells and functions
x=1; (x=2; echo inside $x); echo outside $x
f() { local x=local; echo "$# $1 $x"; return 3; }
f 'a b' c; echo "returned $?, x is $x"
fib() { [ "$1" -lt 2 ] && echo "$1" || echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); }
fib 10
(exit 9); echo "exit $?"
sh -c 'kill -TERM $$' 2>/dev/null; echo "killed $?"
sh -c 'kill -9 $$' 2>/dev/null; echo "killed $?"

t expansion
v=path/to/file.tar.gz
echo "${v##*/} ${v%%.*} ${v%.*} ${#v} ${none:-default} ${v:0:4} ${v/to/from}"
set -- a 'b c' d; echo "$# $2 $*"; shift; echo "$@"
for i in x y z; do [ $i = y ] && continue; echo -n "$i "; done; echo
i=0; while [ $i -lt 5 ]; do i=$((i + 1)); [ $i = 4 ] && break; done; echo $i
case hello in h*o) echo matched ;; *) echo not ;; esac
mkdir globs; touch globs/a1 globs/a2 globs/b1; echo globs/a* globs/[!a]?
IFS=:; set -- a:b:c; for w in $1; do echo -n "<$w>"; done; echo; unset IFS
printf '%05d|%-5s|%x|%c\n' 42 ab 255 z
echo $((1 << 40)) $((-7 / 2)) $((0x1f & 017)) $((3 > 2 ? 10 : 20))

t traps and signals
trap 'echo got usr1' USR1; kill -USR1 $$
trap 'echo exit trap' EXIT
sleep 1000 & pid=$!
kill -0 $pid && echo alive
kill $pid; wait $pid 2>/dev/null; echo "waited $?"
: >ready
sh -c 'trap "echo child term; exit 4" TERM; echo ready; while :; do sleep 0.05; done' >ready &
pid=$!
until grep -q ready ready; do sleep 0.02; done
kill $pid; wait $pid; echo "child $?"; cat ready
timeout 0.2 sleep 1000 2>/dev/null; echo "timeout $?"
for i in 1 2 3 4 5 6 7 8; do (sleep 0.0$i; echo $i >>done) & done; wait; sort done | tr -d '\n'; echo
(for i in 1 2 3; do sh -c "exit $i" & done; wait); echo "all $?"
trap - USR1

t coreutils
printf 'b 2\na 10\nc 1\n' >k; sort k | cut -d' ' -f1 | tr '\n' ' '; sort -k2n k | tail -n 1
printf 'x\nx\ny\n' | uniq -c | awk '{print $1, $2}'
seq 10 | paste -sd+ - | bc
seq 3 | tac | nl | expand | tr -s ' '
head -c 5 /dev/zero | od -An -tx1
printf hello | md5sum; printf hello | sha256sum; printf hello | sha512sum | cut -c1-32
printf hello | base64 | tee b64 | base64 -d; echo; cat b64
dd if=/dev/zero of=z bs=1k count=64 2>/dev/null; stat -c '%s %F %a' z; truncate -s 10 z; wc -c <z
cp -r globs globs2; ls globs2; rm -r globs globs2; ls -d glob* 2>/dev/null || echo gone
ln -s k link; readlink link; ln k hard; stat -c %h k; test k -ef hard && echo same file
mkfifo fifo; (echo through the fifo >fifo) & cat fifo; wait
chmod 600 k; ls -l k | cut -c1-10; touch -d '2001-02-03 04:05:06' k; date -u -r k +%Y-%m-%d
basename /a/b.c .c; dirname /a/b.c; expr 3 \* 4; factor 91; env -i A=1 env; id -g >/dev/null && echo id
date -u -d @86400 +%F; split -l 2 k part; ls part*; comm -12 partaa k
seq 100 | shuf | sort -n | cksum; seq 5 | xargs -n 2 echo; test -t 0 || echo not a terminal

t text
printf 'one 1\ntwo 2\nthree 3\n' >t
awk '{ s += $2; l[NR] = $1 } END { print s, l[2], length(l[3]), sprintf("%.2f", s / NR) }' t
awk 'BEGIN { "echo cmd" | getline x; print toupper(x) | "cat"; close("cat"); print sin(0), 2 ^ 10 }'
sed -n '/two/,$ { s/\([a-z]*\) \([0-9]\)/\2 \1/p }' t; sed -i '1d' t; wc -l <t
grep -c e t; grep -E '^(two|x)' t; grep -v two t; egrep -o '[0-9]' t; grep -q nothing t || echo none
printf 'a\nb\nc\n' >l; printf 'a\nx\nc\n' >r; diff l r; diff -u l r | tail -n +3 >p; cmp -s l r || echo differ
{ echo '--- l'; echo '+++ l'; cat p; } | patch l >/dev/null; cmp l r && echo patched
printf '1d\nw out\nq\n' | ed r >/dev/null; cat out

t find
mkdir -p d/e/f; touch d/1.c d/e/2.c d/e/f/3.h
find d -name '*.c' | sort; find d -type d -exec echo {} \; | sort | tail -n 1
find d -type f -print0 | xargs -0 ls | wc -l; find d -name '*.h' -delete; find d -type f | wc -l

t archives
seq 20000 >big; for z in gzip bzip2; do $z -c big >big.$z; $z -dc big.$z | cmp - big && echo $z; done
tar cf a.tar d; tar tf a.tar | sort | tail -n 1; find d | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null | wc -l

t processes
sleep 1000 & pid=$!
until pidof sleep | grep -qw $pid; do sleep 0.02; done
ps -o pid,comm | awk -v p=$pid '$1 == p { print "ps shows", $2 }'
pidof sleep | grep -qw $pid && echo pidof; kill $pid; wait $pid 2>/dev/null
ps -o pid,comm | awk -v p=$pid '$1 == p { print "zombie" }'
[ -r /proc/self/status ] && echo proc; readlink /proc/self/exe | sed 's,.*/,,'
echo $(($(nice -n 5 nice) - $(nice))); nproc | grep -c '^[1-9]'; (ulimit -n 50; ulimit -n); umask 027; umask; nohup true 2>/dev/null
uname -m; time -f %x true 2>&1; setsid sh -c 'echo in a new session'

t bulk
i=0; while [ $i -lt 200 ]; do i=$((i + 1)); /bin/true 2>/dev/null || true; x=$(echo $i); done; echo $x
n=0; for i in $(seq 50); do n=$((n + $(echo $i | cat | cat))); done; echo $n
