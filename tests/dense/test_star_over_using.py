"""The engine orders the columns of a star over USING by the names of the tables; array code leaves that to it."""

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UnsupportedError

TABLES = """
CREATE TABLE z (k BIGINT PRIMARY KEY, v DOUBLE); INSERT INTO z VALUES (1, 10), (2, 20);
CREATE TABLE a (k BIGINT PRIMARY KEY, w DOUBLE); INSERT INTO a VALUES (1, 0.5), (2, 0.25);
CREATE TABLE p (step BIGINT, one DOUBLE, two DOUBLE, three DOUBLE)
"""
STAR = "SELECT * FROM z JOIN a USING (k)"


@pytest.fixture
def ctx():
    found = Context()
    found.script(TABLES)
    return found


def test_it_is_left_to_the_engine(ctx):
    with pytest.raises(UnsupportedError, match="star over USING"):
        ctx.script(STAR, executor="dense")
    found = ctx.script(STAR, executor="auto")[0].to_arrow_table()
    assert found.equals(ctx.sql(STAR).to_arrow_table())


def test_named_columns_are_array_code(ctx):
    (found,) = ctx.script("SELECT z.k AS k, z.v * a.w AS v FROM z JOIN a USING (k) ORDER BY k", executor="dense")
    assert found.to_arrow_table()["v"].to_pylist() == [5.0, 5.0]


def test_an_insert_by_position_is_the_engines_to_every_executor(ctx):
    ctx.script("INSERT INTO p VALUES (0, 0, 0, 0)")
    rows = {}
    for executor in ("relational", "auto"):
        run = ctx.train(f"INSERT INTO p SELECT :next_step, q.* FROM ({STAR}) q", steps=1, executor=executor)
        new = ctx.sql("SELECT * FROM p WHERE step = 1 ORDER BY one, two, three").to_arrow_table().to_pydict()
        rows[executor] = new
        run.rollback()
    assert rows["auto"] == rows["relational"]


OUTER = "SELECT q.k, q.w FROM (SELECT * FROM (SELECT k, w FROM a) y LEFT JOIN (SELECT k, v FROM z WHERE k > 1) x {}) q"


@pytest.mark.parametrize("join", ["USING (k)", "NATURAL"])
def test_a_star_over_a_left_join_shows_the_key_of_the_left(ctx, join):
    query = OUTER.format(join) if "USING" in join else OUTER.format("").replace("LEFT JOIN", "NATURAL LEFT JOIN")
    for executor in ("relational", "auto"):
        (found,) = ctx.script(query, executor=executor)
        assert sorted(found.to_arrow_table()["k"].to_pylist()) == [1, 2], executor
    with pytest.raises(UnsupportedError, match="cannot run as array code"):
        ctx.script(query, executor="dense")
