"""Gradients of whole queries in the statements that they are used in: SELECT, INSERT, views, training, EXPLAIN."""

import re

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr.autodiff.rewrite import differentiate, rewrite
from sqlmagic_xr.context import Context
from sqlmagic_xr.errors import DerivativeError
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from sqlmagic_xr.train.steps.arrays import ArrayExecutor
from sqlmagic_xr.train.steps.plan import PlannedStep
from tests.dealt import dealing

LINE = """
    CREATE VIEW residuals AS
        SELECT a.step, y - (a.val * x + b.val) AS r
        FROM d JOIN line a ON a.name = 'slope' JOIN line b ON b.step = a.step AND b.name = 'offset'
"""
STEP = """
    INSERT INTO line
    WITH loss AS (SELECT AVG(r * r) AS loss FROM residuals WHERE step = :k)
    SELECT :next_step, name, val - :lr * grad(loss.loss, val) FROM line CROSS JOIN loss WHERE step = :k
"""


@pytest.fixture
def line():
    """A line to be fitted: line(step, name, val), d(x, y), and the view residuals."""
    rng = np.random.default_rng(2)
    x = rng.random(30)
    context = Context(namespace=dict)
    context.from_arrow(pa.table({"x": x, "y": 2 * x - 1 + 0.01 * rng.normal(size=30)}), "d")
    context.script(
        "CREATE TABLE line (step BIGINT, name VARCHAR, val DOUBLE NOT NULL, PRIMARY KEY (step, name));"
        "INSERT INTO line VALUES (0, 'slope', 0.5), (0, 'offset', 0.25);" + LINE
    )
    return context


def by_hand(context, steps, rate):
    data = context.sql("SELECT x, y FROM d").to_pandas()
    slope, offset = 0.5, 0.25
    for _ in range(steps):
        r = data.y - (slope * data.x + offset)
        slope, offset = slope + 2 * rate * (r * data.x).mean(), offset + 2 * rate * r.mean()
    return offset, slope


def values(context, step):
    rows = context.sql(f"SELECT val FROM line WHERE step = {step} ORDER BY name").to_arrow_table()
    return rows.column(0).to_pylist()


def test_a_step_of_training_is_one_statement(line):
    line.train(STEP, steps=5, params={"lr": 0.3})
    np.testing.assert_allclose(values(line, 5), by_hand(line, 5, 0.3), rtol=1e-12)


def test_a_script_runs_it_and_binds_its_parameters(line):
    line.script(STEP, {"k": 0, "next_step": 1, "lr": 0.3})
    np.testing.assert_allclose(values(line, 1), by_hand(line, 1, 0.3), rtol=1e-12)


def test_what_is_written_is_ordinary_sql_that_runs_alone(line):
    statement = parse_one(STEP.replace("INSERT INTO line", "").replace(":next_step", "1").replace(":k", "0").replace(
        ":lr", "0.3"))  # fmt: skip
    text = to_sql(rewrite(statement.tree, line.tables))
    assert "grad" not in text
    found = sorted(line.query(text).column(2).to_pylist())
    np.testing.assert_allclose(found, by_hand(line, 1, 0.3), rtol=1e-12)


def test_explain_explains_it(line):
    text = STEP.replace("INSERT INTO line", "").replace(":next_step", "1").replace(":k", "0").replace(":lr", "0.3")
    assert "HashJoin" in line.script(f"EXPLAIN {text}")[0].plan or line.script(f"EXPLAIN {text}")[0].plan


