"""Every scalar function of the array code over special values: what the engine gives, bit for bit, or declined."""

import math
import re

import pyarrow as pa
import pytest
from datafusion import SessionContext

import sqlmagic_xr
from sqlmagic_xr.dense.arrays import UNARY
from sqlmagic_xr.dense.lowering.scalar import _RULES
from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.engine.faults import integers
from sqlmagic_xr.engine.faults.reading import Reading
from sqlmagic_xr.engine.faults.tables import GivenTables
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one

INF, NAN, LEAST, LARGEST = math.inf, math.nan, -(2**63), 2**63 - 1
REALS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 1e300, INF, -INF, NAN, None]
WHOLES = [0, 1, -1, 2, -3, 2**53 + 1, LARGEST, LEAST, None]
SMALL = [0, 1, -1, 2, 2**31 - 1, -(2**31), None]

BINARY = ["+", "-", "*", "/", "%"]
COMPARED = ["=", "<>", "<", "<=", ">", ">="]
EXPRESSIONS = {
    **{name: [f"{name}(f)"] for name in UNARY},
    "sqrt": ["sqrt(f)", "sqrt(n)", "sqrt(m)"],
    "round": ["round(f)", "round(n)", "round(m)"],
    **{op: [f"{a} {op} {b}" for a, b in ("fg", "fn", "nf", "nk", "mk", "fm")] for op in BINARY},
    **{op: [f"f {op} g", f"n {op} k", f"0 {op} f"] for op in COMPARED},
    "<": [f"{a} < {b}" for a, b in ("fg", "fn", "nf", "nk", "mk", "f0", "0f")],
    **{op: [f"n {op} k"] for op in "&|^"},
    **{op: [f"f > 0 {op} g > 0", f"(n > k) {op} NULLIF(f, 0) > 0"] for op in ("and", "or")},
    "power": [
        *(f"power({args})" for args in ("f, g", "n, k", "m, g", "f, n", "2.0, f", "n, -1", "n, 0", "n, 2")),
        *(f"power(f, {exponent})" for exponent in ("-1", "0", "0.5", "-0.5", "2", "3", "-0.0")),
        "CASE WHEN f <> 0 THEN power(f, -1) WHEN g <> 0 THEN power(g, -0.5) ELSE 7 END",
        "CASE WHEN f = 0 THEN 0 ELSE CASE WHEN g > 0 THEN power(f, -g) ELSE power(f, -1) END END",
    ],
    "pow": ["pow(f, g)"],
    **{name: [f"f {name}", f"n {name}"] for name in ("is null", "is not null")},
    "is null": ["f IS NULL", "power(f, -1) IS NULL"],
    **{name: [f"(f > g) {name}"] for name in ("is true", "is false", "is not true", "is not false")},
    **{name: [f"f {name} (0, 1, 2.5)", f"n {name} (0, 1, 2)"] for name in ("in", "not in")},
    "greatest": [f"greatest({args})" for args in ("f, g", "n, k", "f, 0", "f, n, 0.5, g")],
    "least": [f"least({args})" for args in ("f, g", "n, k", "f, 0", "f, n, 0.5, g")],
    "negative": ["-f", "-n", "-m"],
    "not": ["NOT f > 0"],
    "abs": ["abs(f)", "abs(n)", "abs(m)"],
    "atan2": ["atan2(f, g)", "atan2(n, k)"],
    "pi": ["pi() + f"],
    "isnan": ["isnan(f)"],
    "between": ["f BETWEEN 0 AND 1", "f BETWEEN g AND 1", "n BETWEEN k AND 2"],
    "not between": ["f NOT BETWEEN 0 AND 1"],
    "coalesce": ["coalesce(f, g, 0)", "coalesce(n, k)"],
    "nvl": ["nvl(f, g)"],
    "nullif": ["nullif(f, g)", "nullif(f, 0)", "nullif(n, k)"],
    "case": ["CASE f WHEN 0 THEN 1 WHEN g THEN 2 END", "CASE WHEN f > 0 THEN f ELSE n END"],
    "cast": [f"CAST({c} AS {t})" for c in "fnm" for t in ("BIGINT", "INT", "DOUBLE", "REAL", "BOOLEAN")],
}
"""What is tried of each function; ``test_every_function_is_tried`` says that none is missing."""


