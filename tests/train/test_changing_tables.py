"""Tables that change between steps: whoever runs a step, it makes what its statements as they stand would have made."""

import math

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.events import Stepped
from tests.dealt import MANY, PACKED, dealing

STEPS = 5
P = ["p", "public.p", "datafusion.public.p", '"p"', "P"]
U = ["u", "public.u", "U", "uv", "public.uv", "(SELECT * FROM u)", "(SELECT g, x FROM public.u WHERE g > 0)"]
VALUES = [
    "SUM(u.x)", "MAX(u.x) - MIN(d.y)", "median(u.x)", "COUNT(*) + SUM(d.y)", "AVG(u.x * d.y)", "SUM(u.x) / COUNT(u.x)",
    "SUM(CASE WHEN u.x > 1 THEN d.y ELSE u.x END)",
]  # fmt: skip
STATE = ["SELECT a FROM {p} WHERE step = :step", "SELECT a FROM {p} WHERE step = (SELECT MAX(step) FROM {p})",
         "SELECT a FROM {p} ORDER BY step DESC LIMIT 1",
         "SELECT MAX(a) AS a FROM {p}", "SELECT a FROM newest"]  # fmt: skip


@st.composite
def first(draw):
    """An INSERT of the next generation."""
    p, u, value = draw(st.sampled_from(P)), draw(st.sampled_from(U)), draw(st.sampled_from(VALUES))
    columns = draw(st.sampled_from(["", "", " (step, a)", " (a, step)"]))
    join = draw(st.sampled_from([" JOIN d ON u.g = d.g", " CROSS JOIN d", " LEFT JOIN d ON d.g = u.g AND d.y > 0"]))
    items = [":next_step", value]
    tail = ""
    if draw(st.booleans()):
        tail = f" CROSS JOIN ({draw(st.sampled_from(STATE)).format(p=p)}) cur GROUP BY cur.a"
        items[1] = f"0.5 * cur.a + {value}"
    if columns == " (a, step)":
        items.reverse()
    return f"INSERT INTO {draw(st.sampled_from(P))}{columns} SELECT {', '.join(items)} FROM {u} u{join}{tail}"


MORE = [
    "INSERT INTO log SELECT :step, COUNT(*), SUM(a) FROM {p}",
    "INSERT INTO log SELECT :next_step, COUNT(*), SUM(x) FROM {u} q",
    "INSERT INTO log SELECT * FROM (SELECT :step AS n, g, x FROM u WHERE g = 1) q",
    "UPDATE u SET x = x + 0.25 WHERE g = :step",
    "UPDATE u SET x = (SELECT MAX(a) FROM {p}) WHERE g = 2",
    "DELETE FROM log WHERE n < :step - 1",
    "CREATE OR REPLACE TABLE best AS SELECT MAX(a) AS a, COUNT(*) AS n FROM {p}",
    "INSERT INTO log SELECT :step, n, a FROM public.best",
    "INSERT INTO u SELECT :step + 5, MAX(a) FROM {p} WHERE step = :step",
    "MERGE INTO u USING (SELECT 1 AS g, MAX(y) AS y FROM d) s ON u.g = s.g WHEN MATCHED THEN UPDATE SET x = u.x + s.y",
    "INSERT INTO log SELECT :step, g, SUM(x) FROM u GROUP BY g",
]

CHANGES = [
    "UPDATE u SET x = x * 2",
    "UPDATE p SET a = a + 1",
    "UPDATE p SET a = 7 WHERE step = 0",
    "DELETE FROM u WHERE g = 1",
    "DELETE FROM p WHERE step = 0",
    "INSERT INTO u (g, x) VALUES (1, 3.5), (2, NULL)",
    "TRUNCATE TABLE u",
    "ALTER TABLE u ADD COLUMN z DOUBLE DEFAULT 1.5",
    "ALTER TABLE u DROP COLUMN x",
    "ALTER TABLE u RENAME COLUMN x TO y; ALTER TABLE u ADD COLUMN x DOUBLE DEFAULT 2.0",
    "ALTER TABLE p ADD COLUMN b DOUBLE DEFAULT 0.5",
    "ALTER TABLE p RENAME COLUMN a TO c; ALTER TABLE p ADD COLUMN a DOUBLE",
    "ALTER TABLE p ADD CHECK (a < 1000)",
    "CREATE OR REPLACE VIEW uv AS SELECT g, x * 3 AS x FROM u",
    "CREATE OR REPLACE VIEW uv AS SELECT step AS g, a AS x FROM p",
    "CREATE OR REPLACE VIEW newest AS SELECT 2.0 AS a",
    "DROP VIEW uv",
    "CREATE OR REPLACE TABLE u AS SELECT 1.25 AS x, 1 AS g UNION ALL SELECT 2.5, 2",
    "CREATE OR REPLACE TABLE u AS SELECT CAST(1 AS BIGINT) AS g, CAST(4 AS INT) AS x",
    "ALTER TABLE u RENAME TO gone; CREATE TABLE u AS SELECT * FROM gone WHERE g < 2",
    "CREATE OR REPLACE TABLE log (n BIGINT, k BIGINT, s DOUBLE)",
    "SET datafusion.execution.batch_size = 2",
    "SET datafusion.execution.target_partitions = 4",
    "d = other rows",
    "d = xarray",
    "d = other columns",
    "restore u",
]


def grid():
    return xr.Dataset({"y": ("g", np.array([0.5, 1.5, np.nan]))}, coords={"g": np.arange(3)})


