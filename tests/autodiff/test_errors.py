"""What has no derivative says so: by name, at its place in the user's text, with what to do instead."""
# ruff: noqa: E501 - a statement of a table is one line

import pyarrow as pa
import pytest

from sqlmagic_xr import differentiate
from sqlmagic_xr.errors import DerivativeError, ParseError, UnknownNameError, UsageError

# (the SELECT list and FROM, the error, what it says, what the caret stands under, a part of the hint)
REFUSED = [
    ("grad(x * factorial(i), i) FROM d", DerivativeError, "it is defined on integers only", "factorial(i", ""),
    ("grad(x + nosuch(x), x) FROM d", DerivativeError, "nosuch has no derivative", "nosuch(x", "register_derivative"),
    ("grad(expp(x), x) FROM d", DerivativeError, "expp has no derivative", "expp(x", "Did you mean `exp`?"),
    ("grad(x > y, x) FROM d", DerivativeError, "> has no derivative", "x > y", "CASE WHEN"),
    ("grad(y + (x ^ 2), x) FROM d", DerivativeError, "^ has no derivative", "x ^ 2", "power(x, y)"),
    ("grad(y + x ** 2, x) FROM d", ParseError, "** is no operator", "**", "power(x, 2)"),
    ("grad(1 + i / j, i) FROM d", DerivativeError, "division of integers", "i / j", "CAST(a AS DOUBLE)"),
    ("grad(x * (i / $n), i) FROM d", DerivativeError, "division of integers", "i / $n", "1.0 * a / b"),
    ("grad(CAST(x AS VARCHAR), x) FROM d", DerivativeError, "CAST to VARCHAR", "x", "Numbers"),
    ("grad(q, x) FROM d", UnknownNameError, "no column q", "q", "There are: g, i, j, x, y"),
    ("grad(x, q) FROM d", UnknownNameError, "no column q", "q", "There are"),
    ("grad(x, t.x) FROM d", UnknownNameError, "no column t.x", "t.x", ""),
    ("grad(a.x * b.x, x) FROM d a, d b", UnknownNameError, "x is ambiguous", "x", "Write a.x or b.x"),
    ("grad(x, 2 * x) FROM d", DerivativeError, "by a column, not by 2 * x", "2 * x", "subquery"),
    ("grad(x) FROM d", DerivativeError, "grad is written grad(expression, column)", "grad(x", "Not with 1"),
    ("jvp(x, x) FROM d", DerivativeError, "jvp is written", "jvp(x, x", "Not with 2"),
    ("grad(DISTINCT x, x) FROM d", DerivativeError, "grad is written", "grad(DISTINCT x, x", "DISTINCT"),
    ("grad(x, s) FROM (SELECT x, 'a' AS s FROM d)", DerivativeError, "s is text", "s", ""),
    ("grad(median(a * x), a) FROM d, params GROUP BY a", DerivativeError, "median has no derivative", "median(a * x", "avg"),
    ("grad(AVG(a * x), a) FROM d, params", DerivativeError, "a may differ between the rows", "AVG(a * x", "GROUP BY"),
    ("grad(AVG(a * x) OVER (PARTITION BY g), a) FROM d, params", DerivativeError, "may differ", "AVG", "PARTITION BY"),
    ("grad(SUM(DISTINCT a * x), a) FROM d, params GROUP BY a", DerivativeError, "sum(DISTINCT ...)", "SUM", "subquery"),
    ("grad(MAX(a * x) OVER (PARTITION BY a ORDER BY i), a) FROM d, params", DerivativeError, "a window that slides", "MAX", "GROUP BY"),
    ("grad(u, x) FROM (SELECT DISTINCT x, sin(x) AS u FROM d)", DerivativeError, "SELECT DISTINCT", "grad(u, x", "GROUP BY"),
    ("grad(u, x) FROM (SELECT x, sin(x) AS u FROM d UNION SELECT x, y FROM d)", DerivativeError, "UNION", "grad(u, x", "UNION ALL"),
    ("grad(l, b) FROM (SELECT a * 2 AS b, a * a AS l FROM params)", DerivativeError, "b is computed itself", "grad(l, b", "such as a"),
    ("grad(q.l * p.a, p.a) FROM params p JOIN (SELECT step, SUM(a) AS l FROM params GROUP BY step) q ON p.step = q.step",
     DerivativeError, "other readings of it", "grad(q.l * p.a", "name l and a in one subquery"),
    ("jvp(q.l * p.a, p.a, 1.0) FROM params p JOIN (SELECT step, SUM(a) AS l FROM params GROUP BY step) q ON p.step = q.step",
     DerivativeError, "other readings of it", "jvp(q.l * p.a", "name l and a in one subquery"),
    ("jvp(q.l, p.a, 1.0) FROM params p JOIN (SELECT step, SUM(a) AS l FROM params GROUP BY ALL) q ON p.step = q.step",
     DerivativeError, "another reading of a", "jvp(q.l, p.a", "Select a beside l"),
    ("grad(l, x) FROM (SELECT x, round(x * foo(x)) + bar(x) AS l FROM d)", DerivativeError, "bar has", "bar(x", "register"),
]  # fmt: skip


