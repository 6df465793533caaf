"""Moments over moving frames, held against those of each frame's own rows."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

import sqlmagic_xr
from sqlmagic_xr.engine.moving import FUNCTIONS
from tests.dealt import MANY

FRAMES = [  # the frame, and whether row j is in that of row i, by their places and their keys
    ("ROWS 2 PRECEDING", lambda i, j, k: i - 2 <= j <= i),
    ("ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING", lambda i, j, k: i - 3 <= j <= i - 1),
    ("ROWS BETWEEN 1 FOLLOWING AND 20 FOLLOWING", lambda i, j, k: i + 1 <= j <= i + 20),
    ("ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING", lambda i, j, k: i - 1 <= j),
    ("ROWS BETWEEN CURRENT ROW AND CURRENT ROW", lambda i, j, k: j == i),
    ("RANGE BETWEEN 4 PRECEDING AND 3 FOLLOWING", lambda i, j, k: k[i] - 4 <= k[j] <= k[i] + 3),
    ("RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", lambda i, j, k: k[j] >= k[i]),
    ("GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW", lambda i, j, k: i - 1 <= j <= i),
]
VALUES = [None, 0.0, -0.0, 3.0, 3.0, 4.5, 1e8, -1e8, 1e-9]
WILD = [*VALUES, 1e300, -1e300, math.inf, math.nan]


def rows_of(seed, values, count=40):
    draw = random.Random(seed)
    keys = sorted(draw.sample(range(count * 3), count))
    columns = {"k": keys, "g": [draw.randrange(2) for _ in keys]}
    return columns | {name: [draw.choice(values) for _ in keys] for name in "xy"}


def context(columns, **settings):
    ctx = sqlmagic_xr.Context()
    for name, value in settings.items():
        ctx.sql(f"SET datafusion.execution.{name} = {value}")
    table = pa.table({n: pa.array(v, pa.float64() if n in "xy" else pa.int64()) for n, v in columns.items()})
    SessionContext.register_record_batches(ctx, "d", [table.to_batches(max_chunksize=7)])
    return ctx


def of_one_frame(names, y, x):
    """The engine's own answers over the rows of one frame, which takes nothing out."""
    ctx, columns = SessionContext(), {"y": pa.array(y, pa.float64()), "x": pa.array(x, pa.float64())}
    ctx.register_record_batches("f", [[pa.RecordBatch.from_pydict(columns)]])
    calls = [f"{name}({'y' if FUNCTIONS[name][0] == 1 else 'y, x'}) AS {name}" for name in names]
    return {name: values[0] for name, values in ctx.sql(f"SELECT {', '.join(calls)} FROM f").to_pydict().items()}


def same(found, wanted, scale):
    if found is None or wanted is None or math.isnan(wanted) or math.isinf(wanted):
        # Where squares are too large the engine has no number; ours may have one.
        return found == wanted or (wanted is not None and found is not None and not math.isfinite(wanted))
    return found == pytest.approx(wanted, rel=1e-9, abs=scale)


@pytest.mark.parametrize("frame", FRAMES, ids=[frame for frame, _ in FRAMES])
@pytest.mark.parametrize(
    ("settings", "values"),
    [({}, VALUES), ({"batch_size": 2, "target_partitions": 4}, VALUES), ({}, WILD)],
    ids=["plain", "batches of two", "wild"],
)
def test_a_frame_knows_its_own_rows_alone(frame, settings, values):
    text, inside = frame
    columns = rows_of(f"{text}{settings}", values)
    ctx = context(columns, **settings)
    picks = {name: f"{name}({'y' if width == 1 else 'y, x'})" for name, (width, _) in FUNCTIONS.items()}
    over = f"OVER (PARTITION BY g ORDER BY k {text})"
    found = ctx.sql(
        f"SELECT k, {', '.join(f'{call} {over} AS {n}' for n, call in picks.items())} FROM d ORDER BY k"
    ).to_pydict()
    for group in (0, 1):
        rows = [i for i, g in enumerate(columns["g"]) if g == group]
        keys = [columns["k"][i] for i in rows]
        for i, row in enumerate(rows):
            members = [rows[j] for j in range(len(rows)) if inside(i, j, keys)]
            y, x = ([columns[c][m] for m in members] for c in "yx")
            # What a frame's own values leave open by their size.
            size = max([1.0, *(abs(v) for v in y + x if v is not None and math.isfinite(v))])
            for name, wanted in of_one_frame(sorted(FUNCTIONS), y, x).items():
                tolerance = 1e-9 * (size * size if name.startswith(("var", "regr_s")) else size)
                got = found[name][row]
                if name.startswith("regr") and size > 1e150 and got is not None and math.isnan(got):
                    continue  # squares of these are no numbers, and so is what is made of them
                assert same(got, wanted, tolerance), (name, y, x, got, wanted)


