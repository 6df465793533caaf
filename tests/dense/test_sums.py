"""What of a sum of products need not be summed, and what of it is there already."""

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import Refused, ancestors
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one

RNG = np.random.default_rng(2)
KEYS = {"x": ("s", "i"), "w": ("i", "o"), "g": ("s", "o"), "a": ("s",)}
SIZES = {"s": 5, "i": 4, "o": 3}


def grid(*axes):
    cells = np.meshgrid(*(np.arange(SIZES[axis]) for axis in axes), indexing="ij")
    values = RNG.normal(size=cells[0].size)
    values[0] = -0.0
    return pa.table(dict(zip(axes, map(np.ravel, cells), strict=True)) | {"v": values})


TABLES = {name: grid(*key) for name, key in KEYS.items()}
PRODUCT = "SELECT x.s, w.o, SUM(x.v * w.v) AS v FROM x JOIN w ON w.i = x.i GROUP BY x.s, w.o"
CASES = {  # the query, and how many sums it has for arrays; what is multiplied outside of one is looked at as one
    "a group is a row": ("SELECT s, i, SUM(v) AS v FROM x GROUP BY s, i", 0),
    "of some rows": ("SELECT s, i, SUM(v) FILTER (WHERE v > 0) AS v FROM x GROUP BY s, i", 0),
    "of a product": ("SELECT x.s, x.i, SUM(x.v * a.v * -2.0) AS v FROM x JOIN a ON a.s = x.s GROUP BY x.s, x.i", 0),
    "a factor of the group": ("SELECT x.s, SUM(3.0 * x.v * a.v) AS v FROM x JOIN a ON a.s = x.s GROUP BY x.s", 2),
    "that is summed already": (
        "SELECT x.s, SUM(x.v * a.v) AS v, SUM(x.v) AS alone FROM x JOIN a ON a.s = x.s GROUP BY x.s",
        2,
    ),
    "a product that is there": (
        f"SELECT b.o, SUM(x.v * w.v * g.v) AS v, MAX(p.v) AS m FROM ({PRODUCT}) p JOIN x ON x.s = p.s "
        "JOIN w ON w.i = x.i AND w.o = p.o JOIN g ON g.s = x.s AND g.o = w.o JOIN g b ON b.s = g.s AND b.o = g.o "
        "GROUP BY b.o",
        2,
    ),
    "a factor twice beside another": (
        "SELECT g.o, SUM(a.v * g.v * a.v) AS v FROM g JOIN a ON a.s = g.s GROUP BY g.o",
        1,
    ),
    "of some rows, whose factor stays inside": (
        "SELECT x.s, SUM(x.v * a.v) FILTER (WHERE x.i > 1) AS v FROM x JOIN a ON a.s = x.s GROUP BY x.s",
        1,
    ),
}


@pytest.fixture(scope="module")
def engine():
    context = SessionContext()
    for name, table in TABLES.items():
        context.register_record_batches(name, [table.to_batches()])
    return context


def test_rows_times_an_infinite_number_are_refused():
    """They are infinities of either sign, whose sum is none; the sum times the number would be an infinity."""
    tables = TABLES | {"a": TABLES["a"].set_column(1, "v", pa.array([np.inf] * SIZES["s"]))}
    grids = Grids(lambda table: tables[table[-1]], lambda table: KEYS[table[-1]])
    program = Program([LoweredQuery(parse_one(CASES["a factor of the group"][0]).tree["Query"])], grids, {})
    for _ in range(2):  # node by node, and by the function of the step
        with pytest.raises(Refused, match="finite"):
            program.step(grids, {}).run(0)


@pytest.mark.parametrize("name", list(CASES))
def test_it_is_the_sum(name, engine):
    sql, count = CASES[name]
    grids = Grids(lambda table: TABLES[table[-1]], lambda table: KEYS[table[-1]])
    program = Program([LoweredQuery(parse_one(sql).tree["Query"])], grids, {})
    assert program.refusals == [None]
    nodes = list(ancestors(program.code(0).roots))
    assert sum(node.op == "sum" for node in nodes) == count
    mine = arrow(program.step(grids, {}).run(0)).to_pandas()
    theirs = engine.sql(sql).to_arrow_table().to_pandas()
    columns = [c for c in mine.columns if c in SIZES]
    mine, theirs = (found.sort_values(columns).reset_index(drop=True) for found in (mine, theirs))
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert (np.signbit(mine.v) == np.signbit(theirs.v)).all()
