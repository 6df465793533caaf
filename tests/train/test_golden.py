"""Pairs of SQL: a step's statement or a curve, and what the engine is given instead; both are run and give one answer.

Behind ``-- because`` stands what a person is told about it.
"""

from pathlib import Path

import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.curves.curve import Curve
from sqlmagic_xr.train.steps.plan import PlannedStep
from sqlmagic_xr.train.trajectory import Trajectory
from tests import pairs

HERE = Path(__file__).parent / "golden"
STEPS, CURVES = pairs.files(HERE / "step"), pairs.files(HERE / "curve")
VALUES = {"k": 1, "next_step": 2, "lr": 0.5}
TABLES = """
CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE);
INSERT INTO params VALUES (0, 1.5, -2.0), (1, 0.25, 4.0);
CREATE TABLE weight (step BIGINT, j BIGINT, v DOUBLE, PRIMARY KEY (step, j));
INSERT INTO weight VALUES (0, 0, 1.0), (0, 1, 2.0), (1, 0, 3.0), (1, 1, 5.0);
CREATE TABLE hyper (rate DOUBLE, name TEXT); INSERT INTO hyper VALUES (0.5, 'o''clock');
CREATE TABLE "Big" ("Step" BIGINT PRIMARY KEY, "A b" DOUBLE); INSERT INTO "Big" VALUES (1, 7.0);
CREATE VIEW newest AS SELECT a, b FROM params WHERE step = (SELECT MAX(step) FROM params);
CREATE VIEW loss AS SELECT step, AVG(y - a * x) AS loss FROM d CROSS JOIN params GROUP BY step
"""


@pytest.fixture
def context():
    data = pa.table({"x": [1.0, 2.0, None, 4.0], "y": [0.5, 1.0, 1.5, -1.0], "g": [0, 1, 0, 1]})
    context = Context(namespace=lambda: {"d": data})
    context.script(TABLES)
    return context


def rows(table):
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=str)


def planned(context, written):
    """What a step's statement becomes, what is told about it, and the rows that it adds."""
    step = PlannedStep([context.prepare(parse_one(written))], writes={"params", "weight"}, varying={"k", "next_step"})
    with context.transaction():
        step.run(VALUES)
    (found,) = step.explain()
    target = "weight" if "INTO weight" in written else "params"
    return found.sql, "\n".join(map(str, found.notes)), rows(context.scratch(target).to_arrow())


@pytest.mark.parametrize("path", STEPS, ids=[path.stem for path in STEPS])
def test_a_pair_says_what_a_step_becomes_and_both_add_the_same_rows(path, context):
    written, becomes, because = pairs.read(path, "becomes", "because")
    query = written.split("\n", 1)[1] if written.startswith("INSERT INTO params\n") else written.partition(" ")[2]
    before = rows(context.scratch("params").to_arrow())
    expected = sorted([*before, *rows(context.script(query, VALUES)[0].to_arrow_table())], key=str)
    sql, notes, added = planned(context, written)
    assert sql == becomes
    assert notes == because
    assert added == expected


def curve(context, written):
    return Curve(
        context, parse_one(written), Trajectory("params", "step"), first=0, start=0,
        changing=frozenset({"weight"}), varying=frozenset({"lr"}),
    )  # fmt: skip


@pytest.mark.parametrize("path", CURVES, ids=[path.stem for path in CURVES])
def test_a_pair_says_which_generations_a_curve_asks_for(path, context):
    written, becomes = pairs.read(path, "becomes")
    found = curve(context, written)
    assert found._part is not None
    assert found._part.statement.text == becomes
    while not found.refresh({}, 1):
        pass
    assert rows(found.table) == rows(context.script(written)[0].to_arrow_table())
