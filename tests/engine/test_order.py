"""Rows keep together whatever the engine deals out to whom: casts, checks, defaults, RETURNING, at any size."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr.errors import ConstraintError, TypeMismatchError
from sqlmagic_xr.storage.casting import MisfitError, cast
from tests.dealt import MANY, MIXED, PACKED
from tests.engine.conftest import Db


@pytest.fixture(params=[MANY, 60], ids=["many rows", "batches of two"])
def dealt(request: pytest.FixtureRequest) -> Db:
    """A context whose table ``src (a, s, d)`` holds a number, the same as text, and its half."""
    db = Db()
    db.run(MIXED if request.param == 60 else PACKED)
    db.rows_there = request.param
    db.run(
        f"CREATE TABLE src AS SELECT value AS a, CAST(value AS VARCHAR) AS s, value / 2.0 AS d "
        f"FROM generate_series(1, {request.param}) ORDER BY a"
    )
    return db


def whole(db: Db, table: str) -> pa.Table:
    return db.store.table(table).to_arrow().sort_by("a")


def numbers(db: Db) -> np.ndarray:
    return np.arange(1, db.rows_there + 1)


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("a", "VARCHAR", str),
        ("s", "DOUBLE", float),
        ("s", "BIGINT", int),
        ("s", "DECIMAL(12, 3)", lambda a: Decimal(a)),
        ("a", "DECIMAL(40, 1)", lambda a: Decimal(a)),
        ("d", "VARCHAR", lambda a: str(a / 2)),
        ("s", "BYTEA", lambda a: str(a).encode()),
        ("arrow_cast(s, 'LargeUtf8')", "VARCHAR", str),
        ("arrow_cast(s, 'Dictionary(Int32, Utf8)')", "VARCHAR", str),
        ("[s]", "BIGINT[]", lambda a: [a]),
        ("named_struct('x', s)", "STRUCT<x BIGINT>", lambda a: {"x": a}),
    ],
)
@pytest.mark.parametrize("write", ["INSERT", "UPDATE", "MERGE", "upsert"])
def test_a_value_stays_in_its_row_when_it_is_cast(dealt, column, kind, value, write):
    dealt.run(f"CREATE TABLE t (a BIGINT PRIMARY KEY, b {kind})")
    if write == "INSERT":
        dealt.run(f"INSERT INTO t SELECT a, {column} FROM src")
    else:
        dealt.run("INSERT INTO t (a) SELECT a FROM src")
    if write == "UPDATE":
        dealt.run(f"UPDATE t SET b = q.v FROM (SELECT a AS k, {column} AS v FROM src) q WHERE t.a = q.k")
    if write == "MERGE":
        dealt.run(
            f"MERGE INTO t USING (SELECT a AS k, {column} AS v FROM src) q ON t.a = q.k "
            "WHEN MATCHED AND k % 2 = 0 THEN UPDATE SET b = q.v WHEN MATCHED THEN DELETE"
        )
        dealt.run(
            f"MERGE INTO t USING (SELECT a AS k, {column} AS v FROM src) q ON t.a = q.k "
            "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (q.k, q.v)"
        )
    if write == "upsert":
        dealt.run(f"INSERT INTO t SELECT a, {column} FROM src WHERE true ON CONFLICT (a) DO UPDATE SET b = excluded.b")
    found = whole(dealt, "t")
    assert found["a"].to_pylist() == numbers(dealt).tolist()
    assert found["b"].to_pylist() == [value(a) for a in numbers(dealt).tolist()]


def test_create_table_as_keeps_rows_together(dealt):
    dealt.run(
        "CREATE TABLE t AS SELECT a, arrow_cast(s, 'LargeUtf8') AS l, arrow_cast(s, 'Dictionary(Int32, Utf8)') AS d, "
        "arrow_cast([a], 'LargeList(Int64)') AS n FROM src"
    )
    found = whole(dealt, "t")
    texts = [str(a) for a in numbers(dealt)]
    assert found["l"].to_pylist() == texts
    assert found["d"].to_pylist() == texts
    assert found["n"].to_pylist() == [[int(a)] for a in texts]


def test_a_check_blames_the_row_that_breaks_it(dealt):
    last = dealt.rows_there
    dealt.run(f"CREATE TABLE t (a BIGINT, s VARCHAR, CHECK (a < {last}))")
    with pytest.raises(ConstraintError, match=rf"false for the row with a = {last}, s = '{last}'\n"):
        dealt.run("INSERT INTO t SELECT a, s FROM src")
    dealt.run(f"INSERT INTO t SELECT a, s FROM src WHERE a < {last}")
    with pytest.raises(ConstraintError, match=rf"a = {last}, s = '{last - 1}'\n"):
        dealt.run("UPDATE t SET a = a + 1")


def test_a_misfit_is_the_first_value_that_does_not_fit(dealt):
    dealt.run("CREATE TABLE t (a BIGINT, n TINYINT)")
    with pytest.raises(TypeMismatchError, match=r"cannot hold 'x\d+'"):
        dealt.run("INSERT INTO t SELECT a, CASE WHEN a % 50 = 0 THEN 'x' || a ELSE '1' END FROM src ORDER BY a")
    with pytest.raises(TypeMismatchError, match=r"cannot hold 'x50'"):
        dealt.run("INSERT INTO t SELECT a, CASE WHEN a % 50 = 0 THEN 'x' || a ELSE '1' END FROM src ORDER BY a")


def test_returning_gives_the_rows_in_the_order_of_the_statement(dealt):
    expected = [(a, str(a), a + 1) for a in numbers(dealt).tolist()]
    dealt.run("CREATE TABLE t (a BIGINT, s VARCHAR)")
    assert dealt.rows("INSERT INTO t SELECT a, s FROM src ORDER BY a RETURNING *, a + 1 AS next") == expected
    assert dealt.rows("UPDATE t SET a = a RETURNING a, s, a + 1 AS next") == expected
    joined = dealt.rows("UPDATE t SET s = src.s FROM src WHERE src.a = t.a RETURNING t.a, src.s, src.a + 1 AS next")
    assert joined == expected
    deleted = dealt.rows("DELETE FROM t USING src WHERE src.a = t.a RETURNING t.*, src.a + 1 AS next")
    assert deleted == expected


def test_merge_inserts_in_the_order_of_its_source(dealt):
    dealt.run("CREATE TABLE t (a BIGINT, s VARCHAR)")
    dealt.run("MERGE INTO t USING src AS q ON t.a = q.a WHEN NOT MATCHED THEN INSERT VALUES (q.a + 0, upper(q.s))")
    assert dealt.store.table("t").to_arrow()["a"].to_pylist() == numbers(dealt).tolist()


def test_a_default_is_worked_out_for_each_row(dealt):
    dealt.run("CREATE TABLE t (a BIGINT, r DOUBLE DEFAULT random(), c VARCHAR DEFAULT 7)")
    dealt.run("INSERT INTO t (a) SELECT a FROM src")
    found = whole(dealt, "t")
    assert len(set(found["r"].to_pylist())) == dealt.rows_there
    assert set(found["c"].to_pylist()) == {"7"}


def test_times_of_a_dataset_become_their_own_dates():
    time = np.datetime64("2000-01-01", "ns") + np.arange(20_000).astype("timedelta64[D]")
    db = Db()
    db.ctx.from_dataset("d", xr.Dataset({"x": ("time", np.arange(20_000))}, {"time": time}))
    db.run("CREATE TABLE t (a BIGINT, day DATE); INSERT INTO t SELECT x, time FROM d")
    found = whole(db, "t")
    assert (found["day"].to_numpy() == time.astype("datetime64[D]")).all()


def test_a_column_of_text_is_the_first_misfit_by_halves():
    values = pa.array(["1"] * 777 + ["x"] + ["2"] * 99 + ["y"])
    with pytest.raises(MisfitError) as misfit:
        cast(values, pa.int64())
    assert misfit.value.place == 777
