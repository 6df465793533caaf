"""Shorthand of other engines is written out as plain SQL with the same meaning."""

import pandas as pd
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, UnsupportedError
from sqlmagic_xr.sql.pivoting import ShorthandQuestions
from sqlmagic_xr.sql.shorthand import written_out
from sqlmagic_xr.sql.syntax import parse_one, to_sql

FRAME = pd.DataFrame(
    {"a": [1.0, 2.0, 2.5], "b": ["x", "y", "y"], "s": ['{"a": {"b": "x"}}', '{"a": [1, 2.5, null]}', None]}
)

NOBODY = ShorthandQuestions(names=lambda query: [])


@pytest.fixture(scope="module")
def context():
    return Context(namespace=lambda: {"df": FRAME})


def rows(context, query):
    return [tuple(row.values()) for row in context.script(query)[-1].to_arrow_table().to_pylist()]


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("FROM df", "SELECT * FROM df"),
        ("FROM df SELECT a", "SELECT a FROM df"),
        ("FROM df WHERE a > 1 ORDER BY a DESC", "SELECT * FROM df WHERE a > 1 ORDER BY a DESC"),
        ("SELECT COUNT(*) FROM (FROM df)", "SELECT COUNT(*) FROM df"),
        ("(FROM df) UNION ALL (FROM df)", "SELECT * FROM df UNION ALL SELECT * FROM df"),
        ("SELECT b, a FROM df ORDER BY ALL DESC", "SELECT b, a FROM df ORDER BY b DESC, a DESC"),
        ("SELECT * FROM df ORDER BY ALL LIMIT 2", "SELECT * FROM df ORDER BY a, b, s LIMIT 2"),
        ("SELECT b, SUM(a) FROM df GROUP BY ALL ORDER BY ALL", "SELECT b, SUM(a) FROM df GROUP BY b ORDER BY b"),
        ("SELECT * FROM (SELECT a, b FROM df) PIVOT (SUM(a) FOR b IN ('x', 'y'))", "SELECT 1.0 AS x, 4.5 AS y"),
        ("SELECT * FROM (SELECT a, b FROM df) AS q PIVOT (SUM(a) AS s, COUNT(a) AS n FOR b IN ('x' AS p, 'z'))",
         "SELECT 1.0 AS p_s, 1 AS p_n, CAST(NULL AS DOUBLE) AS z_s, 0 AS z_n"),
        ("SELECT * FROM df PIVOT (MAX(a) FOR b IN ('y')) ORDER BY s",
         "SELECT s, MAX(a) FILTER (WHERE b = 'y') AS y FROM df GROUP BY s ORDER BY s"),
        ("SELECT * FROM (SELECT b, a, a + 1 AS c FROM df) UNPIVOT (v FOR n IN (a, c)) ORDER BY b, n, v",
         "SELECT * FROM (SELECT b, 'a' AS n, a AS v FROM df UNION ALL SELECT b, 'c', a + 1 FROM df) ORDER BY b, n, v"),
        ("SELECT COUNT(*) FROM df UNPIVOT (v FOR n IN (s))", "SELECT 2"),
        ("SELECT COUNT(*) FROM df UNPIVOT INCLUDE NULLS (v FOR n IN (s))", "SELECT 3"),
        ("WITH c AS (SELECT a, b FROM df) SELECT * FROM c PIVOT (SUM(a) FOR b IN ('x'))", "SELECT 1.0"),
        ("WITH c AS (SELECT a, b FROM df) FROM (SELECT * FROM c ORDER BY ALL)", "SELECT a, b FROM df ORDER BY a, b"),
        ("SELECT * FROM (SELECT a, b FROM df) PIVOT (SUM(a) FILTER (WHERE a > 2) FOR b IN ('y'))", "SELECT 2.5"),
        ("SELECT q.a FROM df AS q SEMI JOIN df AS p ON p.a = q.a + 1", "SELECT 1.0"),
        ("SELECT a FROM df AS q ANTI JOIN (SELECT a FROM df WHERE a < 2.1) AS p USING (a)", "SELECT 2.5"),
        ("SELECT COUNT(*) FROM df TABLESAMPLE (2 ROWS)", "SELECT 2"),
        ("SELECT COUNT(*) FROM df USING SAMPLE 2", "SELECT 2"),
        ("SELECT COUNT(d.a) FROM df AS d USING SAMPLE 100%", "SELECT 3"),
        ("SELECT COUNT(*) FROM (FROM df) AS q TABLESAMPLE BERNOULLI (0)", "SELECT 0"),
        ("SELECT s -> 'a' FROM df ORDER BY a", """VALUES ('{"b": "x"}'), ('[1, 2.5, null]'), (NULL)"""),
        ("SELECT s->'a'->>'b' = 'x' AND a > 0 FROM df ORDER BY a", "VALUES (true), (NULL), (NULL)"),
        ("SELECT COUNT(*) FROM df WHERE a = 1 AND s ->> '$.a.b' LIKE 'x%' OR df.s -> 'a' -> 1 IS NOT NULL", "SELECT 2"),
        ("SELECT CAST(s->'a'->>-2 AS DOUBLE) + 1 FROM df WHERE a = 2", "SELECT 3.5"),
        ("SELECT s -> 'a' ->> 2 FROM df WHERE a = 2", "SELECT CAST(NULL AS VARCHAR)"),
        ("SELECT COUNT(*) FROM df WHERE [1] <@ [1, 2] AND s -> 'a' IS NOT NULL AND [1] <@ [3, 1]", "SELECT 2"),
        ("FROM df USING SAMPLE 100% ORDER BY a", "SELECT * FROM df ORDER BY a"),
        ("SELECT COUNT(*) FROM (FROM df USING SAMPLE 2)", "SELECT 2"),
        ("CREATE OR REPLACE TABLE made AS FROM df WHERE a > 1; FROM made", "SELECT * FROM df WHERE a > 1"),
        ("CREATE OR REPLACE TABLE m AS SELECT a FROM df; INSERT INTO m (a) FROM df SELECT a; SELECT COUNT(*) FROM m",
         "SELECT 6"),
        ("CREATE OR REPLACE VIEW seen AS FROM df USING SAMPLE 2; SELECT COUNT(*) FROM seen", "SELECT 2"),
        ("WITH d AS (FROM df) FROM d ORDER BY ALL", "SELECT * FROM df ORDER BY a, b, s"),
    ],
)  # fmt: skip
def test_it_means_what_is_meant(context, query, same):
    assert rows(context, query) == rows(context, same)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT s -> 'a', (s ->> 'a') FROM df", ["s -> 'a'", "(s ->> 'a')"]),
        ("SELECT * FROM (SELECT a, b FROM df) PIVOT (SUM(a), AVG(a) FOR b IN ('x'))", ["x_SUM(a)", "x_AVG(a)"]),
        ("FROM df", ["a", "b", "s"]),
    ],
)
def test_columns_are_named_as_the_user_wrote_them(context, query, names):
    assert context.script(query)[0].columns == names


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT * FROM df USING SAMPLE 150%", "a sample is so many rows"),
        ("SELECT * FROM df CROSS JOIN df d USING SAMPLE 2 ROWS", "can be had of one relation"),
        ("SELECT * FROM df PIVOT (SUM(a) FOR (b, s) IN ((1, 2)))", "PIVOT needs one column and its values"),
        ("SELECT 'no json' -> 'a'", "'no json' is no JSON text"),
        ("SELECT s -> '$.a[' FROM df", "is no path"),
    ],
)
def test_what_has_no_meaning_here_is_refused(context, query, what):
    with pytest.raises((UnsupportedError, SqlError), match=what):
        context.script(query)[0].to_arrow_table()


