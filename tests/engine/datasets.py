"""Random datasets, of whatever xarray takes, and what their tables should hold."""

from __future__ import annotations

import datetime
import decimal
import itertools
from collections import Counter

import cftime
import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from hypothesis import strategies as st

CALENDARS = ["standard", "proleptic_gregorian", "noleap", "all_leap", "360_day", "julian"]
NAMES = ["x", "Lat", "my dim", 'q"uote', "select", "time", "Größe", "a.b", "n", "N", "x_y", "'", "level", "%", "\\"]
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def _numbers(dtype, *values):
    return lambda n, at: np.array([values[(at + i) % len(values)] for i in range(n)], dtype)


def _objects(*values):
    return _numbers(object, *values)


def _cftimes(calendar):
    times = [cftime.datetime(1999, 12, 30, 6, calendar=calendar) + datetime.timedelta(days=997 * i) for i in range(40)]
    return _objects(*times, np.nan, None)


KINDS = {
    **{kind: _numbers(kind, 3, 0, 100, 7) for kind in ("i1", ">i2", "<i4", ">i8", "u1", "u2", ">u4", "u8")},
    "i8": _numbers("i8", 2**62 + 1, -(2**63), 5),
    **{kind: _numbers(kind, 1.5, np.nan, -0.0, 0.0, np.inf, -2.25) for kind in ("f2", "f4", "f8", ">f4", ">f8")},
    "?": _numbers(bool, True, False),
    "U": _numbers("U3", "b", "", "a'c", "é"),
    "T": _numbers(np.dtypes.StringDType(), "b", "", "long" * 20),
    "S": _numbers("S3", b"b", b"", b"\xff"),
    "text": _objects("b", None, "a", np.nan, "a\0", "", pd.NA),
    "truth": _objects(True, None, False),
    "integers": _objects(1, None, 2**60 + 1),
    "decimal": _objects(decimal.Decimal("1.5"), None, decimal.Decimal("-20.25")),
    "date": _objects(datetime.date(1600, 2, 29), None, datetime.date(2000, 1, 1)),
    "none": _objects(None),
    "category": lambda n, at: pd.Categorical.from_codes([(at + i) % 4 - 1 for i in range(n)], ["p", "q", "r"]),
    "Int64": lambda n, at: pd.array([[2**60 + 1, None, 3][(at + i) % 3] for i in range(n)], "Int64"),
    **{f"M8[{u}]": _numbers(f"M8[{u}]", 5, -3, "NaT", 10**6) for u in ("D", *UNITS)},
    **{f"m8[{u}]": _numbers(f"m8[{u}]", 5, -3, "NaT", 10**6) for u in ("h", *UNITS)},
    **{calendar: _cftimes(calendar) for calendar in CALENDARS},
}
FLAT = ("category", "Int64")  # what pandas has along one dimension only

COORDINATES = [
    k for k in KINDS if k not in ("f2", "?", "none", "T", "truth", "decimal", "integers", "date", *CALENDARS)
]


