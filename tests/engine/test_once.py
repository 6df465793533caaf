"""Queries whose CTEs are evaluated once: the same rows, nothing runs before they are asked for."""

import time

import pytest

from sqlmagic_xr.context import Context
from sqlmagic_xr.engine.recursion.frame import LateFrame
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.sql.clauses import evaluated_once
from sqlmagic_xr.sql.ctes import shared
from sqlmagic_xr.sql.syntax import parse_one, to_sql


def doubled(times, first="SELECT k, v FROM t"):
    """CTEs of which each reads the one before it twice; written out, the last is 2 ** times readings of the first."""
    ctes = [f"a0 AS ({first})"]
    ctes += [f"a{n} AS (SELECT x.k, x.v + y.v - x.v AS v FROM a{n - 1} x JOIN a{n - 1} y ON x.k = y.k)"
             for n in range(1, times + 1)]  # fmt: skip
    return f"WITH {', '.join(ctes)} SELECT k, v FROM a{times} ORDER BY k"


def marked(text):
    tree = parse_one(text).tree
    inner = tree["Explain"]["statement"] if "Explain" in tree else tree
    inner["Query"] = evaluated_once(inner["Query"])
    return tree


@pytest.fixture
def context():
    context = Context(namespace=dict)
    context.script(
        "CREATE TABLE t (k BIGINT PRIMARY KEY, v DOUBLE); INSERT INTO t VALUES (1, 1.5), (2, NULL), (3, -2.0)"
    )
    return context


def planned(context, text):
    tree = marked(text)
    return context.plan(to_sql(tree), tree)


def test_the_rows_are_those_of_the_whole_query(context):
    frame = planned(context, doubled(5))
    assert isinstance(frame, LateFrame)
    assert frame.schema() == context.query(doubled(5)).schema
    assert frame.to_arrow_table() == context.query(doubled(5))


def test_what_would_be_evaluated_a_million_times_is_planned_in_a_moment(context):
    begin = time.process_time()
    assert planned(context, doubled(20)).to_arrow_table().column("v").to_pylist() == [1.5, None, -2.0]
    assert time.process_time() - begin < 20


def test_a_query_that_is_asked_again_is_not_looked_at_again_while_its_tables_have_their_columns(context, monkeypatch):
    query = doubled(3).replace("x.v + y.v - x.v", "x.v + y.v - 2 * x.v / 2")
    first = planned(context, query).to_arrow_table()
    context.script("INSERT INTO t VALUES (4, 8.0)")
    with monkeypatch.context() as patched:
        patched.setattr("sqlmagic_xr.engine.once.coerced", lambda plan: pytest.fail("looked at again"))
        again = planned(context, query).to_arrow_table()
    assert again.column("v").to_pylist() == [*first.column("v").to_pylist(), 8.0]
    context.script("CREATE OR REPLACE TABLE t AS SELECT 7 AS k, CAST(2 AS BIGINT) AS v")
    other = planned(context, query).to_arrow_table()
    assert (str(other.schema.field("v").type), other.column("v").to_pylist()) == ("int64", [2])
    context.script("DROP TABLE t; CREATE VIEW t AS SELECT 7 AS k, 0.5 AS v")
    assert planned(context, query).to_arrow_table().column("v").to_pylist() == [0.5]


def test_each_is_evaluated_once_and_only_when_its_rows_are_asked_for(context):
    query = doubled(5, "SELECT k, random() AS v FROM t")
    frame = planned(context, query.replace("x.v + y.v - x.v", "x.v - y.v"))
    assert frame.schema().names == ["k", "v"]
    assert frame._settled is None
    assert frame.to_arrow_table().column("v").to_pylist() == [0.0, 0.0, 0.0]


def test_the_rows_are_those_of_the_tables_when_it_was_planned(context):
    frame = planned(context, doubled(5))
    context.script("DELETE FROM t WHERE k > 1")
    assert frame.to_arrow_table().column("k").to_pylist() == [1, 2, 3]


def test_explain_evaluates_nothing(context):
    plan = planned(context, f"EXPLAIN {doubled(20)}").to_arrow_table()
    assert "once" in str(plan.column("plan").to_pylist())


def test_an_error_at_run_time_is_said(context):
    with pytest.raises((SqlError, Exception), match=r"[Dd]ivi"):
        planned(context, doubled(5, "SELECT k, k / (k - 1) AS v FROM t")).to_arrow_table()


def test_what_is_read_once_or_not_asked_for_is_the_engines(context):
    assert shared(marked(doubled(0))) is None
    assert shared(parse_one(doubled(9)).tree) is None
    assert not isinstance(planned(context, doubled(0)), LateFrame)


def test_marked_ctes_inside_another_are_evaluated_once_as_well(context):
    tree = parse_one(f"WITH outside AS ({doubled(6)}) SELECT o.k, p.v FROM outside o JOIN outside p ON o.k = p.k").tree
    inner = tree["Query"]["with"]["cte_tables"][0]
    inner["query"] = evaluated_once(inner["query"])
    found = shared(tree)
    assert found is not None
    assert len(found.steps) == 7
    rows = context.plan(to_sql(tree), tree).to_arrow_table()
    assert sorted(rows.to_pydict()["k"]) == [1, 2, 3]


def test_a_gradient_runs_so(context):
    query = """WITH a AS (SELECT k, tanh(v) AS v FROM t),
                    b AS (SELECT a.k, a.v * o.v AS v FROM a JOIN a o ON a.k = o.k),
                    c AS (SELECT b.k, b.v / SUM(b.v) OVER () AS v FROM b),
                    loss AS (SELECT SUM(c.v * o.v) AS l FROM c JOIN c o ON o.k <= c.k)
               SELECT t.k, grad(loss.l, t.v) AS d FROM t CROSS JOIN loss ORDER BY t.k"""
    result = context.sql(query)
    (first, none, last) = result.to_arrow_table().column("d").to_pylist()
    assert none is None
    h, losses = 1e-6, []
    for v in (1.5 + h, 1.5 - h):
        context.script(f"UPDATE t SET v = {v!r} WHERE k = 1")
        losses.append(context.query(query.split("SELECT t.k")[0] + "SELECT l FROM loss").column(0)[0].as_py())
    assert first == pytest.approx((losses[0] - losses[1]) / (2 * h), rel=1e-6)
    assert isinstance(last, float)
