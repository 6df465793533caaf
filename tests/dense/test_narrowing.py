"""What chooses the rows of a view, a CTE or a subquery is said inside it, and the rows are those that they were."""

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import ancestors
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow, parameter_types
from sqlmagic_xr.sql.syntax import parse_one

VIEWS = {
    "sums": "SELECT step, row, SUM(x.v * w.v) AS z FROM x JOIN w ON w.i = x.i GROUP BY step, row",
    "shares": "SELECT step, row, z, SUM(z) OVER (PARTITION BY step) AS whole, "
    "MAX(z) OVER (PARTITION BY step, row) AS highest FROM sums",
}
RNG = np.random.default_rng(0)


def grid(**axes):
    cells = np.meshgrid(*(np.arange(n) for n in axes.values()), indexing="ij")
    return pa.table(dict(zip(axes, map(np.ravel, cells), strict=True)) | {"v": RNG.normal(size=cells[0].size)})


TABLES = {"x": grid(row=6, i=4), "w": grid(step=5, i=4)}
KEYS = {"x": ("row", "i"), "w": ("step", "i")}
STEP, BATCH = "w of step", "rows"


class Viewed(Grids):
    """Grids of tables, with views."""

    def view(self, name):
        return parse_one(VIEWS[name[-1]]).tree["Query"] if name[-1] in VIEWS else None


@pytest.fixture(scope="module")
def engine():
    context = SessionContext()
    for name, table in TABLES.items():
        context.register_record_batches(name, [table.to_batches()])
    for name, query in VIEWS.items():
        context.sql(f"CREATE VIEW {name} AS {query}").collect()
    return context


CASES = [
    ("SELECT row, z FROM sums WHERE step = :k", {STEP}),
    ("SELECT row, z FROM sums WHERE step = :k AND row % 3 = :k % 3", {STEP, BATCH}),
    ("WITH s AS (SELECT * FROM sums) SELECT AVG(z) AS z FROM s WHERE step = :k AND row > :k", {STEP, BATCH}),
    ("SELECT row, z / highest AS z FROM shares WHERE step = :k", {STEP}),
    # a window over all rows of a step is another one over some of them
    ("SELECT row, z / whole AS z FROM shares WHERE step = :k AND row > :k", {STEP}),
    ("SELECT z FROM (SELECT row, AVG(z) AS z FROM sums WHERE step = :k GROUP BY row) m WHERE row IN (1, 2)",
     {STEP, BATCH}),
    ("SELECT row, z FROM (SELECT row, SUM(z) AS z FROM sums WHERE step = 2 GROUP BY row) m WHERE z > 0", {STEP}),
    ("SELECT a.row, a.z - b.z AS z FROM sums a JOIN sums b ON b.row = a.row AND b.step = a.step - 1 "
     "WHERE a.step = :k", {STEP}),
    # said twice, it leaves no mask behind
    ("SELECT row, z FROM (SELECT * FROM sums WHERE step = :k) s WHERE step = :k", {STEP}),
    # what is kept from the same in all steps is not calculated again for each of their batches
    ("SELECT s.row, s.z FROM (SELECT row, SUM(v) AS z FROM x GROUP BY row) s JOIN w ON w.i = s.row "
     "WHERE w.step = :k AND s.row % 2 = :k % 2", {STEP}),
]  # fmt: skip


def rows(table):
    return np.array(sorted(tuple(r.values()) for r in table.to_pylist()))


@pytest.mark.parametrize(("written", "said"), CASES)
def test_conditions_are_said_where_the_rows_are_made(written, said, engine):
    source, values = Viewed(lambda name: TABLES.get(name[-1]), lambda name: KEYS.get(name[-1], ())), {"k": 3}
    query = LoweredQuery(parse_one(written).tree["Query"], writes=(("w",),))
    program = Program([query], source, parameter_types(values))
    nodes = list(ancestors(program.code(0).roots))
    scans = [node.data for node in nodes if node.op == "scan" and node.data.table == ("w",)]
    found = {STEP} if all(read.fixed == ("step",) for read in scans) else set()
    # the sum goes over the batch alone: what is summed was cut before
    sums = [node for node in nodes if node.op == "sum" and node.dims]
    if sums and all(axis.origin.op == "restrict" for node in sums for axis in node.dims):
        found.add(BATCH)
    assert found == said
    assert all(part.present is None for part, _ in program.code(0).parts) or "OVER" in written or "z > 0" in written
    theirs = engine.sql(written.replace(":k", "3")).to_arrow_table()
    np.testing.assert_allclose(rows(arrow(program.step(source, values).run(0))), rows(theirs), rtol=1e-12)
