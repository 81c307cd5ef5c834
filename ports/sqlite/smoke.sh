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
    sqlite3 -cmd '.timeout 10000' wal.db "INSERT INTO t VALUES('$1', $i)"
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