def test_thirty_thousand_rows():
    draw = np.random.default_rng(3)
    x = draw.normal(size=MANY) * 10.0 ** draw.integers(0, 9, MANY)
    ctx = context({"k": range(MANY), "x": x}, batch_size=64, target_partitions=4)
    calls = "var_pop(x) OVER w AS v, avg(x) OVER w AS a"
    got = ctx.sql(f"SELECT {calls} FROM d WINDOW w AS (ORDER BY k ROWS 99 PRECEDING) ORDER BY k").to_arrow_table()
    frames = np.lib.stride_tricks.sliding_window_view(x, 100)
    np.testing.assert_allclose(got["v"].to_numpy()[99:], frames.var(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got["a"].to_numpy()[99:], frames.mean(axis=1), rtol=1e-9, atol=1e-6)


KEYS = {  # the key, what it is calculated from, and the offsets of frames
    "int": ("k", ["2", "0"]), "tiny": ("arrow_cast(k, 'Int8')", ["2", "100"]),
    "unsigned": ("arrow_cast(k + 9, 'UInt32')", ["2"]),
    "real": ("CASE k WHEN 5 THEN 'NaN' WHEN 6 THEN 'Infinity' WHEN 0 THEN -0.0 ELSE k / 4.0 END", ["0.5", "1", "0"]),
    "narrow": ("arrow_cast(k / 10.0, 'Float32')", ["0.1", "0.3"]),
    "decimal": ("arrow_cast(k, 'Decimal128(9, 2)')", ["2"]),
    "day": ("DATE '2020-02-27' + k", ["INTERVAL '2 days'", "INTERVAL '1 month'"]),
    "time": ("arrow_cast(k * 86400, 'Timestamp(Second, None)')", ["INTERVAL '36 hours'", "INTERVAL '1 month'"]),
    "zoned": ("arrow_cast(k * 1000000, 'Timestamp(Microsecond, Some(\"UTC\"))')", ["INTERVAL '2 seconds'"]),
    "long": ("k * 300000000000", ["100"]),
}  # fmt: skip
SHAPES = [
    "RANGE {} PRECEDING", "RANGE BETWEEN {} PRECEDING AND {} FOLLOWING", "RANGE BETWEEN CURRENT ROW AND {} FOLLOWING",
    "RANGE BETWEEN {} PRECEDING AND UNBOUNDED FOLLOWING", "RANGE BETWEEN CURRENT ROW AND CURRENT ROW",
]  # fmt: skip
OF_GROUPS = [
    "GROUPS 2 PRECEDING", "GROUPS BETWEEN 1 FOLLOWING AND 2 FOLLOWING", "GROUPS BETWEEN 3 PRECEDING AND 1 PRECEDING",
    "GROUPS BETWEEN CURRENT ROW AND CURRENT ROW",
]  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_the_rows_of_a_frame_are_those_that_the_engine_finds(kind):
    """The engine collects the rows of a frame right; what it calculates of them as it goes is wrong."""
    key, offsets = KEYS[kind]
    draw, ctx = random.Random(kind), sqlmagic_xr.Context()
    rows = {"i": range(60), "k": [draw.choice([None, *range(-8, 8)]) for _ in range(60)],
            "g": [draw.randrange(3) for _ in range(60)],
            "x": [float(2**n) for n in range(40)] + [None] * 20}  # fmt: skip
    table = pa.table({n: pa.array(v, pa.float64() if n == "x" else pa.int64()) for n, v in rows.items()})
    SessionContext.register_record_batches(ctx, "raw", [table.to_batches(max_chunksize=7)])
    given = SessionContext.sql(ctx, f"SELECT i, g, x, {key} AS k FROM raw").to_arrow_table()
    SessionContext.register_record_batches(ctx, "d", [given.to_batches()])
    frames = [shape.replace("{}", offset) for shape in SHAPES for offset in offsets] + OF_GROUPS
    for order in ("k", "k DESC", "k NULLS FIRST", "k DESC NULLS LAST"):
        outputs = [f"sum(x) OVER (PARTITION BY g ORDER BY {order} {frame}) AS c{n}" for n, frame in enumerate(frames)]
        query = f"SELECT {', '.join(outputs)} FROM d ORDER BY i"
        ours = ctx.sql(query).to_pydict()
        lists = SessionContext.sql(ctx, query.replace("sum(x)", "array_agg(x)")).to_pydict()
        for n, frame in enumerate(frames):
            sums = [[v for v in values or [] if v is not None] for values in lists[f"c{n}"]]
            assert ours[f"c{n}"] == [sum(values) if values else None for values in sums], (order, frame)


@pytest.mark.parametrize("order", ["k", "k DESC"])
def test_bounds_beyond_the_type_of_the_key_are_its_ends(order):
    """The engine wraps around there: 3 FOLLOWING of the greatest BIGINT is the least."""
    keys = [2**63 - 1, 2**63 - 3, 0, -(2**63) + 1, -(2**63)]
    ctx = context({"k": keys, "x": [1.0, 2.0, 4.0, 8.0, 16.0]})
    for before, after in ((3, 3), (2**63 - 1, 0), (0, 2**63 - 1), (2**63 - 1, 2**63 - 1)):
        over = f"OVER (ORDER BY {order} RANGE BETWEEN {before} PRECEDING AND {after} FOLLOWING)"
        found = ctx.sql(f"SELECT k, sum(x) {over} AS s FROM d").to_pydict()
        low, high = (after, before) if order == "k DESC" else (before, after)
        for key, total in zip(*found.values(), strict=True):
            assert total == sum(2.0**n for n, k in enumerate(keys) if key - low <= k <= key + high), (
                key,
                before,
                after,
            )


def test_a_long_frame_of_keys_costs_no_more_than_one_of_rows():
    rows = np.arange(30_000)
    ctx = context({"k": rows * 2, "x": rows % 7})
    over = "SELECT avg(x) OVER (ORDER BY k {}) AS a FROM d ORDER BY k"
    found = [ctx.sql(over.format(f)).to_pydict()["a"] for f in ("RANGE 19998 PRECEDING", "ROWS 9999 PRECEDING")]
    assert found[0] == found[1]
    plan = ctx.sql(over.format("RANGE 19998 PRECEDING")).execution_plan().display_indent()
    assert "array_agg" not in plan


def test_the_functions_are_nobodys_business():
    assert not [name for name in sqlmagic_xr.Context().functions if name.startswith("sqlmagic")]


@pytest.mark.parametrize(("y", "x"), [(1e200, 1e300), (1e160, 1.0), (1.0, 1e160), (1e100, 1e100), (1.7e308, 1e-300)])
def test_regressions_of_numbers_whose_squares_are_beyond_double(y, x):
    """A frame of them has the ratios that it has in smaller units, and the frames beside it keep theirs."""
    one, other = [-1.0, 0.25, 0.5, 1.0], [-0.5, 0.25, 1.0, 0.5]
    columns = {"k": range(8), "y": [*one, *(v * y for v in one)], "x": [*other, *(v * x for v in other)]}
    ctx = context({**columns, "k": list(range(8))})
    names = ("regr_slope", "regr_intercept", "regr_r2", "regr_avgx", "stddev_pop")
    calls = ", ".join(f"{n}({'y' if n == 'stddev_pop' else 'y, x'}) OVER (ORDER BY k ROWS 3 PRECEDING)" for n in names)
    rows = ctx.sql(f"SELECT k, {calls} FROM d ORDER BY k").to_arrow_table().to_pylist()
    small, large = ([row[name] for name in list(row)[1:]] for row in (rows[3], rows[7]))
    units = (y / x, y, 1.0, x, y)
    assert large == [pytest.approx(value * unit, rel=1e-12) for value, unit in zip(small, units, strict=True)]
