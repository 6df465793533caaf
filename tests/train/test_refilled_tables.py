"""Scratch tables that a step empties and fills again are drafts, as tables that it makes anew."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.start import train
from tests.train.test_many_steps import commits, same

DATA = pa.table({"i": np.arange(20), "x": np.linspace(-1, 1, 20)})
ROWS = "SELECT d.i AS i, d.x * cur.a AS v FROM d CROSS JOIN p cur WHERE cur.step = :k"
STEP = (
    "INSERT INTO p SELECT :next_step, 0.5 * cur.a + 0.7 * AVG(t.v * t.v) FROM t CROSS JOIN p cur WHERE cur.step = :k "
    "GROUP BY cur.a"
)
FILL = f"INSERT INTO t (i, v) {ROWS}"
KINDS = {
    "plain": "i BIGINT, v DOUBLE",
    "a key": "i BIGINT PRIMARY KEY, v DOUBLE NOT NULL",
    "a default": "i BIGINT PRIMARY KEY, v DOUBLE, note TEXT DEFAULT 'none'",
    "a check": "i BIGINT PRIMARY KEY, v DOUBLE CHECK (v < 1000)",
    "a narrower type": "i BIGINT, v FLOAT",
}
CELLS = {
    "DELETE": f"DELETE FROM t; {FILL}; {STEP}",
    "TRUNCATE": f"TRUNCATE TABLE t; {FILL}; {STEP}",
    "rows that nothing tells apart": f"DELETE FROM u; INSERT INTO u SELECT 7, d.x * cur.a FROM d CROSS JOIN p cur "
    f"WHERE cur.step = :k; {STEP.replace('FROM t ', 'FROM u t ')}",
    "two tables": f"DELETE FROM t; DELETE FROM u; {FILL}; INSERT INTO u SELECT i, v * 2 FROM t; {STEP}",
    "the last step's rows": f"INSERT INTO u SELECT i, v FROM t; DELETE FROM t; {FILL}; DELETE FROM u; {STEP}",
    "read in between": f"{STEP}; DELETE FROM t; INSERT INTO u SELECT COUNT(*), 0.5 FROM t; {FILL}",
    "read by the INSERT": "DELETE FROM t; INSERT INTO t (i, v) SELECT i, x + (SELECT COUNT(*) FROM t) FROM d; " + STEP,
    "fewer rows later": f"DELETE FROM t; {FILL} AND d.i < 15 - :k % 4; {STEP}",
    "a part": f"{STEP}; DELETE FROM t WHERE i > 3; {FILL} AND d.i > 3",
}


def context(kind="plain"):
    ctx = Context(namespace=lambda: {"d": DATA})
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
    ctx.script(f"CREATE TABLE t ({KINDS[kind]}); CREATE TABLE u (i BIGINT, v DOUBLE)")
    ctx.script("INSERT INTO t (i, v) SELECT i, x FROM d")
    return ctx


def assert_near(ours, theirs, cell):
    for table in ("p", "t", "u"):
        mine, other = (c.scratch(table).to_arrow() for c in (ours, theirs))
        assert mine.schema == other.schema, cell
        order = [(name, "ascending") for name in mine.column_names[:2]]
        for name in mine.column_names:
            mine, other = mine.sort_by(order), other.sort_by(order)
            if mine[name].type == pa.string():
                assert mine[name].to_pylist() == other[name].to_pylist()
            else:
                np.testing.assert_allclose(mine[name].to_numpy(), other[name].to_numpy(), rtol=1e-12, err_msg=cell)


@pytest.mark.parametrize("cell", CELLS)
def test_the_rows_are_those_of_the_statements_as_they_stand(cell):
    ctx = same(context, CELLS[cell], steps=9)
    theirs = context()
    train(theirs, CELLS[cell], steps=9, verbatim=True, each_step=True)
    assert_near(ctx, theirs, cell)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_any_shape(kind):
    make = lambda: context(kind)  # noqa: E731
    ctx, theirs = same(make, CELLS["DELETE"], steps=9), make()
    train(theirs, CELLS["DELETE"], steps=9, verbatim=True, each_step=True)
    assert_near(ctx, theirs, kind)


@pytest.mark.parametrize("cell", ["DELETE", "TRUNCATE", "two tables", "rows that nothing tells apart"])
@pytest.mark.parametrize("kind", ["plain", "a key"])
def test_many_steps_are_one_call_and_nothing_is_written_out(cell, kind):
    ctx = context(kind)
    table = "u" if "INTO u" in CELLS[cell] else "t"
    ctx.train(CELLS[cell], steps=60)
    assert commits(ctx, "p") < 16
    assert ctx.store.table(table).chunks[-1].drafts
    assert ctx.query(f"SELECT COUNT(*) AS n FROM {table}")["n"][0].as_py() == 20
    (first, *_) = told = ctx.train(CELLS[cell], steps=2, stream=True).explain()
    assert "is emptied (and filled again by a later statement)" in str(first)
    assert "many steps" in str(told[-1])


def test_a_key_that_comes_twice_is_an_error_at_its_step():
    make = lambda: context("a key")  # noqa: E731
    fill = "SELECT CASE WHEN :k = 7 THEN 3 ELSE d.i END, d.x * cur.a FROM d CROSS JOIN p cur WHERE cur.step = :k"
    cell = f"DELETE FROM t; INSERT INTO t {fill}; {STEP}"
    ctx = same(make, cell, steps=20)
    assert len(ctx.scratch("p")) == 8
    with pytest.raises(SqlError, match="i = 3 comes twice"):
        ctx.train(cell, steps=1)


PARTS = (
    "DELETE FROM w; INSERT INTO w SELECT {one}, d.i, d.x * cur.a FROM d CROSS JOIN p cur WHERE cur.step = :k UNION ALL "
    "SELECT {other}, d.i, d.x - cur.a FROM d CROSS JOIN p cur WHERE cur.step = :k AND d.i > 4; INSERT INTO p SELECT "
    ":next_step, 0.5 * cur.a + 0.7 * t.v + 0.1 * s.v FROM (SELECT AVG(v * v) AS v FROM w WHERE part = 0) t CROSS JOIN "
    "(SELECT AVG(v) AS v FROM w WHERE part = 1) s CROSS JOIN p cur WHERE cur.step = :k"
)


def of_parts():
    ctx = context()
    ctx.script("CREATE TABLE w (part BIGINT, i BIGINT, v DOUBLE CHECK (v < 9), PRIMARY KEY (part, i))")
    return ctx


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_union_all_fills_a_table_in_many_steps(device, monkeypatch):
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    cell, ctx, theirs = PARTS.format(one=0, other=1), of_parts(), of_parts()
    train(theirs, cell, steps=20, verbatim=True, each_step=True)
    ctx.train(cell, steps=20, device=device)
    assert_near(ctx, theirs, cell)
    assert len(ctx.scratch("w")) == 35
    assert commits(ctx, "p") < 10


def test_parts_of_a_union_all_with_one_key_are_an_error():
    cell = PARTS.format(one=0, other="CASE WHEN :k = 5 THEN 0 ELSE 1 END")
    ctx = same(of_parts, cell, steps=9)
    assert len(ctx.scratch("p")) == 6


def test_many_steps_are_one_call_where_there_is_a_check_too(monkeypatch):
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    ctx = context("a check")
    ctx.train(CELLS["DELETE"], steps=30)
    assert commits(ctx, "p") < 10
    assert "many steps" in str(ctx.train(CELLS["DELETE"], steps=2, stream=True).explain()[-1])


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_check_that_fails_is_an_error_at_its_step(device, monkeypatch):
    """The rows of all steps of a call are checked, and not the last one's alone."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(4, *limits)))
    make = lambda: context("a check")  # noqa: E731
    fill = "SELECT d.i, CASE WHEN :k = 11 THEN 1000 + d.x ELSE d.x * cur.a END FROM d CROSS JOIN p cur"
    cell = f"DELETE FROM t; INSERT INTO t (i, v) {fill} WHERE cur.step = :k; {STEP}"
    if device == "auto":
        same(make, cell, steps=20)
    ctx = make()
    with pytest.raises(SqlError, match="false for the row with i = 10, and 9 more"):
        ctx.train(cell, steps=20, device=device)
    assert len(ctx.scratch("p")) == 12
    assert commits(ctx, "p") < 10


def test_explain_tells_why_each_step_is_looked_at():
    ctx = context()
    ctx.script("CREATE OR REPLACE TABLE t (i BIGINT, v FLOAT CHECK (v < 1000))")
    told = ctx.train(CELLS["DELETE"], steps=2, stream=True).explain()
    why = "t is filled again, and what its constraints look at has to be brought to the types of its columns"
    assert f"one step ({why})" in str(told[-1])
