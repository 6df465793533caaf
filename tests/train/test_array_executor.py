"""Training steps run as array code leave the tables that they leave when they run as they stand."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.errors import UnsupportedError
from sqlmagic_xr.grids import generations
from sqlmagic_xr.train.events import Stepped
from sqlmagic_xr.train.start import train

LINE = """
INSERT INTO params
SELECT :next_step, cur.a - :lr * AVG(grad(power(d.y - (cur.a * d.x + cur.b), 2), cur.a)),
                   cur.b - :lr * AVG(grad(power(d.y - (cur.a * d.x + cur.b), 2), cur.b))
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur GROUP BY cur.a, cur.b
"""
NETWORK = """
CREATE OR REPLACE TABLE hidden AS
SELECT x.s AS s, w.o AS o, tanh(SUM(x.v * w.val)) AS v
FROM x JOIN w ON x.i = w.i WHERE w.step = :k AND w.layer = 0 GROUP BY x.s, w.o;
CREATE OR REPLACE TABLE off AS
SELECT h.s AS s, SUM(h.v * w.val) - y.v AS v
FROM hidden h JOIN w ON h.o = w.i JOIN y ON y.s = h.s WHERE w.step = :k AND w.layer = 1 AND w.o = 0 GROUP BY h.s, y.v;
INSERT INTO w
SELECT :next_step, 1, w.i, w.o, w.val - :lr * g.v FROM w
JOIN (SELECT h.o, AVG(h.v * off.v) AS v FROM hidden h JOIN off USING (s) GROUP BY h.o) g ON g.o = w.i
WHERE w.step = :k AND w.layer = 1
UNION ALL
SELECT :next_step, 0, w.i, w.o, w.val - :lr * g.v FROM w
JOIN (SELECT x.i, h.o, AVG(x.v * off.v * u.val * (1 - h.v * h.v)) AS v
      FROM x JOIN hidden h ON x.s = h.s JOIN off ON off.s = h.s JOIN w u ON u.i = h.o
      WHERE u.step = :k AND u.layer = 1 GROUP BY x.i, h.o) g ON g.i = w.i AND g.o = w.o
