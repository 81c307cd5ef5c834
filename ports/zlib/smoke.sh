# SPDX-License-Identifier: MIT
run zlib-example "$T/example.gz" >out || fail "zlib's own test: $(cat out)"
grep -q 'inflate with dictionary: hello, hello!' out || fail "output: $(cat out)"
seq 1 50000 >plain
run minigzip <plain >packed
[ "$(wc -c <packed)" -lt "$(wc -c <plain)" ] || fail 'not smaller'
gzip -dc <packed | cmp - plain
gzip -9c plain | run minigzip -d | cmp - plain
