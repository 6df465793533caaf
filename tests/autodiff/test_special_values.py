"""What the conventions of rules.py say, value by value: kinks, ties, edges, NULL, NaN and Infinity."""

import math

import pyarrow as pa
import pytest

import sqlmagic_xr

NAN, INF = math.nan, math.inf

# (expression, x, y, the derivative by x); None is NULL
VALUES = [
    ("abs(x)", 0.0, 0.0, 0.0), ("abs(x)", -0.5, 0.0, -1.0),
    ("greatest(x, y)", 1.0, 1.0, 0.5), ("least(x, y)", 1.0, 1.0, 0.5), ("greatest(x, y)", 2.0, 1.0, 1.0),
    ("greatest(x, y)", 1.0, None, 1.0), ("greatest(x, y)", None, 1.0, 0.0), ("least(x, y)", 1.0, None, 1.0),
    ("greatest(x, -x)", 0.0, 0.0, 0.0), ("greatest(x, -x)", -0.0, 0.0, 0.0), ("least(-x, x)", 0.0, 0.0, 0.0),
    ("greatest(-x, 0)", 0.0, 0.0, -0.5), ("greatest(0, x)", -0.0, 0.0, 0.5), ("least(x, y)", -0.0, 0.0, 0.5),
    ("greatest(x, y)", INF, INF, 0.5), ("abs(x)", -0.0, 0.0, 0.0), ("greatest(x, -x, 0)", 0.0, 0.0, 0.0),
    ("power(x, 0.5)", 0.0, 0.0, INF), ("power(x, 0.5)", -0.0, 0.0, INF), ("power(x, 0.25)", 0.0, 0.0, INF),
    ("power(x, 1 / 3.0)", 0.0, 0.0, INF), ("power(x, 0.5)", 4.0, 0.0, 0.25), ("power(x, -1)", 2.0, 0.0, -0.25),
    ("power(x, x)", 0.0, 0.0, 0.0), ("power(x, 1.5)", 0.0, 0.0, 0.0),
    ("power(x, 0.5) * power(x, 0.5)", 4.0, 0.0, 1.0),
    ("greatest(x, y, 1.0, x)", 1.0, 1.0, 0.5), ("least(x, 2.0, y)", 1.0, None, 1.0),
    ("greatest(x, y, y)", None, None, 0.0), ("greatest(ln(x), -1, y)", 0.0, 3.0, 0.0),
    ("coalesce(y, x, 1)", 2.0, None, 1.0), ("coalesce(y, x, 1)", 2.0, 3.0, 0.0),
    ("greatest(x, 0) * y", 0.0, 3.0, 1.5), ("greatest(ln(x), -1)", 0.0, 0.0, 0.0),
    ("floor(x)", 2.0, 0.0, 0.0), ("ceil(x) + round(x) + trunc(x)", 2.5, 0.0, 0.0), ("signum(x)", 0.0, 0.0, 0.0),
    ("CAST(x AS INT)", 1.5, 0.0, 0.0), ("x * CAST(x AS BIGINT)", 1.9, 0.0, 1.0),
    ("sqrt(x)", 0.0, 0.0, INF), ("cbrt(x)", 0.0, 0.0, INF), ("sqrt(x)", -1.0, 0.0, NAN),
    ("sqrt(x)", -0.0, 0.0, INF), ("sqrt(-x)", 0.0, 0.0, -INF), ("sqrt(x + y)", -0.0, -0.0, INF),
    ("sqrt(x * x * x)", -0.0, 0.0, NAN), ("sqrt(CASE WHEN y > 0 THEN y ELSE x END)", -0.0, 0.0, INF),
    ("sqrt(x)", 4.0, 0.0, 0.25), ("sqrt(x)", None, 0.0, None), ("sqrt(1 + x)", -0.0, 0.0, 0.5),
    ("sqrt(abs(x))", 0.0, 0.0, 0.0), ("sqrt(abs(x))", -0.0, 0.0, 0.0), ("sqrt(abs(x))", -4.0, 0.0, -0.25),
    ("power(abs(x), 0.5)", 0.0, 0.0, 0.0), ("power(abs(x), y)", 0.0, 0.5, 0.0), ("power(abs(x), y)", -4.0, 0.5, -0.25),
    ("cbrt(abs(x))", 0.0, 0.0, 0.0), ("cbrt(2 * abs(x) + abs(x) / 3)", 0.0, 0.0, 0.0),
    ("sqrt(abs(x))", None, 0.0, None),
    ("sqrt(sqrt(abs(x)))", 0.0, 0.0, 0.0), ("sqrt(abs(x) + y)", 0.0, 4.0, 0.0), ("sqrt(abs(x) + y)", 0.0, 0.0, NAN),
    ("power(x, y)", 0.0, 0.5, INF), ("power(x, y)", -0.0, 0.5, INF), ("power(x, y)", 0.0, 1.0, 1.0),
    ("power(x, y)", 0.0, 1.5, 0.0), ("power(x, y)", 4.0, 0.5, 0.25), ("power(x, y)", 2.0, -1.0, -0.25),
    ("power(x, y)", INF, 0.5, 0.0), ("power(x, y)", INF, 2.0, INF), ("power(x, y)", None, 0.5, None),
    ("power(x, y)", 4.0, None, None), ("power(x, y - 1)", 0.0, 1.5, INF), ("power(x, y) * y", 0.0, 0.25, INF),
    ("ln(x)", -2.0, 0.0, -0.5), ("ln(x)", 0.0, 0.0, INF), ("log10(x)", -1.0, 0.0, -0.4342944819032518),
    ("asin(x)", 1.0, 0.0, INF), ("acos(x)", 1.0, 0.0, -INF), ("asin(x)", 2.0, 0.0, NAN), ("atanh(x)", 1.0, 0.0, INF),
    ("acosh(x)", 1.0, 0.0, INF),
    ("power(x, 0)", 0.0, 0.0, 0.0), ("power(x, y)", 0.0, 0.0, 0.0), ("power(y, x)", 1.5, 0.0, 0.0),
    ("power(x, 2)", -3.0, 0.0, -6.0), ("power(x, y)", -3.0, 2.0, -6.0), ("power(x, 1)", 0.0, 0.0, 1.0),
    ("x % y", 5.5, 2.0, 1.0), ("y % x", 2.0, 5.5, -2.0), ("y % x", 2.0, 4.0, -2.0), ("y % x", -2.0, 5.5, 2.0),
    ("CASE WHEN x > 0 THEN x * x END", -1.0, 0.0, None), ("CASE WHEN x > 0 THEN x * x END", 2.0, 0.0, 4.0),
    ("CASE WHEN x > 0 THEN ln(x) ELSE 0 END", 0.0, 0.0, 0.0), ("CASE WHEN y > 0 THEN x ELSE 2 * x END", 1.0, None, 2.0),
    ("CASE x WHEN 1 THEN x * x ELSE 3 * x END", 1.0, 0.0, 2.0),
    ("coalesce(x, y)", None, 1.0, 0.0), ("coalesce(y, x)", 1.0, None, 1.0), ("coalesce(y, x)", 1.0, 2.0, 0.0),
    ("nullif(x, y)", 1.0, 1.0, None), ("nullif(x, y)", 2.0, 1.0, 1.0), ("nullif(y, x)", 2.0, 1.0, 0.0),
    ("nanvl(x, y)", NAN, 1.0, 0.0), ("nanvl(y, x)", 1.0, NAN, 1.0), ("nvl2(y, x, 5 * x)", 1.0, None, 5.0),
    ("y / x", 0.0, 1.0, -INF), ("x / y", 1.0, 0.0, INF),
    ("x * y", 1.0, None, None), ("x * y", None, 2.0, 2.0), ("x + y", 1.0, None, 1.0), ("x * x", None, 0.0, None),
    ("x * y", 1.0, NAN, NAN), ("x * y", NAN, 2.0, 2.0), ("0 * y * x", 1.0, NAN, NAN),
    ("x * 0 * y", 1.0, NAN, 0.0), ("x * y", 1.0, INF, INF),
    ("1 / (1 + exp(-x))", -800.0, 0.0, 0.0), ("1 / (1 + exp(-x))", 800.0, 0.0, 0.0),
    ("ln(1 + exp(x))", 800.0, 0.0, 1.0), ("ln(1 + exp(x))", -800.0, 0.0, 0.0), ("tanh(x)", 800.0, 0.0, 0.0),
    ("ln(1 + exp(-x * y * y * y * y * y * y))", -800.0, 1.0, -1.0), ("ln(1 + exp(x * y * y * y))", 800.0, 1.0, 1.0),
    ("ln(1 + exp(-x * y))", 800.0, 1.0, 0.0), ("ln(1 + exp(-x * y))", -800.0, 1.0, -1.0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "x", "y", "value"), VALUES)
