"""A recursion inside a training step: planned once, and each step's rows are those of the statement as it stands."""

import math

import pytest

import sqlmagic_xr
from sqlmagic_xr.engine.recursion.plan import Planner

SCRIPT = """
CREATE TABLE d (i BIGINT, x DOUBLE, y DOUBLE);
INSERT INTO d SELECT value, value % 5 / 4.0 - 0.5, value % 7 / 3.0 FROM generate_series(0, 19);
CREATE TABLE m (i BIGINT, j BIGINT, w DOUBLE, PRIMARY KEY (i, j));
INSERT INTO m SELECT a.value, b.value, (a.value + 2 * b.value) % 3 / 4.0 + CAST(a.value = b.value AS DOUBLE)
    FROM generate_series(0, 3) a CROSS JOIN generate_series(0, 3) b;
CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.5);
CREATE TABLE w (step BIGINT, i BIGINT, v DOUBLE, PRIMARY KEY (step, i));
INSERT INTO w SELECT 0, value, 1.0 + value FROM generate_series(0, 3);
CREATE TABLE log (step BIGINT PRIMARY KEY, s DOUBLE); INSERT INTO log VALUES (0, 0.0)
"""
DESCENT = """r(n, a) AS (SELECT 0, a FROM p WHERE step = :k UNION ALL
    SELECT n + 1, r.a - 0.1 * AVG(grad(power(y - r.a * x, 2), r.a)) FROM d CROSS JOIN r WHERE n < {most}
        GROUP BY n, r.a)
    SELECT :next_step, a FROM r ORDER BY n DESC LIMIT 1"""
CELLS = {
    "one row": ("p", DESCENT.format(most=5)),
    "a parameter in the term": ("p", DESCENT.format(most=":k % 3 + 1")),
    "rows of the same keys": ("w", """r(n, i, v) AS (SELECT 0, i, v FROM w WHERE step = :k UNION ALL
        SELECT r.n + 1, m.i, SUM(m.w * r.v) / 3 FROM m JOIN r ON m.j = r.i WHERE r.n < 4 GROUP BY r.n, m.i)
        SELECT :next_step, i, v FROM r WHERE n = 4"""),
    "rows of other keys": ("p", """r(n, i, v) AS (SELECT 0, i + :k, x FROM d WHERE i < 3 + :k UNION ALL
        SELECT n + 1, i, v * 0.5 + i FROM r WHERE n < 6) SELECT :next_step, SUM(v * i) FROM r"""),
    "a value that carries over": ("p", """r(n, c, x) AS (SELECT 0, a + 2, 1.0 FROM p WHERE step = :k UNION ALL
        SELECT n + 1, c, x - (x * x - c) / (2 * x) FROM r WHERE n < 6) SELECT :next_step, x FROM r WHERE n = 6"""),
    "it reads the table that grows": ("p", """r(n, a) AS (SELECT 0, 1.0 UNION ALL
        SELECT n + 1, r.a / 2 + q.a FROM r CROSS JOIN (SELECT AVG(a) AS a FROM p) q WHERE n < 5)
        SELECT :next_step, a FROM r WHERE n = 5"""),
    "one recursion reads another": ("p", """s(n, b) AS (SELECT 0, a FROM p WHERE step = :k UNION ALL
        SELECT n + 1, b / 2 FROM s WHERE n < 3), r(n, a) AS (SELECT 0, 1.0 UNION ALL
        SELECT n + 1, r.a / 2 + q.b FROM r CROSS JOIN (SELECT SUM(b) AS b FROM s) q WHERE n < 5)
        SELECT :next_step, a FROM r WHERE n = 5"""),
    "a NULL now and then": ("p", """r(n, a) AS (SELECT 0, NULLIF(a, 0.25) FROM p WHERE step = :k UNION ALL
        SELECT n + 1, a / 2 FROM r WHERE n < 1) SELECT :next_step, coalesce(a, 1.0) FROM r WHERE n = 1"""),
}  # fmt: skip


@pytest.fixture
def ctx():
    context = sqlmagic_xr.Context()
    context.script(SCRIPT)
    return context


def grown(context, name, *, steps, **options):
    table, query = CELLS[name]
    context.train(f"INSERT INTO {table} WITH RECURSIVE {query}", steps=steps, **options)
    found = context.sql(f"SELECT * FROM {table} ORDER BY ALL").to_pylist()
    context.script(f"DELETE FROM {table} WHERE step > 0")
    return found


@pytest.mark.parametrize("name", CELLS)
def test_the_rows_are_those_of_the_statement_as_it_stands(ctx, name):
    found, expected = (grown(ctx, name, steps=7, verbatim=verbatim) for verbatim in (False, True))
    for one, other in zip(found, expected, strict=True):
        assert all(math.isclose(one[c], other[c], rel_tol=1e-12, abs_tol=1e-14) for c in one), (one, other)


def test_it_is_planned_once_though_its_parameters_differ(ctx, monkeypatch):
    planned, inner = [], Planner.without_recursion
    monkeypatch.setattr(Planner, "without_recursion", lambda self, tree: (planned.append(tree), inner(self, tree))[1])
    counts = []
    for steps in (2, 12):
        planned.clear()
        grown(ctx, "a parameter in the term", steps=steps)
        counts.append(len(planned))
    assert counts[0] == counts[1] <= 3


def test_a_table_that_is_another_is_planned_anew(ctx):
    script = """UPDATE log SET s = s + 1 WHERE step = :k;
        INSERT INTO log WITH RECURSIVE r(n, s) AS (SELECT 0, s FROM log WHERE step = :k UNION ALL
            SELECT n + 1, r.s + q.y FROM r CROSS JOIN (SELECT MAX(y) AS y FROM d) q WHERE n < 3)
        SELECT :next_step, s FROM r WHERE n = 3"""
    run = ctx.train(script, steps=6, stream=True)
    for event in run:
        if getattr(event, "step", None) == 3:
            ctx.script("CREATE OR REPLACE TABLE d (y INTEGER); INSERT INTO d VALUES (5)")
    assert ctx.sql("SELECT s FROM log ORDER BY step").to_pydict()["s"] == [1.0, 8.0, 15.0, 22.0, 38.0, 54.0, 69.0]
