-- SPDX-License-Identifier: MIT
CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c TEXT);
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 120000)
INSERT INTO t SELECT x, x * 7919 % 100003, printf('%x-%d', x * 2654435761 % 4294967296, x % 97) FROM n;
CREATE INDEX tb ON t(b);
CREATE INDEX tc ON t(c);
SELECT count(*), sum(b), max(c) FROM t WHERE b BETWEEN 1000 AND 60000;
SELECT substr(c, -2), count(*), avg(b) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3;
SELECT count(*) FROM t AS x JOIN t AS y ON x.b = y.a WHERE y.c LIKE 'a%';
UPDATE t SET b = b + 1 WHERE a % 3 = 0;
DELETE FROM t WHERE c > 'e';
SELECT count(*), sum(b) FROM t;
