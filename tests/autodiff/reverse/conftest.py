"""Parameters, the same a little further along a direction and a little back, and data with all that is awkward."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one, to_sql
from tests.dealt import MANY, PACKED, dealing

STEP = 1e-5
KEYS = [(i, j) for i in range(4) for j in range(3) if (i, j) != (3, 2)]


@dataclass(frozen=True)
class Setting:
    """A context with w(i, j, a, b), wp and wm (w further along a direction t, and back), and d(i, x, y, n).

    Attributes:
        context: where they are.
        step: how far wp and wm are from w.
        direction: (a's, b's) in the order of the keys.
        gaps: the places of the cells that are NULL, of a and of b.
        grids: the tables for array code.
        found: the gradients that have been asked for.
    """

    context: Context
    step: float
    direction: tuple[np.ndarray, np.ndarray]
    gaps: list[list[int]]
    grids: Grids
    found: dict = field(default_factory=dict)

    def along(self, ctes):
        """The derivative of the loss along the direction, by central differences; and the loss.

        NaN where there is none: a step within the distance, or rows that a rounding error lets in or keeps out.
        """
        ahead, back, here = (self.loss(ctes, table) for table in ("wp", "wm", "w"))
        slope = (ahead - back) / (2 * STEP)
        return (slope if abs(ahead + back - 2 * here) <= 1e-7 * (1 + abs(here) + abs(slope)) else np.nan), here

    def loss(self, ctes, table="w"):
        """The loss where the parameters are those of a table."""
        found = self.context.sql(f"{ctes.format(w=table)} SELECT l FROM loss").to_arrow_table().column(0)[0].as_py()
        return np.nan if found is None else found

    def tangents(self, ctes, names):
        """The query that gives how several losses change along the direction."""
        shown = ", ".join(f"jvp(loss.{n}, w.a, t.a, w.b, t.b) AS {n}" for n in names)
        return f"{ctes.format(w='w')} SELECT DISTINCT {shown} FROM w JOIN t ON t.i = w.i AND t.j = w.j CROSS JOIN loss"

    def gradient(self, ctes, table="w", loss="loss.l"):
        """The gradient by a and by b, in the order of the keys; NaN where a cell is NULL."""
        return self.both(ctes, table, loss)[0]

    def both(self, ctes, table="w", loss="loss.l"):
        """The gradient as DataFusion has it, and as array code has it; None where array code declines."""
        asked = ctes, table, loss
        if asked not in self.found:  # several tests look at the same gradient
            self.found[asked] = self._both(*asked)
        return self.found[asked]

    def _both(self, ctes, table, loss):
        tree = rewrite(parse_one(gradient_of(ctes, table, loss)).tree, self.context.tables)
        found = cells(self.context.sql(to_sql(tree)).to_arrow_table())
        return found, by_arrays(tree, self.grids)

    def column(self, query, name):
        """A column of a query whose rows are in the order of the keys."""
        frame = self.context.sql(query).to_arrow_table().to_pandas()
        assert [tuple(row) for row in frame[["i", "j"]].to_numpy()] == KEYS
        return frame[name].to_numpy(float)

    def forward(self, ctes):
        """The derivative of the loss along the direction, by forward mode; NaN for NULL."""
        (found,) = self.context.sql(self.tangents(ctes, ["l"])).to_arrow_table().column("l").to_pylist()
        return np.nan if found is None else found


def by_arrays(tree, grids):
    """The gradient as array code has it; None where that declines."""
    try:
        rows = arrow(Program([LoweredQuery(tree["Query"])], grids, {}).step(grids, {}).run(0))
    except Refused:
        return None
    return cells(rows.sort_by([("i", "ascending"), ("j", "ascending")]))


def cells(rows):
    """The gradient by a and by b of rows in the order of the keys."""
    frame = rows.to_pandas()
    assert [tuple(row) for row in frame[["i", "j"]].to_numpy()] == KEYS
    return frame.ga.to_numpy(float), frame.gb.to_numpy(float)


def gradient_of(ctes, table="w", loss="loss.l"):
    """The query that gives the gradient of a loss."""
    return f"""{ctes.format(w=table)} SELECT {table}.i, {table}.j, grad({loss}, {table}.a) AS ga,
               grad({loss}, {table}.b) AS gb FROM {table} CROSS JOIN loss ORDER BY i, j"""


def literal(value):
    return "NULL" if value is None else repr(float(value))


@pytest.fixture(scope="package")
def setting():
    """See :class:`Setting`."""
    return made(3, ({4}, {6}), disorder=False)


@pytest.fixture(scope="package")
def shuffled():
    """Other numbers, their rows in disorder, written by several statements, data in pieces, dealt out by twos."""
    return made(8, ({0, 7}, {7, 9}), disorder=True)


@pytest.fixture(scope="package")
def numerous():
    """The data repeated to so many rows, in disorder, that no batch holds all of them; a batch holds 64."""
    return made(3, ({4}, {6}), disorder=PACKED, rows=MANY)


def made(seed, gaps, *, disorder, rows=None):
    """A setting.

    Args:
        seed: of its numbers.
        gaps: the places of the cells that are NULL, of a and of b.
        disorder: whether rows are written in another order, by several statements; and how they are dealt out.
        rows: to how many the data is repeated; None leaves it as it is.
    """
    rng = np.random.default_rng(seed)
    ctx = dealing(Context(), disorder)
    whole = lambda high, gap: pa.array([None if k == gap else int(v) for k, v in enumerate(rng.integers(0, high, 14))])  # noqa: E731
    real = lambda gaps: pa.array([None if k in gaps else v for k, v in enumerate(rng.normal(size=14).round(2))])  # noqa: E731
    data = pa.table({"i": whole(5, 3), "x": real((2, 7)), "y": real(()), "n": whole(3, 5)})
    data = pa.concat_tables([data, data.slice(0, 3)])
    if rows is not None:
        data = data.take(np.random.default_rng(seed).integers(0, len(data), rows))
    ctx.from_arrow(pa.concat_tables([data.slice(9), data.slice(0, 9)]) if disorder else data, "d")
    start, direction = (tuple(rng.normal(scale=scale, size=len(KEYS)) for _ in "ab") for scale in (0.5, 1.0))
    start[0][2], direction[0][2] = start[0][1], direction[0][1]  # a tie that stays one
    for table, by in (("w", 0), ("wp", STEP), ("wm", -STEP)):
        columns = [[None if k in gap else v + by * d for k, (v, d) in enumerate(zip(s, along, strict=True))]
                   for s, along, gap in zip(start, direction, gaps, strict=True)]  # fmt: skip
        write(ctx, table, columns, rng.permutation(len(KEYS)) if disorder else np.arange(len(KEYS)))
    write(ctx, "t", direction, np.arange(len(KEYS)))
    tables = {name: ctx.query(f"SELECT * FROM {name}") for name in ("w", "wp", "wm", "t", "d")}
    grids = Grids(lambda name: tables.get(name[-1]), lambda name: () if name == ("d",) else ("i", "j"))
    return Setting(ctx, STEP, direction, [sorted(gap) for gap in gaps], grids)


def write(ctx, table, columns, order):
    """A table of the keys and two columns, its rows in an order, five of them a statement."""
    ctx.script(f"CREATE TABLE {table} (i BIGINT, j BIGINT, a DOUBLE, b DOUBLE, PRIMARY KEY (i, j))")
    rows = [f"({i}, {j}, {literal(a)}, {literal(b)})" for (i, j), a, b in zip(KEYS, *columns, strict=True)]
    for first in range(0, len(rows), 5):
        ctx.script(f"INSERT INTO {table} VALUES {', '.join(rows[k] for k in order[first : first + 5])}")
