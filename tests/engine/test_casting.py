"""A value of any Arrow type in a column of any other that can hold it, through what a user writes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sqlmagic_xr.errors import TypeMismatchError
from tests.engine.conftest import Db


@pytest.mark.parametrize(
    ("first", "value", "held"),
    [
        ("[1]", "[3.0, NULL]", [3, None]),
        ("arrow_cast([1], 'LargeList(Int64)')", "[3.0]", [3]),
        ("arrow_cast([1, 2], 'FixedSizeList(2, Int64)')", "[3.0, 4.0]", [3, 4]),
        ("[[1]]", "[[3.0], NULL, []]", [[3], None, []]),
        ("named_struct('a', 1, 'b', 'x')", "named_struct('b', 2, 'a', 5.0)", {"a": 5, "b": "2"}),
        ("named_struct('a', 1, 'b', 'x')", "struct(2, 'y')", {"a": 2, "b": "y"}),
        ("MAP {'a': 1}", "MAP {'b': 2.0}", [("b", 2)]),
        ("arrow_cast('x', 'Dictionary(Int32, Utf8)')", "7", "7"),
        ("arrow_cast('x', 'LargeUtf8')", "arrow_cast('y', 'Utf8View')", "y"),
        ("arrow_cast('x', 'BinaryView')", "'y'", b"y"),
        ("arrow_cast(1, 'Decimal256(50, 2)')", "2.5", Decimal("2.50")),
    ],
)
def test_it_is_held(first, value, held):
    db = Db()
    db.run(f"CREATE TABLE t AS SELECT {first} AS v")
    db.run(f"INSERT INTO t VALUES ({value})")
    assert db.store.table("t").to_arrow()["v"].to_pylist()[-1] == held
    db.run(f"UPDATE t SET v = {value}")
    assert db.store.table("t").to_arrow()["v"].to_pylist() == [held, held]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+02:00"])
def test_text_becomes_an_instant_of_the_columns_zone(unit, zone):
    db = Db()
    db.run(f"""CREATE TABLE t AS SELECT arrow_cast('2020-01-01T00:00:00Z', 'Timestamp({unit}, "{zone}")') AS v""")
    db.run("INSERT INTO t VALUES ('2021-06-01T12:00:00Z')")
    assert db.rows("SELECT CAST(v AS VARCHAR) LIKE '2021-06-01T1_:00:00%' FROM t WHERE v > '2020-06-01T00:00:00Z'") == [
        (True,)
    ]


@pytest.mark.parametrize(
    ("first", "value"),
    [
        ("[1]", "[3.5]"),
        ("[1]", "3"),
        ("1", "[3]"),
        ("named_struct('a', 1)", "named_struct('a', 0.5)"),
        ("named_struct('a', 1)", "named_struct('z', 1)"),
        ("MAP {'a': 1}", "MAP {'b': 2.5}"),
        ("arrow_cast([1, 2], 'FixedSizeList(2, Int64)')", "[3]"),
        ("[[1]]", "[[1.5]]"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(first, value):
    db = Db()
    db.run(f"CREATE TABLE t AS SELECT {first} AS v")
    with pytest.raises(TypeMismatchError, match=r"`t.v` is .* and cannot hold"):
        db.run(f"INSERT INTO t VALUES ({value})")
    assert len(db.store.scratch("t")) == 1