def test_it_stands_in_a_branch_of_a_union_and_in_a_subquery(line):
    one = """WITH loss AS (SELECT AVG(r * r) AS l FROM residuals WHERE step = 0)
             SELECT name, g FROM (SELECT name, grad(loss.l, val) AS g FROM line CROSS JOIN loss WHERE step = 0) q"""
    two = """WITH loss AS (SELECT AVG(r * r) AS l FROM residuals WHERE step = 0)
             SELECT name, grad(loss.l, val) AS g FROM line CROSS JOIN loss WHERE name = 'slope'
             UNION ALL SELECT name, grad(loss.l, val) FROM line CROSS JOIN loss WHERE name <> 'slope'"""
    rows = [sorted(line.query(to_sql(rewrite(parse_one(q).tree, line.tables))).to_pydict()["g"]) for q in (one, two)]
    expected = sorted((v - w) / -0.3 for v, w in zip(by_hand(line, 1, 0.3), (0.25, 0.5), strict=True))
    for found in rows:
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_loss_by_group_has_a_derivative_for_each(line):
    line.script("INSERT INTO line VALUES (1, 'slope', 0.1), (1, 'offset', 0.0)")
    query = """WITH loss AS (SELECT step, SUM(r * r) AS l FROM residuals GROUP BY step)
               SELECT p.step, p.name, grad(loss.l, p.val) AS g FROM line p JOIN loss ON loss.step = p.step
               ORDER BY p.step, p.name"""
    found = line.sql(query).to_arrow_table().column("g").to_pylist()
    data = line.sql("SELECT x, y FROM d").to_pandas()
    expected = []
    for slope, offset in ((0.5, 0.25), (0.1, 0.0)):
        r = data.y - (slope * data.x + offset)
        expected += [-2 * r.sum(), -2 * (r * data.x).sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_every_row_of_a_loss_may_be_derived_by_every_cell(line):
    query = """WITH fit AS (SELECT k, a.val * k + b.val AS y FROM (VALUES (1.0), (3.0)) v(k), line a, line b
                            WHERE a.name = 'slope' AND b.name = 'offset' AND a.step = 0 AND b.step = 0),
                    total AS (SELECT k, SUM(y) AS y FROM fit GROUP BY k)
               SELECT t.k, p.name, grad(t.y, p.val) AS g FROM line p CROSS JOIN total t ORDER BY t.k, p.name"""
    assert line.sql(query).to_arrow_table().column("g").to_pylist() == [1.0, 1.0, 1.0, 3.0]


def test_an_expression_of_losses_has_its_derivative(line):
    query = """WITH loss AS (SELECT AVG(r * r) AS m, SUM(abs(r)) AS s FROM residuals WHERE step = 0)
               SELECT name, grad(sqrt(m) + 2 * s, val) AS g, grad(m, val) AS gm, grad(s, val) AS gs, m
               FROM line CROSS JOIN loss ORDER BY name"""
    rows = line.sql(query).to_pandas()
    np.testing.assert_allclose(rows.g, rows.gm / (2 * np.sqrt(rows.m)) + 2 * rows.gs, rtol=1e-12)


def test_a_column_in_both_ways_is_refused_and_says_how_to_write_each(line):
    query = """WITH loss AS (SELECT AVG(r * r) AS l FROM residuals WHERE step = 0)
               SELECT grad(loss.l * val, val) FROM line CROSS JOIN loss"""
    with pytest.raises(DerivativeError) as caught:
        line.sql(query)
    assert "CTE" in caught.value.hint
    assert "subquery" in caught.value.hint


@pytest.mark.parametrize(("loss", "reason"), [
    ("SELECT DISTINCT SUM(val) AS l FROM line", "DISTINCT"),
    ("SELECT COUNT(*) * SUM(n) AS l FROM (SELECT val, COUNT(*) * SUM(step * val) AS n FROM line GROUP BY val) q",
     "GROUP BY"),
    ("SELECT MEDIAN(val) AS l FROM line", "median"),
    ("SELECT SUM(val * random()) AS l FROM line", "random"),
    ("SELECT SUM(r) AS l FROM (SELECT RANK() OVER (ORDER BY val) * val AS r FROM line) q", "rank"),
    ("SELECT SUM(val) AS l FROM (SELECT val FROM line UNION SELECT val FROM line) q", "UNION"),
])  # fmt: skip
def test_what_has_no_derivative_is_refused_with_the_reason(loss, reason, line):
    with pytest.raises(DerivativeError, match=reason):
        line.sql(f"WITH loss AS ({loss}) SELECT grad(loss.l, val) FROM line CROSS JOIN loss")


def network():
    """A network of one hidden layer over xarray data: views, a softmax by a window, weights in one table."""
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(40, 6)), rng.integers(0, 3, 40)
    ns = {
        "points": xr.Dataset({"v": (("p", "f"), x)}, coords={"p": np.arange(40), "f": np.arange(6)}),
        "labels": xr.Dataset({"label": ("p", label)}, coords={"p": np.arange(40)}),
    }
    context = Context(namespace=lambda: ns)
    start = {1: rng.normal(0, 0.3, (6, 4)), 2: rng.normal(0, 0.3, (4, 3))}
    rows = ", ".join(f"(0, {layer}, {i}, {o}, {float(w)!r})" for layer, ws in start.items()
                     for (i, o), w in np.ndenumerate(ws))  # fmt: skip
    context.script(f"""
        CREATE TABLE weights (step BIGINT, layer BIGINT, inp BIGINT, out BIGINT, val DOUBLE NOT NULL,
                              PRIMARY KEY (step, layer, inp, out));
        INSERT INTO weights VALUES {rows};
        CREATE VIEW hidden AS SELECT step, p, out AS unit, SUM(v * val) AS z
            FROM points JOIN weights ON layer = 1 AND inp = f GROUP BY step, p, out;
        CREATE VIEW scores AS SELECT w.step, p, out AS digit, SUM(tanh(z) * val) AS z
            FROM hidden h JOIN weights w ON w.step = h.step AND layer = 2 AND inp = unit GROUP BY w.step, p, out;
        CREATE VIEW softmax AS SELECT step, p, digit, z, SUM(exp(z)) OVER (PARTITION BY step, p) AS total FROM scores;
        CREATE VIEW answers AS SELECT step, s.p, ln(total) - z AS loss
            FROM softmax s JOIN labels l ON l.p = s.p AND label = digit""")
    return context, x, label, start