WHERE w.step = :k AND w.layer = 0
"""
MEANS = """
INSERT INTO centre
WITH distance AS (
  SELECT p.s, c.c, SUM(power(p.v - c.v, 2)) AS d FROM x p JOIN centre c ON p.i = c.i WHERE c.step = :k GROUP BY p.s, c.c
), nearest AS (
  SELECT s, c FROM (SELECT s, c, ROW_NUMBER() OVER (PARTITION BY s ORDER BY d, c) AS r FROM distance) q WHERE r = 1
)
SELECT :next_step, n.c, p.i, AVG(p.v) FROM x p JOIN nearest n ON p.s = n.s GROUP BY n.c, p.i
"""
TASKS = {"line": (LINE, "params"), "network": (NETWORK, "w"), "means": (MEANS, "centre")}


def context():
    rng = np.random.default_rng(4)
    ctx = Context()
    x = rng.normal(size=50)
    ctx.from_arrow(pa.table({"x": x, "y": 2 * x - 1 + rng.normal(size=50) / 9}), name="d")
    s, i = (g.ravel() for g in np.meshgrid(np.arange(40), np.arange(5), indexing="ij"))
    v = rng.normal(size=200) + 3 * (s % 3)
    ctx.from_arrow(pa.table({"s": s, "i": i, "v": v}), name="x")
    ctx.from_arrow(pa.table({"s": np.arange(40), "v": rng.normal(size=40)}), name="y")
    ctx.script("""
        CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE);
        INSERT INTO params VALUES (0, 0.0, 0.0);
        CREATE TABLE w (step BIGINT, layer BIGINT, i BIGINT, o BIGINT, val DOUBLE, PRIMARY KEY (step, layer, i, o));
        CREATE TABLE centre (step BIGINT, c BIGINT, i BIGINT, v DOUBLE, PRIMARY KEY (step, c, i));
        INSERT INTO centre SELECT 0, s, i, v FROM x WHERE s < 3;
    """)
    for layer, n, m in ((0, 5, 4), (1, 4, 1)):
        rows = [(0, layer, a, b, float(rng.normal())) for a in range(n) for b in range(m)]
        ctx.script("INSERT INTO w VALUES " + ", ".join(map(str, rows)))
    return ctx


def trajectory(ctx, table):
    keys = [n for n in ctx.scratch(table).to_arrow().column_names if n not in ("a", "b", "v", "val")]
    return ctx.scratch(table).to_arrow().sort_by([(n, "ascending") for n in keys]).to_pandas()


@pytest.mark.parametrize("task", TASKS)
def test_the_tables_are_those_of_the_statements_as_they_stand(task):
    text, table = TASKS[task]
    tables = []
    for options in ({"verbatim": True}, {"executor": "dense"}):
        ctx = context()
        train(ctx, text, steps=6, params={"lr": 0.1}, **options)
        tables.append(trajectory(ctx, table))
    assert tables[0].dtypes.tolist() == tables[1].dtypes.tolist()
    np.testing.assert_allclose(tables[1].to_numpy(float), tables[0].to_numpy(float), rtol=1e-10, atol=1e-12)


def test_state_is_taken_from_what_the_last_step_wrote(monkeypatch):
    """After the first step no generation is read back from the table."""
    read = generations.Generations.rows
    reads = []

    def rows(self, name, fixed):
        reads.append(name)
        return read(self, name, fixed)

    monkeypatch.setattr(generations.Generations, "rows", rows)
    train(context(), NETWORK, steps=1, params={"lr": 0.1}, executor="dense")
    once, reads[:] = len(reads), []
    train(context(), NETWORK, steps=6, params={"lr": 0.1}, executor="dense")
    assert len(reads) == once > 0


def test_dense_refuses_with_the_reason_and_the_place():
    ctx = context()
    text = "INSERT INTO params SELECT :next_step, median(x), 0.0 FROM d"
    with pytest.raises(UnsupportedError, match="no array code for median") as caught:
        train(ctx, text, steps=2, executor="dense")
    assert caught.value.span is not None
    assert ctx.scratch("params").to_arrow().num_rows == 1
    train(ctx, text, steps=2)
    assert ctx.scratch("params").to_arrow().num_rows == 3


def test_explain_tells_who_runs_each_statement_and_why():
    ctx = context()
    text = f"{LINE}; INSERT INTO centre SELECT :next_step, 0, 0, median(v) FROM x"
    told = train(ctx, text, steps=2, params={"lr": 0.1}, stream=True).explain()
    assert [e.executor for e in told] == ["dense", "relational"]
    assert "median" in str(told[1])


def test_explain_tells_what_array_code_keeps_reads_and_does():
    ctx = context()
    (line,) = train(ctx, LINE, steps=2, params={"lr": 0.1}, stream=True).explain()
    kept, *others = str(line).splitlines()[2:]
    assert kept.startswith("  kept: d (")
    assert others[:2] == ["  state: params where step = :k", "  each step: array code: 3 functions of cells, 2 sums"]
    hidden, _, insert = train(ctx, NETWORK, steps=2, params={"lr": 0.1}, stream=True).explain()
    assert "state: w where step = :k AND layer = 0" in str(hidden)
    assert "each step: array code: 1 matrix product, 1 function of cells" in str(hidden)
    assert "matrix products" in str(insert)


def test_a_statement_that_stops_being_array_code_goes_on_relationally():
    """Division by zero is an error of DataFusion's, infinities are its sums: arrays decline both."""
    ctx = context()
    text = "INSERT INTO params SELECT :next_step, SUM(x * power(10.0, 100 * :k)) , 0.0 FROM d"
    train(ctx, text, steps=5)
    other = context()
    train(other, text, steps=5, verbatim=True)
    left, right = (c.scratch("params").to_arrow().to_pandas().to_numpy(float) for c in (ctx, other))
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_a_state_of_several_layers_is_read_from_what_was_calculated():
    """Nobody reads the tables, so that no generation is ever written out."""
    ctx = context()
    for cell, table in TASKS.values():
        for event in train(ctx, cell, steps=8, params={"lr": 0.01}, executor="dense", stream=True, every=99):
            if isinstance(event, Stepped) and event.step == 8:  # the end shows the newest generation, and so reads it
                assert len(ctx.store.table(table).chunks[-1].drafts) >= 8, table
        other = context()
        train(other, cell, steps=8, params={"lr": 0.01}, verbatim=True)
        mine, theirs = trajectory(ctx, table), trajectory(other, table)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12, err_msg=table)


def test_a_table_changed_from_outside_between_runs_is_read_anew():
    ctx = context()
    train(ctx, LINE, steps=3, params={"lr": 0.1}, executor="dense")
    ctx.script("DELETE FROM params WHERE step = 3; INSERT INTO params VALUES (3, 7.0, 7.0)")
    train(ctx, LINE, steps=1, params={"lr": 0.0}, executor="dense")
    assert ctx.scratch("params").to_arrow().to_pylist()[-1] == {"step": 4, "a": 7.0, "b": 7.0}
