-- Recursive queries over the table e, and their rows in any order.

WITH RECURSIVE r AS (SELECT 1 AS k, 10 AS x UNION ALL SELECT k + 1, x + k FROM r WHERE k < 4) SELECT COUNT(*) FROM r
-- gives [(4,)]

WITH RECURSIVE r AS (SELECT 1 AS k, 10 AS x UNION ALL SELECT k + 1, x + k FROM r WHERE k < 4) SELECT x FROM r
-- gives [(10,), (11,), (13,), (16,)]

WITH RECURSIVE r AS (SELECT 1 AS k, 10 AS x UNION ALL SELECT k + 1, x + k FROM r WHERE k < 4) SELECT COUNT(*) FROM r WHERE x > 10
-- gives [(3,)]

WITH RECURSIVE r AS (SELECT 1 AS k, 10 AS x UNION ALL SELECT k + 1, x + k FROM r WHERE k < 4) SELECT 1 FROM r
-- gives [(1,), (1,), (1,), (1,)]

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT n FROM t
-- gives [(1,), (2,), (3,), (4,)]

WITH RECURSIVE t(n, s) AS (VALUES (1, 'a'), (2, 'b') UNION ALL SELECT n + 2, s || s FROM t WHERE n < 3) SELECT s, n FROM t
-- gives [('a', 1), ('b', 2), ('aa', 3), ('bb', 4)]

WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + (SELECT max(n) FROM r) FROM r WHERE n < 9) SELECT n FROM r
-- gives [(1,), (2,), (4,), (8,), (16,)]

WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT p.n + q.n FROM r AS p JOIN r AS q ON q.n = p.n WHERE p.n < 5) SELECT n FROM r
-- gives [(1,), (2,), (4,), (8,)]

WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE EXISTS (SELECT 1 FROM r WHERE n < 3)) SELECT n FROM r
-- gives [(1,), (2,), (3,)]

WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT a + 0 FROM e WHERE a - 1 IN (SELECT n FROM r) AND a < 4 AND b <> 5) SELECT n FROM r
-- gives [(1,), (2,), (3,)]

WITH RECURSIVE r(k, n, m) AS (SELECT 0, a, 0.0 FROM e UNION ALL SELECT k + 1, sum(n), avg(m) + 1 FROM r WHERE k < 2 GROUP BY k HAVING count(*) > 0) SELECT k, n, m FROM r WHERE k > 0
-- gives [(1, 17, 1.0), (2, 17, 2.0)]

WITH RECURSIVE r(k, n) AS (SELECT 0, a FROM e WHERE b < 5 UNION ALL SELECT k + 1, sum(n) OVER (ORDER BY n) FROM r WHERE k < 1) SELECT n FROM r WHERE k = 1 ORDER BY n
-- gives [(1,), (3,), (6,), (10,), (15,)]

WITH RECURSIVE r(k, n) AS (SELECT 0, b FROM e UNION ALL (SELECT k + 1, n FROM r WHERE k < 2 ORDER BY n DESC, k LIMIT 2 OFFSET 1)) SELECT k, n FROM r WHERE k > 0
-- gives [(1, 4), (1, 4), (2, 4)]

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT e.b FROM e RIGHT JOIN r ON e.a = r.n AND e.b > r.n WHERE r.n IS NOT NULL) SELECT n FROM r
-- gives [(1,), (2,), (3,), (5,), (4,), (None,), (None,)]

WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT e.b FROM e JOIN r ON e.a = r.n) SELECT n FROM r ORDER BY n
-- gives [(1,), (2,), (3,), (4,), (5,)]

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3 UNION ALL SELECT n + 10 FROM r WHERE n < 3) SELECT n FROM r ORDER BY n
-- gives [(1,), (2,), (3,), (11,), (12,)]

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT 5 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r ORDER BY n
-- gives [(1,), (2,), (3,), (5,)]

WITH RECURSIVE r(n) AS ((SELECT 3 UNION ALL SELECT n - 1 FROM r WHERE n > 1)) SELECT n FROM r
-- gives [(3,), (2,), (1,)]

WITH RECURSIVE r(n) AS (WITH s AS (SELECT 2 AS d), q AS (SELECT n * d AS m FROM r, s) SELECT d FROM s UNION ALL SELECT m FROM q WHERE m < 20) SELECT n FROM r
-- gives [(2,), (4,), (8,), (16,)]

WITH RECURSIVE f(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM f LIMIT 8 OFFSET 2) SELECT a FROM f
-- gives [(1,), (2,), (3,), (5,), (8,), (13,), (21,), (34,)]

