"""Moments over moving frames, held against those of each frame's own rows."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

import sqlmagic_xr
from sqlmagic_xr.engine.moving import FUNCTIONS

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
    x = draw.normal(size=30_000) * 10.0 ** draw.integers(0, 9, 30_000)
    ctx = context({"k": range(30_000), "x": x})
    calls = "var_pop(x) OVER w AS v, avg(x) OVER w AS a"
    got = ctx.sql(f"SELECT {calls} FROM d WINDOW w AS (ORDER BY k ROWS 99 PRECEDING) ORDER BY k").to_arrow_table()
    frames = np.lib.stride_tricks.sliding_window_view(x, 100)
    np.testing.assert_allclose(got["v"].to_numpy()[99:], frames.var(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got["a"].to_numpy()[99:], frames.mean(axis=1), rtol=1e-9, atol=1e-6)


def test_the_functions_are_nobodys_business():
    assert not [name for name in sqlmagic_xr.Context().functions if name.startswith("sqlmagic")]