@st.composite
def datasets(draw, most=4, finite=False):
    """A dataset, and the sizes of its chunks; a run stops at a number that is not finite."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=most + 4, max_size=most + 4, unique=True))
    dims = tuple(names[: draw(st.integers(1, most))])
    sizes = {dim: draw(st.sampled_from([1, 2, 3, 3, 4, 0] if len(dims) < 3 else [1, 2, 3])) for dim in dims}
    coords = {d: (d, draw(_coordinate(sizes[d], finite))) for d in dims if draw(st.integers(0, 3))}
    data = {}
    for name in names[len(dims) : len(dims) + draw(st.integers(1, 3))]:
        own = dims if draw(st.integers(0, 3)) else tuple(draw(st.permutations(dims)))[: draw(st.integers(0, len(dims)))]
        kind = draw(st.sampled_from([k for k in KINDS if k not in FLAT or len(own) == 1]))
        shape = [sizes[d] for d in own]
        flat = KINDS[kind](int(np.prod(shape)), draw(st.integers(0, 50)))
        if finite and kind.endswith(("f2", "f4", "f8")):
            flat = np.where(np.isinf(flat), flat.dtype.type(4), flat).astype(flat.dtype)
        data[name] = (own, flat if kind in FLAT else flat.reshape(shape))
    if draw(st.booleans()):  # a coordinate that is no dimension
        own = tuple(draw(st.permutations(dims)))[: draw(st.integers(0, len(dims)))]
        kind = draw(st.sampled_from([k for k in ("i4", "f8", "U", "text", "M8[s]", "noleap") if k in KINDS]))
        shape = [sizes[d] for d in own]
        flat = KINDS[kind](int(np.prod(shape)), draw(st.integers(0, 50)))
        coords[names[-1]] = (own, (np.nan_to_num(flat, posinf=4) if kind == "f8" and finite else flat).reshape(shape))
    chunks = {d: draw(st.integers(1, 3)) for d in dims if draw(st.booleans())}
    return xr.Dataset(data, coords), chunks or None


def many(finite=False):
    """A dataset of 30,000 cells in chunks of a few rows, whose variables are of the kinds that are easily mixed up."""
    sizes = {"time": 300, "my dim": 100}
    data = {"text": KINDS["text"], "n": lambda n, at: np.arange(n), "level": KINDS["M8[s]"], "q": KINDS["noleap"]}
    if not finite:
        data["x"] = KINDS["f8"]
    cells = {name: (tuple(sizes), values(30_000, 7).reshape(300, 100)) for name, values in data.items()}
    coords = {"time": ("time", KINDS["M8[ns]"](300, 0)[:1] + np.arange(300)), "x_y": ("my dim", KINDS["U"](100, 1))}
    return xr.Dataset(cells, coords), {"time": 7}


@st.composite
def _coordinate(draw, size, finite):
    if draw(st.integers(0, 3)) == 0:
        calendar = draw(st.sampled_from(CALENDARS))
        return xr.date_range("2000-02-27T12", periods=max(size, 1), freq="D", calendar=calendar, use_cftime=True)[:size]
    kind = draw(st.sampled_from([k for k in COORDINATES if "f" not in k or not finite]))
    return KINDS[kind](size, draw(st.integers(0, 9)))[:: draw(st.sampled_from([1, -1]))]


def expected(dataset, names):
    """The rows of the table of some variables of the same dims, each a tuple of plain values."""
    dims = dataset[names[0]].dims
    columns = [np.arange(dataset.sizes[d]) if d not in dataset.coords else cells(dataset[d]) for d in dims]
    order = [d for d in dataset.coords if d in dims] + [d for d in dims if d not in dataset.coords]
    beside = [n for n, c in dataset.coords.items() if n not in dataset.dims and set(c.dims) <= set(dims)]
    whole = {name: dataset.variables[name].set_dims(dataset[names[0]].sizes).transpose(*dims) for name in beside}
    data = [*[cells(dataset[name]) for name in names], *[list(whole[n].values.reshape(-1)) for n in beside]]
    found = Counter()
    for row, place in enumerate(itertools.product(*[range(dataset.sizes[d]) for d in dims])):
        where = dict(zip(dims, [c[i] for c, i in zip(columns, place, strict=True)], strict=True))
        found[tuple(plain(v) for v in [*[where[d] for d in order], *[values[row] for values in data]])] += 1
    return [*order, *names, *beside], found


def cells(variable):
    """The values of a variable, row by row."""
    if not isinstance(variable.dtype, np.dtype):
        return list(variable.data)
    return list(variable.values.reshape(-1))


def plain(value):
    """A value as Arrow should have it: what is missing is None, a time is its nanoseconds or its calendar's number."""
    if isinstance(value, cftime.datetime):
        if value.calendar in ("standard", "proleptic_gregorian", "noleap"):
            return int(np.datetime64(value.isoformat(), "us").astype(int)) * 1000
        return (value - cftime.datetime(1970, 1, 1, calendar=value.calendar)) // datetime.timedelta(microseconds=1)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        unit, _ = np.datetime_data(value.dtype)
        return None if np.isnat(value) else int(value.astype(np.int64)) * UNITS[unit]
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


def rows(table):
    """The rows of an Arrow table in the same form."""
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
            scale = UNITS[kind.unit]
            columns.append([None if v is None else v * scale for v in column.cast(pa.int64()).to_pylist()])
        else:
            columns.append(column.to_pylist())
    return Counter(zip(*columns, strict=True))


def quoted(name):
    """An identifier that means this name and no other."""
    return '"' + name.replace('"', '""') + '"'