def test_a_convention(text, x, y, value, context):
    context.from_arrow(pa.table({"x": pa.array([x], pa.float64()), "y": pa.array([y], pa.float64())}), "point")
    (got,) = context.sql(f"SELECT grad({text}, x) AS v FROM point").to_arrow_table()["v"].to_pylist()
    if value is None or got is None:
        assert got is value
    elif math.isnan(value):
        assert math.isnan(got)
    else:
        assert got == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "values", "weights", "slope"),
    [
        ("max(a * w * x)", [1.0, 3.0, 2.0], [1.0, 2.0, 5.0], 10.0),
        ("max(a * w + x - w)", [2.0, 2.0, 1.0], [1.0, 5.0, 9.0], 3.0),  # two rows attain it: half of each
        ("max(a * w + x - w)", [2.0, 2.0, 2.0, 1.0], [1.0, 2.0, 6.0, 9.0], 3.0),  # the mean of three
        ("min(a * w - x - w)", [2.0, 2.0, 2.0, 1.0], [1.0, 2.0, 6.0, 9.0], 3.0),
        ("max(a * w + x - w) FILTER (WHERE w > 1)", [2.0, 2.0, 2.0, 1.0], [1.0, 2.0, 6.0, 9.0], 4.0),
        (
            "max(greatest(a * x - 2, 0))",
            [1.0, 2.0, 2.0, 0.5],
            [1.0, 1.0, 1.0, 1.0],
            0.5,
        ),  # ties of greatest within ties of max
        ("min(a * w * x)", [1.0, None, 2.0], [3.0, 1.0, 1.0], 2.0),
        ("max(a * x + w)", [1.0, 2.0, 3.0], [1.0, 2.0, None], 2.0),
        ("max(a * x + w)", [1.0, 2.0, 3.0], [None, None, None], None),
        ("stddev(a * x)", [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], NAN),
        ("sum(a * x)", [None, None, None], [1.0, 1.0, 1.0], None),
        ("avg(a * x + w)", [1.0, 2.0, 3.0], [1.0, None, 1.0], 2.0),
        ("sum(a)", [1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 3.0),
        ("avg(a + x)", [1.0, None, 3.0], [1.0, 1.0, 1.0], 1.0),
        ("sum(a + x)", [1.0, None, 3.0], [1.0, 1.0, 1.0], 2.0),
        ("sum(CASE WHEN w > 1 THEN a * x ELSE 0 END)", [1.0, 2.0, None], [1.0, 2.0, 3.0], 2.0),
        ("avg(CASE WHEN w > 1 THEN a * x ELSE 0 END)", [1.0, 2.0, None], [1.0, 2.0, 3.0], 1.0),
        ("avg(coalesce(x, 0) * a)", [1.0, 2.0, None], [1.0, 2.0, 3.0], 1.0),
        ("count(a * x)", [1.0, 2.0, None], [1.0, 2.0, 3.0], 0.0),
        ("sum(a * x) / count(*)", [1.0, 2.0, None], [1.0, 2.0, 3.0], 1.0),
        ("sum(w * a * x) / sum(w)", [1.0, 3.0, 2.0], [1.0, 1.0, 2.0], 2.0),
    ],
)
def test_a_convention_of_aggregates(call, values, weights, slope, context):
    rows = {"x": pa.array(values, pa.float64()), "w": pa.array(weights, pa.float64())}
    context.from_arrow(pa.table(rows), "rows_")
    query = f"SELECT grad({call}, a) AS v FROM rows_ CROSS JOIN (SELECT 1.0 AS a) GROUP BY a"
    (got,) = context.sql(query).to_arrow_table()["v"].to_pylist()
    if slope is None or got is None:
        assert got is slope
    else:
        assert got == pytest.approx(slope, rel=1e-12, nan_ok=True)


