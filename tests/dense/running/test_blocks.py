"""Sums over many rows are those over few: blocks, threads, masks and the rest of the last block."""

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import Axis, Node, Refused, ancestors
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.dense.running import blocks
from sqlmagic_xr.dense.running.blocks import BLOCK, bundles
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one

SQL = """
SELECT SUM(2 * (y - x)) AS a, AVG((y - x) * x) AS b, SUM(CASE WHEN x > 0.5 THEN exp(x) END) AS c,
       SUM(n * 3 + 1) AS d, AVG(z * x) AS e, COUNT(z) AS f FROM t WHERE {}
"""


def table(rows):
    rng = np.random.default_rng(rows)
    return pa.table({
        "x": rng.normal(size=rows), "y": rng.normal(size=rows), "n": rng.integers(-9, 9, rows),
        "z": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.1),
    })  # fmt: skip


def by_arrays(rows, sql):
    grids = Grids(lambda name: rows, lambda name: ())
    program = Program([LoweredQuery(parse_one(sql).tree["Query"])], grids, {})
    return arrow(program.step(grids, {}).run(0)), arrow(program.step(grids, {}).run(0))


@pytest.mark.parametrize("where", ["true", "abs(y * x) < 2"])
@pytest.mark.parametrize("rows", [2, 16_384, 16_385, 131_072, 300_001])
def test_sums_of_many_rows(rows, where):
    data = table(rows)
    context = SessionContext()
    context.register_record_batches("t", [data.to_batches()])
    theirs = context.sql(SQL.format(where)).to_arrow_table().to_pylist()[0]
    for mine in by_arrays(data, SQL.format(where)):
        found = mine.to_pylist()[0]
        assert [v is None for v in found.values()] == [v is None for v in theirs.values()]
        known = {name: value for name, value in theirs.items() if value is not None}
        assert {n: found[n] for n in known} == pytest.approx(known, rel=1e-10, abs=1e-9)
        assert type(found["d"]) is type(theirs["d"])


def test_a_number_that_is_none_in_one_block_is_refused():
    data = table(200_000)
    data = data.set_column(0, "x", pa.array(np.where(np.arange(200_000) == 150_000, np.inf, 1.0)))
    with pytest.raises(Refused, match="not finite"):
        by_arrays(data, "SELECT SUM(x - y) AS v FROM t")


def test_a_product_that_would_not_fit_is_refused():
    data = table(20_000)
    with pytest.raises(Refused, match="cells"):
        by_arrays(data, "SELECT SUM(exp(a.x - b.y)) AS v FROM t a CROSS JOIN t b")


def test_a_sum_that_is_made_of_another_is_not_bundled_with_it():
    axis = Axis(Node("axis", (), (), "float64", 0), 0)
    x, one = Node("cells", (), (axis,), "float64", ("x", False)), (1, 0, ())

    def total(of, scalar):
        cells = Node("map", (of, scalar), (axis,), "float64", "*")
        return [cells, Node("sum", (cells,), (), "float64", one)]

    number = Node("constant", (), (), "float64", ("2.0", 2.0))
    first, second = total(x, number), total(x, number)
    third, fourth = total(x, first[1]), total(x, second[1])
    nodes = [x, number, *first, *third, *second, *fourth]
    found = bundles(nodes, lambda node: False)
    assert [set(bundle.sums) for bundle in found] == [{first[1], second[1]}, {third[1], fourth[1]}]
    assert all(set(bundle.sums).isdisjoint(ancestors(bundle.leaves)) for bundle in found)


@pytest.mark.parametrize(
    ("one", "other", "copied"),
    [
        (lambda a: a[:, ::-1], lambda a: a[:, ::-1], False),
        (lambda a: a[::-1, :, ::-1], lambda a: a[::-1, :, ::-1], False),
        (lambda a: a.transpose(0, 2, 1), lambda a: a.transpose(0, 2, 1), False),
        (lambda a: a[:, ::-1], lambda a: a, True),
        (lambda a: a.transpose(0, 2, 1), lambda a: a.reshape(2, -1, 3), True),
        (lambda a: a[:, [2, 0, 1]], lambda a: a[:, ::-1], True),
    ],
)
def test_cells_are_summed_in_the_order_in_which_they_lie(one, other, copied, monkeypatch):
    axes = tuple(Axis(Node("axis", (), (), "float64", n), 0) for n in range(3))
    x, y = (Node("cells", (), axes, "float64", (name, False)) for name in "xy")
    product = Node("map", (x, y), axes, "float64", "*")
    total = Node("sum", (product,), (), "float64", (1, 0, ()))
    (bundle,) = bundles([x, y, product, total], lambda node: False)
    cells = [turn(np.random.default_rng(n).normal(size=(2, 3, BLOCK))) for n, turn in enumerate((one, other))]
    given, original = [], blocks._as_they_lie
    monkeypatch.setattr(blocks, "_as_they_lie", lambda *args: given.append(original(*args)) or given[-1])
    (found,) = bundle.run(*cells)
    assert found == pytest.approx((cells[0] * cells[1]).sum(), rel=1e-10)
    lying = [np.shares_memory(leaf.reshape(-1), leaf) for leaf in given[0]]
    assert all(lying) is not copied
