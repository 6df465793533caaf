"""Every rule against central differences in the engine itself, and against an independent autodiff."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.autodiff.rewrite import differentiate
from sqlmagic_xr.autodiff.rules import AGGREGATES, DEFINED, EXTREMES, RULES, SAME, SHIFTS
from tests.autodiff.oracle import derivative

# (expression, orders, domain of x, domain of y, relative tolerance against autograd)
ANY, POSITIVE, UNIT, ABOVE_ONE = (-3.0, 3.0), (0.1, 4.0), (-0.95, 0.95), (1.1, 4.0)
SPEC = [
    ("x + y", 1, ANY, ANY, 1e-12), ("x - y", 1, ANY, ANY, 1e-12), ("-x", 1, ANY, ANY, 1e-12),
    ("x * y * x", 2, ANY, ANY, 1e-12), ("x / y", 1, ANY, POSITIVE, 1e-12), ("y / x", 3, POSITIVE, ANY, 1e-10),
    ("(x * y) % 2.5", 1, POSITIVE, ABOVE_ONE, 1e-12), ("7.3 % x", 1, POSITIVE, ANY, 1e-12),
    ("power(x, 3)", 3, ANY, ANY, 1e-12), ("power(x, y)", 2, POSITIVE, ANY, 1e-9),
    ("power(y, x)", 2, ANY, POSITIVE, 1e-9),
    ("pow(x, -1.5)", 2, POSITIVE, ANY, 1e-10), ("power(x, x)", 2, POSITIVE, ANY, 1e-9),
    ("sqrt(x)", 3, POSITIVE, ANY, 1e-10), ("cbrt(x)", 2, POSITIVE, ANY, 1e-9), ("cbrt(-x)", 2, POSITIVE, ANY, 1e-9),
    ("abs(x)", 1, ANY, ANY, 1e-12), ("x * abs(x * y)", 2, ANY, POSITIVE, 1e-12),
    ("exp(x * y)", 3, ANY, ANY, 1e-10), ("ln(x)", 3, POSITIVE, ANY, 1e-10), ("log2(x)", 2, POSITIVE, ANY, 1e-10),
    ("log10(x)", 2, POSITIVE, ANY, 1e-10), ("log(x)", 2, POSITIVE, ANY, 1e-10),
    ("log(x, y)", 2, ABOVE_ONE, POSITIVE, 1e-8), ("log(y, x)", 2, POSITIVE, ABOVE_ONE, 1e-8),
    ("sin(x * y)", 3, ANY, ANY, 1e-9), ("cos(x * y)", 3, ANY, ANY, 1e-9), ("tan(x)", 3, UNIT, ANY, 1e-9),
    ("cot(x)", 2, (0.3, 1.5), ANY, 1e-9), ("asin(x)", 2, UNIT, ANY, 1e-8), ("acos(x)", 2, UNIT, ANY, 1e-8),
    ("atan(x)", 3, ANY, ANY, 1e-8), ("atan2(x, y)", 2, ANY, POSITIVE, 1e-9), ("atan2(y, x)", 2, ANY, POSITIVE, 1e-9),
    ("degrees(x * x)", 2, ANY, ANY, 1e-12), ("radians(x * x)", 2, ANY, ANY, 1e-12),
    ("sinh(x)", 2, ANY, ANY, 1e-10), ("cosh(x)", 2, ANY, ANY, 1e-10), ("tanh(x)", 3, UNIT, ANY, 1e-9),
    ("asinh(x)", 2, ANY, ANY, 1e-9), ("acosh(x)", 2, ABOVE_ONE, ANY, 1e-8), ("atanh(x)", 2, UNIT, ANY, 1e-8),
    ("signum(x) * x", 1, ANY, ANY, 1e-12), ("floor(x) * x", 1, ANY, ANY, 1e-12), ("ceil(x) * x", 1, ANY, ANY, 1e-12),
    ("trunc(x) * x", 1, ANY, ANY, 1e-12), ("round(x) * x", 1, ANY, ANY, 1e-12),
    ("round(x * y, 0) * x", 1, ANY, ANY, 1e-12),
    ("greatest(x, y)", 1, ANY, ANY, 1e-12), ("greatest(x * x, y, x + 1)", 1, ANY, ANY, 1e-12),
    ("least(x, y)", 1, ANY, ANY, 1e-12), ("least(x * x, y, x + 1)", 1, ANY, ANY, 1e-12),
    ("coalesce(x * x, y)", 1, ANY, ANY, 1e-12), ("coalesce(NULL, x * y, 1.0)", 1, ANY, ANY, None),
    ("ifnull(x * x, y)", 1, ANY, ANY, None), ("nvl(x * x, y)", 1, ANY, ANY, None),
    ("nvl2(y, x * x, x)", 1, ANY, ANY, 1e-12), ("nullif(x * x, y)", 1, ANY, ANY, 1e-12),
    ("nanvl(x * x, y)", 1, ANY, ANY, 1e-12), ("nanvl(ln(y), x * x)", 1, ANY, (-3.0, -1.0), None),
    ("CASE WHEN x > y THEN x * x WHEN x < -1 THEN x * y ELSE sin(x) END", 2, ANY, ANY, 1e-9),
    ("CASE 1 WHEN 2 THEN x ELSE x * x END", 1, ANY, ANY, 1e-12),
    ("CAST(x * x AS DOUBLE) * x", 2, ANY, ANY, 1e-12),
    ("(x * x)::float8", 1, ANY, ANY, 1e-12), ("x * CAST(y AS INT)", 1, ANY, (1.1, 1.9), None),
    ("1 / (1 + exp(-x))", 3, ANY, ANY, 1e-9), ("ln(1 + exp(x * y))", 2, ANY, ANY, 1e-9),
    ("exp(x) / (exp(x) + 1)", 2, ANY, ANY, 1e-9), ("y * exp(-x * x / 2) / sqrt(2 * 3.14159)", 2, ANY, ANY, 1e-9),
]  # fmt: skip
ROWS = 200


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(3)
    return rng.random(ROWS), rng.random(ROWS)


def table_of(context, columns):
    context.from_arrow(pa.table(columns), "points")


def computed(context, text):
    return np.asarray(context.sql(f"SELECT {text} AS v FROM points").to_arrow_table()["v"].to_pylist(), dtype=float)


def nested(text, order):
    for _ in range(order):
        text = f"grad({text}, x)"
    return text


@pytest.mark.parametrize(("text", "orders", "on_x", "on_y", "tolerance"), SPEC, ids=[row[0] for row in SPEC])
def test_a_rule_is_right_at_random_points(text, orders, on_x, on_y, tolerance, points, context):
    x, y = (low + (high - low) * u for (low, high), u in zip((on_x, on_y), points, strict=True))
    for order in range(1, orders + 1):
        table_of(context, {"x": x, "y": y})
        ours = computed(context, nested(text, order))
        assert np.isfinite(ours).all()
        if tolerance is not None:
            theirs = derivative(text, "x", {"x": x, "y": y}, order)
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(1, np.abs(theirs).max()))
        h = 1e-6
        sides = []
        for side in (x + h, x - h):
            table_of(context, {"x": side, "y": y})
            sides.append(computed(context, nested(text, order - 1)))
        slope = (sides[0] - sides[1]) / (2 * h)
        smooth = np.abs(slope - ours) <= 1e-4 * (1 + np.abs(ours).max())
        assert smooth.mean() > 0.98, (text, order)  # a difference across a jump or a kink is no derivative


def test_every_rule_has_a_row():
    texts = " ".join(row[0] for row in SPEC)
    for name in RULES:
        words = {name, *(other for other, meant in SAME.items() if meant == name)}
        assert any(f"{word}(" in texts or f" {word} " in f" {texts}" for word in words), name


def test_every_aggregate_has_a_row():
    assert {name for name, _, _ in AGGREGATE_SPEC} >= {*AGGREGATES, *DEFINED, *EXTREMES}


# (name, call, differentiable by its second argument too)
AGGREGATE_SPEC = [
    *((name, f"{name}(a * a * x + sin(a * y))", False)
      for name in ("count", "sum", "avg", "var_pop", "var_samp", "stddev_pop", "stddev_samp", "mean", "var", "stddev")),
    *((name, f"{name}(a * a * x + y, sin(a * y) + x)", True)
      for name in ("covar_pop", "covar_samp", "corr", "regr_count", "regr_avgx", "regr_avgy", "regr_sxx", "regr_syy",
                   "regr_sxy", "regr_slope", "regr_intercept", "regr_r2", "covar")),
    ("max", "max(a * a * x + sin(a * y))", False), ("min", "min(a * a * x + sin(a * y))", False),
]  # fmt: skip
VARIANTS = ["{}", "{} FILTER (WHERE i > 3)"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "call", "_"), AGGREGATE_SPEC, ids=[row[1] for row in AGGREGATE_SPEC])
def test_an_aggregate_is_right_in_groups_with_gaps(name, call, _, variant, context):
    """Rows with NULL in x, y or both: the derivative must leave out the very rows that the aggregate leaves out."""
    rng = np.random.default_rng(1)
    x, y = rng.random(60), rng.random(60)
    data = {"g": np.repeat([0, 1], 30), "i": np.tile(np.arange(30), 2),
            "x": pa.array(x, mask=rng.random(60) < 0.2), "y": pa.array(y, mask=rng.random(60) < 0.2)}  # fmt: skip
    context.from_arrow(pa.table(data), "holes")
    aggregate = variant.format(call)
    query = "SELECT g, {0} AS v FROM holes CROSS JOIN (SELECT {1} AS a) GROUP BY g, a ORDER BY g"

    def values(expression, a):
        return np.asarray(context.sql(query.format(expression, a)).to_arrow_table()["v"].to_pylist(), dtype=float)

    slope = (values(aggregate, 0.7 + 1e-6) - values(aggregate, 0.7 - 1e-6)) / 2e-6
    np.testing.assert_allclose(values(f"grad({aggregate}, a)", 0.7), slope, rtol=1e-5, atol=1e-7)


# where a window slides, min and max are refused by us, the others by the engine
WINDOWS = dict.fromkeys((*EXTREMES, "covar_pop", "covar_samp", "covar", "corr"), "PARTITION BY g")


@pytest.mark.parametrize(("name", "call", "_"), AGGREGATE_SPEC, ids=[row[1] for row in AGGREGATE_SPEC])
def test_an_aggregate_is_right_over_windows(name, call, _, context):
    rng = np.random.default_rng(2)
    data = {"g": np.repeat([0, 1], 15), "i": np.tile(np.arange(15), 2), "x": rng.random(30),
            "y": pa.array(rng.random(30), mask=rng.random(30) < 0.2)}  # fmt: skip
    context.from_arrow(pa.table(data), "slides")
    call = f"{call} OVER ({WINDOWS.get(name, 'PARTITION BY g ORDER BY i ROWS BETWEEN 6 PRECEDING AND 1 FOLLOWING')})"

    def values(expression, a):
        query = f"SELECT {expression} AS v FROM slides CROSS JOIN (SELECT {a} AS a) ORDER BY g, i"
        return np.asarray(context.sql(query).to_arrow_table()["v"].to_pylist(), dtype=float)

    slope = (values(call, 0.7 + 1e-6) - values(call, 0.7 - 1e-6)) / 2e-6
    ours = values(f"grad({call}, a)", 0.7)
    one_row = np.isnan(ours) & (slope == 0)  # the stddev of one row
    sound = np.isfinite(slope) & (np.abs(slope) < 1e3) & ~one_row
    assert sound.mean() > 0.6
    np.testing.assert_allclose(ours[sound], slope[sound], rtol=1e-4, atol=1e-6)


SHIFT_SPEC = ["lag({}) OVER (ORDER BY i)", "lead({}, 2, 0.0) OVER (ORDER BY i)", "first_value({}) OVER (ORDER BY i)",
              "last_value({}) OVER (ORDER BY i)", "nth_value({}, 3) OVER (ORDER BY i)"]  # fmt: skip


@pytest.mark.parametrize("form", SHIFT_SPEC)
def test_a_shift_is_that_of_the_other_row(form, context):
    def values(expression):
        query = f"SELECT {expression} AS v FROM d CROSS JOIN (SELECT 0.7 AS a) ORDER BY i"
        return np.asarray(context.sql(query).to_arrow_table()["v"].to_pylist(), dtype=float)

    np.testing.assert_allclose(values(f"grad({form.format('a * a * x')}, a)"), values(form.format("2 * a * x")))


def test_every_shift_has_a_row():
    assert {form.partition("(")[0] for form in SHIFT_SPEC} == SHIFTS


@pytest.mark.parametrize(
    ("text", "column", "becomes"),
    [
        ("x", "x", "1.0"), ("y", "x", "0.0"), ("3 * x + 7", "x", "3.0"), ("x * x * x", "x", "3.0 * x * x"),
        ("a * x + b", "x", "a"), ("sin(x) * 0", "x", "0.0"), ("x - x", "x", "0.0"),
        ("(x + 1) * (x - 1)", "x", "2.0 * x"), ("CAST(x * x AS REAL)", "x", "2.0 * x"),
        ("power(x, 2)", "x", "2.0 * x"), ("power(x, 1)", "x", "1.0"), ("exp(2 * x)", "x", "2.0 * exp(2 * x)"),
        ("exp(-x)", "x", "-exp(-x)"), ("x / y", "y", "-(x / y / y)"), ("1 / x", "x", "-(1 / x / x)"),
        ("ln(x)", "x", "1.0 / x"), ("tanh(x)", "x", "1 - tanh(x) * tanh(x)"), ("sqrt(x + 1)", "x", "0.5 / sqrt(x + 1)"),
        ("sqrt(x)", "x", "0.5 / (sqrt(x) + 0.0)"),  # x may be -0.0
        ("ln(1 + exp(x))", "x", "1.0 / (1.0 + exp(-x))"), ("t.x * x", "t.x", "x"), ('"X" * x', '"X"', "x"),
        ("floor(x) + x", "x", "1.0"), ("grad(x * x * x, x)", "x", "6.0 * x"),
        ("jvp(x * y, x, 2, y, x)", "x", "2.0 * x"),
    ],
)  # fmt: skip
def test_the_sql_is_as_a_person_would_write_it(text, column, becomes):
    assert differentiate(text, column) == becomes
