"""Every value comes back from a file as it went in, of the type that it had, or is refused."""

import decimal
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlmagic_xr.errors import UnsupportedError
from sqlmagic_xr.storage.database import Changes, Database, NewRows
from sqlmagic_xr.storage.kinds import kept, to_file
from tests.dealt import MANY

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
TIMES = [pa.timestamp(u, z) for u in ("s", "ms", "us", "ns") for z in (None, "UTC", "Europe/Berlin")]
ODD = [pa.duration("ns"), pa.duration("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.date64()]


def column(kind, draw):
    """Values of a type: the ends of its range, what is special in it, and NULL."""
    if pa.types.is_integer(kind):
        info = np.iinfo(kind.to_pandas_dtype())
        one = st.sampled_from([0, 1, info.min, info.max])
    elif pa.types.is_floating(kind):
        one = st.sampled_from([0.0, -0.0, float("nan"), float("inf"), -1.5, 5.960464477539063e-08])
    elif pa.types.is_string(kind):
        one = st.sampled_from(["", "a", "a\0b", "it's", 'say "x"', "é\U0001f600", "NULL"])
    elif pa.types.is_binary(kind):
        one = st.binary(max_size=4)
    elif pa.types.is_boolean(kind):
        one = st.booleans()
    elif pa.types.is_decimal(kind):
        one = st.sampled_from([decimal.Decimal("0.00"), decimal.Decimal("-1.25"), decimal.Decimal("99999999.99")])
    else:
        numbers = draw(st.lists(st.none() | st.integers(0, 86_000), min_size=3, max_size=3))
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        scale = 86_400_000 if pa.types.is_date64(kind) else 1
        return pa.array([None if n is None else n * scale for n in numbers], width).cast(kind)
    return pa.array(draw(st.lists(st.none() | one, min_size=3, max_size=3)), kind)


PLAIN = [*INTEGERS, pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.binary(), pa.bool_()]
PLAIN += [pa.decimal128(38, 2), pa.decimal256(60, 2), pa.date32(), *TIMES, *ODD]


def bits(values):
    """Values so that they can be compared: -0.0 is not 0.0, and NaN is NaN."""
    return [struct.pack("d", v) if isinstance(v, float | np.floating) else v for v in values.to_pylist()]


def through(database, values):
    """What comes back of a column that is written and read."""
    schema = pa.schema([("v", values.type)])
    batch = pa.RecordBatch.from_arrays([values], schema=schema)
    database.write(Changes([NewRows("t", schema, 0, [batch.slice(0, 2), batch.slice(2)])]), 1)
    return database.read("t", schema, 0, len(values)).column(0)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    found = Database(tmp_path_factory.mktemp("kinds") / "kinds.duckdb")
    yield found
    found.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), times=st.sampled_from([1] * 49 + [MANY // 3]))
def test_values_come_back_as_they_were(database, data, times):
    values = pa.concat_arrays([column(data.draw(st.sampled_from(PLAIN)), data.draw)] * times)
    back = through(database, values)
    assert back.type == values.type
    assert bits(back) == bits(values)


NESTED = [
    pa.array([[1, None], None, []], pa.list_(pa.int16())),
    pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    pa.array([{"a": 1, "B b": None}, None, {"a": 2, "B b": "x"}], pa.struct([("a", pa.int8()), ("B b", pa.string())])),
    pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    pa.array([[[1], []], None, [None]], pa.list_(pa.list_(pa.int64()))),
    pa.array([pa.MonthDayNano([1, 2, 3000]), None], pa.month_day_nano_interval()),
]


@pytest.mark.parametrize("values", NESTED, ids=lambda v: str(v.type))
def test_nested_values_come_back(database, values):
    back = through(database, values)
    assert (back.type, back.to_pylist()) == (values.type, values.to_pylist())


@pytest.mark.parametrize("kind", [pa.list_(pa.float16()), pa.struct([]), pa.union([pa.field("a", pa.int8())], "dense")])
def test_what_a_file_cannot_hold_is_refused(kind):
    with pytest.raises(UnsupportedError, match="cannot hold"):
        kept(kind)


def test_a_part_of_a_microsecond_is_refused():
    with pytest.raises(UnsupportedError, match="microsecond"):
        to_file(pa.array([pa.MonthDayNano([0, 0, 1])]))
