# SPDX-License-Identifier: MIT
cp "$PORT/smoke.ash" "$T"
mkdir "$T/scratch"
run sh "$T/smoke.ash" "$T/scratch" >got 2>err || fail "smoke.ash: status $?: $(cat got err)"
[ ! -s err ] || fail "smoke.ash wrote to standard error: $(cat err)"
diff -u "$PORT/smoke.out" got || fail 'smoke.ash'

same 'exit status' "$(run sh -c 'exit 5' || echo $?)" 5
same 'not found' "$(run sh -c 'no_such_program' 2>/dev/null || echo $?)" 127
same 'standard input' "$(printf 'b\na\n' | run sort)" "$(printf 'a\nb')"

# An archive in both directions against the host's tar and gzip.
mkdir -p tree/sub
seq 1 3000 >tree/numbers
echo text >tree/sub/file
chmod 640 tree/sub/file
ln -s sub/file tree/link
run tar czf "$T/a.tar.gz" -C "$T" tree
tar tzf a.tar.gz >/dev/null
mkdir out && run tar xzf "$T/a.tar.gz" -C "$T/out"
diff -r tree out/tree || fail 'tar'
same 'mode and link' "$(stat -c %a out/tree/sub/file) $(readlink out/tree/link)" '640 sub/file'

# A web server and its client.
port=$(free_port)
mkdir www && echo 'hello, web' >www/index.html
start httpd -f -p "127.0.0.1:$port" -h "$T/www"
served() { native busybox wget -q -O page "http://127.0.0.1:$port/index.html" 2>/dev/null; }
eventually 'httpd answers' served
same 'page from httpd' "$(cat page)" 'hello, web'
same 'page by wget' "$(run wget -q -O - "http://127.0.0.1:$port/index.html")" 'hello, web'
stop

# Job control and line editing need a terminal.
if [ "$VARIANT" != native ]; then
  python3 "$PORT/smoke-tty.py" "$O/bin/ufork" run --root="$root" sh -i
else
  python3 "$PORT/smoke-tty.py" "$O/native/bin/busybox" sh -i
fi
