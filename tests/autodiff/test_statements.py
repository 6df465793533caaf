"""grad, jvp and vjp in every kind of statement, and nothing of them in what the engine gets."""
# ruff: noqa: E501 - a statement of a table is one line

import pytest

from sqlmagic_xr.autodiff.rewrite import rewrite
from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.sql.syntax import parse_one, to_sql, walk


@pytest.fixture
def ctx():
    ctx = Context()
    ctx.script("""
        CREATE TABLE t (k BIGINT PRIMARY KEY, x DOUBLE, v DOUBLE);
        INSERT INTO t VALUES (1, 2.0, 0.0), (2, 3.0, 0.0);
    """)
    return ctx


def rows(ctx, query="SELECT k, x, v FROM t ORDER BY k"):
    return [tuple(row.values()) for row in ctx.sql(query).to_arrow_table().to_pylist()]


def test_update(ctx):
    ctx.script("UPDATE t SET v = grad(x * x * x, x)")
    assert rows(ctx) == [(1, 2.0, 12.0), (2, 3.0, 27.0)]


def test_update_from(ctx):
    ctx.script("UPDATE t SET v = grad(t.x * s.w, t.x) FROM (SELECT 1 AS k, 7.0 AS w) AS s WHERE t.k = s.k")
    assert rows(ctx) == [(1, 2.0, 7.0), (2, 3.0, 0.0)]


def test_delete(ctx):
    ctx.script("DELETE FROM t WHERE grad(x * x, x) > 5")
    assert rows(ctx) == [(1, 2.0, 0.0)]


def test_insert_select_and_on_conflict(ctx):
    ctx.script("INSERT INTO t SELECT k + 1, x, grad(x * x, x) FROM t WHERE k = 2")
    ctx.script(
        "INSERT INTO t VALUES (1, 5.0, 1.0) ON CONFLICT (k) DO UPDATE SET v = grad(excluded.x * excluded.x, excluded.x)"
    )
    assert rows(ctx) == [(1, 2.0, 10.0), (2, 3.0, 0.0), (3, 3.0, 6.0)]


def test_merge(ctx):
    ctx.script("""
        MERGE INTO t USING (SELECT 1 AS k, 4.0 AS w) AS s ON t.k = s.k
        WHEN MATCHED THEN UPDATE SET v = grad(t.x * s.w * s.w, s.w)
    """)
    assert rows(ctx) == [(1, 2.0, 16.0), (2, 3.0, 0.0)]


def test_create_table_as_and_views(ctx):
    ctx.script(
        "CREATE TABLE c AS SELECT k, grad(x * x, x) AS g FROM t; CREATE VIEW w AS SELECT k, x, grad(x * x * x, x) AS g FROM t"
    )
    assert rows(ctx, "SELECT * FROM c ORDER BY k") == [(1, 4.0), (2, 6.0)]
    assert rows(ctx, "SELECT k, g, grad(g, x) AS h FROM w ORDER BY k") == [(1, 12.0, 12.0), (2, 27.0, 18.0)]


def test_explain(ctx):
    plan = ctx.sql("EXPLAIN SELECT grad(sin(x), x) FROM t").to_pandas().to_string()
    assert "cos" in plan


def test_parameters_are_constants(ctx):
    query = "SELECT grad(power(x - :c, 2) * $w, x) AS g FROM t ORDER BY k"
    assert rows(ctx, "SELECT 1") == [(1,)]
    assert ctx.sql(query, {"c": 1.0, "w": 3.0}).to_arrow_table()["g"].to_pylist() == [6.0, 12.0]