NETWORK_STEP = """
    INSERT INTO weights
    WITH loss AS (SELECT AVG(loss) AS loss FROM answers WHERE step = :k AND p % 4 > 0 AND p % 3 = :k % 3)
    SELECT :next_step, layer, inp, out, val - :lr * grad(loss.loss, val) FROM weights CROSS JOIN loss WHERE step = :k
"""


@pytest.mark.parametrize("arrays", [True, False])
def test_a_network_learns_as_in_numpy_by_either_executor(arrays):
    context, x, label, start = network()
    executors = [ArrayExecutor(context, insist=True)] if arrays else []
    varying = {"k", "step", "next_step"}
    step = PlannedStep([context.prepare(parse_one(NETWORK_STEP))], writes={"weights"}, varying=varying,
                       executors=executors)  # fmt: skip
    one, two = start[1], start[2]
    number = np.arange(40)
    for k in range(4):
        with context.transaction():
            step.run({"k": k, "step": k, "next_step": k + 1, "lr": 0.7})
        batch = (number % 4 > 0) & (number % 3 == k % 3)
        unit = np.tanh(x[batch] @ one)
        odds = np.exp(unit @ two)
        error = (odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[label[batch]]) / batch.sum()
        back = error @ two.T * (1 - unit**2)
        one, two = one - 0.7 * x[batch].T @ back, two - 0.7 * unit.T @ error
    assert (step.explain()[0].executor == "dense") is arrays
    rows = context.sql("SELECT val FROM weights WHERE step = 4 ORDER BY layer, inp, out").to_arrow_table()
    np.testing.assert_allclose(rows.column(0).to_numpy(), np.concatenate([one.ravel(), two.ravel()]), rtol=1e-9)


@pytest.fixture
def keyless():
    """A context with t(g, v), which has no key and rows that are equal."""
    context = Context(namespace=dict)
    context.from_arrow(pa.table({"g": [1, 1, 2, 2, None], "v": [1.0, 1.0, 2.0, None, 3.0]}), "t")
    return context


def test_rows_without_a_key_are_told_apart_by_their_number(keyless):
    query = (
        "WITH loss AS (SELECT SUM(v * v) AS l FROM t WHERE g < 2) SELECT v, grad(loss.l, v) AS d FROM t CROSS JOIN loss"
    )
    rows = keyless.sql(query).to_arrow_table().to_pydict()
    assert sorted(zip(rows["v"], rows["d"], strict=True), key=str) == [
        (1.0, 2.0), (1.0, 2.0), (2.0, 0.0), (3.0, 0.0), (None, None)]  # fmt: skip


