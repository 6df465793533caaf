"""Which shortcuts are taken, so that none is lost silently; and what a person is told about them."""

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.storage.store import ScratchStore
from sqlmagic_xr.train.steps.plan import PlannedStep

CREATE = (
    "CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO params VALUES (0, 1.5, -2.0);"
    "CREATE TABLE weight (step BIGINT, j BIGINT, v DOUBLE); INSERT INTO weight VALUES (0, 0, 1.0), (0, 1, 2.0);"
    "CREATE TABLE hyper (rate DOUBLE, name TEXT); INSERT INTO hyper VALUES (0.5, 'o''clock');"
    "CREATE TABLE other (g BIGINT, z DOUBLE); INSERT INTO other VALUES (0, 1.0), (1, 2.0);"
    "CREATE VIEW newest AS SELECT a, b FROM params WHERE step = (SELECT MAX(step) FROM params)"
)
GROUPED = "SELECT :next_step, cur.a - AVG(d.x * cur.a), cur.b FROM d {} GROUP BY cur.a, cur.b"
CURRENT = "CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur"


@pytest.fixture
def data():
    return pa.table({"x": [1.0, 2.0, None, 4.0], "g": [0, 1, 0, 1], "unused": ["a", "b", "c", "d"]})


@pytest.fixture
def ctx(data):
    context = Context(namespace=lambda: {"d": data})
    context.script(CREATE)
    return context


def planned(ctx, *statements, **options):
    prepared = [ctx.prepare(parse_one(statement)) for statement in statements]
    return PlannedStep(prepared, writes={"params", "weight"}, varying={"k", "next_step"}, **options)


def run(ctx, step, k=0):
    with ctx.transaction():
        step.run({"k": k, "next_step": k + 1})


def explained(ctx, query, **options):
    step = planned(ctx, f"INSERT INTO params {query}", **options)
    run(ctx, step)
    (found,) = step.explain()
    return found


FOLDED = [
    GROUPED.format(CURRENT),
    GROUPED.format("CROSS JOIN (SELECT * FROM params WHERE step = :k) cur"),
    GROUPED.format("JOIN params cur ON cur.step = :k"),
    GROUPED.format("JOIN params AS cur ON :k = cur.step"),
    GROUPED.format("LEFT JOIN params cur ON cur.step = :k"),
    GROUPED.format("CROSS JOIN (SELECT a, b FROM params ORDER BY step DESC LIMIT 1) cur"),
    GROUPED.format("CROSS JOIN (SELECT a, b FROM params WHERE step = (SELECT MAX(step) FROM params)) cur"),
    GROUPED.format("CROSS JOIN newest cur"),
    "WITH cur AS (SELECT a, b FROM params WHERE step = :k) " + GROUPED.format("CROSS JOIN cur"),
    "WITH c AS (SELECT * FROM params), cur AS (SELECT a, b FROM c WHERE step = :k) " + GROUPED.format(", cur"),
    "SELECT :next_step, a - AVG(x * a), b FROM d, (SELECT a, b FROM params WHERE step = :k) cur GROUP BY a, b",
    "SELECT :next_step, cur.a + AVG(d.x) AS a, cur.b FROM d, params cur WHERE cur.step = :k GROUP BY 1, cur.a, 3",
    "SELECT :next_step, (SELECT a FROM params WHERE step = :k) + AVG(x), 0.0 FROM d",
    "SELECT :next_step, cur.a, MAX(h.rate) FROM d CROSS JOIN hyper h " + CURRENT + " GROUP BY cur.a",
    "SELECT :next_step, AVG(d.x * cur.a), MAX(prev.b) FROM d CROSS JOIN (SELECT * FROM params WHERE step = :k) cur "
    "LEFT JOIN params prev ON prev.step = cur.step - 1",
]  # fmt: skip


@pytest.mark.parametrize("query", FOLDED)
def test_a_one_row_read_of_the_state_is_folded(ctx, query):
    found = explained(ctx, query)
    assert found.executor == "relational"
    assert "params" not in found.sql
    assert "JOIN" not in found.sql
    assert "GROUP BY" not in found.sql
    assert {n.kind for n in found.notes} <= {"folded", "kept"}, found


NOT_FOLDED = [
    (GROUPED.format("RIGHT JOIN params cur ON cur.step = :k"), "outer joins"),
    (GROUPED.format("CROSS JOIN params cur"), ""),  # one row now, but several at the next step: see below
    ("SELECT :next_step, SUM(w.v), 0.0 FROM weight w WHERE w.step = :k", "bound"),
    ("SELECT :next_step, AVG(d.x), AVG(p.a) FROM d JOIN params p ON p.a > d.x", "one row"),
]


