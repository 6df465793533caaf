"""A curve that is kept up to date generation by generation equals its query run afresh."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.curves.curve import Curve
from sqlmagic_xr.train.curves.incremental import restrict
from sqlmagic_xr.train.curves.lines import Growing
from sqlmagic_xr.train.curves.pace import Pace
from sqlmagic_xr.train.trajectory import Trajectory
from tests.dealt import MANY, MIXED, PACKED

D = pa.table({"x": [0.5, -1.0, 2.0], "g": ["u", "v", "u"], "step": [0, 1, 7]})
TRAJECTORY = Trajectory("params", "step")


def grow(context, first, count, rows=2):
    values = ", ".join(
        f"({s}, {i}, {((s * 7 + i) % 11) / 4})" for s in range(first, first + count) for i in range(rows)
    )
    context.script(f"INSERT INTO params VALUES {values}")


@pytest.fixture(scope="module")
def tables():
    context = Context(namespace=lambda: {"d": D})
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    context.script(
        "CREATE TABLE other (step BIGINT PRIMARY KEY, b DOUBLE); INSERT INTO other VALUES (0, 1.0), (2, 3.0)"
    )
    grow(context, 0, 1)
    context.script(
        """
        CREATE VIEW seen AS SELECT step AS s, a FROM params WHERE a > 0.3;
        CREATE VIEW mixed AS SELECT s, AVG(a) AS m FROM seen GROUP BY s;
        CREATE VIEW newest AS SELECT MAX(step) AS step FROM params
        """
    )
    return context


APART = [
    "SELECT step, a FROM params",
    "SELECT * FROM params",
    "SELECT p.*, d.x FROM params p CROSS JOIN d",
    "SELECT step, AVG(a) AS m FROM params GROUP BY step",
    "SELECT step AS s, AVG(a) AS m FROM params GROUP BY s ORDER BY s DESC",
    "SELECT params.step, SUM(a * x) AS m FROM d CROSS JOIN params GROUP BY params.step",
    "SELECT p.step, SUM(a * x) AS m FROM d, params AS p GROUP BY 1 HAVING COUNT(*) > 1",
    "SELECT p.step, i, SUM(a) AS m FROM params p JOIN d ON d.x < p.a GROUP BY p.step, p.i",
    "SELECT p.step, d.x + a AS m FROM params p LEFT JOIN d ON d.x > p.a",
    "SELECT DISTINCT step, a > 1 AS big, a FROM params",
    "SELECT s, AVG(a) AS m FROM (SELECT step AS s, a FROM params WHERE a > 0.5) q GROUP BY s",
    "SELECT q.step, COUNT(*) AS n FROM (SELECT step, i, MAX(a) AS m FROM params GROUP BY step, i) AS q GROUP BY q.step",
    "WITH e AS (SELECT step, a * a AS aa FROM params) SELECT step, SUM(aa) AS m FROM e GROUP BY step",
    "WITH k AS (SELECT AVG(x) AS x FROM d), e AS (SELECT step, a * x AS m FROM params, k) SELECT step, m FROM e",
    "SELECT step, a FROM params WHERE a > (SELECT MIN(x) FROM d)",
    "SELECT p.step, b FROM params p JOIN other o ON o.step = p.step",
    "SELECT q.step, SUM(q.a) AS m FROM public.params AS q GROUP BY q.step",
    "SELECT s, a FROM seen",
    "SELECT s, m FROM mixed",
    "SELECT step, CASE WHEN a > 1 THEN a END AS m, :given AS g FROM params",
    "SELECT step, a FROM params WHERE step % 2 = 0",
    "SELECT s, a FROM (SELECT step, a FROM params) AS q (s, a)",
    "WITH e(s, v) AS (SELECT step, a FROM params) SELECT s, MAX(v) AS m FROM e GROUP BY s",
    "SELECT p.step, d.x + a AS m FROM d RIGHT JOIN params p ON d.x > p.a",
    "SELECT step, i, a, SUM(a) OVER (PARTITION BY step ORDER BY i) AS m FROM params",
    "SELECT DATAFUSION.public.params.step, a FROM PUBLIC.params",
    'SELECT "step", a FROM "public"."params"',
]
WHOLE = [
    "SELECT AVG(a) AS m FROM params",
    "SELECT i, AVG(a) AS m FROM params GROUP BY i",
    "SELECT step, a FROM params ORDER BY step DESC LIMIT 3",
    "SELECT step, a FROM params OFFSET 1",
    "SELECT step, SUM(a) OVER (ORDER BY step, i) AS m FROM params",
    "SELECT step, a FROM params WHERE step = (SELECT MAX(step) FROM params)",
    "SELECT p.step, q.a - p.a AS m FROM params p JOIN params q ON q.step = p.step - 1",
    "SELECT p.step, n.step AS top FROM params p CROSS JOIN newest n",
    "SELECT MAX(step) AS step, AVG(a) AS m FROM params",
    "SELECT step + 1 AS step, a FROM params",
    "SELECT step, a FROM params UNION ALL SELECT step, 0.0 FROM params",
    "SELECT d.step, AVG(a) AS m FROM d LEFT JOIN params p ON p.a > d.x GROUP BY d.step",
    "SELECT p.step, AVG(x) AS m FROM d LEFT JOIN params p ON p.a > d.x GROUP BY p.step",
    "SELECT p.step, x AS m FROM d FULL JOIN params p ON p.a > d.x",
    "SELECT d.step, AVG(a) AS m FROM d CROSS JOIN params GROUP BY d.step",
    "SELECT step, i, SUM(a) AS m FROM params GROUP BY ROLLUP (step, i)",
    "SELECT step, a * :varies AS m FROM params",
    "SELECT p.step, a + b AS m FROM params p, changed c",
    "SELECT p.step, a + b AS m FROM params p, public.changed c",
    "SELECT p.step, q.a - p.a AS m FROM params p JOIN datafusion.public.params q ON q.step = p.step - 1",
    "SELECT a, i FROM params",
    "WITH e AS (SELECT step, a FROM params) SELECT e.step, f.a FROM e JOIN e AS f ON f.step = e.step - 1",
    "WITH params AS (SELECT 1 AS step, 2.0 AS a) SELECT step, a FROM params",
    "WITH RECURSIVE e AS (SELECT step, a FROM params UNION ALL SELECT step, a + 1 FROM e WHERE a < 2) SELECT * FROM e",
    "SELECT x, 1.0 AS m FROM d",
]


def restricted(context, query):
    context.prepare(parse_one(query))  # which brings the variables up to date
    tree = parse_one(query).tree
    return restrict(
        tree,
        context.tables.bound(tree["Query"]),
        "params",
        "step",
        changing=frozenset({"changed"}),
        varying=frozenset({"varies"}),
    )


@pytest.mark.parametrize("query", APART)
def test_queries_that_fall_apart_by_generation(tables, query):
    assert restricted(tables, query) is not None


@pytest.mark.parametrize("query", WHOLE)
def test_queries_that_do_not(tables, query):
    assert restricted(tables, query) is None


def curve_of(context, query, first=0):
    curve = Curve(
        context,
        parse_one(query),
        TRAJECTORY,
        first=first,
        start=first,
        changing=frozenset(),
        varying=frozenset({"varies"}),
    )
    curve._pace = Pace(rest=0, times=0)
    return curve


def same(left, right):
    """Equal as multisets of rows, up to the last bits of a sum."""
    assert left.column_names == right.column_names
    names = [(name, "ascending") for name in left.column_names]
    left, right = left.sort_by(names), right.sort_by(names)
    for name in left.column_names:
        if pa.types.is_floating(left[name].type):
            a, b = (np.array(t[name].fill_null(np.nan).to_numpy()) for t in (left, right))
            np.testing.assert_allclose(a, b, rtol=1e-12)
        else:
            assert left[name].combine_chunks().equals(right[name].combine_chunks())


@pytest.mark.parametrize("query", APART)
def test_what_falls_apart_equals_the_query_run_afresh(query):
    context = Context(namespace=lambda: {"d": D})
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    context.script(
        "CREATE TABLE other (step BIGINT PRIMARY KEY, b DOUBLE); INSERT INTO other VALUES (0, 1.0), (2, 3.0)"
    )
    grow(context, 0, 2)
    context.script("CREATE VIEW seen AS SELECT step AS s, a FROM params WHERE a > 0.3")
    context.script("CREATE VIEW mixed AS SELECT s, AVG(a) AS m FROM seen GROUP BY s")
    values = {"given": 3.5}
    curve = curve_of(context, query)
    assert curve.watched
    newest = 1
    for more in (1, 4, 2):
        while not curve.refresh(values, newest):
            pass
        same(curve.table, context.script(query, values)[0].to_arrow_table())
        grow(context, newest + 1, more)
        newest += more
    curve.refresh(values, newest)
    curve.forget(3)
    context.script("DELETE FROM params WHERE step > 3")
    same(curve.table, context.script(query, values)[0].to_arrow_table())


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM params",
        "SELECT step, i, a, SUM(a) OVER (PARTITION BY step ORDER BY i) AS m FROM params",
        "SELECT p.step, p.i, d.x + a AS m FROM params p LEFT JOIN d ON d.x > p.a",
        "SELECT p.step, i, SUM(a) AS m FROM params p JOIN d ON d.x < p.a GROUP BY p.step, p.i",
        "SELECT DISTINCT step, a > 1 AS big, a FROM params",
    ],
)
def test_generations_of_many_rows(query):
    """Each generation is larger than a batch; its rows come in no order."""
    context = Context(namespace=lambda: {"d": D})
    context.script(PACKED)
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    rows = "SELECT g.value, n.value, (n.value * 7919 + g.value) % 1013 / 4.0 - 2 FROM generate_series({}, {}) AS g"
    insert = f"INSERT INTO params {rows} CROSS JOIN generate_series(1, {MANY // 3}) AS n"
    context.script(insert.format(0, 0))
    curve = curve_of(context, query)
    assert curve.watched
    for newest in range(3):
        while not curve.refresh({}, newest):
            pass
        if newest < 2:
            context.script(insert.format(newest + 1, newest + 1))
    whole = context.query("SELECT COUNT(*) AS n FROM params")["n"][0].as_py()
    assert whole == MANY
    same(curve.table, context.query(query))
    points = zip(curve.panel.x[:-1], curve.panel.x[1:], strict=True)
    assert all(before <= after for before, after in points)


@st.composite
def queries(draw):
    """Queries over the trajectory: nested, joined, filtered, grouped, and sometimes spoilt."""
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731
    step, value, source = "step", "a", "params"
    ctes = []
    for depth in range(draw(st.integers(0, 3))):
        inner = f"SELECT {step} AS s{depth}, {value} * {pick('1.5', '-1.0')} AS v{depth} FROM {source}"
        inner += pick("", f" WHERE {value} > 0.4", f" WHERE {step} <> 2")
        if pick(False, True):
            inner = f"SELECT {step} AS s{depth}, {pick('SUM', 'MAX', 'COUNT')}({value}) AS v{depth} FROM {source}"
            inner += f" GROUP BY {pick('1', step)}"
        step, value = f"s{depth}", f"v{depth}"
        if pick(False, True):
            ctes.append(f"c{depth} AS ({inner})")
            source = f"c{depth}"
        else:
            source = f"({inner}) AS q{depth}"
    joined = pick(
        "", " CROSS JOIN w", " JOIN w ON x > {0}", " LEFT JOIN w ON x > {0}", " RIGHT JOIN w ON x > {0}"
    ).format(value)
    weight = f"{value} * x" if joined else value
    kind = pick("rows", "group", "group", "alias", "two", "window", "all")
    select = {
        "rows": f"SELECT {step}, {weight} AS y FROM {source}{joined}",
        "group": f"SELECT {step}, AVG({weight}) AS y, COUNT(*) AS n FROM {source}{joined} GROUP BY {step}",
        "alias": f"SELECT {step} AS t, MIN({weight}) AS y FROM {source}{joined} GROUP BY t",
        "two": f"SELECT {step}, {value} > 1 AS big, SUM({weight}) AS y FROM {source}{joined} GROUP BY 1, {value} > 1",
        "window": f"SELECT {step}, SUM({weight}) OVER (ORDER BY {step}) AS y FROM {source}{joined}",
        "all": f"SELECT MAX({step}) AS t, AVG({weight}) AS y FROM {source}{joined}",
    }[kind]
    tail = pick("", "", f" ORDER BY {1}", " ORDER BY 1 LIMIT 2", " ORDER BY 1 DESC LIMIT 3" if kind == "group" else "")
    return ("WITH " + ", ".join(ctes) + " " if ctes else "") + select + tail


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    query=queries(),
    growth=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    rows=st.integers(1, 3),
    dealt=st.booleans(),
)
def test_any_curve_equals_the_query_run_afresh(query, growth, rows, dealt):
    data = {"w": D.select(["x", "g"])}
    context = Context(namespace=lambda: data)
    if dealt:
        context.script(MIXED)
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    grow(context, 0, 1, rows)
    curve = curve_of(context, query)
    event("by generation" if curve.watched else "whole")
    newest = 0
    for more in growth:
        while not curve.refresh({}, newest):
            pass
        if "LIMIT" not in query:  # rows of one generation have no order among themselves
            same(curve.table, context.script(query)[0].to_arrow_table())
        grow(context, newest + 1, more, rows)
        newest += more


def test_a_curve_that_is_evaluated_whole_is_drawn_step_by_step():
    """Its groups come in any order, and what is no number any more is looked for in the order of the steps."""
    context = Context()
    context.script(MIXED)
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    grow(context, 0, 40, 1)
    context.script("UPDATE params SET a = 'NaN' WHERE step < 3 OR step = 30")
    query = "SELECT p.step, AVG(p.a) AS y FROM params p LEFT JOIN params q ON q.step = p.step GROUP BY p.step"
    curve = curve_of(context, query)
    assert curve.refresh({}, 39)
    assert curve.whole
    assert list(curve.panel.x) == list(range(40))
    assert curve.blemish is not None
    assert curve.blemish.generation == 30


def test_a_curve_that_fails_points_into_the_users_text():
    """It is planned well and fails when it runs."""
    context = Context(namespace=lambda: {"d": D})
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    grow(context, 0, 1)
    from sqlmagic_xr.errors import SqlError

    curve = curve_of(context, "SELECT step, CAST(g AS DOUBLE) AS y FROM params CROSS JOIN d")
    with pytest.raises(SqlError) as caught:
        curve.refresh({}, 0)
    assert "generation_after" not in str(caught.value)


def test_only_what_is_new_is_evaluated(tables):
    """The rows that the engine gives for a refresh are those of the new generations."""
    context = Context(namespace=lambda: {"d": D})
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    grow(context, 0, 50)
    curve = curve_of(context, "SELECT step, SUM(a) AS y FROM params GROUP BY step")
    while not curve.refresh({}, 49):
        pass
    counts = []
    query = curve._query
    curve._query = lambda prepared, values: counts.append((rows := query(prepared, values)).num_rows) or rows
    grow(context, 50, 3)
    while not curve.refresh({}, 52):
        pass
    assert sum(counts) == 3
    assert curve.table.num_rows == 53


def test_a_curve_that_is_refreshed_after_every_step_stays_in_few_pieces():
    context = Context()
    context.script("CREATE TABLE params (step BIGINT, i BIGINT, a DOUBLE, PRIMARY KEY (step, i))")
    grow(context, 0, 1, 1)
    curve = curve_of(context, "SELECT step, a FROM params WHERE step % 5 <> 0")
    curve._query = lambda prepared, values: pa.table(
        {"step": [s for s in range(values["generation_after"] + 1, values["generation_upto"] + 1) if s % 5], "a": [1.0]}
        if values["generation_upto"] % 5
        else {"step": pa.array([], pa.int64()), "a": pa.array([], pa.float64())}
    )
    for newest in range(1000):
        curve.refresh({}, newest)
        assert (curve.at(newest) or {}).get("step") == (newest if newest % 5 else None)
    assert len(curve._parts) <= 11
    assert curve.table["step"].to_pylist() == [s for s in range(1000) if s % 5] == list(curve.panel.x)


def test_growing_arrays_never_change_what_they_handed_out():
    array = Growing(np.arange(3))
    views = []
    for n in range(200):
        views.append((array.view, array.view.copy()))
        array.append(np.array([n, n + 0.5]))
    assert len(array.view) == 403
    for view, copy in views:
        np.testing.assert_array_equal(view, copy)
    with pytest.raises(ValueError, match="read-only"):
        array.view[0] = 1
