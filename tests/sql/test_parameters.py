"""Parameters are typed literals: what is bound comes back, in value and in type."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from datafusion import SessionContext
from hypothesis import given
from hypothesis import strategies as st

from sqlmagic_xr.errors import ParameterError
from sqlmagic_xr.sql.parameters import bind, parameters_of
from sqlmagic_xr.sql.syntax import parse_one, to_sql

UTC = dt.UTC
SESSION = SessionContext()


def run(query, **values):
    return SESSION.sql(to_sql(bind(parse_one(query).tree, values.__getitem__))).to_arrow_table()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, pa.int64()),
        (-1, pa.int64()),
        (-(2**63), pa.int64()),
        (2**63, pa.uint64()),
        (0.1, pa.float64()),
        (1e-300, pa.float64()),
        (-math.inf, pa.float64()),
        (True, pa.bool_()),
        ("", pa.string()),
        ("it's; DROP TABLE t --", pa.string()),
        (b"\0\xff", pa.binary()),
        (dt.date(2000, 2, 29), pa.date32()),
        (dt.time(12, 30, 1), pa.time64("ns")),
        (dt.datetime(1, 1, 1), pa.timestamp("us")),
        (dt.datetime(2000, 1, 1, 12, 30, 1, 5), pa.timestamp("us")),
        (dt.datetime(2000, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC")),
        (dt.timedelta(days=-1, microseconds=3), pa.duration("us")),
        (Decimal("1.230"), pa.decimal128(4, 3)),
        (Decimal("-1E+5"), pa.decimal128(6, 0)),
        ([1, 2], pa.list_(pa.int64())),
    ],
)
def test_a_python_value_comes_back(value, kind):
    table = run("SELECT :x AS v", x=value)
    assert table.schema.field("v").type == kind
    assert table.column("v").to_pylist() == [value]


@pytest.mark.parametrize(
    ("value", "expected", "kind"),
    [
        (np.int32(-3), -3, pa.int32()),
        (np.uint64(2**64 - 1), 2**64 - 1, pa.uint64()),
        (np.float32(0.1), float(np.float32(0.1)), pa.float32()),
        (np.bool_(True), True, pa.bool_()),
        (np.str_("x"), "x", pa.string()),
        (np.datetime64("2000-01-01"), dt.datetime(2000, 1, 1), pa.timestamp("s")),
        (np.datetime64("1500-01", "M"), dt.datetime(1500, 1, 1), pa.timestamp("s")),
        (
            np.datetime64("2000-01-01T00:00:00.000001000"),
            pd.Timestamp("2000-01-01T00:00:00.000001"),
            pa.timestamp("ns"),
        ),
        (np.timedelta64(5, "h"), dt.timedelta(hours=5), pa.duration("s")),
        (np.timedelta64("NaT", "ns"), None, pa.null()),
        (pd.Timestamp("2000-01-01", tz="UTC"), dt.datetime(2000, 1, 1, tzinfo=UTC), pa.timestamp("ns", "UTC")),
        (pd.NaT, None, pa.null()),
        (pd.NA, None, pa.null()),
        (pa.scalar(5), 5, pa.int64()),
        (xr.DataArray(3.5), 3.5, pa.float64()),
        (np.array([1.0, 2.0]), [1.0, 2.0], pa.list_(pa.float64())),
        (pd.Series([1, 2]), [1, 2], pa.list_(pa.int64())),
        (None, None, pa.null()),
    ],
)
def test_a_wrapped_value_comes_back(value, expected, kind):
    table = run("SELECT :x AS v", x=value)
    assert table.schema.field("v").type == kind
    assert table.column("v").to_pylist() == [expected]


def test_nan_is_nan_and_not_null():
    assert math.isnan(run("SELECT $x AS v", x=math.nan).column("v")[0].as_py())


@given(st.text())
def test_any_string_is_a_string_and_nothing_more(text):
    assert run("SELECT :x AS v", x=text).column("v").to_pylist() == [text]


@pytest.mark.parametrize("text", ["'; DROP TABLE t; --", "\\' OR 1=1 --", "a''b", "''", "\\", "'\\'"])
def test_quotes_and_backslashes_do_not_escape(text):
    assert run("SELECT :x AS v WHERE 'a' = 'b' OR :x = :x", x=text).column("v").to_pylist() == [text]


@given(st.floats(allow_nan=False), st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_number_is_exact_also_behind_a_minus(real, integer):
    row = run("SELECT -:r AS r, 0 - :i AS i", r=real, i=integer).to_pylist()[0]
    assert row == {"r": -real, "i": -integer}


@pytest.mark.parametrize(
    ("query", "value", "rows"),
    [
        ("SELECT 1 WHERE 2 IN :ids", [1, 2], 1),
        ("SELECT 1 WHERE 2 IN :ids", np.array([1, 3]), 0),
        ("SELECT 1 WHERE 2 IN (:ids, 2)", (), 1),
        ("SELECT 1 WHERE 2 NOT IN :ids", [], 1),
        ("SELECT 1 WHERE 2 IN :ids", [], 0),
        ("SELECT 1 WHERE 'x' IN :ids", "x", 1),
        ("SELECT 1 WHERE array_length(:ids) = 2", [5, 6], 1),
        ("SELECT 1 LIMIT :ids", 0, 0),
    ],
)
def test_lists_are_members_of_in_and_arrays_elsewhere(query, value, rows):
    assert run(query, ids=value).num_rows == rows


def test_what_is_no_parameter():
    query = "SELECT a[1:k], a[:k], x::int, ':no', {'s': 1}, '12:30', $$ $no $$, 'hello'[:2] -- :no\nFROM t /* :no */"
    assert parameters_of(parse_one(query).tree) == {}


def test_a_missing_parameter_is_named_and_pointed_at():
    statement = parse_one("SELECT 1,\n  :rate")
    with pytest.raises(ParameterError, match="parameter :rate has no value") as caught:
        bind(statement.tree, {}.__getitem__)
    assert str(statement.place(caught.value)).splitlines()[1:3] == ["line 2:   :rate", "          ^^^^^"]


@pytest.mark.parametrize("value", [{}, object(), 10**30, np.zeros((2, 2)), 1j, np.complex64(1), Decimal("NaN")])
def test_what_has_no_literal_is_refused(value):
    with pytest.raises(ParameterError):
        run("SELECT :x AS v", x=value)
