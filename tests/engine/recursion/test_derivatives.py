"""grad, jvp and vjp in the term of a recursion, whose working table is read as a table is: its columns are given."""

import numpy as np
import pytest

import sqlmagic_xr
from sqlmagic_xr.errors import DerivativeError

STEPS = 25
LOSS = "power(y - ({s}.a * x + {s}.b), 2)"
STEP = (
    "SELECT {s}.step + 1, {s}.a - 0.05 * AVG(grad({loss}, {s}.a)), {s}.b - 0.05 * AVG(grad({loss}, {s}.b))"
    " FROM d CROSS JOIN {s} WHERE {where} GROUP BY {s}.step, {s}.a, {s}.b"
)


@pytest.fixture(scope="module")
def ctx():
    rng = np.random.default_rng(3)
    context = sqlmagic_xr.Context()
    values = ", ".join(f"({x}, {1.5 * x - 0.5 + e})" for x, e in rng.normal(size=(60, 2)))
    context.script(f"CREATE TABLE d (x DOUBLE, y DOUBLE); INSERT INTO d VALUES {values}")
    return context


def descent(anchor, union="UNION ALL", loss=LOSS):
    step = STEP.format(s="run", loss=loss.format(s="run"), where=f"run.step < {STEPS}")
    return f"WITH RECURSIVE run(step, a, b) AS ({anchor} {union} {step}) SELECT step, a, b FROM run ORDER BY step"


@pytest.fixture(scope="module")
def trained(ctx):
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 0.0, 0.0)")
    ctx.train("INSERT INTO p " + STEP.format(s="p", loss=LOSS.format(s="p"), where="p.step = :k"), steps=STEPS)
    return ctx.sql("SELECT step, a, b FROM p ORDER BY step").to_pandas().to_numpy()


@pytest.mark.parametrize("union", ["UNION ALL", "UNION"])
@pytest.mark.parametrize(
    "anchor",
    [
        "SELECT 0, 0.0, 0.0",
        "SELECT 0, CAST(0.0 AS DOUBLE), CAST(0.0 AS DOUBLE)",
        "VALUES (0, 0.0, 0.0)",
        "SELECT step, a, b FROM p WHERE step = 0",
    ],
)
def test_the_trajectory_is_that_of_a_training_cell_row_by_row(ctx, trained, anchor, union):
    found = ctx.sql(descent(anchor, union)).to_pandas().to_numpy()
    np.testing.assert_allclose(found, trained, rtol=1e-13, atol=1e-15)


def test_a_whole_aggregate_and_directions(ctx, trained):
    sql = descent("SELECT 0, 0.0, 0.0")
    for call in ("grad(AVG({l}), {v})", "vjp(AVG({l}), {v}, 1.0)", "jvp(AVG({l}), {v}, 1.0)"):
        loss = LOSS.format(s="run")
        for variable in ("run.a", "run.b"):
            one = call.format(l=loss, v=variable)
            sql = sql.replace(f"AVG(grad({loss}, {variable}))", one)
        np.testing.assert_allclose(ctx.sql(sql).to_pandas().to_numpy(), trained, rtol=1e-13, atol=1e-15)


def test_state_as_rows_and_the_loss_read_from_the_working_table_twice(ctx, trained):
    sql = f"""WITH RECURSIVE w(step, i, val) AS (VALUES (0, 0, 0.0), (0, 1, 0.0) UNION ALL
        SELECT step + 1, w.i, w.val - 0.05 * CASE w.i WHEN 0 THEN g.a ELSE g.b END
        FROM w CROSS JOIN (SELECT AVG(grad({LOSS.format(s="s")}, s.a)) AS a, AVG(grad({LOSS.format(s="s")}, s.b)) AS b
            FROM d CROSS JOIN (SELECT p.val AS a, q.val AS b FROM w AS p JOIN w AS q ON p.i = 0 AND q.i = 1) AS s) AS g
        WHERE step < {STEPS})
    SELECT p.step, p.val AS a, q.val AS b FROM w AS p JOIN w AS q ON p.step = q.step AND p.i = 0 AND q.i = 1
    ORDER BY p.step"""
    found = ctx.sql(sql)
    np.testing.assert_allclose(found.to_pandas().to_numpy(), trained, rtol=1e-13, atol=1e-15)


