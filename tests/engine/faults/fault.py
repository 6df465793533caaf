"""What a fault of the engine is, and the tables that the queries about faults read."""

import math
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

INF, NAN = math.inf, math.nan

TABLES = {
    "t": pa.table(
        {
            "i": pa.array([1, 2, 3, None], pa.int64()),
            "n": pa.array([5, 6, 7, None], pa.int64()),
            "f": pa.array([0.0, -0.0, 1.5, None], pa.float64()),
            "h": pa.array([0.0, -0.0, 1.5, None], pa.float32()),
            "s": pa.array([300, 200, -300, None], pa.int16()),
            "b": pa.array([100, -128, 7, None], pa.int8()),
            "u": pa.array([200, 250, 3, None], pa.uint8()),
            "w": pa.array([2**31 - 1, -(2**31), 5, None], pa.int32()),
            "inf": pa.array([INF, -INF, 2.0, None], pa.float64()),
        }
    ),
    "r": pa.table(
        {
            "i": pa.array([1, 2, None], pa.int64()),
            "f": pa.array([-0.0, 0.0, 2.0], pa.float64()),
            "g": pa.array([1, 1, 2], pa.int64()),
        }
    ),
    "dec": pa.table(
        {
            "g": pa.array([1, 1, 1, 1, 2, 2], pa.int64()),
            "x": pa.array([Decimal("85" + "0" * 36)] * 4 + [Decimal(7), None], pa.decimal128(38, 0)),
            "y": pa.array([Decimal("15" + "0" * 28)] * 4 + [Decimal("2.5"), None], pa.decimal128(34, 2)),
        }
    ),
    "tt": pa.table({"t": pa.array(["2020-01-01", "1999-05-05"]).cast(pa.timestamp("ns"))}),
    "big": pa.table(
        {
            "k": pa.array(range(7), pa.int64()),
            "x": pa.array([1e300, 1e8 + 3, 1e8 + 3, 3.0, 3.0, None, 4.0]),
            "n": pa.array([2**62, 2**62, 1, 2, 3, 4, 5], pa.int64()),
        }
    ),
    "huge": pa.table(
        {
            "g": pa.array([1, 1, 2, 2, 3, 3, 3], pa.int64()),
            "x": pa.array([1e300, -1e300, 1e200, 3e200, 1e160, 2e160, None]),
            "y": pa.array([2.0, 4.0, 1.0, 5.0, 1e160, 4e160, 7.0]),
        }
    ),
    "v": pa.table(
        {
            "k": pa.array(range(6), pa.int64()),
            "x": pa.array([1.0, None, 3.0, None, 5.0, 6.0]),
            "y": pa.array([0.0, 1.0, 2.0, 3.0, None, 5.0]),
        }
    ),
}


@dataclass(frozen=True)
class Fault:
    """A fault as ``docs/engine-faults.md`` lists it.

    Attributes:
        name: what the page calls it.
        queries: query -> its rows, sorted.
    """

    name: str
    queries: dict[str, list[tuple]]
