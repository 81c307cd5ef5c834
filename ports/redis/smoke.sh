# SPDX-License-Identifier: MIT
port=$(free_port)
cli() { native redis-cli -p "$port" "$@"; }
# The field $1 of INFO.
info() { cli info | tr -d '\r' | sed -n "s/^$1://p"; }
pong() { [ "$(cli ping 2>/dev/null)" = PONG ]; }
saved() { [ "$(info rdb_bgsave_in_progress)" = 0 ]; }
rewritten() { [ "$(info aof_rewrite_in_progress)$(info aof_rewrite_scheduled)" = 00 ]; }

start redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$T" --enable-debug-command yes \
  --logfile "$T/redis.log"
eventually 'the server answers' pong
same 'allocator' "$(info mem_allocator)" jemalloc-5.2.1

same 'set' "$(run redis-cli -p "$port" set greeting hello)" OK
same 'get' "$(run redis-cli -p "$port" get greeting)" hello
cli rpush list a b c >/dev/null
cli zadd board 1.5 x 2.5 y >/dev/null
same 'sorted set' "$(cli zrangebyscore board 2 3)" y
same 'script' "$(cli eval 'local s = 0; for i = 1, 100 do s = s + i end; return s' 0)" 5050
cli debug populate 20000 key 64 >/dev/null
cli set temporary 1 px 50 >/dev/null
gone() { [ "$(cli exists temporary)" = 0 ]; }
eventually 'a key expires' gone
(sleep 0.3; cli rpush queue late >/dev/null) &
same 'blocking pop' "$(cli blpop queue 300 | tr '\n' ' ')" 'queue late '
run redis-benchmark -p "$port" -n 2000 -c 10 -P 4 -t set,get,incr,lpush -q >bench
[ "$(tr '\r' '\n' <bench | grep -c 'requests per second, p50')" -ge 4 ] || fail "benchmark: $(cat bench)"

# A snapshot by fork holds the data of that moment, whatever is written afterwards.
digest=$(cli debug digest)
same 'snapshot' "$(cli bgsave)" 'Background saving started'
cli set greeting changed >/dev/null
eventually 'the snapshot ends' saved
same 'snapshot status' "$(info rdb_last_bgsave_status)" ok
[ "$(cli debug digest)" != "$digest" ] || fail 'the write during the snapshot is lost'
cp dump.rdb snapshot.rdb

# The append-only file is rewritten by a fork as well.
cli config set appendonly yes >/dev/null
eventually 'the rewrite ends' rewritten
same 'rewrite status' "$(info aof_last_bgrewrite_status)" ok
cli shutdown nosave >/dev/null 2>&1 || :
wait "$started" || fail "the server's exit status is $?"
started=

# The snapshot in a native server.
"$O/native/bin/redis-server" --port "$port" --bind 127.0.0.1 --save '' --dir "$T" --dbfilename snapshot.rdb \
  --enable-debug-command yes --logfile "$T/native.log" & # no function: the process itself
started=$!
eventually 'the native server answers' pong
same 'digest of the snapshot' "$(cli debug digest)" "$digest"
stop
