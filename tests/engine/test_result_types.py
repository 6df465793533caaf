"""Rows have the types that DataFusion computes, whichever way they come out, not those that it planned at first."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet
import pytest
from datafusion import SessionContext
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.storage.definition import stored
from tests.dealt import MANY, PACKED, dealing

_TABLE = pa.table(
    {
        "k": pa.array([0, 1, 2, 3], pa.int64()),
        "j": pa.array([1, -2, None, 7], pa.int32()),
        "t": pa.array([1, 2, 3, None], pa.int8()),
        "f": pa.array([0.1, None, -1.5, 2.0], pa.float32()),
        "d": pa.array([0.1, 1.5, None, -0.25], pa.float64()),
        "s": pa.array(["007", "1.5", None, "8"]),
        "b": pa.array([True, False, None, True]),
        "w": pa.array([Decimal("1.25"), Decimal(2), None, Decimal(-4)], pa.decimal128(10, 2)),
        "y": pa.array([0, 86400000, None, 1], pa.timestamp("ms")),
    }
)
_LITERALS = ["0", "1", "2.5", "-3", "'007'", "'x'", "NULL", "true", "CAST(0.1 AS FLOAT)", "CAST(7 AS TINYINT)",
             "CAST(1.25 AS DECIMAL(9,3))", "CAST('2020-01-01' AS DATE)"]  # fmt: skip
_LEAVES = st.sampled_from([*_TABLE.schema.names, *_LITERALS])


def _larger(part):
    return st.one_of(
        st.tuples(part, part, st.integers(0, 3)).map(lambda p: f"CASE WHEN k > {p[2]} THEN {p[0]} ELSE {p[1]} END"),
        st.tuples(part, part, part).map(lambda p: f"CASE k WHEN 1 THEN {p[0]} WHEN 2 THEN {p[1]} ELSE {p[2]} END"),
        st.tuples(st.sampled_from(["coalesce", "nullif", "greatest", "nvl"]), part, part).map(
            lambda p: f"{p[0]}({p[1]}, {p[2]})"
        ),
        # With a DOUBLE: among themselves narrow integers are calculated as BIGINT here, on purpose.
        st.tuples(part, st.sampled_from("+*-")).map(lambda p: f"({p[0]} {p[1]} d)"),
    )


_EXPRESSIONS = st.recursive(_LEAVES, _larger, max_leaves=5)


@st.composite
def queries(draw):
    """Queries that give a key ``k`` and a value ``v`` whose branches may be of several types."""
    one, two, wanted = (
        draw(_EXPRESSIONS),
        draw(_EXPRESSIONS),
        draw(st.sampled_from(["", " WHERE k < 0", " WHERE k = 2"])),
    )
    plain = f"SELECT k, {one} AS v FROM m{wanted}"
    return draw(
        st.sampled_from(
            [
                plain,
                f"{plain} UNION ALL SELECT k + 4, {two} FROM m{wanted}",
                f"SELECT k, v FROM ({plain} UNION ALL SELECT k + 4, {two} FROM m) AS q{wanted}",
                f"WITH q AS ({plain} UNION SELECT k + 4, {two} FROM m) SELECT k, coalesce(v, {draw(_LEAVES)}) AS v FROM"
                " (SELECT k, j, t, f, d, s, b, w, y, q.v FROM m JOIN q USING (k)) AS q",
                f"SELECT k, CASE WHEN k > 1 THEN (SELECT max({one}) FROM m) ELSE {two} END AS v FROM m{wanted}",
            ]
        )
    )


_LONG = pa.concat_tables([_TABLE] * (MANY // 4)).combine_chunks().set_column(0, "k", pa.array(range(MANY), pa.int64()))


@pytest.fixture(scope="module")
def contexts():
    """DataFusion as it is, then a context of ours, one that deals rows out by twos, and one by 64."""
    made = SessionContext(), Context(), dealing(Context(), True), dealing(Context(), PACKED)
    for context in made:
        context.register_record_batches("m", [_TABLE.to_batches()])
        context.register_record_batches("long", [_LONG.to_batches()])
    return made


@pytest.fixture
def both(contexts):
    return contexts[:2]


def _expected(plain, query):
    """What DataFusion computes; its types are those of the optimized plan, also where there are no rows."""
    try:
        frame = plain.sql(query)
        kinds = plain.create_dataframe_from_logical_plan(frame.optimized_logical_plan()).schema()
        rows = frame.to_arrow_table()
    except Exception:
        assume(False)
    if rows.num_rows:
        assert rows.schema.types == kinds.types
    return rows if rows.num_rows else kinds.empty_table()


def _same(found, expected, way):
    """Two tables have the same names, types and values, whatever the order of their rows."""
    assert found.schema.names == expected.schema.names, way
    assert found.schema.types == expected.schema.types, way
    assert _rows(found) == _rows(expected), way


def _rows(table):
    return sorted(map(repr, zip(*(column.to_pylist() for column in table.columns), strict=True)))


def _read(context, query):
    return context.script(query)[-1].to_arrow_table()


_OF_MANY = "SELECT k, CASE WHEN k % 3 > 1 THEN j ELSE nullif(s, 'x') END AS v FROM long"


@settings(max_examples=60)
@given(query=queries(), way=st.integers(1, 2))
@example(query=_OF_MANY, way=3)
def test_what_is_read_has_the_types_that_are_computed(contexts, query, way):
    plain, ours = contexts[0], contexts[way]
    expected = _expected(plain, query)
    result = ours.script(query)[0]
    assert result.schema.types == expected.schema.types
    _same(result.preview(MANY).rows, expected, "preview")
    assert result.preview(1).rows.schema.types == expected.schema.types
    _same(result.to_arrow_table(), expected, "script")
    frame = ours.sql(query)
    assert frame.schema().types == expected.schema.types
    _same(frame.to_arrow_table(), expected, "frame")
    _same(pa.table(frame), expected, "a stream of a frame")
    _same(pa.table(frame.limit(MANY)), expected, "a stream of a frame that was derived")
    assert list(map(str, frame.to_pandas().dtypes)) == list(map(str, expected.to_pandas().dtypes))
    ours.script(f"CREATE OR REPLACE VIEW looked AS {query}")
    _same(_read(ours, "SELECT * FROM looked"), expected, "view")
    assert ours.table("looked").schema().types == expected.schema.types


@settings(max_examples=40)
@given(query=queries(), way=st.integers(1, 2))
@example(query=_OF_MANY, way=3)
def test_what_is_written_has_the_types_that_are_computed(contexts, query, way):
    plain, ours = contexts[0], contexts[way]
    expected = _expected(plain, query)
    assume(not pa.types.is_null(expected.schema.types[1]))
    ours.script(f"CREATE OR REPLACE TABLE kept AS {query}")
    _same(_read(ours, "SELECT * FROM kept"), _as_stored(expected), "CREATE TABLE AS")
    ours.script(f"DELETE FROM kept; INSERT INTO kept {query}")
    _same(_read(ours, "SELECT * FROM kept"), _as_stored(expected), "INSERT")
    if len(set(expected["k"].to_pylist())) == expected.num_rows:
        ours.script(f"UPDATE kept SET v = NULL; UPDATE kept SET v = q.v FROM ({query}) AS q WHERE q.k = kept.k")
        _same(_read(ours, "SELECT * FROM kept"), _as_stored(expected), "UPDATE")


def _as_stored(table):
    return table.cast(pa.schema([f.with_type(stored(f.type)) for f in table.schema]))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT 1 AS y UNION ALL SELECT 1.5", [1.0, 1.5]),
        ("SELECT CASE WHEN d <= 0 THEN 0 ELSE d END AS y FROM m WHERE d IS NOT NULL", [0.0, 0.1, 1.5]),
        ("SELECT CAST(1 AS INT) AS y UNION ALL SELECT '007'", ["007", "1"]),
        ("SELECT CAST(0.5 AS FLOAT) AS y UNION ALL SELECT CAST(0.1 AS DOUBLE)", [0.1, 0.5]),
        ("SELECT 1 AS y WHERE false UNION ALL SELECT 1.5 WHERE false", []),
    ],
)
def test_no_value_is_cast_to_the_type_of_the_first_branch(both, query, rows, tmp_path):
    ours = both[1]
    assert sorted(_read(ours, query)["y"].to_pylist()) == rows
    assert sorted(ours.script(query)[0].to_dataset(dims=["y"]).y.values.tolist()) == rows
    ours.script(query)[0].to_parquet(tmp_path / "y.parquet")
    assert sorted(pyarrow.parquet.read_table(tmp_path / "y.parquet")["y"].to_pylist()) == rows


def test_a_change_assigns_what_is_computed(both):
    ours = both[1]
    ours.script("CREATE OR REPLACE TABLE p (a DOUBLE); INSERT INTO p VALUES (2.0), (0.3)")
    ours.script("UPDATE p SET a = CASE WHEN a > 1 THEN 1 ELSE a * 0.5 END")
    assert sorted(_read(ours, "SELECT a FROM p")["a"].to_pylist()) == [0.15, 1.0]
    ours.script("CREATE OR REPLACE VIEW halves AS SELECT 1 AS y UNION ALL SELECT 2.5")
    assert sorted(_read(ours, "SELECT y / 2 AS y FROM halves")["y"].to_pylist()) == [0.5, 1.25]
    assert _read(ours, "DESCRIBE halves").to_pylist()[0]["data_type"] == "DOUBLE"


def test_a_view_of_text_is_taken_as_text(both):
    ours = both[1]
    ours.script("CREATE OR REPLACE TABLE r (k BIGINT, v VARCHAR); INSERT INTO r VALUES (1, 'a'), (2, 'b')")
    source = "(SELECT 2 AS k, arrow_cast('c', 'Utf8View') AS v)"
    ours.script(f"UPDATE r SET v = q.v FROM {source} AS q WHERE q.k = r.k")
    ours.script(f"MERGE INTO r USING {source} AS q ON q.k = r.k WHEN MATCHED THEN UPDATE SET v = q.v || 'd'")
    assert sorted(_read(ours, "SELECT v FROM r")["v"].to_pylist()) == ["a", "cd"]


def test_a_constant_above_a_column_that_may_be_null():
    context = Context()
    context.script("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (NULL)")
    for sql in ("SELECT 0 AS n UNION ALL SELECT a FROM t", "SELECT a AS n FROM t UNION ALL SELECT 0"):
        assert sorted(context.sql(sql).to_arrow_table()["n"].to_pylist(), key=repr) == [0, 1, None]
        assert sorted(context.sql(sql).to_pydict()["n"], key=repr) == [0, 1, None]
        assert sorted((row["n"] for row in context.sql(sql).to_pylist()), key=repr) == [0, 1, None]
