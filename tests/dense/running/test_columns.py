"""Numbers times many columns are a matrix product, and what that gives is what the sums give one by one."""

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.dense.running.blocks import BundleMember
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one

WIDTH = 6
SCORE = " + ".join(f"p.w{i} * d.f{i}" for i in range(WIDTH))
SCORES = {
    "a chain": SCORE,
    "the column first": " + ".join(f"d.f{i} * p.w{i}" for i in range(WIDTH)),
    "an intercept": f"p.w0 + {SCORE}",
    "differences": f"d.y - ({SCORE} - p.w1 * d.f2 - (p.w2 - d.f1 * p.w3))",
    "beside other cells": f"exp(d.f0 * p.w0) - {SCORE} + d.f1 * d.f2 - exp(d.f3 * p.w1)",
    "in parentheses": "(p.w0*d.f0 + p.w1*d.f1) + ((p.w2*d.f2 + p.w3*d.f3) + (p.w4*d.f4 + p.w5*d.f5))",
}
SLOPES = ", ".join(f"AVG(r * f{i}) AS g{i}" for i in range(WIDTH))


def query(score):
    features = ", ".join(f"d.f{i}" for i in range(WIDTH))
    e = f"SELECT 1 / (1 + exp(-({score}))) - d.y AS r, {features}, d.y FROM d CROSS JOIN p"
    return f"SELECT {SLOPES}, SUM(r) AS s, SUM(r * r) AS q FROM ({e}) AS e"


def tables(rows, weights=None, seed=0):
    rng = np.random.default_rng(seed)
    data = {f"f{i}": rng.normal(size=rows) for i in range(WIDTH)} | {"y": rng.normal(size=rows)}
    found = rng.normal(size=WIDTH) if weights is None else weights
    return {"d": pa.table(data), "p": pa.table({f"w{i}": [float(found[i])] for i in range(WIDTH)})}


def program(sql, found):
    grids = Grids(lambda name: found[name[-1]], lambda name: ())
    return Program([LoweredQuery(parse_one(sql).tree["Query"], writes=(("p",),))], grids, {}), grids


def bundles_of(made):
    return {id(f.bundle): f.bundle for _, _, f in made.code(0).whole if isinstance(f, BundleMember)}.values()


def by_engine(sql, found):
    context = SessionContext()
    for name, rows in found.items():
        context.register_record_batches(name, [rows.to_batches()])
    return context.sql(sql).to_arrow_table().to_pylist()[0]


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_it_is_what_the_sums_are(score):
    found = tables(569)
    made, grids = program(query(score), found)
    assert [bundle.matrices.count for bundle in bundles_of(made)] == [1 if score != SCORES["differences"] else 2]
    for _ in range(2):  # node by node, and by the function of the step
        (mine,) = arrow(made.step(grids, {}).run(0)).to_pylist()
        assert mine == pytest.approx(by_engine(query(score), found), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("rows", [1, 2, 65_536, 65_537, 200_000])
def test_many_rows_and_few(rows):
    found = tables(rows)
    made, grids = program(query(SCORE), found)
    (mine,) = arrow(made.step(grids, {}).run(0)).to_pylist()
    assert mine == pytest.approx(by_engine(query(SCORE), found), rel=1e-10, abs=1e-12)


def test_a_matrix_follows_its_columns():
    found = tables(50)
    made, grids = program(query(SCORE), found)
    for seed in (0, 1):
        found |= tables(50, seed=seed)
        made.kept(grids)
        (mine,) = arrow(made.step(grids, {}).run(0)).to_pylist()
        assert mine == pytest.approx(by_engine(query(SCORE), found), rel=1e-11, abs=1e-13)


def test_zeros_keep_their_sign():
    """atan2(-0.0, -1) is -pi, and a sum of nothing but -0.0 is one."""
    found = tables(40, weights=[0.0] * WIDTH)
    columns = {f"f{i}": -np.abs(found["d"][f"f{i}"].to_numpy()) for i in range(WIDTH)}
    columns["f3"] = np.where(np.arange(40) < 20, columns["f3"], 1.0)
    found["d"] = pa.table({**columns, "y": np.ones(40)})
    sql = f"SELECT SUM(atan2({SCORE}, -1)) AS a, AVG(d.y * ({SCORE})) AS b FROM d CROSS JOIN p"
    made, grids = program(sql, found)
    assert all(bundle.matrices.weighted for bundle in bundles_of(made))
    assert arrow(made.step(grids, {}).run(0)).to_pylist() == [by_engine(sql, found)]
    assert by_engine(sql, found)["a"] == pytest.approx(0, abs=1e-9)


def test_a_number_that_is_none_is_refused_as_ever():
    found = tables(30, weights=[np.inf, *[1.0] * (WIDTH - 1)])
    slopes = ", ".join(f"SUM(({SCORE} - d.y) * d.f{i}) AS g{i}" for i in range(WIDTH))
    made, grids = program(f"SELECT {slopes} FROM d CROSS JOIN p", found)
    assert all(bundle.matrices.projected for bundle in bundles_of(made))
    with pytest.raises(Refused, match="not finite"):
        made.step(grids, {}).run(0)


@pytest.mark.parametrize("seed", range(3))
def test_the_row_of_a_maximum_has_the_value_of_the_maximum(seed):
    """What is compared with it is added up as it was."""
    found = tables(300, seed=seed)
    met = f"({SCORE}) * d.y >= m.best"
    slopes = ", ".join(f"SUM(CASE WHEN {met} THEN d.f{i} ELSE 0.0 END) AS g{i}" for i in range(WIDTH))
    sql = (f"WITH m AS (SELECT MAX(({SCORE}) * d.y) AS best FROM d CROSS JOIN p) "
           f"SELECT {slopes}, SUM(abs({SCORE})) AS s FROM d CROSS JOIN p CROSS JOIN m")  # fmt: skip
    made, grids = program(sql, found)
    for _ in range(2):
        (mine,) = arrow(made.step(grids, {}).run(0)).to_pylist()
        assert mine == pytest.approx(by_engine(sql, found), rel=1e-11, abs=1e-13)
        assert mine["g0"] != 0
