-- why: names keep their quotes and their case; a keyword is quoted
SELECT "Order", grad("Order" * "select" * t."X", "Order") AS g FROM (SELECT x AS "Order", y AS "select", i AS "X" FROM d) AS t ORDER BY 1
-- becomes
SELECT "Order", CAST(t."X" AS DOUBLE) * "select" AS g FROM (SELECT x AS "Order", y AS "select", i AS "X" FROM d) AS t ORDER BY 1
-- by hand
SELECT x, y * i AS g FROM d ORDER BY x
