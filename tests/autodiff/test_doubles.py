"""Derivatives by and of columns of every numeric type are those of real numbers: nothing wraps, nothing is cut."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

WIDTHS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# what is derived, by what -> the derivative as NumPy, over doubles x, y, w
CASES = [
    ("grad(w * x * x, w)", lambda x, y, w: x * x),
    ("grad(w * (x * y) * x, w)", lambda x, y, w: x * y * x),
    ("grad(w * x * -x, w)", lambda x, y, w: -x * x),
    ("grad(x * x * x, x)", lambda x, y, w: 3 * x * x),
    ("grad(grad(x * x * x * x, x), x)", lambda x, y, w: 12 * x * x),
    ("jvp(w * x, w, x * x)", lambda x, y, w: x**3),
    ("grad(ln(w * x * x + 1), w)", lambda x, y, w: x * x / (w * x * x + 1)),
    ("grad(atan2(x, y), x)", lambda x, y, w: y / (x * x + y * y)),
    ("grad(power(x, y), x)", lambda x, y, w: y * x ** (y - 1)),
    ("grad(CASE WHEN x > y THEN x * x * w ELSE w END, w)", lambda x, y, w: np.where(x > y, x * x, 1.0)),
    ("grad(greatest(x * x, y) * w, w)", lambda x, y, w: np.maximum(x * x, y)),
    ("grad(w * coalesce(x * x, 0), w)", lambda x, y, w: x * x),
    ("grad(w * s.u, w)", lambda x, y, w: x),
]


def columns(kind):
    """Values so large that their squares do not fit."""
    if kind.startswith("decimal"):
        x, y = [Decimal("2.50"), Decimal("1.75"), Decimal("3.25")], [Decimal("3.00"), Decimal("2.00"), Decimal("1.25")]
        return {"x": pa.array(x, pa.decimal128(5, 2)), "y": pa.array(y, pa.decimal128(5, 2))}
    largest = np.iinfo(kind).max
    x = np.array([largest, largest // 2, largest - 3], kind)
    return {"x": x, "y": np.array([2, 3, 1], kind)}


@pytest.mark.parametrize("kind", [*WIDTHS, "decimal"])
def test_derivatives_over_exact_columns_are_those_of_reals(kind, context):
    held = columns(kind)
    w = np.array([0.5, 0.25, 2.0])
    table = pa.table({**held, "w": w, "k": range(3)})
    context.from_arrow(table, "exact")
    x, y = (np.array([float(v) for v in table[c].to_pylist()]) for c in "xy")
    chosen = ", ".join(f"{text} AS v{i}" for i, (text, _) in enumerate(CASES))
    ours = context.sql(f"SELECT {chosen} FROM (SELECT x, y, w, k, x AS u FROM exact) AS s ORDER BY k").to_arrow_table()
    with np.errstate(over="ignore"):
        for i, (text, theirs) in enumerate(CASES):
            assert ours.schema.field(i).type == pa.float64(), text
            np.testing.assert_allclose(ours[i].to_numpy(), theirs(x, y, w), rtol=1e-12, err_msg=f"{kind}: {text}")


@pytest.mark.parametrize("kind", [*WIDTHS, "decimal"])
def test_derivatives_of_aggregates_over_exact_columns_are_those_of_reals(kind, context):
    held = columns(kind)
    context.from_arrow(pa.table({**held, "g": [1, 1, 2]}), "exact")
    x = np.array([float(v) for v in pa.table(held)["x"].to_pylist()])
    query = "SELECT {} FROM exact CROSS JOIN (SELECT 0.5 AS w) AS p"
    for name, theirs in (("sum", np.sum), ("avg", np.mean)):
        ours = context.sql(query.format(f"grad({name}(w * x * x), w)")).to_arrow_table()[0].to_pylist()
        np.testing.assert_allclose(ours, [theirs(x * x)], rtol=1e-12)


def test_what_the_query_itself_computes_stays_as_it_was(context):
    context.from_arrow(pa.table({"i": pa.array([7, 8], pa.int32()), "w": [1.0, 2.0]}), "exact")
    rows = context.sql("SELECT i / 2 AS a, grad(w * (i / 2), w) AS b, grad(w * (i % 4), w) AS c, i * 2 AS d FROM exact")
    assert rows.to_pydict() == {"a": [3, 4], "b": [3.0, 4.0], "c": [3.0, 0.0], "d": [14, 16]}


def test_what_is_grouped_by_stays_as_it_is_written(context):
    context.from_arrow(pa.table({"i": pa.array([3, 3, 4], pa.int16()), "w": [1.0, 2.0, 3.0]}), "exact")
    rows = context.sql("SELECT i * i AS s, sum(grad(w * i, w)) AS a FROM exact GROUP BY i * i ORDER BY s")
    assert rows.to_pydict() == {"s": [9, 16], "a": [6.0, 4.0]}
    rows = context.sql("SELECT grad(i * i * sum(w), p) AS a FROM exact CROSS JOIN (SELECT 1.0 AS p) GROUP BY i * i, p")
    assert rows.to_pydict() == {"a": [0.0, 0.0]}


def test_large_numbers_in_values_and_table_functions_do_not_wrap(context):
    large = 3_037_000_500  # whose square does not fit 64 bits
    rows = context.sql(f"SELECT grad(w * x * x, w) AS a FROM (VALUES ({large}, 0.5)) AS t(x, w)")
    assert rows.to_pydict() == {"a": [float(large) ** 2]}
    rows = context.sql(f"SELECT grad(x * x * x, x) AS a FROM (SELECT value AS x FROM range({large}, {large + 1}))")
    np.testing.assert_allclose(rows.to_pydict()["a"], [3.0 * large**2], rtol=1e-15)


@pytest.mark.parametrize(
    "column",
    ["arrow_cast(n, 'Int32')", "unnest([n])", "n & 9223372036854775807", "(SELECT max(n) FROM exact)", "column1"],
)
def test_what_a_subquery_calculates_of_integers_is_real_too(column, context):
    """Also where it is not known what kind of number that is."""
    context.from_arrow(pa.table({"n": [4_000_000_000 if "Int32" not in column else 2_000_000_000]}), "exact")
    source = "(VALUES (4000000000)) AS v" if column == "column1" else "exact"
    n = 2e9 if "Int32" in column else 4e9
    rows = context.sql(f"SELECT grad(w * x * x, w) AS g, grad(w * w * x * x * x, w) AS h FROM "
                       f"(SELECT {column} AS x, 0.5 AS w FROM {source})").to_arrow_table()  # fmt: skip
    assert rows.schema.types == [pa.float64()] * 2
    assert rows.to_pydict() == {"g": [n * n], "h": [pytest.approx(n**3)]}


def test_what_is_called_where_it_stands_is_real_too(context):
    query = "SELECT grad(w * arrow_cast(x, 'Int16') * arrow_cast(x, 'Int16'), w) AS g FROM (SELECT 300 AS x, 0.5 AS w)"
    assert context.sql(query).to_pydict() == {"g": [90000.0]}