TIES = """SELECT * FROM (VALUES (1, 1, 3.0, 1.0), (1, 2, 3.0, 2.0), (1, 3, 3.0, 6.0), (1, 4, 1.0, 9.0),
    (2, 5, 2.0, 4.0), (2, 6, 2.0, 5.0), (2, 7, NULL, 7.0)) AS t(g, k, v, w) CROSS JOIN (SELECT 1.0 AS a)"""


@pytest.mark.parametrize(
    ("query", "slopes"),
    [
        ("SELECT grad({}, a) AS s FROM ties GROUP BY g, a ORDER BY g", [3.0, 4.5]),
        ("SELECT grad({} FILTER (WHERE w > 1), a) AS s FROM ties GROUP BY g, a ORDER BY g", [4.0, 4.5]),
        ("SELECT grad({} FILTER (WHERE w > 1), b) AS s FROM ties CROSS JOIN (SELECT 1.0 AS b)", [4.0]),
        ("SELECT grad({} OVER (PARTITION BY g, a), a) AS s FROM ties ORDER BY k", [3.0] * 4 + [4.5] * 3),
        ("SELECT g + 0.0 AS s FROM ties GROUP BY g, a HAVING grad({}, a) > 4 ORDER BY grad({}, a)", [2.0]),
        ("SELECT grad(m, a) AS s FROM (SELECT g, a, {} AS m FROM ties GROUP BY g, a) ORDER BY g", [3.0, 4.5]),
        (
            "WITH q AS (SELECT g, a, {} AS m FROM ties GROUP BY g, a) SELECT grad(m, a) AS s FROM q ORDER BY g",
            [3.0, 4.5],
        ),
        ("SELECT grad({}, a) AS s FROM ties GROUP BY 1 + g, a ORDER BY 1 + g", [3.0, 4.5]),
        ("SELECT grad({}, a) AS s FROM ties GROUP BY ROLLUP (g), a ORDER BY g", [3.5, 4.5, 3.5]),
        ("SELECT grad({}, t.a) AS s FROM ties AS t WHERE t.w > 1 GROUP BY t.g, t.a ORDER BY t.g", [4.0, 4.5]),
    ],
)
def test_ties_of_min_and_max(query, slopes, context):
    """The mean over the rows that attain it, as JAX; in grouping sets halfway between the least and the greatest."""
    context.script(f"CREATE OR REPLACE TABLE ties AS {TIES}")
    column = "b" if "AS b" in query else "a"
    for call in ("max(a * w + v - w)", "-min(w - v - a * w)"):
        got = context.sql(query.replace("{}", call.replace("a *", f"{column} *"))).to_arrow_table()["s"].to_pylist()
        assert got == pytest.approx(slopes)


