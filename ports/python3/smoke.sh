# SPDX-License-Identifier: MIT
# The interpreter's ways to start, then smoke.py and smoke_tls.py, whose output is the same as Python's on the host.
cp "$PORT/smoke.py" "$PORT/smoke_web.py" .
mkdir packages packages/thing
echo 'from .inner import answer' >packages/thing/__init__.py
echo 'answer = 42' >packages/thing/inner.py
echo 'import sys, thing; print(thing.answer, sys.argv[1:])' >script.py

same 'a command' "$(run python3 -c 'import sys; print(sys.version.split()[0])')" 3.11.2
same 'standard input' "$(echo 'print(sum(range(10)))' | run python3 -)" 45
same 'a module' "$(echo '{"b": [1, 2]}' | run python3 -m json.tool --compact)" '{"b":[1,2]}'
same 'exit status' "$(run python3 -c 'raise SystemExit(7)' || echo $?)" 7
if [ "$VARIANT" = native ]; then
  same 'a script and a package' "$(PYTHONPATH=$T/packages run python3 "$T/script.py" a b)" "42 ['a', 'b']"
else
  same 'a script and a package' \
    "$("$O/bin/ufork" run --root="$root" --dir="$T:$T" --env=PYTHONPATH="$T/packages" \
      python3 "$T/script.py" a b)" "42 ['a', 'b']"
  [ -f packages/thing/__pycache__/inner.cpython-311.pyc ] || fail 'no bytecode in the host directory'
fi
# Nothing of the standard library is compiled at start-up.
run python3 -v -c 'import asyncio, json, sqlite3' 2>log || fail "$(cat log)"
! grep 'code object from' log | grep -v "__pycache__\|frozen" | grep "python3.11/" ||
  fail 'a module of the library was compiled'

run python3 "$T/smoke.py" >got 2>err || fail "smoke.py: status $?: $(cat got err)"
[ ! -s err ] || fail "smoke.py wrote to standard error: $(cat err)"
diff -u "$PORT/smoke.out" got || fail 'smoke.py'

# Certificates by the port openssl: an authority, a server's, another authority.
cp "$PORT/smoke_tls.py" .
certificate_config DNS:localhost,IP:127.0.0.1
certificate ca ca
certificate other ca
certificate server server -CA "$T/ca.pem" -CAkey "$T/ca.key"
run python3 "$T/smoke_tls.py" >got 2>err || fail "smoke_tls.py: status $?: $(cat got err)"
[ ! -s err ] || fail "smoke_tls.py wrote to standard error: $(cat err)"
diff -u "$PORT/smoke_tls.out" got || fail 'smoke_tls.py'

if [ "$VARIANT" != native ]; then
  /usr/bin/python3 "$PORT/smoke-tty.py" "$O/bin/ufork" run --root="$root" python3 -q -i -c \
    'import sys; print(sys.version)'
else
  /usr/bin/python3 "$PORT/smoke-tty.py" "$O/native/bin/python3" -q -i -c 'import sys; print(sys.version)'
fi