WHOLE = """WITH loss AS (SELECT AVG(power(y - p, 2)) AS loss FROM
        (SELECT x, y, SUM(CASE w.i WHEN 0 THEN x ELSE 1.0 END * w.val) AS p FROM d CROSS JOIN w GROUP BY x, y) AS q)
    SELECT w.step + 1, w.i, w.val - 0.05 * grad(loss.loss, w.val) FROM w CROSS JOIN loss WHERE w.step < {n}"""


@pytest.mark.parametrize(
    "head", ["w(step, i, val) AS (VALUES (0, 0, 0.0), (0, 1, 0.0)", "w AS (SELECT 0 AS step, i, 0.0 AS val FROM two"]
)
def test_through_whole_queries_over_the_working_table(ctx, trained, head):
    sql = f"""WITH RECURSIVE two(i) AS (VALUES (0), (1)), {head} UNION ALL ({WHOLE.format(n=STEPS)}))
    SELECT p.step, p.val, q.val FROM w AS p JOIN w AS q ON p.step = q.step AND p.i = 0 AND q.i = 1 ORDER BY p.step"""
    np.testing.assert_allclose(ctx.sql(sql).to_pandas().to_numpy(), trained, rtol=1e-12, atol=1e-14)


def test_what_names_a_row_at_first_may_not_later():
    """Each row has a derivative of its own, though its key is that of another row after a round, and equal rows too."""
    context = sqlmagic_xr.Context()
    context.script("CREATE TABLE s (i BIGINT, v DOUBLE); INSERT INTO s VALUES (0, 1.0), (1, 5.0), (2, 4.0), (3, 4.0)")
    sql = """WITH RECURSIVE w AS (SELECT 0 AS step, i, MAX(v) AS val FROM s GROUP BY i UNION ALL (
            WITH loss AS (SELECT SUM(power(val - 3 * i, 2)) AS loss FROM w)
            SELECT step + 1, w.i / 2, val - 0.25 * grad(loss.loss, val) FROM w CROSS JOIN loss WHERE step < 3))
        SELECT step, i, val FROM w ORDER BY step, i, val"""
    i, val, expected = np.arange(4), np.array([1.0, 5.0, 4.0, 4.0]), []
    for step in range(4):
        expected += sorted((step, int(a), float(b)) for a, b in zip(i, val, strict=True))
        i, val = i // 2, val - 0.5 * (val - 3 * i)
    assert [tuple(row.values()) for row in context.sql(sql).to_arrow_table().to_pylist()] == expected


def test_newton_in_each_cell():
    context = sqlmagic_xr.Context()
    context.script("CREATE TABLE c (cell BIGINT, v DOUBLE); INSERT INTO c VALUES (0, 2.0), (1, 9.0), (2, 0.25)")
    sql = """WITH RECURSIVE n AS (SELECT 0 AS k, cell, v, v AS x FROM c UNION ALL
        SELECT k + 1, cell, v, x - (x * x - v) / grad(x * x - v, x) FROM n WHERE k < 8)
        SELECT x FROM n WHERE k = 8 ORDER BY cell"""
    np.testing.assert_allclose(context.sql(sql).to_pydict()["x"], np.sqrt([2.0, 9.0, 0.25]), rtol=1e-14)


def test_outside_of_the_term_a_state_that_is_computed_is_no_variable(ctx):
    sql = descent("SELECT 0, 0.0, 0.0").replace("SELECT step, a, b FROM run", "SELECT grad(b, a) FROM run")
    with pytest.raises(DerivativeError):
        ctx.sql(sql)