CHOICES = {  # a CASE over x and the parameter a = 2, and its derivative by a; None where it is NULL
    "CASE WHEN x > 0 THEN a * x END": lambda x: x if x is not None and x > 0 else None,
    "CASE WHEN x > 0 THEN a * x ELSE 0 END": lambda x: x if x is not None and x > 0 else 0.0,
    "CASE WHEN x > 0 THEN a * a WHEN x < -1 THEN NULL ELSE a * 3 END": lambda x: (
        4.0 if x is not None and x > 0 else None if x is not None and x < -1 else 3.0
    ),
    "CASE x WHEN 1 THEN a * 5 WHEN -2 THEN a * a * a END": lambda x: {1.0: 5.0, -2.0: 12.0}.get(x),
    "coalesce(CASE WHEN x > 0 THEN a * x END, a)": lambda x: x if x is not None and x > 0 else 1.0,
}
AROUND = {
    "SELECT grad(SUM({}), a) AS g FROM cases CROSS JOIN one GROUP BY a": sum,
    "SELECT grad(AVG({}), a) AS g FROM cases CROSS JOIN one GROUP BY a": lambda found: sum(found) / len(found),
    "SELECT SUM(g) AS g FROM (SELECT grad({}, a) AS g FROM cases CROSS JOIN one)": sum,
    "SELECT MAX(g) AS g FROM (SELECT grad(SUM({}) OVER (PARTITION BY a), a) AS g FROM cases CROSS JOIN one)": sum,
    "WITH q AS (SELECT a, SUM({}) AS s FROM cases CROSS JOIN one GROUP BY a) SELECT grad(s, a) AS g FROM q": sum,
    "SELECT SUM(g) AS g FROM (SELECT CASE WHEN x IS NULL THEN grad({}, a) ELSE grad({}, a) END AS g FROM cases "
    "CROSS JOIN one UNION ALL SELECT NULL)": sum,
    "SELECT grad(SUM({}), a) AS g FROM cases CROSS JOIN one GROUP BY a HAVING grad(SUM({}), a) IS NOT NULL": sum,
}


@pytest.mark.parametrize("query", AROUND)
def test_a_choice_has_its_derivative_in_any_query(query, context):
    """Some were errors within the engine, which took a column that may be NULL for one that may not."""
    values = [1.0, -2.0, 0.5, None, 3.0, -1.0]
    context.from_arrow(pa.table({"x": pa.array(values, pa.float64())}), "cases")
    context.from_arrow(pa.table({"a": [2.0]}), "one")
    for choice, slope in CHOICES.items():
        found = [g for g in map(slope, values) if g is not None]
        got = context.sql(query.replace("{}", choice)).to_arrow_table()["g"].to_pylist()
        assert got == [pytest.approx(AROUND[query](found))], choice


def test_a_choice_of_three_hundred():
    terms = ", ".join(f"x * {i}" for i in range(300))
    query = f"SELECT grad(greatest({terms}), x) AS g, grad(coalesce(NULL, {terms}), x) AS c FROM (SELECT 2.0 AS x)"
    assert sqlmagic_xr.Context().sql(query).to_pydict() == {"g": [299.0], "c": [0.0]}