@pytest.mark.parametrize(("query", "why"), NOT_FOLDED)
def test_where_a_read_is_not_folded_the_reason_is_given(ctx, query, why):
    found = explained(ctx, query)
    assert why in str(found)


def test_a_read_that_finds_more_rows_than_before_is_read_as_it_stands(ctx):
    step = planned(ctx, "INSERT INTO params SELECT :next_step, SUM(cur.a), COUNT(*) FROM d CROSS JOIN params cur")
    for k in range(3):
        run(ctx, step, k)
    # 4 rows of d with each generation there is: 4 * 1.5, then 4 * (1.5 + 6), then 4 * (1.5 + 6 + 30)
    rows = ctx.sql("SELECT a, b FROM params WHERE step > 0 ORDER BY step").to_arrow_table().to_pydict()
    assert rows == {"a": [6.0, 30.0, 150.0], "b": [4.0, 8.0, 12.0]}


def test_only_the_rows_of_the_generation_are_given_to_the_engine(ctx):
    statement = "INSERT INTO weight SELECT :next_step, w.j, w.v * 2 FROM weight AS w WHERE w.step = :k"
    step = planned(ctx, statement)
    for k in range(5):
        run(ctx, step, k)
    (found,) = step.explain()
    assert "FROM weight" not in found.sql
    rows = ctx.sql("SELECT v FROM weight WHERE step = 5 ORDER BY j").to_arrow_table()["v"].to_pylist()
    assert rows == [32.0, 64.0]


def test_a_table_made_in_the_step_is_folded_where_it_is_read(ctx):
    made = f"CREATE OR REPLACE TABLE slope AS SELECT AVG(d.x * cur.a) AS a, cur.b FROM d {CURRENT} GROUP BY cur.b"
    insert = (
        "INSERT INTO params SELECT :next_step, cur.a - s.a, s.b FROM params cur CROSS JOIN slope s WHERE cur.step = :k"
    )
    prepared = [ctx.prepare(parse_one(statement)) for statement in (made, insert)]
    step = PlannedStep(prepared, writes={"params", "slope"}, varying={"k", "next_step"})
    for k in range(3):
        run(ctx, step, k)
    first, second = step.explain()
    assert "FROM __kept_0__ AS d" in first.sql
    assert "FROM" not in second.sql
    rows = ctx.sql("SELECT a FROM params ORDER BY step").to_arrow_table()["a"].to_numpy()
    np.testing.assert_allclose(rows, 1.5 * (1 - 7 / 3) ** np.arange(4))


def test_no_group_without_a_row(ctx):
    """GROUP BY over an empty input gives no row, an aggregate without it one: folding keeps the difference."""
    query = GROUPED.format(CURRENT).replace("GROUP BY", "WHERE d.x > :k + 100 GROUP BY")
    explained(ctx, query)
    assert ctx.sql("SELECT COUNT(*) AS n FROM params").to_arrow_table()["n"][0].as_py() == 1


def test_what_does_not_change_is_evaluated_once(ctx):
    """Only the columns that are used, and only the rows that the same condition lets pass at each step."""
    found = explained(ctx, "SELECT :next_step, AVG(d.x), COUNT(*) FROM d WHERE d.g = 1 AND d.x > 0")
    assert "kept: d (2 rows, 32 B)" in str(found)
    assert "WHERE" not in found.sql


def test_a_chunk_of_an_xarray_table_is_read_once():
    reads = []

    class Backend(xr.backends.BackendArray):
        shape, dtype = (6, 4), np.dtype(float)

        def __getitem__(self, key):
            reads.append(key)
            return xr.core.indexing.explicit_indexing_adapter(
                key, self.shape, xr.core.indexing.IndexingSupport.BASIC, lambda k: np.arange(24.0).reshape(6, 4)[k]
            )

    lazy = xr.core.indexing.LazilyIndexedArray(Backend())
    dataset = xr.Dataset({"v": (("i", "j"), lazy)}, coords={"i": np.arange(6), "j": np.arange(4)})
    context = Context()
    context.from_dataset("cells", dataset, chunks={"i": 2})
    context.script(CREATE)
    step = planned(context, "INSERT INTO params SELECT :next_step, AVG(c.v + cur.a), 0.0 FROM cells c " + CURRENT)
    run(context, step, 0)
    after_one = len(reads)
    assert after_one > 0
    for k in range(1, 4):
        run(context, step, k)
    assert len(reads) == after_one