def pairs(values):
    """Each value beside each."""
    return zip(*[(a, b) for a in values for b in values], strict=True)


def cells(reals):
    """All pairs of special values: of reals beside some whole numbers, or of whole numbers alone."""
    f, g = pairs(REALS) if reals else ([None] * len(WHOLES) ** 2,) * 2
    count = len(f)
    n, k = ([*column] * 3 for column in pairs(WHOLES))
    return pa.table({
        "id": range(count), "f": pa.array(f, pa.float64()), "g": pa.array(g, pa.float64()),
        "n": pa.array(n[:count], pa.int64()), "k": pa.array(k[:count], pa.int64()),
        "m": pa.array((SMALL * count)[:count], pa.int32()),
    })  # fmt: skip


CELLS = {"reals": cells(reals=True), "wholes": cells(reals=False)}


@pytest.fixture(scope="module")
def engine():
    context = sqlmagic_xr.Context()
    for name, table in CELLS.items():
        SessionContext.register_record_batches(context, name, [table.to_batches()])
    return context


def by_arrays(expression, name, part=None):
    """Per row what array code gives, or None in its place where it declines the row."""
    table = CELLS[name] if part is None else part
    tree = parse_one(f"SELECT id, {expression} AS v FROM {name}").tree
    tree = integers.widened(Reading(tree, GivenTables({name: {field.name: field.type for field in table.schema}})))
    try:
        grids = Grids(lambda name: table, lambda name: ("id",))
        rows = arrow(Program([LoweredQuery(tree["Query"])], grids, {}).step(grids, {}).run(0))
        return [*zip(rows.sort_by("id")["v"].to_pylist(), strict=True)]
    except Refused:
        if table.num_rows == 1:
            return [None]
        middle = table.num_rows // 2
        return [r for half in (table.slice(0, middle), table.slice(middle)) for r in by_arrays(expression, name, half)]


def by_engine(context, expression, name, ids):
    """Per row what the engine gives; None where it fails."""
    rows = f"SELECT {expression} AS v FROM {name} WHERE id >= {ids.start} AND id < {ids.stop} ORDER BY id"
    try:
        return [*zip(context.sql(rows).to_arrow_table()["v"].to_pylist(), strict=True)]
    except Exception:
        if len(ids) == 1:
            return [None]
        middle = (ids.start + ids.stop) // 2
        halves = range(ids.start, middle), range(middle, ids.stop)
        return [r for half in halves for r in by_engine(context, expression, name, half)]


def same(mine, theirs):
    if mine is None:
        return True  # declined
    if theirs is None:
        return False
    (a,), (b,) = mine, theirs
    if isinstance(a, float) and isinstance(b, float):
        # Libraries differ in the last bit of a transcendental function; never in a sign, or in what is not finite.
        close = a == b or (math.isfinite(a) and math.isfinite(b) and abs(a - b) <= 4e-16 * abs(b))
        return (math.isnan(a) and math.isnan(b)) or (close and math.copysign(1, a) == math.copysign(1, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("expression", [e for group in EXPRESSIONS.values() for e in group])
def test_special_values(engine, expression):
    name = "reals" if re.search(r"\b[fg]\b", expression) else "wholes"
    table = CELLS[name]
    mine, theirs = by_arrays(expression, name), by_engine(engine, expression, name, range(table.num_rows))
    if expression == "nullif(f, g)":  # compared with 0.0 added, -0.0 comes out as 0.0
        mine = [row if row is None or row[0] is None else (row[0] + 0.0,) for row in mine]
    wrong = [
        (*list(table.slice(i, 1).to_pylist()[0].values())[1:], a, b)
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True))
        if not same(a, b)
    ]
    assert not wrong, f"{expression} of (f, g, n, k, m): array code, the engine: {wrong[:4]}"


def test_every_function_is_tried():
    assert {name for name, _ in _RULES} | set(UNARY) <= set(EXPRESSIONS)


@pytest.mark.parametrize(
    ("expression", "share"), [("power(f, -g)", 0.2), ("f < g", 0.2), ("n / k", 0.25), ("exp(f)", 0), ("f * g", 0)]
)
def test_little_is_declined(expression, share):
    declined = [row is None for row in by_arrays(expression, "wholes" if expression == "n / k" else "reals")]
    assert sum(declined) / len(declined) <= share
