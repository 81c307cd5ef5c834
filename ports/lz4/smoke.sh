# SPDX-License-Identifier: MIT
seq 1 200000 >plain
run lz4 -q -9 plain packed.lz4
[ "$(wc -c <packed.lz4)" -lt "$(wc -c <plain)" ] || fail 'not smaller'
run lz4 -q -d packed.lz4 again
cmp again plain
run lz4 -q -c <plain | native lz4 -q -dc | cmp - plain
printf damaged >>packed.lz4
! run lz4 -q -t packed.lz4 2>/dev/null || fail 'damage not noticed'
