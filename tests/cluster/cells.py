"""Training cells over a dataset in chunks, as the array executor has them; of each who runs it where a cluster is."""

CREATE = """
CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO w VALUES (0, 0.25, 0.5);
CREATE TABLE v (step BIGINT, lat DOUBLE, a DOUBLE, PRIMARY KEY (step, lat));
INSERT INTO v SELECT 0, lat, 0.0 FROM other GROUP BY lat;
CREATE TABLE c (step BIGINT, k BIGINT, m DOUBLE, PRIMARY KEY (step, k));
INSERT INTO c VALUES (0, 0, 0.2), (0, 1, 0.4), (0, 2, 0.9);
CREATE TABLE log (step BIGINT, loss DOUBLE);
"""

_OFF = "w.a * t.hum + w.b - t.air / 100"
_LINE = f"""INSERT INTO w SELECT :next_step, w.a - :lr * AVG(grad(power({_OFF}, 2), w.a)),
 w.b - :lr * AVG(grad(power({_OFF}, 2), w.b)) FROM w CROSS JOIN t WHERE w.step = :k GROUP BY w.a, w.b"""

ON_THE_CLUSTER = {
    "line": _LINE,
    "line and its loss": f"{_LINE}; SELECT w.step, AVG(power({_OFF}, 2)) AS loss FROM t CROSS JOIN w GROUP BY w.step",
    "state in a subquery": """INSERT INTO w
      SELECT :next_step, cur.a - :lr * AVG(2 * t.hum * (cur.a * t.hum - t.air / 100)), cur.b
      FROM t CROSS JOIN (SELECT a, b FROM w WHERE step = :k) cur GROUP BY cur.a, cur.b""",
    "state in a CTE": """INSERT INTO w WITH cur AS (SELECT a, b FROM w ORDER BY step DESC LIMIT 1)
      SELECT :next_step, cur.a - :lr * AVG(t.hum * (cur.a * t.hum - 1)), cur.b FROM t, cur GROUP BY cur.a, cur.b""",
    "logistic": """INSERT INTO w
      SELECT :next_step, w.a - :lr * AVG((1 / (1 + exp(-w.a * t.hum)) - CAST(t.wet AS DOUBLE)) * t.hum), w.b
      FROM w CROSS JOIN t WHERE w.step = :k GROUP BY w.a, w.b""",
    "only some cells": """INSERT INTO w SELECT :next_step, w.a - :lr * AVG(w.a - t.hum), w.b FROM w CROSS JOIN t
      WHERE w.step = :k AND t.lat > 0 AND date_part('month', t.time) < 3 AND t.hum > 0.25 GROUP BY w.a, w.b""",
    "a scalar subquery": """INSERT INTO w
      SELECT :next_step, w.a - :lr * (SELECT AVG(t.hum * (t.hum - q.two)) FROM t CROSS JOIN (SELECT 2.0 AS two) q), w.b
      FROM w WHERE w.step = :k""",
    "groups joined to the state": """INSERT INTO v
      SELECT :next_step, v.lat, v.a - :lr * (v.a - m.air) FROM v
      JOIN (SELECT lat, AVG(air) AS air FROM t GROUP BY lat) m ON m.lat = v.lat WHERE v.step = :k""",
    "a state along an axis": """INSERT INTO v
      SELECT :next_step, v.lat, v.a - :lr * AVG(v.a - t.hum) FROM t JOIN v ON v.lat = t.lat
      WHERE v.step = :k GROUP BY v.lat, v.a""",
    "a table made on the way": f"""CREATE OR REPLACE TABLE gradient AS
      SELECT AVG({_OFF}) AS b, AVG(t.hum * ({_OFF})) AS a FROM t CROSS JOIN w WHERE w.step = :k;
      INSERT INTO w SELECT :next_step, w.a - :lr * g.a, w.b - :lr * g.b FROM w CROSS JOIN gradient g
      WHERE w.step = :k""",
    "a table beside": f"""CREATE OR REPLACE TABLE rate AS SELECT :lr / (1 + step) AS r FROM w WHERE step = :k;
      {_LINE.replace(":lr", "rate.r").replace("CROSS JOIN t", "CROSS JOIN rate CROSS JOIN t")}, rate.r""",
    "a log beside": f"{_LINE}; INSERT INTO log SELECT :k, AVG(power({_OFF}, 2)) FROM w CROSS JOIN t WHERE w.step = :k",
    "a value that is no number at some step": """INSERT INTO w
      SELECT :next_step, w.a - :lr * AVG(COALESCE(w.b, 0.5) * t.hum), CASE WHEN w.b IS NULL OR :k = 2 THEN 0.25 END
      FROM w CROSS JOIN t WHERE w.step = :k GROUP BY w.a, w.b""",
    "soft clusters": """INSERT INTO c
      SELECT :next_step, c.k, SUM(exp(-9 * power(t.hum - c.m, 2)) * t.hum) / SUM(exp(-9 * power(t.hum - c.m, 2)))
      FROM t CROSS JOIN c WHERE c.step = :k GROUP BY c.k""",
    "what an optimizer writes": f"""MINIMIZE (SELECT AVG(power({_OFF}, 2)) FROM t CROSS JOIN w WHERE w.step = :k)
      OVER w.a, w.b USING adam(lr => 0.1)""",
    "a line search": """MINIMIZE (SELECT AVG(power(w.a * t.hum - 1, 2)) FROM t CROSS JOIN w WHERE w.step = :k)
      OVER w.a USING lbfgs(memory_size => 1, max_backtracking_steps => 3)""",
}

ANEW = {"a scalar subquery", "groups joined to the state", "a state along an axis", "soft clusters", "a line search"}
"""Those of them that read relations which differ from step to step, so that each step is planned by itself."""

HERE = {
    "a median of what is nearest": """INSERT INTO w SELECT :next_step, w.a + approx_distinct(t.n) / 100, w.b
      FROM w CROSS JOIN t WHERE w.step = :k GROUP BY w.a, w.b""",
    "no chunk at all": "INSERT INTO w SELECT :next_step, w.a - :lr * AVG(o.ref), w.b FROM w CROSS JOIN other o"
    " WHERE w.step = :k GROUP BY w.a, w.b",
}

TABLES = ("w", "v", "c", "log")
