"""``mode(x)`` is the most frequent value of a group, of whatever type; of several the least."""

import datetime

import numpy as np
import pandas as pd
import pytest
from datafusion import udaf
from datafusion.user_defined import Accumulator

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UnsupportedError

ROWS = 30_000
RNG = np.random.default_rng(1)
BIG = pd.DataFrame({"g": RNG.integers(0, 40, ROWS), "k": RNG.integers(-12, 12, ROWS)})
BIG["x"] = np.where(BIG.k == 3, np.nan, BIG.k / 4.0)
BIG["s"] = BIG.k.map(lambda k: None if k % 5 == 0 else f"é{k}")
BIG["t"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(BIG.k, "D")
SMALL = pd.DataFrame({"a": [-0.0, 0.0, 7.0, 7.0, -0.0], "s": ["-0.0", "0.0", "10", "9", "x"], "i": [10, 9, 100, 8, 9]})


@pytest.fixture(scope="module")
def context():
    return Context(namespace=lambda: {"big": BIG, "small": SMALL})


def row(context, what, rest="FROM small"):
    (found,) = context.script(f"SELECT {what} {rest}")[0].to_arrow_table().to_pylist()
    return list(found.values())


@pytest.mark.parametrize("batch", [None, 2])
def test_it_is_that_of_pandas(batch):
    context = Context(namespace=lambda: {"big": BIG if batch is None else BIG[:400]})
    if batch:
        context.sql(f"SET datafusion.execution.batch_size = {batch}")
    found = context.script("SELECT g, mode(k) AS k, mode(x) AS x, mode(s) AS s, mode(t) AS t FROM big GROUP BY g")[0]
    frame = BIG if batch is None else BIG[:400]
    expected = frame.groupby("g").agg(lambda values: values.mode().min()).reset_index()
    pd.testing.assert_frame_equal(found.df.sort_values("g", ignore_index=True), expected, check_dtype=False)


def test_zeros_are_one_value_and_texts_are_not(context):
    assert row(context, "mode(a), mode(s), mode(i), mode(a > 1)") == [0.0, "-0.0", 9, False]


def test_it_takes_filter_distinct_within_group_and_stands_in_expressions(context):
    what = "mode(i) FILTER (WHERE i > 9), mode(DISTINCT i), mode() WITHIN GROUP (ORDER BY i), mode(-i) + 1"
    assert row(context, what) == [10, 8, 9, -8]
    assert context.script("SELECT MODE(i) FROM small HAVING mode(i) > 1")[0].columns == ["MODE(i)"]
    kinds = "mode(CAST(i AS DECIMAL(5, 2))), mode(DATE '2000-01-01'), mode([i]), mode(CAST(NULL AS INT))"
    assert row(context, kinds) == [9, datetime.date(2000, 1, 1), [9], None]


def test_of_no_rows_it_is_null(context):
    assert row(context, "mode(a)", "FROM small WHERE false") == [None]
    assert not len(context.script("SELECT mode(a) FROM small WHERE false GROUP BY s")[0])


@pytest.mark.parametrize(
    ("call", "what"), [("mode(a) OVER ()", "no window function"), ("mode(a, s)", "one expression")]
)
def test_what_it_is_not_is_refused(context, call, what):
    with pytest.raises(UnsupportedError, match=what):
        context.script(f"SELECT {call} FROM small")


def test_a_function_of_that_name_that_the_session_was_given_is_the_sessions():
    import pyarrow as pa

    class Largest(Accumulator):
        def __init__(self):
            self.value = 0

        def update(self, values):
            self.value = max([self.value, *values.to_pylist()])

        def merge(self, states):
            self.update(states[0])

        def state(self):
            return [pa.scalar(self.value)]

        def evaluate(self):
            return pa.scalar(self.value)

    context = Context(namespace=lambda: {"small": SMALL})
    context.register_udaf(udaf(Largest, pa.int64(), pa.int64(), [pa.int64()], "stable", name="mode"))
    assert row(context, "mode(i) AS m", "FROM small WHERE i >= 10") == [100]
