"""Pairs of a query and the graph of arrays that it becomes, a line for each node; both are run.

An axis is written by the table and the column that give its coordinates, ``w.i``; a second one of the same origin,
``w.i'``. Masks (which rows there are) stand last.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.lowering.lower import Lowering
from sqlmagic_xr.dense.node import ancestors
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow, parameter_types
from sqlmagic_xr.sql.syntax import parse_one
from tests import pairs

FILES = pairs.files(Path(__file__).parent / "golden")
VALUES = {"k": 1, "lr": 0.5}
KEYS = {"x": ("s", "i"), "w": ("step", "i", "o"), "b": ("o",), "p": ("step",), "Big": ("Row",)}
VIEWS = {"mean": "SELECT i, AVG(v) AS v FROM x GROUP BY i", "newest": "SELECT a, c FROM p ORDER BY step DESC LIMIT 1"}


def grid(**axes):
    cells = np.meshgrid(*(np.arange(n) for n in axes.values()), indexing="ij")
    rng = np.random.default_rng(len(axes) + cells[0].size)
    return pa.table(dict(zip(axes, map(np.ravel, cells), strict=True)) | {"v": rng.normal(size=cells[0].size)})


TABLES = {
    "x": grid(s=4, i=3),
    "w": grid(step=2, i=3, o=2),
    "b": grid(o=2),
    "p": pa.table({"step": [0, 1], "a": [0.5, 1.5], "c": [2.0, 3.0]}),
    "Big": pa.table({"Row": [0, 1, 2], "A b": [1.0, 2.0, 4.0]}),
}


class Viewed(Grids):
    """Grids of tables, with views."""

    def view(self, name):
        return parse_one(VIEWS[name[-1]]).tree["Query"] if name[-1] in VIEWS else None


def grids():
    return Viewed(lambda name: TABLES.get(name[-1]), lambda name: KEYS.get(name[-1], ()))


def axis_name(axis):
    origin = axis.origin
    if origin.op == "axis":
        scan = origin.args[0].data
        shown = ".".join([*scan.table, *(scan.key or ("row",))[origin.data : origin.data + 1]])
    else:
        shown = f"{origin.op}({', '.join(axis_name(type(axis)(a)) for a in origin.args if a.op in ('axis', 'match'))})"
    return shown + "'" * axis.copy


def data_text(node):
    if node.op == "scan":
        read = node.data
        if read.extreme is not None:
            return f"{read.extreme.which} {read.extreme.column} of {'.'.join(read.table)}"
        fixed = "".join(f" {name} = ..." for name in read.fixed)
        return f"{'.'.join(read.table)}[{', '.join(read.key or ())}]{fixed}: {', '.join(read.columns)}"
    if node.op in ("sum", "take", "partner"):
        return ""
    return "" if node.data is None else str(node.data[1] if node.op == "constant" else node.data)


def graph_text(written):
    """The nodes of a query, arguments first; what is a coordinate or an axis is written by its name."""
    lines, names = [], {}
    parts = Lowering(grids(), parameter_types(VALUES)).parts(parse_one(written).tree["Query"], {})
    roots = [n for p in parts for c in p.columns for n in (c.value.cells, c.value.valid) if n is not None]
    roots += [p.present for p in parts if p.present is not None]
    for node in ancestors(roots):
        if node.op == "axis":
            continue
        names[node] = f"n{len(names)}"
        args = ", ".join(names.get(a, a.op) for a in node.args)
        dims = ", ".join(map(axis_name, node.dims))
        lines.append(f"{names[node]}: {node.type} [{dims}] = {node.op} {data_text(node)}({args})".replace(" (", "("))
    for part in parts:
        for column in part.columns:
            null = "" if column.value.valid is None else f" where {names[column.value.valid]}"
            lines.append(f"{column.name or '?'} = {names[column.value.cells]}{null}")
        if part.present is not None:
            lines.append(f"rows where {names[part.present]}")
    return "\n".join(lines)


def rows(table):
    return np.array(sorted(tuple(-1e9 if v is None else v for v in r.values()) for r in table.to_pylist()))


@pytest.fixture(scope="module")
def engine():
    context = SessionContext()
    for name, table in TABLES.items():
        context.register_record_batches(f'"{name}"', [table.to_batches()])
    for name, query in VIEWS.items():
        context.sql(f"CREATE VIEW {name} AS {query}").collect()
    return context


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_pair_says_which_arrays_a_query_becomes_and_both_have_the_same_rows(path, engine):
    written, becomes = pairs.read(path, "becomes")
    assert graph_text(written) == becomes
    source = grids()
    found = arrow(Program([LoweredQuery(parse_one(written).tree["Query"])], source, parameter_types(VALUES))
                  .step(source, VALUES).run(0))  # fmt: skip
    theirs = engine.sql(written.replace(":k", "1").replace(":lr", "0.5")).to_arrow_table()
    np.testing.assert_allclose(rows(found), rows(theirs), rtol=1e-12)