def test_a_view_is_not_put_in_where_its_tables_would_be_others(context):
    query = "WITH d AS (SELECT 1.0 AS x, 2.0 AS y) SELECT grad(l, a) FROM loss_view, d"
    with pytest.raises(DerivativeError, match="name of a CTE"):
        context.sql(query)


@pytest.mark.parametrize(("select", "error", "what", "under", "hint"), REFUSED, ids=[row[0] for row in REFUSED])
def test_an_error_names_points_and_helps(select, error, what, under, hint, context):
    text = f"SELECT 1 AS one,\n  {select}"
    with pytest.raises(error) as caught:
        context.sql(text, n=2)
    assert what in caught.value.what
    assert hint in (caught.value.hint or "")
    span = caught.value.span
    lines = text.splitlines()
    assert span.line == span.end_line
    pointed = lines[span.line - 1][span.column - 1 : span.end_column - 1]
    assert pointed.startswith(under) or (under.startswith(pointed) and len(pointed) > len(under) // 2), pointed


def test_a_part_without_a_rule_does_no_harm_where_it_is_constant(context):
    rows = context.sql("SELECT grad(x * factorial(3) * length('ab'), x) AS g FROM d LIMIT 1").to_arrow_table()
    assert rows["g"].to_pylist() == [12.0]


def test_a_function_of_ones_own_gets_a_derivative(context):
    import datafusion

    relu = datafusion.udf(
        lambda v: pa.array([max(x, 0.0) for x in v.to_pylist()]), [pa.float64()], pa.float64(), "immutable", "relu"
    )
    context.register_udf(relu)
    query = "SELECT grad(relu(x - 0.5) * y, x) AS g, CASE WHEN x > 0.5 THEN y ELSE 0 END AS h FROM d"
    with pytest.raises(DerivativeError, match="relu"):
        context.sql(query)
    context.register_derivative("relu", ["CASE WHEN $1 > 0 THEN 1.0 ELSE 0.0 END"])
    rows = context.sql(query).to_arrow_table()
    assert rows["g"].to_pylist() == rows["h"].to_pylist()


@pytest.mark.parametrize(
    ("partials", "error"),
    [("$1", UsageError), ([], UsageError), (["$2"], UsageError), (["x * $1"], UsageError), (["1 +"], ParseError),
     ([":a"], UsageError)],
)  # fmt: skip
def test_a_derivative_that_cannot_be_one_is_refused(partials, error, context):
    with pytest.raises(error):
        context.register_derivative("f", partials)


def test_differentiate_points_into_its_text():
    with pytest.raises(DerivativeError) as caught:
        differentiate("x * median(x)", "x")
    assert "median(x" in str(caught.value)
    with pytest.raises(DerivativeError):
        differentiate("x * x", "2 * x")
    with pytest.raises(ParseError):
        differentiate("x *", "x")