WITH RECURSIVE r AS (SELECT 1 AS n, NULL AS p UNION ALL SELECT n + 1, n FROM r WHERE n < 3) SELECT n, p FROM r
-- gives [(1, None), (2, 1), (3, 2)]

WITH RECURSIVE r AS (SELECT 1 AS n WHERE 1 = 2 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r
-- gives [(0,)]

WITH RECURSIVE s AS (SELECT 2 AS d), r AS (SELECT 1 AS n UNION ALL SELECT n * d FROM r, s WHERE n < 8), q AS (SELECT n + 1 AS m FROM r) SELECT n, m FROM r JOIN q ON m = n + 1 ORDER BY n
-- gives [(1, 2), (2, 3), (4, 5), (8, 9)]

WITH RECURSIVE q AS (SELECT n + 1 AS m FROM r), r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT m FROM q
-- gives [(2,), (3,), (4,)]

WITH RECURSIVE even(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM odd), odd(n) AS (SELECT n + 1 FROM even WHERE n < 5) SELECT 'even', n FROM even UNION ALL SELECT 'odd', n FROM odd ORDER BY 2
-- gives [('even', 0), ('odd', 1), ('even', 2), ('odd', 3), ('even', 4), ('odd', 5), ('even', 6)]

WITH RECURSIVE o AS (SELECT 1 AS n UNION ALL SELECT n + (WITH RECURSIVE i AS (SELECT max(n) AS m FROM o UNION ALL SELECT m - 1 FROM i WHERE m > 0) SELECT count(*) FROM i) FROM o WHERE n < 20) SELECT n FROM o
-- gives [(1,), (3,), (7,), (15,), (31,)]

WITH RECURSIVE o AS (SELECT 1 AS n UNION ALL SELECT n + (WITH RECURSIVE i AS (SELECT 3 AS m UNION ALL SELECT m - 1 FROM i WHERE m > 1) SELECT count(*) FROM i) FROM o WHERE n < 6) SELECT n FROM o
-- gives [(1,), (4,), (7,)]

WITH RECURSIVE e AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM e WHERE n < 3) SELECT n FROM e
-- gives [(1,), (2,), (3,)]

WITH RECURSIVE "R t"("N", "a""b") AS (SELECT 1, 'x' UNION ALL SELECT "N" + 1, "a""b" || '.' FROM "R t" WHERE "N" < 2) SELECT "a""b", "N" FROM "R t"
-- gives [('x', 1), ('x.', 2)]

SELECT n FROM (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r) AS q WHERE n > 1
-- gives [(2,), (3,)]

SELECT (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT max(n) FROM r) AS m
-- gives [(3,)]

SELECT DISTINCT a FROM e WHERE a IN (WITH RECURSIVE r AS (SELECT 4 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT n FROM r) ORDER BY a
-- gives [(4,), (5,)]

WITH c AS (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r) SELECT x.n, y.n FROM c AS x JOIN c AS y ON y.n = x.n + 1
-- gives [(1, 2), (2, 3)]

SELECT 0 AS n UNION ALL (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r)
-- gives [(0,), (1,), (2,), (3,)]

WITH RECURSIVE r(k, a, b) AS (SELECT 0, 0, 0 UNION ALL SELECT k + 1, r.k, r.k FROM r WHERE k < 2) SELECT k, a, b FROM r
-- gives [(0, 0, 0), (1, 0, 0), (2, 1, 1)]

WITH RECURSIVE r(k, a, b) AS (SELECT 0, CAST(0 AS BIGINT), 0 UNION ALL SELECT k + 1, 0, CAST(0 AS BIGINT) FROM r WHERE k < 1) SELECT k, a, b FROM r
-- gives [(0, 0, 0), (1, 0, 0)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t LIMIT 4
-- gives [(1,), (2,), (3,), (4,)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n * 2 FROM t AS u LIMIT 2 OFFSET 3
-- gives [(8,), (10,)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t WHERE n > 4 LIMIT 1
-- gives [(5,)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t LIMIT 1
-- gives [(15,)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t ORDER BY n DESC LIMIT 1
-- gives [(5,)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5), u AS (SELECT max(n) AS m FROM t) SELECT m FROM u LIMIT 1
-- gives [(5,)]

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT (SELECT max(n) FROM t) AS m, n FROM t LIMIT 1
-- gives [(5, 1)]

WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + (WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 4) SELECT max(n) FROM r) FROM r WHERE k < 9) SELECT k FROM r
-- gives [(0,), (4,), (8,), (12,)]

WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + m FROM r, (WITH r(m) AS (SELECT 5) SELECT m FROM r) AS z WHERE k < 9) SELECT k FROM r
-- gives [(0,), (5,), (10,)]