def test_a_relation_that_exceeds_the_budget_is_read_each_step(ctx):
    found = explained(ctx, GROUPED.format(CURRENT), budget=20)
    assert "exceed the 20 B that may be kept in memory" in str(found)
    assert "FROM d" in found.sql


def test_an_xarray_table_that_exceeds_the_budget_is_not_read_to_find_out():
    """Its size is known before; a condition that makes it smaller is tried."""
    dataset = xr.Dataset({"v": (("i", "j"), np.ones((100, 10)))}, coords={"i": np.arange(100), "j": np.arange(10)})
    context = Context(namespace=lambda: {"cells": dataset})
    context.script(CREATE)
    query = "SELECT :next_step, SUM(c.v), 0.0 FROM cells c"
    found = explained(context, query, budget=7_000)
    assert "its 8.0 kB or more exceed the 7.0 kB" in str(found)
    assert "FROM __read_0__ c" in found.sql  # a few chunks at a time
    assert context.sql("SELECT a FROM params WHERE step = 1").to_arrow_table()["a"].to_pylist() == [1000.0]
    context.sql("DELETE FROM params WHERE step = 1")
    assert "kept: cells (10 rows" in str(explained(context, query + " WHERE c.i = 3", budget=7_000))


def test_another_scratch_table_that_changes_meanwhile_is_read_again(ctx):
    step = planned(ctx, "INSERT INTO params SELECT :next_step, SUM(o.z), 0.0 FROM other o")
    run(ctx, step, 0)
    ctx.sql("INSERT INTO other VALUES (2, 10.0)")
    run(ctx, step, 1)
    assert ctx.sql("SELECT a FROM params WHERE step > 0 ORDER BY step").to_arrow_table()["a"].to_pylist() == [3.0, 13.0]


@pytest.mark.parametrize("function", ["random()", "now()", "uuid()", "CURRENT_TIMESTAMP"])
def test_what_differs_at_each_call_is_not_kept(ctx, function):
    found = explained(ctx, f"SELECT :next_step, COUNT(DISTINCT q.r), 0.0 FROM (SELECT {function} AS r FROM d) q")
    assert function.split("(")[0].lower() in found.sql.lower()
    assert not any(n.what == "the query q" for n in found.notes)


def test_a_wrong_statement_says_the_same_as_it_would_alone(ctx):
    statement = "INSERT INTO params SELECT :next_step, cur.a / COUNT(*), cur.b FROM d " + CURRENT
    step = planned(ctx, statement)
    with pytest.raises(SqlError) as ours:
        run(ctx, step)
    with pytest.raises(SqlError) as theirs:
        ctx.prepare(parse_one(statement)).run({"k": 0, "next_step": 1})
    assert str(ours.value) == str(theirs.value)


def test_a_row_that_breaks_a_constraint_is_refused_in_the_same_words(ctx):
    step = planned(ctx, "INSERT INTO params SELECT :k, a, b FROM params WHERE step = :k")
    with pytest.raises(SqlError, match="PRIMARY KEY"):
        run(ctx, step)
    assert len(ctx.scratch("params")) == 1


def test_a_folded_step_plans_once_and_reads_no_history(ctx, monkeypatch):
    """Whatever the length of the history, a step hands over the kept data and nothing else."""
    step = planned(ctx, f"INSERT INTO params {GROUPED.format(CURRENT)}")
    run(ctx, step, 0)
    monkeypatch.setattr("sqlmagic_xr.train.steps.relational.fold", lambda *args: pytest.fail("folded again"))
    monkeypatch.setattr(ScratchStore, "reading", lambda *args: pytest.fail("read a table"))
    run(ctx, step, 1)
    assert len(ctx.scratch("params")) == 3


