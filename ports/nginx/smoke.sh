# SPDX-License-Identifier: MIT
# A master and two workers: files, sendfile, a proxy in the same instance, SO_REUSEPORT, the access log, TLS with
# sessions that the workers share, regular expressions, gzip; reload, the end of a worker and an orderly end under
# load, with and without keepalive and TLS; workers that share a listening socket in each way there is.
front=$(free_port) back=$(free_port) secure=$(free_port)
chmod 755 . # the workers run as nobody
mkdir html logs
echo hello >html/index.html
head -c 65536 /dev/urandom >html/medium
head -c 9000 /dev/urandom >html/secure
seq 1 20000 >html/text
head -c 300000 /dev/urandom >html/large
head -c 20000000 /dev/urandom >html/huge
certificate_config DNS:localhost
certificate ca ca
certificate server server -CA "$T/ca.pem" -CAkey "$T/ca.key"
cat >nginx.conf <<CONF
worker_processes 2;
error_log $T/logs/error.log notice;
pid $T/logs/pid;
events { worker_connections 512; }
http {
  log_format by_worker '"\$request" \$status \$pid';
  access_log $T/logs/access.log by_worker;
  sendfile on;
  client_body_temp_path $T/logs/body;
  proxy_temp_path $T/logs/proxy;
  server { listen 127.0.0.1:$back; root $T/html; }
  server {
    listen 127.0.0.1:$front reuseport;
    location / { proxy_pass http://127.0.0.1:$back; }
    location /secure/ {
      proxy_pass https://127.0.0.1:$secure/;
      proxy_ssl_trusted_certificate $T/ca.pem;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
    }
  }
  server {
    listen 127.0.0.1:$secure ssl;
    root $T/html;
    ssl_certificate $T/server.pem;
    ssl_certificate_key $T/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
    ssl_session_tickets off;
    gzip on;
    gzip_types *;
    location ~ ^/number/(?<number>\d+)\$ { return 200 "\$number by \$ssl_protocol\\n"; }
    rewrite ^/old/(.*)\$ /\$1 last;
  }
}
CONF
get() { curl -sS --max-time 300 "http://127.0.0.1:$1"; }
answers() { get "$front/" >/dev/null 2>&1; }
logged() { grep -c "$1" logs/access.log || :; }
count() { sed -n "s/.*\b$2 \([0-9]*\).*/\1/p" "$1" | awk '{ n += $1 } END { print n + 0 }'; }

# Beside nginx a shell of the same system ends the process that the file `victim` names.
cat >start.sh <<SH
(while kill -0 \$\$; do
  if [ -s victim ]; then kill -9 "\$(cat victim)"; rm victim; fi
  sleep 0.1
done) 2>/dev/null &
exec nginx -c "$T/nginx.conf" -e "$T/logs/error.log" -g 'daemon off;'
SH
start sh start.sh
eventually 'nginx answers' answers
same 'a file' "$(get "$back/")" hello
same 'a file through the proxy' "$(get "$front/")" hello
get "$front/large" | cmp - html/large || fail 'a large file through the proxy'
get "$back/huge" | cmp - html/huge || fail 'a file larger than a socket takes'
same 'a missing file' "$(curl -s -o out -w '%{http_code}' "http://127.0.0.1:$back/none")" 404

get_secure() { curl -sS --max-time 300 --cacert ca.pem "$@"; }
https=https://localhost:$secure
same 'a file by TLS' "$(get_secure $https/)" hello
same 'a regular expression' "$(get_secure $https/number/42 --tls-max 1.2; get_secure $https/number/43)" \
  "42 by TLSv1.2
43 by TLSv1.3"
same 'no match' "$(get_secure -o out -w '%{http_code}' $https/number/4x)" 404
get_secure $https/old/large | cmp - html/large || fail 'a rewritten name'
same 'two requests on a connection' "$(get_secure -o out -o out -w '%{num_connects} ' $https/medium $https/secure)" '1 0 '
get_secure --compressed -D head $https/text | cmp - html/text || fail 'a compressed file'
grep -qi '^content-encoding: gzip' head || fail "not compressed: $(cat head)"
status=0
get_secure "https://127.0.0.1:$secure/" >out 2>&1 || status=$?
same 'a name that is not in the certificate' $status 60
get "$front/secure/huge" | cmp - html/huge || fail 'a large file through a proxy that asks by TLS'
# An answer comes after the session is kept; either worker may get the next connection.
session() {
  printf 'GET / HTTP/1.0\r\n\r\n' |
    native openssl s_client -connect "127.0.0.1:$secure" -tls1_2 -ign_eof "$@" 2>log
}
session -sess_out session >out
same 'sessions taken up again' "$(for _ in 1 2 3 4 5 6 7 8; do session -sess_in session; done |
  grep -c '^Reused, TLSv1.2')" 8

