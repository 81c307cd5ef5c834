# SPDX-License-Identifier: MIT
# A master and two workers: files, a proxy in the same instance, reload under load
# without a failed request, an orderly end.
front=$(free_port) back=$(free_port)
chmod 755 . # the workers run as nobody
mkdir html logs
echo hello >html/index.html
head -c 300000 /dev/urandom >html/large
cat >nginx.conf <<CONF
worker_processes 2;
error_log $T/logs/error.log notice;
pid $T/logs/pid;
events { worker_connections 512; }
http {
  access_log $T/logs/access.log;
  sendfile on;
  client_body_temp_path $T/logs/body;
  proxy_temp_path $T/logs/proxy;
  server { listen 127.0.0.1:$back; root $T/html; }
  server { listen 127.0.0.1:$front reuseport; location / { proxy_pass http://127.0.0.1:$back; } }
}
CONF
get() { curl -sS --max-time 20 "http://127.0.0.1:$1"; }
answers() { get "$front/" >/dev/null 2>&1; }

start nginx -c "$T/nginx.conf" -e "$T/logs/error.log" -g 'daemon off;'
eventually 'nginx answers' answers
same 'a file' "$(get "$back/")" hello
same 'a file through the proxy' "$(get "$front/")" hello
get "$front/large" | cmp - html/large || fail 'a large file through the proxy'
same 'a missing file' "$(curl -s -o out -w '%{http_code}' "http://127.0.0.1:$back/none")" 404

# Requests go on while the configuration is read again.
(
  i=0
  while [ $i -lt 300 ]; do
    [ "$(get "$back/")" = hello ] || echo "request $i"
    i=$((i + 1))
  done
) >failed 2>&1 &
load=$!
for _ in 1 2 3; do
  sleep 0.3
  kill -HUP "$started"
done
wait "$load"
same 'requests that failed during reloads' "$(cat failed)" ''
same 'reloads' "$(grep -c ': reconfiguring' logs/error.log)" 3
[ "$(grep -c '"GET / HTTP' logs/access.log)" -ge 300 ] || fail 'the access log misses requests'
stop
grep -q 'exit$' logs/error.log || fail 'no orderly end in the log'