POSITIONS = [
    "SELECT {} FROM t", "SELECT k FROM t WHERE {} > 0", "SELECT k FROM t ORDER BY {}", "SELECT SUM({}) FROM t",
    "SELECT k FROM t GROUP BY k HAVING MAX({}) > 0 ORDER BY k", "SELECT CASE WHEN {} > 0 THEN {} ELSE -{} END FROM t",
    "SELECT SUM({}) OVER (PARTITION BY k ORDER BY {}) FROM t", "SELECT a.k FROM t a JOIN t b ON grad(a.x * b.x, b.x) > b.k",
    "SELECT k FROM t WHERE EXISTS (SELECT 1 FROM t AS u WHERE {u} > 1)", "SELECT (SELECT MAX({}) FROM t) FROM t",
    "SELECT k FROM t WHERE k IN (SELECT {} FROM t)", "SELECT k, {} FROM t UNION ALL SELECT 1, {} FROM t ORDER BY 1, 2",
    "SELECT k FROM t WHERE {} BETWEEN 1 AND {}", "SELECT {} || 'a' FROM t", "SELECT CAST({} AS VARCHAR) LIKE '1%' FROM t",
    "SELECT count(*) FILTER (WHERE {} > 0) FROM t", "SELECT grad(x * CASE WHEN CAST({} AS VARCHAR) LIKE '4%' THEN 1 ELSE 2 END, x) FROM t",
    "SELECT DISTINCT {} FROM t", "SELECT k FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY {}) = 1", "SELECT GRAD(x, x) FROM t",
    "WITH RECURSIVE r AS (SELECT 1 AS n, 1.0 AS a UNION ALL SELECT n + 1, grad(a * a, a) FROM r WHERE n < 3) SELECT n, a FROM r",
    "SELECT x - {} FROM t", "SELECT -{} * 2 FROM t", "SELECT k FROM t LIMIT 1", "SELECT v FROM (VALUES (1.0), (2.0)) AS q(v) WHERE grad(v, v) = 1",
]  # fmt: skip


@pytest.mark.parametrize("template", POSITIONS)
def test_a_call_may_stand_wherever_an_expression_may(template, ctx):
    call, by_hand = "grad(x * x, x)", "(2 * x)"
    query = template.replace("{u}", "grad(u.x * u.x, u.x)").replace("{}", call)
    sql = to_sql(rewrite(parse_one(query).tree, ctx.tables))
    assert "grad" not in sql.lower()
    got = ctx.sql(query).to_arrow_table().to_pydict().values()
    if "grad" in (expected := template.replace("{u}", "(2 * u.x)").replace("{}", by_hand)).lower():
        assert all(len(column) for column in got)
    else:
        assert list(got) == list(ctx.sql(expected).to_arrow_table().to_pydict().values())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT grad(count(x * w), w) AS q FROM t CROSS JOIN (SELECT 1.0 AS w)", [(0.0,)]),
        ("SELECT 1 + grad(sum(x), v) AS q, 'a' AS b FROM t", [(1.0, "a")]),
        ("SELECT grad(sum(x), v) AS q FROM t HAVING 1 = 1", [(0.0,)]),
        ("SELECT grad(sum(x), v) AS q FROM t WHERE k > 9", [(0.0,)]),
        ("SELECT grad(sum(x), v) AS q FROM t GROUP BY v", [(0.0,)]),
        ("SELECT (SELECT grad(count(*), v) FROM t) AS q", [(0.0,)]),
    ],
)
def test_a_zero_does_not_change_how_many_rows_an_aggregate_has(query, expected, ctx):
    assert rows(ctx, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT -x AS u FROM t ORDER BY grad(k * u, k)", [(-3.0,), (-2.0,)]),
        ("SELECT x AS u FROM t ORDER BY grad(-u * u, u)", [(3.0,), (2.0,)]),
        ("SELECT 2 * x AS x FROM t GROUP BY x, k HAVING grad(sum(k * x), k) > 2.5", [(6.0,)]),
        ("SELECT 2 * x AS u FROM t GROUP BY u, k HAVING grad(sum(k * u), k) > 5", [(6.0,)]),
    ],
)
def test_the_name_of_an_output_means_what_it_means_to_the_engine(query, expected, ctx):
    assert rows(ctx, query) == expected


def test_a_statement_without_a_call_is_the_very_same_tree(ctx):
    tree = parse_one("SELECT x AS grad FROM t WHERE k = 1").tree
    assert rewrite(tree, ctx.tables) is tree


def test_reading_does_not_change_the_statement(ctx):
    statement = parse_one("SELECT *, grad(l, x) FROM (SELECT x, x * x AS l FROM t)")
    before = to_sql(statement.tree)
    rewrite(statement.tree, ctx.tables)
    assert to_sql(statement.tree) == before
    assert any("Function" in node for node in walk(statement.tree))