FRAMES = {
    "d = other rows": lambda: pa.table({"g": [1, 2, 2], "y": [2.0, 3.0, None]}),
    "d = other columns": lambda: pa.table({"y": pa.array([1, 2], pa.int64()), "more": ["x", "y"], "g": [2, 1]}),
    "d = xarray": grid,
}


class World:
    """A context of its own, and what is done to it between the steps."""

    def __init__(self, arrow, rows=0):
        self.variables = {"d": pa.table({"g": [0, 1, 2], "y": [1.0, -0.5, 2.0]}) if arrow else grid()}
        self.ctx = dealing(Context(namespace=lambda: self.variables), PACKED if rows else None)
        self.ctx.script(
            "CREATE TABLE p (step BIGINT, a DOUBLE); INSERT INTO p VALUES (0, 1.0);"
            "CREATE TABLE u (g BIGINT, x DOUBLE); INSERT INTO u VALUES (0, 0.5), (1, 1.5), (2, 2.5), (2, NULL);"
            "CREATE TABLE log (n BIGINT, k BIGINT, s DOUBLE); CREATE TABLE best AS SELECT 'none' AS other;"
            "CREATE VIEW uv AS SELECT g, x + 1 AS x FROM u;"
            "CREATE VIEW newest AS SELECT a FROM p WHERE step = (SELECT MAX(step) FROM p)"
        )
        if rows:
            self.ctx.script(f"INSERT INTO u SELECT value % 1000, value * 0.25 FROM generate_series(1, {rows})")

    def change(self, what):
        try:
            if what in FRAMES:
                self.variables["d"] = FRAMES[what]()
            elif what == "restore u":
                self.ctx.scratch("u").restore(1)
            else:
                self.ctx.script(what)
        except SqlError:
            pass  # what cannot be done is done in none of the worlds

    def train(self, cell, changes, **way):
        def receive(event):
            if isinstance(event, Stepped):
                for change in changes.get(event.step, ()):
                    self.change(change)

        try:
            run = self.ctx.train(cell, steps=STEPS, seed=1, on_event=receive, **way)
        except SqlError as error:
            return type(error)
        return run.status, run.generation, run.steps

    def tables(self):
        found = {}
        for name in ("p", "u", "log", "best"):
            table = self.ctx.scratch(name).to_arrow() if name in self.ctx.store.entries() else None
            rows = [] if table is None else [tuple(row.values()) for row in table.to_pylist()]
            found[name] = (None if table is None else str(table.schema), sorted(rows, key=order))
        return found


def order(row):
    """Rounded, so that sums which differ in their last bits do not change the order."""
    return [
        (v is None, isinstance(v, str), round(v, 7) if isinstance(v, float) and math.isfinite(v) else v) for v in row
    ]


def same(left, right):
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    return left == right


@st.composite
def programs(draw):
    """A cell, and the changes behind each of its steps."""
    names = {"p": draw(st.sampled_from(P)), "u": draw(st.sampled_from(U))}
    more = [s.format(**names) for s in draw(st.lists(st.sampled_from(MORE), max_size=3))]
    before, behind = more[: len(more) // 2], more[len(more) // 2 :]
    before = [s for s in before if not s.startswith("INSERT")]  # the first INSERT is the trajectory's
    changes = draw(
        st.dictionaries(
            st.integers(1, STEPS - 1), st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2), max_size=3
        )
    )
    return "; ".join([*before, draw(first()), *behind]), changes


def compare(cell, changes, arrow, rows=0):
    ways = [{"verbatim": True}, {}, {"executor": "relational"}]
    worlds = [World(arrow, rows) for _ in ways]
    ends = [world.train(cell, changes, **way) for world, way in zip(worlds, ways, strict=True)]
    assert ends[1] == ends[0] == ends[2], (cell, changes, ends)
    expected, *others = [world.tables() for world in worlds]
    for way, found in zip(ways[1:], others, strict=True):
        for name, (schema, rows) in expected.items():
            assert found[name][0] == schema, (cell, changes, way, name)
            assert len(found[name][1]) == len(rows), (cell, changes, way, name, found[name][1], rows)
            for a, b in zip(found[name][1], rows, strict=True):
                assert all(map(same, a, b)), (cell, changes, way, name, a, b)
    return ends[0]


def test_a_table_of_many_rows_that_changes():
    changes = {1: ["UPDATE u SET x = x * 2"], 2: [CHANGES[9]], 3: ["DELETE FROM u WHERE g = 1"]}
    cell = "; ".join([
        "UPDATE u SET x = x + 0.25 * g WHERE g % 5 = :step",
        "INSERT INTO p SELECT :next_step, 0.5 * AVG(u.x) FROM u JOIN d ON u.g % 3 = d.g",
        "INSERT INTO log SELECT * FROM (SELECT :step AS n, g, x FROM u WHERE g % 50 = 1) q",
        "UPDATE u SET x = (SELECT MAX(a) FROM p) WHERE g = 2",
    ])  # fmt: skip
    assert compare(cell, changes, True, MANY)[0] == "done"


@pytest.mark.parametrize("arrow", [True, False], ids=["a table in Arrow", "an xarray table"])
@settings(max_examples=48, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(program=programs())
def test_random_programs_over_tables_that_change(arrow, program):
    compare(*program, arrow)


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(program=programs(), arrow=st.booleans())
def test_random_programs_over_tables_of_many_rows(program, arrow):
    compare(*program, arrow, MANY)