@pytest.mark.parametrize(
    "sql",
    ["SELECT a - 1 > 0 FROM t", "SELECT array_transform(l, x -> x + 1) FROM t", "SELECT '->' FROM t", "SELECT l <@ m"],
)
def test_what_is_no_shorthand_stays(sql):
    tree = parse_one(sql).tree
    assert written_out(tree, sql, NOBODY) is tree or to_sql(written_out(tree, sql, NOBODY)) == sql


def test_a_summary_tells_what_columns_hold(context):
    found = context.script("SUMMARIZE df")[0].to_arrow_table().to_pylist()
    assert [row["column_name"] for row in found] == ["a", "b", "s"]
    assert found[0] == {
        "column_name": "a", "column_type": "DOUBLE", "count": 3, "null_percentage": 0.0, "min": "1.0", "max": "2.5",
        "approx_unique": 3, "avg": pytest.approx(11 / 6), "std": pytest.approx(FRAME.a.std()), "q25": 1.25, "q50": 2.0,
        "q75": pytest.approx(2.375),
    }  # fmt: skip
    assert found[2]["null_percentage"] == pytest.approx(100 / 3)
    (only,) = context.script("SUMMARIZE SELECT COUNT(*) AS n FROM df WHERE a > 1")[0].to_arrow_table().to_pylist()
    assert (only["column_name"], only["min"]) == ("n", "2")
    with pytest.raises(SqlError, match="there is no table nowhere"):
        context.script("SUMMARIZE nowhere")


def test_a_kept_result_is_a_table():
    space = {"df": FRAME}
    context = Context(namespace=lambda: space)
    (space["near"],) = context.script("SELECT a, b FROM df WHERE a > 1")
    space["frame"] = context.sql("SELECT a FROM near")
    assert rows(context, "SELECT COUNT(*), SUM(n.a) FROM near n JOIN frame USING (a)") == [(2, 4.5)]