asked() {
  for file in medium large secure; do [ "$(logged "$file?$name ")" -gt 50 ] || return 1; done
}
# load NAME SECONDS CMD...: six ways of asking at once, CMD running meanwhile; the results in NAME.*
load() {
  name=$1 end=$2; shift 2
  rm -f finish
  ask() { /usr/bin/python3 "$PORT/smoke_load.py" "$1" "$2?$name" "html$2" "$3" 3 finish ${5:-} >"$name.$4" & asking="$asking $!"; }
  asking=
  ask "$back" /medium keepalive 1
  ask "$back" /medium close 2
  ask "$front" /large keepalive 3
  ask "$front" /large close 4
  ask "$secure" /secure keepalive 5 ca.pem
  ask "$secure" /secure close 6 ca.pem
  eventually 'all of them ask' asked
  "$@"
  sleep "$end"
  : >finish
  # shellcheck disable=SC2086 # a list
  wait $asking
}

reload() {
  for number in 1 2 3; do # each when the one before has been taken: signals do not queue
    sleep 0.5
    kill -HUP "$started"
    eventually "reload $number" reloaded "$number"
  done
}
reloaded() { [ "$(grep -c ': reconfiguring' logs/error.log)" = "$1" ]; }
load reload 0.5 reload
same 'requests that failed during reloads' "$(grep -vh 'failed 0 ' reload.*)" ''
# What went through the proxy was asked twice. A line is written when its request has ended.
done_n() { [ "$(logged "?reload HTTP/1..\" 200")" = $(($(cat reload.[1256] >n; count n ok) + 2 * $(cat reload.[34] >n; count n ok))) ]; }
eventually 'a line in the access log for each request' done_n

# A worker dies: what it was at fails, the rest does not, and another takes its place.
starts() { grep -c ': start worker process ' logs/error.log; }
before=$(starts)
respawned() { [ "$(starts)" -gt "$before" ]; }
end_worker() {
  sleep 0.3
  sed -n 's/.*: start worker process \([0-9]*\)$/\1/p' logs/error.log | tail -n 1 >victim.new
  mv victim.new victim
  eventually 'another worker is started' respawned
}
load killed 0.5 end_worker
grep -q 'exited on signal 9' logs/error.log || fail 'no worker was ended'
cat killed.* >n
[ "$(count n failed)" -le 30 ] || fail "a worker's end hit more than what it was at: $(cat n)"
[ "$(count n ok)" -gt 0 ] || fail "no request succeeded beside the end of a worker: $(cat n)"

# An orderly end: what is being sent is sent.
curl -sS --max-time 300 --limit-rate 10M "http://127.0.0.1:$back/huge" >huge.got &
slow=$!
eventually 'the transfer has begun' [ -s huge.got ]
kill -QUIT "$started"
wait "$slow" || fail 'a transfer was cut off by the orderly end'
cmp huge.got html/huge || fail 'a transfer was damaged by the orderly end'
eventually 'nginx ends when asked to quit' ended
wait "$started" || fail 'status of an orderly end'
started=
grep -q 'gracefully shutting down' logs/error.log || fail 'no orderly end in the log'

# Who accepts on a socket of both workers: until here whichever the system wakes (EPOLLEXCLUSIVE); or the one
# that has a lock in shared memory; one connection at a time or all that wait. Both get their share.
cp nginx.conf base.conf
both() { [ "$(sed -n "s/.*?$name HTTP.* 200 //p" logs/access.log | sort -u | wc -l)" -ge 2 ]; }
share_and_reload() {
  eventually 'both workers answer' both
  before=$(grep -c ': reconfiguring' logs/error.log)
  kill -HUP "$started"
  again() { [ "$(grep -c ': reconfiguring' logs/error.log)" -gt "$before" ]; }
  eventually 'a reload' again
}
way=0
for events in 'accept_mutex off;' 'accept_mutex off; multi_accept on;' 'accept_mutex on; accept_mutex_delay 5ms;' \
  'accept_mutex on; multi_accept on;'; do
  way=$((way + 1))
  sed "s/worker_connections 512;/& $events/" base.conf >nginx.conf
  grep -q "$events" nginx.conf || fail "no '$events' in the configuration"
  start sh start.sh
  eventually 'nginx answers' answers
  load "way$way" 0.3 share_and_reload
  same "requests that failed with $events" "$(grep -vh 'failed 0 ' "way$way".*)" ''
  kill -QUIT "$started"
  eventually 'nginx ends when asked to quit' ended
  wait "$started" || fail "status of an orderly end with $events"
  started=
done
