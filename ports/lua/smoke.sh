# SPDX-License-Identifier: MIT
cp "$PORT/smoke.lua" "$T"
same 'all assertions' "$(run lua "$T/smoke.lua" one two)" 'lua: all good'
run luac -o "$T/smoke.luac" "$T/smoke.lua"
same 'precompiled' "$(run lua "$T/smoke.luac" one two)" 'lua: all good'
same 'exit status' "$(run lua -e 'os.exit(7)' >/dev/null || echo $?)" 7
same 'standard input' "$(echo 'print(6 * 7)' | run lua -)" 42
