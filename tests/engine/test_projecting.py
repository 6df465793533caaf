"""Projections of frames that say the same twice are made twice."""

import pytest
from datafusion import SessionContext, col, lit

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UsageError

MORE = (col("x") + lit(1)).alias("x")
STEPS = {
    "select": lambda f: f.select(MORE, col("y")),
    "select_exprs": lambda f: f.select_exprs("x + 1 AS x", "y"),
    "with_column": lambda f: f.with_column("x", MORE),
    "with_columns": lambda f: f.with_columns(MORE),
    "filtered": lambda f: f.select(MORE, col("y")).filter(col("x") > lit(0)).limit(5),
    "transform": lambda f: f.transform(lambda frame, by: frame.with_column("x", col("x") + lit(by)), 1),
}


@pytest.fixture(scope="module")
def frame():
    return Context().sql("SELECT 1 AS x, 2 AS y")


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_each_projection_counts(frame, step):
    for times in (1, 2, 3):
        frame = step(frame)
        assert frame.to_pydict() == {"x": [1 + times], "y": [2]}


def test_a_swap_of_a_swap(frame):
    def swap(f):
        return f.select(col("y").alias("x"), col("x").alias("y"))

    assert swap(swap(frame)).to_pydict() == {"x": [1], "y": [2]}
    assert swap(swap(swap(frame))).to_pydict() == {"x": [2], "y": [1]}


def test_beside_a_column_that_is_named_with_its_table():
    ctx = Context()
    ctx.script("CREATE TABLE t AS SELECT 1 AS x, 2 AS y")
    twice = ctx.sql("SELECT * FROM t").select(MORE, col("t.y")).select(MORE, col("t.y"))
    assert twice.to_pydict() == {"x": [3], "y": [2]}
    with pytest.raises(UsageError, match="the same select twice"):
        twice.select(MORE, col("t.y"))
    assert twice.select(MORE, col("y")).to_pydict() == {"x": [4], "y": [2]}


def test_the_engine_still_drops_one():
    plain = SessionContext().sql("SELECT 1 AS x")
    assert plain.select(MORE).select(MORE).to_pydict() == {"x": [2]}
