# SPDX-License-Identifier: MIT
wanted='1|alpha|10
2|beta|20
3|gamma|30'
same 'create, insert, query' "$(run sqlite3 "$T/a.db" "
  CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INT CHECK(n > 0));
  INSERT INTO t(name, n) VALUES('alpha', 10), ('beta', 20), ('gamma', 30);
  SELECT * FROM t ORDER BY id;")" "$wanted"
same 'read again' "$(run sqlite3 "$T/a.db" 'SELECT * FROM t ORDER BY id')" "$wanted"
same 'read by the native shell' "$(native sqlite3 "$T/a.db" 'SELECT * FROM t ORDER BY id')" "$wanted"
! run sqlite3 "$T/a.db" "INSERT INTO t(name, n) VALUES('alpha', 1)" 2>err || fail 'constraint not held'
grep -q 'UNIQUE constraint failed: t.name' err || fail "error text: $(cat err)"

same 'rollback' "$(run sqlite3 "$T/a.db" "
  BEGIN; DELETE FROM t; SELECT count(*) FROM t; ROLLBACK; SELECT count(*) FROM t;")" '0
3'
same 'expressions' "$(run sqlite3 :memory: "
  SELECT printf('%.3f', 1/3.0), 9223372036854775807 + 0, json_extract('{\"a\":[1,2]}', '\$.a[1]');
  WITH RECURSIVE f(a, b) AS (VALUES(0, 1) UNION ALL SELECT b, a + b FROM f LIMIT 51)
    SELECT max(a) FROM f;")" '0.333|9223372036854775807|2
12586269025'

# A large join, an index and a full-text table: sorters, temporary files, hash tables.
same 'bulk' "$(run sqlite3 "$T/b.db" "
  PRAGMA cache_size=-256;
  CREATE TABLE n(i INTEGER, s TEXT);
  WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM c WHERE i < 20000)
    INSERT INTO n SELECT (i * 7919) % 20011, hex(i) FROM c;
  CREATE INDEX n_i ON n(i);
  SELECT count(*), sum(a.i), sum(length(a.s)) FROM n a JOIN n b ON a.i = b.i;
  PRAGMA integrity_check;
  CREATE VIRTUAL TABLE f USING fts5(x);
  INSERT INTO f VALUES('the quick brown fox'), ('jumps over the lazy dog');
  SELECT x FROM f WHERE f MATCH 'lazy';")" '20000|200125314|177788
ok
jumps over the lazy dog'
same 'bulk, checked by the native shell' "$(native sqlite3 "$T/b.db" 'PRAGMA integrity_check')" ok

# Write-ahead log on the file system in memory, two processes at once: shared mappings and locks.
cat >wal.sh <<'END'
cd "${TMPDIR:-/tmp}" && rm -f wal.db*
sqlite3 wal.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(who, i);'
fill() {
  for i in 1 2 3 4 5 6 7 8 9 10; do
    sqlite3 -cmd '.timeout 600000' wal.db "INSERT INTO t VALUES('$1', $i)"
  done
}
fill a & fill b
wait
sqlite3 wal.db 'SELECT who, count(*), sum(i) FROM t GROUP BY who; PRAGMA integrity_check;'
rm -f wal.db*
END
same 'write-ahead log' "$(TMPDIR=$T run sh "$T/wal.sh")" 'wal
a|10|55
b|10|55
ok'

# Four writers and two readers at once, each a process of its own for all its transactions. One writer, which
# would go on for ever, is killed in the midst of them. Nobody sees half a transaction, nothing is damaged, and what was committed is
# there: a writer says so in a file after each one.
cat >many.sh <<'END'
cd "$1" && rm -f many.*
sqlite3 many.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(who, i, half);'
# COUNT SQL, with I for the number of each
script() {
  echo '.timeout 600000'
  awk -v n="$1" -v sql="$2" 'BEGIN { for (i = 1; i <= n; i++) { t = sql; gsub(/I/, i, t); print t } }'
}
writer() {
  script "$2" "begin immediate; insert into t values('$1', I, 'a'); insert into t values('$1', I, 'b');
    commit; select writefile('many.$1', 'I') is null;"
}
for who in a b c; do
  writer $who 60 >many.$who.sql
done
script 300 "select 'torn', I where (select sum(half = 'a') - sum(half = 'b') from t) <> 0;" >many.r.sql
for who in a b c r r; do
  sqlite3 many.db <many.$who.sql >many.$who.out 2>&1 &
done
writer d 1000000000 2>many.awk | sqlite3 many.db >many.d.out 2>&1 &
last=$!
until noted=$(cat many.d 2>/dev/null); [ "${noted:-0}" -ge 5 ]; do sleep 0.1; done
kill -9 $last
wait
grep -h . many.r.out
grep -hiE 'error|busy|locked' many.?.out
sqlite3 many.db "SELECT who, count(*), max(i) FROM t WHERE who <> 'd' GROUP BY who;
  SELECT 'd', count(*) = 2 * max(i), max(i) >= $noted FROM t WHERE who = 'd';
  PRAGMA integrity_check; PRAGMA wal_checkpoint(TRUNCATE);"
sqlite3 many.db "INSERT INTO t VALUES('e', 1, 'a'); SELECT count(*) FROM t WHERE who = 'e'"
rm -f many.*
END
wanted='wal
a|120|60
b|120|60
c|120|60
d|1|1
ok
0|0|0
1'
same 'several writers, in memory' "$(run sh "$T/many.sh" /tmp)" "$wanted"
same 'several writers, on a directory of the host' "$(run sh "$T/many.sh" "$T")" "$wanted"
