"""Tables that a step makes anew are drafts, which are written out when somebody reads them."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.train.events import Stepped

DATA = pa.table({"i": np.arange(20), "x": np.linspace(-1, 1, 20)})
STEP = "INSERT INTO p SELECT :next_step, cur.a + AVG(t.v) FROM t CROSS JOIN p cur WHERE cur.step = :k GROUP BY cur.a"
MADE = {
    "rows": "SELECT d.i AS i, d.x * cur.a AS v FROM d CROSS JOIN p cur WHERE cur.step = :k",
    "one row": "SELECT SUM(d.x * cur.a) AS v FROM d CROSS JOIN p cur WHERE cur.step = :k",
    "a text": "SELECT d.i AS i, 'a' AS name, d.x * cur.a AS v FROM d CROSS JOIN p cur WHERE cur.step = :k",
    "NULL later": "SELECT d.i AS i, CASE WHEN d.x < 1.5 - cur.a THEN d.x * cur.a ELSE NULL END AS v FROM d "
    "CROSS JOIN p cur WHERE cur.step = :k",
    "fewer rows later": "SELECT d.i AS i, d.x * cur.a AS v FROM d CROSS JOIN p cur "
    "WHERE cur.step = :k AND d.i < 15 - :k",
    "infinite at once": "SELECT d.i AS i, d.x * 1e308 * 10 * cur.a AS v FROM d CROSS JOIN p cur WHERE cur.step = :k",
}


def context():
    ctx = Context(namespace=lambda: {"d": DATA})
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
    return ctx


def end_of(ctx, cell, **options):
    run = ctx.train(cell, steps=12, **options)
    return run.status, run.steps, {n: ctx.scratch(n).to_arrow() for n in ("p", "t") if n in ctx.store.entries()}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("each_step", [True, False])
def test_the_rows_are_those_of_the_statement_as_it_stands(name, each_step):
    cell = f"CREATE OR REPLACE TABLE t AS {MADE[name]};\n{STEP}"
    status, steps, expected = end_of(context(), cell, verbatim=True)
    mine, made, found = end_of(context(), cell, each_step=each_step)
    assert (mine, made, found.keys()) == (status, steps, expected.keys())
    for table, rows in expected.items():
        assert found[table].schema == rows.schema
        key = found[table].column_names[0]
        ours, theirs = (t.sort_by(key).to_pylist() for t in (found[table], rows))
        assert [list(r.values()) for r in ours] == [pytest.approx(list(r.values()), nan_ok=True) for r in theirs]


@pytest.mark.parametrize("each_step", [True, False])
def test_nobody_writes_the_rows_out_before_somebody_reads_them(each_step):
    ctx, written = context(), []

    def look(event):
        if isinstance(event, Stepped) and event.step > 1:
            written.append(not ctx.store.table("t").chunks[-1].drafts)

    ctx.train(f"CREATE OR REPLACE TABLE t AS {MADE['rows']};\n{STEP}", steps=30, on_event=look, each_step=each_step)
    assert written
    assert not any(written)
    assert ctx.query("SELECT COUNT(*) AS n FROM t")["n"][0].as_py() == 20


def test_every_version_of_the_table_has_its_own_rows():
    ctx = context()
    ctx.train(f"CREATE OR REPLACE TABLE t AS {MADE['rows']};\n{STEP}", steps=10, each_step=True)
    a = ctx.scratch("p").to_arrow()["a"].to_numpy()
    for version in range(10):
        np.testing.assert_allclose(ctx.scratch("t").at(version)["v"].to_numpy(), a[version] * DATA["x"].to_numpy())


def test_a_table_that_others_have_made_another_is_made_again_in_its_shape():
    ctx, seen = context(), []

    def change(event):
        if isinstance(event, Stepped) and event.step == 5:
            ctx.script("CREATE OR REPLACE TABLE t (other TEXT PRIMARY KEY)")
        elif isinstance(event, Stepped):
            seen.append(ctx.scratch("t").schema.names)

    ctx.train(f"CREATE OR REPLACE TABLE t AS {MADE['rows']};\n{STEP}", steps=9, on_event=change)
    assert seen == [["i", "v"]] * 8
