"""Names mean in array code what they mean to the engine: stars behind USING, and names in ORDER BY, WHERE and ON."""

import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one

TABLES = {"z": pa.table({"k": [1, 2], "v": [10, 20]}), "a": pa.table({"w": [7, 8], "k": [1, 2]})}


def by_arrays(sql):
    grids = Grids(lambda name: TABLES.get(name[-1]), lambda name: ("k",))
    return arrow(Program([LoweredQuery(parse_one(sql).tree["Query"])], grids, {}).step(grids, {}).run(0))


def by_engine(sql):
    context = SessionContext()
    for name, table in TABLES.items():
        context.register_record_batches(name, [table.to_batches()])
    return context.sql(sql).to_arrow_table()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM z AS z JOIN a AS a USING (k)",
        "SELECT * FROM a AS a JOIN z AS z USING (k)",
        "SELECT * FROM a AS a LEFT JOIN z AS z USING (k)",
        "SELECT q.k, q.w FROM (SELECT * FROM z AS z JOIN a AS a USING (k)) q",
        "SELECT z.k, v FROM z JOIN a ON z.k = a.k ORDER BY k",
        "SELECT n, m FROM z AS t(n, m) WHERE n = 2",
        "SELECT x.k, v, w FROM (z AS x JOIN a ON x.k = a.k) WHERE a.k = 1",
        "SELECT k AS k, v FROM z ORDER BY k DESC LIMIT 1",
    ],
)
def test_columns_stand_where_the_engine_has_them(sql):
    mine, theirs = by_arrays(sql), by_engine(sql)
    assert mine.column_names == theirs.column_names
    assert sorted(zip(*mine.to_pydict().values(), strict=True)) == sorted(
        zip(*theirs.to_pydict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT * FROM z JOIN a USING (k)", "which k a star over USING stands for is open"),
        ("SELECT * FROM z AS z LEFT JOIN a AS a USING (k)", "which k a star over the USING of an outer join"),
        ("SELECT v FROM z JOIN a USING (k) WHERE k = 1", "more than one column k"),
        ("SELECT z.v FROM z JOIN a USING (k) JOIN z y ON y.k = k", "more than one column k"),
    ],
)
def test_what_is_not_sure_is_left_to_the_engine(sql, why):
    with pytest.raises(Refused, match=why):
        by_arrays(sql)
