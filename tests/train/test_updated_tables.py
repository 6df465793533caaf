"""A table that each step updates is carried from step to step, and written out when somebody reads it."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.events import Stepped
from sqlmagic_xr.train.start import train
from tests.dealt import MANY, PACKED, dealing
from tests.train.test_many_steps import commits, same

DATA = pa.table({"i": np.arange(20), "x": np.linspace(-1, 1.5, 20)})
TABLES = {
    "p": "CREATE TABLE p (step BIGINT, j BIGINT, a DOUBLE, PRIMARY KEY (step, j)); "
    "INSERT INTO p VALUES (0, 0, 1.0), (0, 1, 2.0), (0, 2, -0.5)",
    "m": "CREATE TABLE m (j BIGINT PRIMARY KEY, v DOUBLE NOT NULL, n BIGINT, note TEXT); "
    "INSERT INTO m VALUES (2, 0.5, 0, 'c'), (0, 0.0, 0, 'a'), (1, 0.25, 3, 'b')",
    "rate": "CREATE TABLE rate (lr DOUBLE, b BOOLEAN); INSERT INTO rate VALUES (0.1, TRUE)",
    "loose": "CREATE TABLE loose (v DOUBLE, w DOUBLE); INSERT INTO loose VALUES (0.5, 1), (-0.5, 1), (0.5, 2)",
    "checked": "CREATE TABLE checked (j BIGINT PRIMARY KEY, v DOUBLE CHECK (v < 3)); "
    "INSERT INTO checked VALUES (0, 0.5), (1, 0.25), (2, 0)",
    "s": "CREATE TABLE s (j BIGINT, v DOUBLE); INSERT INTO s VALUES (0, 0.5), (1, 0.25), (2, 0)",
    "narrow": "CREATE TABLE narrow (j BIGINT PRIMARY KEY, v FLOAT); INSERT INTO narrow VALUES (0, 0.5), (1, 0), (2, 1)",
}
STEP = "INSERT INTO p SELECT :next_step, p.j, p.a - 0.1 * m.v FROM p JOIN m ON p.j = m.j WHERE p.step = :k"
ALONE = "INSERT INTO p SELECT :next_step, j, 0.9 * a FROM p WHERE step = :k"
RATED = "INSERT INTO p SELECT :next_step, p.j, p.a - rate.lr * p.a FROM p CROSS JOIN rate WHERE p.step = :k"
TOGETHER = {
    "every row": f"UPDATE m SET v = 0.9 * v + 0.01; {STEP}",
    "some rows": f"UPDATE m SET v = 0.9 * v + n WHERE j >= 1; {STEP}",
    "by the step": f"UPDATE m SET v = v + :k WHERE j = :k % 3; {STEP}",
    "by another column": f"UPDATE m SET v = v / 2, n = n + 1 WHERE v > 0.1; {STEP}",
    "no row": f"UPDATE m SET v = 7 WHERE j > 99; {STEP}",
    "an alias": f"UPDATE m AS t SET v = 0.9 * t.v WHERE t.note = 'b'; {STEP}",
    "from the state": f"UPDATE m SET v = 0.9 * m.v + p.a FROM p WHERE p.step = :k AND p.j = m.j; {STEP}",
    "from what the step has written": f"{STEP}; UPDATE m SET v = 0.9 * m.v + p.a FROM p "
    "WHERE p.step = :next_step AND p.j = m.j",
    "from one row": f"UPDATE m SET v = 0.9 * m.v + g.s FROM (SELECT AVG(a) AS s FROM p WHERE step = :k) g; {STEP}",
    "from one row, some": f"UPDATE m SET v = g.s FROM (SELECT AVG(a) AS s FROM p WHERE step = :k) g WHERE j < 2;{STEP}",
    "from a group": "UPDATE m SET v = 0.5 * m.v + g.s FROM (SELECT p.j, AVG(d.x * p.a) AS s FROM d CROSS JOIN p "
    f"WHERE p.step = :k GROUP BY p.j) AS g WHERE g.j = m.j; {STEP}",
    "from two": "UPDATE m SET v = p.a * g.s FROM p, (SELECT AVG(x * x) AS s FROM d) g "
    f"WHERE p.step = :k AND p.j = m.j AND m.j > 0; {STEP}",
    "a CTE": f"WITH g AS (SELECT j, a FROM p WHERE step = :k) UPDATE m SET v = g.a FROM g WHERE g.j = m.j; {STEP}",
    "a subquery": f"UPDATE m SET v = v + (SELECT AVG(a) FROM p WHERE step = :k); {STEP}",
    "one row": f"UPDATE rate SET lr = lr * 0.99; {RATED}",
    "one row, another type": f"UPDATE rate SET b = NOT b, lr = CASE WHEN b THEN 0.1 ELSE 0.05 END; {RATED}",
    "behind": f"{STEP}; UPDATE m SET v = 0.9 * v + 0.01 * j",
    "twice": f"UPDATE m SET v = 0.9 * v; UPDATE m SET v = v + 0.1 WHERE j = 0; {STEP}; UPDATE m SET n = n + 1",
    "two tables": f"UPDATE rate SET lr = 0.9 * lr; UPDATE m SET v = m.v * r.lr FROM rate r; {STEP}",
    "read before and behind": "INSERT INTO p SELECT :next_step, p.j, p.a - 0.1 * m.v FROM p JOIN m ON p.j = m.j "
    "WHERE p.step = :k; UPDATE m SET v = v * 0.5 + 0.2; CREATE OR REPLACE TABLE c AS SELECT j, v * 2 AS v FROM m",
    "made anew of itself": "CREATE OR REPLACE TABLE s AS SELECT s.j AS j, 0.9 * s.v + p.a AS v FROM s JOIN p "
    f"ON p.j = s.j WHERE p.step = :k; {STEP.replace('JOIN m', 'JOIN s m')}",
    "another type": f"UPDATE narrow SET v = v * 0.7; {ALONE}",
    "another type, some": "UPDATE narrow SET v = narrow.v * 0.7 + p.a FROM p WHERE p.step = :k AND p.j = narrow.j "
    f"AND p.j > 0; {STEP.replace('m.v FROM', 'CAST(m.v AS DOUBLE) FROM').replace('JOIN m', 'JOIN narrow m')}",
    "a whole number for a real": f"UPDATE m SET v = 2; {STEP}",
    "whole numbers for a real": f"UPDATE m SET v = n + :k WHERE j > 0; {STEP}",
    "a constraint": f"UPDATE checked SET v = v + 0.01; {ALONE}",
    "filled again, then updated": "DELETE FROM m; INSERT INTO m (j, v, n, note) SELECT j, a, 1, 'z' FROM p WHERE "
    f"step = :k; UPDATE m SET v = v / 2, n = n + j; {STEP}",
}
ONE_BY_ONE = {
    "NULL now and then": f"UPDATE m SET n = CASE WHEN :k % 2 = 1 THEN NULL ELSE 1 END; {STEP}",
    "a key": f"UPDATE m SET j = 2 - j; {STEP}",
    "rows without a key": f"UPDATE loose SET v = v * w; {ALONE}",
    "the trajectory": f"{ALONE}; UPDATE p SET a = a + 1 WHERE step = :next_step",
    "several partners that agree": f"UPDATE m SET v = g.b FROM (SELECT i, 0.5 AS b FROM d) g WHERE g.i >= m.j; {STEP}",
    "a row of a row": f"UPDATE m SET v = v + (SELECT p.a FROM p WHERE p.step = :k AND p.j = m.j); {STEP}",
    "RETURNING": f"UPDATE m SET v = 0.9 * v RETURNING j; {STEP}",
}
FAILING = {
    "NOT NULL": f"UPDATE m SET v = CASE WHEN :k = 4 AND j = 1 THEN NULL ELSE v END; {STEP}",
    "CHECK": f"UPDATE checked SET v = v + 0.6 * j; {ALONE}",
    "several partners": f"UPDATE m SET v = d.x FROM d WHERE d.i >= m.j; {STEP}",
    "too large for the type": f"UPDATE narrow SET v = v * 1e13 + 1e9; {ALONE}",
    "infinite": f"UPDATE m SET v = v * 1e90; {STEP}",
    "divided by zero": f"UPDATE m SET n = 7 / (4 - :k); {STEP}",
}


def context(cell, rows=0):
    """The tables that a cell reads; to so many rows there are those that it updates, in hundreds of batches."""
    data = DATA if not rows else pa.table({"i": np.arange(rows), "x": np.linspace(-1, 1.5, rows)})
    ctx = dealing(Context(namespace=lambda: {"d": data}), PACKED if rows else None)
    ctx.script("; ".join(create for name, create in TABLES.items() if re.search(rf"\b{name}\b", cell)))
    if rows:
        more = f"FROM generate_series(3, {rows - 1}) AS g"
        ctx.script(f"INSERT INTO m SELECT value, value % 7 / 8.0, value % 5, 'n' || (value % 11) {more}")
        ctx.script(f"INSERT INTO p SELECT 0, value, value % 9 / 4.0 - 1 {more}")
    return ctx


def assert_alike(ours, theirs, cell):
    assert ours.store.entries().keys() == theirs.store.entries().keys()
    for table in ours.store.entries():
        mine, other = (c.scratch(table).to_arrow() for c in (ours, theirs))
        assert mine.schema == other.schema, (cell, table)
        mine, other = (t.sort_by([(n, "ascending") for n in t.column_names[:2]]) for t in (mine, other))
        for name in mine.column_names:
            if pa.types.is_floating(mine[name].type):
                np.testing.assert_allclose(mine[name].to_numpy(), other[name].to_numpy(), rtol=1e-12, err_msg=cell)
            else:
                assert mine[name].to_pylist() == other[name].to_pylist(), (cell, table, name)


@pytest.mark.parametrize("cell", [*TOGETHER.values(), *ONE_BY_ONE.values()], ids=[*TOGETHER, *ONE_BY_ONE])
def test_the_rows_are_those_of_the_statements_as_they_stand(cell):
    ctx, theirs = context(cell), context(cell)
    train(ctx, cell, steps=4)
    train(theirs, cell, steps=4, verbatim=True)
    assert_alike(ctx, theirs, cell)
    assert (commits(ctx, "p") < 6) == (cell in TOGETHER.values())


@pytest.mark.parametrize("name", ["every row", "from the state", "one row", "twice"])
@pytest.mark.parametrize("each_step", [True, False])
def test_nobody_writes_the_rows_out_before_somebody_reads_them(name, each_step):
    ctx, table = context(TOGETHER[name]), "rate" if name == "one row" else "m"
    ctx.train(TOGETHER[name], steps=30, each_step=each_step)
    assert ctx.store.table(table).chunks[-1].drafts
    rows = ctx.query(f"SELECT COUNT(*) AS n FROM {table}")["n"][0].as_py()
    assert rows == {"m": 3, "rate": 1}[table]


@pytest.mark.parametrize("cell", FAILING.values(), ids=FAILING)
def test_what_fails_says_what_the_statement_says_at_its_step(cell):
    ctx, theirs = context(cell), context(cell)
    assert ended(ctx, cell) == ended(theirs, cell, verbatim=True)
    assert_alike(ctx, theirs, cell)


def ended(ctx, cell, **options):
    try:
        return train(ctx, cell, steps=6, **options).message
    except SqlError as error:
        return str(error)


def test_versions_can_be_restored_and_a_run_taken_back():
    cell = TOGETHER["from the state"]
    ctx = context(cell)
    run = ctx.train(cell, steps=10, each_step=True)
    v = [ctx.scratch("m").at(version).sort_by("j")["v"].to_pylist() for version in range(1, 12)]
    assert len({tuple(each) for each in v}) == 11
    assert [line.added for line in ctx.scratch("m").history()[2:]] == [3] * 10
    ctx.scratch("m").restore(4)
    assert ctx.scratch("m").to_arrow().sort_by("j")["v"].to_pylist() == v[3]
    with pytest.raises(SqlError, match="has changed since"):
        run.rollback()
    run = ctx.train(cell, steps=10)
    run.rollback()
    assert ctx.scratch("m").to_arrow().sort_by("j")["v"].to_pylist() == v[3]
    assert len(ctx.scratch("p")) == 33


def test_others_change_the_table_between_two_steps():
    cell = TOGETHER["every row"]

    def run(**options):
        ctx = context(cell)

        def change(event):
            if isinstance(event, Stepped) and event.step == 1:
                ctx.script("UPDATE m SET v = 5 WHERE j = 2; INSERT INTO m VALUES (7, 1, 1, 'n')")

        train(ctx, cell, steps=9, on_event=change, **options)
        return ctx

    assert_alike(run(), run(verbatim=True), cell)


UPDATES = st.builds(
    "UPDATE m SET {} {}".format,
    st.sampled_from([
        "v = 0.9 * v + 0.01", "v = v * :lr, n = n + 1", "n = 2 * n - j", "v = CASE WHEN n > 2 THEN v ELSE -v END",
        "v = v - :lr * v * v, note = 'n'", "v = v + :k * 0.001", "v = abs(v) / (1 + j), n = CAST(v * 10 AS BIGINT)",
        "v = (SELECT AVG(a) FROM p WHERE step = :k) - v",
    ]),
    st.sampled_from(
        ["", "WHERE j > 0", "WHERE v > 0.1", "WHERE note = 'b' OR n < 2", "WHERE j = :k % 4", "WHERE NULL"]
    ),
)  # fmt: skip
JOINED = st.builds(
    "UPDATE m SET {} FROM {} WHERE {}".format,
    st.sampled_from(["v = m.v - :lr * g.a", "v = g.a, n = m.n + 1", "v = 0.5 * (m.v + g.a)"]),
    st.sampled_from([
        "(SELECT j, a FROM p WHERE step = :k) g",
        "(SELECT j, AVG(a * x) AS a FROM p CROSS JOIN d WHERE step = :k GROUP BY j) g",
        "(SELECT i AS j, x AS a FROM d) AS g",
    ]),
    st.sampled_from(["g.j = m.j", "m.j = g.j AND m.n < 3", "g.j = m.j AND g.a > 0"]),
)  # fmt: skip


@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(first=UPDATES | JOINED, second=st.none() | UPDATES | JOINED, behind=st.booleans(), steps=st.sampled_from([1, 7]))
def test_random_updates(first, second, behind, steps):
    updates = [first, *([second] if second else [])]
    cell = "; ".join([STEP, *updates] if behind else [*updates, STEP])
    options = {"steps": steps, "params": {"lr": 0.1} if ":lr" in cell else {}}
    ctx, theirs = same(lambda: context(cell), cell, **options), context(cell)
    train(theirs, cell, verbatim=True, **options)
    assert_alike(ctx, theirs, cell)


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(first=UPDATES | JOINED, second=UPDATES | JOINED)
def test_random_updates_of_many_rows(first, second):
    cell = "; ".join([first, STEP, second])
    if "CROSS JOIN d" in cell:
        return  # of so many rows with each other
    options = {"steps": 3, "params": {"lr": 0.1} if ":lr" in cell else {}}
    ctx, theirs = context(cell, MANY), context(cell, MANY)
    train(ctx, cell, **options)
    train(theirs, cell, verbatim=True, **options)
    assert_alike(ctx, theirs, cell)


@pytest.mark.parametrize("name", ["from the state", "twice"])
@pytest.mark.parametrize("most", [1, 7])
def test_a_device_leaves_the_same(name, most, monkeypatch):
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(most, *limits)))
    cell = TOGETHER[name]
    ctx, alone = context(cell), context(cell)
    train(ctx, cell, steps=9, device="cpu")
    train(alone, cell, steps=9, each_step=True)
    assert_alike(ctx, alone, cell)
    assert commits(ctx, "p") == {1: 11, 7: 5}[most]