def test_a_star_shows_what_it_shows_without_a_derivative(keyless):
    query = "WITH loss AS (SELECT SUM(v * v) AS l FROM t) SELECT *, grad(loss.l, t.v) AS d FROM t CROSS JOIN loss"
    assert keyless.sql(query).to_arrow_table().column_names == ["g", "v", "l", "d"]


def test_a_loss_of_one_column_may_be_named_alone(line):
    query = """WITH loss AS (SELECT AVG(r * r) AS l FROM residuals WHERE step = 0)
               SELECT name, grad(loss, val) AS short, grad(loss.l, val) AS long FROM line CROSS JOIN loss"""
    rows = line.sql(query).to_arrow_table()
    assert rows.column("short") == rows.column("long")


def test_a_loss_named_as_a_column_is_refused_and_says_what_to_write(line):
    line.script("CREATE TABLE named (k BIGINT PRIMARY KEY, loss DOUBLE, val DOUBLE)")
    query = "WITH loss AS (SELECT SUM(val) AS l FROM named) SELECT grad(loss, val) FROM named CROSS JOIN loss"
    with pytest.raises(DerivativeError, match="a column here, and a relation too") as caught:
        line.sql(query)
    assert "loss.l" in caught.value.hint


def test_vjp_of_a_whole_query_is_the_gradient_times_its_cotangent(line):
    query = """WITH loss AS (SELECT AVG(r * r) AS l FROM residuals WHERE step = 0)
               SELECT vjp(loss.l, val, 3.0 * step + 2.0) AS v, grad(loss.l, val) * 2.0 AS g FROM line CROSS JOIN loss"""
    rows = line.sql(query).to_pandas()
    np.testing.assert_allclose(rows.v, rows.g, rtol=1e-14)


def test_the_cells_of_an_xarray_table_have_their_sensitivity():
    air = xr.Dataset({"t": (("y", "x"), np.arange(6.0).reshape(2, 3))}, coords={"y": [10, 20], "x": [1, 2, 3]})
    context = Context(namespace=lambda: {"air": air})
    query = """WITH mean AS (SELECT AVG(t) AS m FROM (SELECT y, MAX(t) AS t FROM air GROUP BY y) q)
               SELECT y, x, grad(mean.m, t) AS d FROM air CROSS JOIN mean ORDER BY y, x"""
    assert context.sql(query).to_arrow_table().column("d").to_pylist() == [0, 0, 0.5, 0, 0, 0.5]


def test_a_cte_may_be_what_is_derived_by():
    context = Context(namespace=dict)
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 2.0), (1, 3.0)")
    query = """WITH now AS (SELECT * FROM p WHERE step = 1), loss AS (SELECT SUM(a * a * a) AS l FROM now)
               SELECT a, grad(loss.l, a) AS d FROM now CROSS JOIN loss"""
    assert context.sql(query).to_arrow_table().to_pydict() == {"a": [3.0], "d": [27.0]}


def test_a_column_that_a_derived_table_hands_on_is_the_cell_of_the_table():
    context = Context(namespace=dict)
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 2.0), (1, 3.0)")
    loss = "WITH loss AS (SELECT SUM(a * a * a) AS l FROM p)"
    for source in (
        "(SELECT step AS s, a AS cell FROM p WHERE step = 1) q",
        "(SELECT * FROM (SELECT * FROM p) r) q(s, cell)",
    ):
        query = f"{loss} SELECT q.s, grad(loss.l, q.cell) AS d FROM {source} CROSS JOIN loss WHERE q.s = 1"
        assert context.sql(query).to_arrow_table().to_pydict() == {"s": [1], "d": [27.0]}
    with pytest.raises(DerivativeError, match="does not show what names a row of p"):
        context.sql(f"{loss} SELECT grad(loss.l, q.a) FROM (SELECT a FROM p) q CROSS JOIN loss")
    with pytest.raises(DerivativeError, match="not all of whose rows"):
        context.sql(f"{loss} SELECT jvp(loss.l, q.a, 1.0) FROM (SELECT step, a FROM p) q CROSS JOIN loss")