VALUES = [
    ("DOUBLE", "'NaN'::DOUBLE"), ("DOUBLE", "'-inf'::DOUBLE"), ("DOUBLE", "-0.0"), ("DOUBLE", "1e-310"),
    ("DOUBLE", "NULL"),
    ("DOUBLE", "0.1::DOUBLE + 0.2::DOUBLE"), ("FLOAT", "0.1"), ("FLOAT", "NULL"), ("BIGINT", "-9223372036854775808"),
    ("BIGINT", "9223372036854775807"), ("BIGINT", "NULL"), ("INT", "-7"), ("SMALLINT", "3"), ("BIGINT UNSIGNED", "7"),
    ("BOOLEAN", "true"), ("BOOLEAN", "NULL"), ("TEXT", "'it''s \\ \"x\"'"), ("TEXT", "NULL"), ("DATE", "'2020-02-29'"),
    ("TIMESTAMP", "'2020-02-29 12:00:00'"), ("DECIMAL(10, 3)", "1.125"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_a_state_value_of_any_type_comes_through_a_step_unchanged(ctx, kind, value):
    ctx.script(f"CREATE TABLE t (step BIGINT PRIMARY KEY, v {kind}); INSERT INTO t VALUES (0, {value})")
    statement = (
        "INSERT INTO t SELECT :next_step, COALESCE(cur.v, cur.v) "
        "FROM d CROSS JOIN (SELECT v FROM t WHERE step = :k) cur GROUP BY cur.v"
    )
    step = PlannedStep([ctx.prepare(parse_one(statement))], writes={"t"}, varying={"k", "next_step"})
    run(ctx, step)
    before, after = ctx.sql("SELECT v FROM t ORDER BY step").to_arrow_table()["v"].to_pylist()
    assert repr(before) == repr(after)


def test_the_loop_explains_without_a_trace(ctx):
    training = ctx.train(f"INSERT INTO params {GROUPED.format(CURRENT)}", steps=2, stream=True, executor="relational")
    (found,) = training.explain()
    assert found.executor == "relational"
    assert len(ctx.scratch("params")) == 1
    assert ctx.scratch("params").version == 1
    list(training)
    assert len(ctx.scratch("params")) == 3


def test_verbatim_makes_the_same_trajectory(ctx):
    cell = f"INSERT INTO params {GROUPED.format(CURRENT)}"
    ctx.train(cell, steps=5)
    planned_rows = ctx.scratch("params").to_arrow()
    ctx.sql("DELETE FROM params WHERE step > 0")
    training = ctx.train(cell, steps=5, stream=True, verbatim=True)
    list(training)
    assert [e.executor for e in training.explain()] == ["verbatim"]
    np.testing.assert_allclose(planned_rows["a"], ctx.scratch("params").to_arrow()["a"], rtol=1e-12)


NETWORK = """INSERT INTO weight WITH
    z AS (SELECT d.g, SUM(x * v) AS z FROM d JOIN weight w ON w.j = d.g WHERE w.step = :k GROUP BY d.g),
    s AS (SELECT SUM(exp(z)) AS s FROM z), loss AS (SELECT AVG(ln(s) - :weight * z * z) AS loss FROM z CROSS JOIN s)
    SELECT :next_step, j, v - 0.1 * grad(loss.loss, v) FROM weight CROSS JOIN loss WHERE step = :k"""


def test_what_a_gradient_reads_in_many_places_is_evaluated_once_a_step(ctx, monkeypatch):
    step = planned(ctx, NETWORK)
    for k in range(4):
        if k == 2:  # planned for the first step and for all that follow
            monkeypatch.setattr("sqlmagic_xr.train.steps.relational.fold", lambda *args: pytest.fail("folded again"))
        with ctx.transaction():
            step.run({"k": k, "next_step": k + 1, "weight": 0.3})
    (found,) = step.explain()
    assert (found.executor, found.sql.count("exp("), found.sql.count("__once_1__: ")) == ("relational", 2, 1)
    assert found.sql.count("SUM(d.x * w.v)") == 1
    rows = ctx.query("SELECT step, j, v FROM weight ORDER BY step, j")
    ctx.script("DELETE FROM weight WHERE step > 0")
    for k in range(4):
        ctx.script(NETWORK, {"k": k, "next_step": k + 1, "weight": 0.3})
    expected = ctx.query("SELECT step, j, v FROM weight ORDER BY step, j")
    np.testing.assert_allclose(rows["v"], expected["v"], rtol=1e-13)
    assert rows.select(["step", "j"]) == expected.select(["step", "j"])
    assert len(rows) == 10


def test_another_number_of_rows_below_a_gradient_is_planned_anew(ctx):
    step = planned(ctx, NETWORK)
    found = []
    for rows in ("(7, 0, 1.0), (7, 1, 2.0)", "(7, 1, 2.0)"):
        ctx.script(f"DELETE FROM weight; INSERT INTO weight VALUES {rows}")
        with ctx.transaction():
            step.run({"k": 7, "next_step": 8, "weight": 0.3})
        ctx.script(NETWORK, {"k": 7, "next_step": 9, "weight": 0.3})
        found.append(ctx.query("SELECT v FROM weight WHERE step > 7 ORDER BY step, j")["v"].to_pylist())
    assert [len(one) for one in found] == [4, 2]
    for one in found:
        np.testing.assert_allclose(one[: len(one) // 2], one[len(one) // 2 :], rtol=1e-13)
    assert [each.executor for each in step.explain()] == ["relational"]
