"""Gradients of whole queries by many columns: the text grows with the columns, and its values are those written out."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.autodiff.reverse import backward, many
from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.autodiff.reverse.test_random import Compared, check, places  # noqa: F401 - a fixture

WIDTH = 12
ROWS = 40


def score(first, last):
    return " + ".join(f"p.w{i} * d.x{i}" for i in range(first, last))


def losses(width):
    """Losses over all weights: name -> the query of one number."""
    source, half = "FROM p CROSS JOIN d WHERE p.step = 0", width // 2
    hidden = f"p.w0 * tanh({score(1, half)}) - p.w{half} * tanh({score(half + 1, width)})"
    return {
        "regression": f"SELECT AVG(power({score(0, width)} - d.y, 2)) AS l {source}",
        "logistic": f"SELECT SUM(power(1 / (1 + exp(-({score(0, width)}))) - d.y, 2)) AS l {source}",
        "hidden units": f"SELECT AVG(power({hidden} - d.y, 2)) AS l {source}",
        "a sum alone": f"SELECT SUM({score(0, width)} - d.y) AS l {source}",
        "two terms": f"SELECT AVG(abs({score(0, width)} - d.y)) + 0.1 * MAX(({score(0, width)}) * d.y) AS l {source}",
        "chosen rows": f"SELECT SUM(coalesce({score(0, width)}, 3.0) * d.y) FILTER (WHERE d.y > 0) AS l {source}",
        "through a group": f"SELECT AVG(power(q.m, 2)) AS l FROM (SELECT d.k, AVG({score(0, width)} - d.y) AS m "
        f"{source} GROUP BY d.k) AS q",
        "a product": f"SELECT AVG(({score(0, half)}) * ({score(half, width)})) AS l {source}",
    }


def gradient(loss, width, called="t"):
    shown = ", ".join(f"grad({called}.l, p.w{i}) AS g{i}" for i in range(width))
    return f"WITH {called} AS ({loss}) SELECT {shown} FROM p CROSS JOIN {called} WHERE p.step = 0"


def made(width, gaps):
    """p(step, w0, ...) of two rows and d(k, y, x0, ...), some of whose cells may be NULL."""
    rng, ctx = np.random.default_rng(5), Context()
    cells = {name: rng.normal(size=ROWS).round(2).tolist() for name in ("y", *(f"x{i}" for i in range(width)))}
    weights = {f"w{i}": rng.normal(size=2).round(2).tolist() for i in range(width)}
    if gaps:
        cells["x3"][4] = cells["y"][7] = None
    data = pa.table({"k": (np.arange(ROWS) % 3).tolist(), **cells})
    ctx.from_arrow(data, "d")
    ctx.script(f"CREATE TABLE p (step BIGINT PRIMARY KEY, {', '.join(f'w{i} DOUBLE' for i in range(width))})")
    ctx.from_arrow(pa.table({"step": [0, 1], **weights}), "given")
    ctx.script("INSERT INTO p SELECT * FROM given")
    return ctx


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "with NULLs"])
def context(request):
    return made(WIDTH, request.param)


def cells_of(table):
    (row,) = table.to_pylist()
    return np.array([np.nan if v is None else v for v in row.values()], float)


def written(context, loss, monkeypatch, from_many):
    monkeypatch.setattr(many, "MANY", from_many)
    monkeypatch.setattr(backward, "MANY", from_many)
    # What has been worked out before is known: each has a text of its own.
    return rewrite(parse_one(gradient(loss, WIDTH, f"t{from_many}")).tree, context.tables)


@pytest.mark.parametrize("name", losses(WIDTH))
def test_what_is_shared_has_the_values_of_what_is_written_out(name, context, monkeypatch):
    loss = losses(WIDTH)[name]
    trees = [written(context, loss, monkeypatch, from_many) for from_many in (4, 1000)]
    shared, apart = (cells_of(context.sql(to_sql(tree)).to_arrow_table()) for tree in trees)
    assert "once_1" in to_sql(trees[0]) or name == "a sum alone"
    assert "once_1" not in to_sql(trees[1])
    np.testing.assert_allclose(shared, apart, rtol=1e-12, atol=1e-12)
    assert np.nan_to_num(shared).any()
    tables = {n: context.query(f"SELECT * FROM {n}") for n in ("p", "d")}
    grids = Grids(lambda n: tables.get(n[-1]), lambda n: ("step",) if n == ("p",) else ())
    mine = cells_of(arrow(Program([LoweredQuery(trees[0]["Query"])], grids, {}).step(grids, {}).run(0)))
    np.testing.assert_allclose(mine, shared, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["regression", "hidden units", "two terms", "a product"])
def test_the_text_grows_with_the_columns(name):
    def length(width):
        context = made(width, gaps=True)
        return len(to_sql(rewrite(parse_one(gradient(losses(width)[name], width)).tree, context.tables)))

    one, two, four = map(length, (20, 40, 80))
    assert four - two <= 2.2 * (two - one), (one, two, four)


def test_random_queries_share_what_two_columns_have_in_common(places, monkeypatch):  # noqa: F811
    monkeypatch.setattr(many, "MANY", 2)
    monkeypatch.setattr(backward, "MANY", 2)
    compared = Compared()
    for seed in range(301, 305):
        check(places, seed, compared)
    assert compared.queries >= 36
    assert compared.arrays >= 12