def test_differentiate_takes_a_query_or_a_statement_to_text_that_runs_alone(line):
    query = "SELECT AVG(r * r) FROM residuals WHERE step = 0"
    text = differentiate(query, "line.val", tables=line)
    assert "grad" not in text
    found = line.query(text).to_pylist()
    statement = (
        f"WITH loss AS ({query.replace('AVG(r * r)', 'AVG(r * r) AS l')}) SELECT step, name, grad(l, val) AS d_val "
        "FROM line CROSS JOIN loss"
    )
    assert line.query(differentiate(statement, tables=line)).to_pylist() == found
    expected = [(w - v) / 0.3 for v, w in zip(by_hand(line, 1, 0.3), (0.25, 0.5), strict=True)]
    np.testing.assert_allclose(
        [row["d_val"] for row in sorted(found, key=lambda row: row["name"])], expected, rtol=1e-9
    )
    with pytest.raises(DerivativeError, match="no column of a table"):
        differentiate(query, "val", tables=line)
    with pytest.raises(DerivativeError, match="2 columns"):
        differentiate("SELECT SUM(val), 1 FROM line", "line.val", tables=line)


@pytest.mark.parametrize("batch", ["x >= :low AND x < :high", "x < :high AND x >= :low"])
def test_conditions_keep_the_order_in_which_the_loss_beside_a_derivative_has_them(batch, line):
    line.script("CREATE VIEW sums AS SELECT step, x, SUM(val * x) AS s FROM d CROSS JOIN line GROUP BY step, x")
    query = f"""WITH loss AS (SELECT AVG(s * s) AS l FROM sums WHERE step = :k AND {batch})
                SELECT l, grad(loss.l, val) AS d FROM line CROSS JOIN loss"""
    said = re.findall(r":low|:high", differentiate(query, tables=line))
    assert len(said) > 4  # in the loss, and where the sums are made for its derivative
    assert said == re.findall(r":low|:high", batch) * (len(said) // 2)


def test_a_loss_without_a_value_has_the_derivative_zero(line):
    query = """WITH loss AS (SELECT AVG(r * r) AS l FROM residuals WHERE step = 99)
               SELECT l, grad(loss.l, val) AS d FROM line CROSS JOIN loss"""
    assert line.sql(query).to_arrow_table().to_pydict() == {"l": [None, None], "d": [0.0, 0.0]}


SUMS = {
    "of the cells": ("SELECT w.i % 5 AS k, SUM(w.a * d.x) AS s FROM w JOIN d ON d.i = w.i GROUP BY w.i % 5",
                     "SELECT MAX(s) AS l FROM sums", 8),
    "of data alone": ("SELECT i, SUM(x) AS s FROM d GROUP BY i",
                      "SELECT MAX(s + w.a) AS l FROM sums JOIN w ON w.i = sums.i", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SUMS))
def test_a_maximum_of_sums_is_attained_however_its_gradient_is_asked_for(name):
    """In a view, a subquery or as text what several relations read is evaluated several times, in any order of rows."""
    context, rng = dealing(Context(namespace=dict), dealt=True), np.random.default_rng(0)
    context.from_arrow(pa.table({"i": rng.integers(0, 40, 3000), "x": rng.normal(size=3000)}), "d")
    context.script("CREATE TABLE w (i BIGINT PRIMARY KEY, a DOUBLE)")
    context.script(f"INSERT INTO w VALUES {', '.join(f'({k}, {v})' for k, v in enumerate(rng.normal(size=40)))}")
    sums, loss, attaining = SUMS[name]
    gradient = f"WITH sums AS ({sums}), loss AS ({loss}) SELECT w.i, grad(loss.l, w.a) AS g FROM w CROSS JOIN loss"
    expected = [row["g"] for row in context.sql(f"{gradient} ORDER BY i").to_arrow_table().to_pylist()]
    assert sum(map(bool, expected)) == attaining
    context.script(f"CREATE VIEW v AS {gradient}")
    for query in ("SELECT i, g FROM v", differentiate(gradient, tables=context), f"SELECT i, g FROM ({gradient}) q"):
        for _ in range(4):
            rows = context.sql(f"WITH q AS ({query}) SELECT g FROM q ORDER BY i").to_arrow_table()
            np.testing.assert_allclose(rows.column(0).to_numpy(), expected, rtol=1e-9)
