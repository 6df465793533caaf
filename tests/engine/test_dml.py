"""CREATE TABLE, INSERT, DROP, views and transactions on scratch tables, through what a user writes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import errors
from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.errors import (
    ConstraintError,
    ExecutionError,
    ImmutableError,
    SqlError,
    TypeMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)

PARAMS = "CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE NOT NULL DEFAULT 1 + 2, b DOUBLE CHECK (b > 0))"


def test_an_insert_is_seen_by_the_next_query(db):
    db.run(PARAMS)
    assert db.run("INSERT INTO params VALUES (0, 1.5, 2.5), (1, DEFAULT, NULL)").message == "params: 2 rows inserted"
    assert db.rows("SELECT * FROM params ORDER BY step") == [(0, 1.5, 2.5), (1, 3.0, None)]


def test_columns_left_out_take_their_defaults_row_by_row(db):
    db.run("CREATE TABLE t (k INT, u VARCHAR DEFAULT uuid(), n INT DEFAULT 7, x DOUBLE)")
    db.run("INSERT INTO t (k) SELECT value FROM generate_series(1, 5)")
    rows = db.rows("SELECT u, n, x FROM t")
    assert len({u for u, _, _ in rows}) == 5
    assert {(n, x) for _, n, x in rows} == {(7, None)}
    db.run("INSERT INTO t DEFAULT VALUES")
    assert db.rows("SELECT k, n FROM t WHERE k IS NULL") == [(None, 7)]


def test_an_insert_from_the_table_itself_reads_what_was_there(db):
    db.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); INSERT INTO t SELECT a + 10 FROM t")
    assert sorted(db.rows("SELECT a FROM t")) == [(1,), (2,), (11,), (12,)]


def test_an_insert_runs_with_ctes_of_either_kind(db):
    db.run("CREATE TABLE t (a INT)")
    db.run("WITH q AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM q")
    db.run("INSERT INTO t WITH q AS (SELECT 2 AS a) SELECT a FROM q")
    assert sorted(db.rows("SELECT a FROM t")) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("INSERT INTO params VALUES (0, 1, 1)", ConstraintError, ["params_pkey", "step = 0", "already"]),
        ("INSERT INTO params VALUES (5, 1, 1), (6, 1, 1), (5, 2, 2)", ConstraintError, ["step = 5", "twice"]),
        (
            "INSERT INTO params SELECT 0, 1, 1 FROM generate_series(1, 4)",
            ConstraintError,
            ["step = 0", "and 3 more"],
        ),
        ("INSERT INTO params VALUES (7, NULL, 1)", ConstraintError, ["NOT NULL", "`a`", "step = 7"]),
        ("INSERT INTO params VALUES (NULL, 1, 1)", ConstraintError, ["NOT NULL", "`step`"]),
        ("INSERT INTO params VALUES (7, 1, -1)", ConstraintError, ["params_b_check", "b > 0", "step = 7"]),
        ("INSERT INTO params VALUES (7, 1)", UsageError, ["2 values for 3 columns", "step, a, b"]),
        ("INSERT INTO params (a) SELECT 1, 2", UsageError, ["2 values for 1 column"]),
        ("INSERT INTO params (step, step) VALUES (1, 2)", UsageError, ["`step` stands twice"]),
        ("INSERT INTO params (stp) VALUES (1)", UnknownNameError, ["`stp`", "Did you mean `step`?"]),
        ("INSERT INTO parms VALUES (1)", UnknownNameError, ["`parms`", "Did you mean `params`?"]),
        ("INSERT INTO params VALUES (7, 'x1', 1)", TypeMismatchError, ["`params.a` is DOUBLE", "'x1'"]),
        ("INSERT INTO params VALUES (7.5, 1, 1)", TypeMismatchError, ["`params.step` is BIGINT", "7.5"]),
        ("INSERT INTO params VALUES (1e30, 1, 1)", TypeMismatchError, ["`params.step`", "1e+30"]),
        ("CREATE TABLE params (a INT)", UsageError, ["exists already"]),
        ("CREATE TABLE t (a INT, A INT)", UsageError, ["two columns named `a`"]),
        ("CREATE TABLE t (a NOTYPE)", UnsupportedError, ["NOTYPE"]),
        ("CREATE TABLE t (a INT, PRIMARY KEY (b))", UnknownNameError, ["`b`"]),
        ("CREATE TABLE t (a INT CHECK (c > 1))", UsageError, ["CHECK (c > 1)"]),
        ("CREATE TABLE t (a INT CHECK (a + 1))", TypeMismatchError, ["is no condition"]),
        ("CREATE TABLE t (a INT DEFAULT 'x')", TypeMismatchError, ["`t.a` is INT"]),
        ("CREATE TABLE t (a INT REFERENCES params(step))", UnsupportedError, ["ForeignKey"]),
        ("CREATE TABLE t (a INT CHECK (count(a) > 0))", UsageError, ["CHECK cannot use COUNT"]),
        ("CREATE TABLE t (a INT CHECK (a IN (SELECT step FROM params)))", UnsupportedError, ["subquery"]),
        ("CREATE TABLE t (a INT DEFAULT count(*))", UsageError, ["DEFAULT cannot use COUNT"]),
        ("CREATE TABLE t (a INT DEFAULT (SELECT max(step) FROM params))", UnsupportedError, ["subquery"]),
        ("INSERT INTO params VALUES (5, 1, 1) RETURNING count(*)", UsageError, ["RETURNING cannot use COUNT"]),
        ("CREATE TABLE other.t (a INT)", UnsupportedError, ["default schema"]),
        ("DROP TABLE nothing", UnknownNameError, ["`nothing`"]),
    ],
)
def test_what_is_refused_says_why_and_changes_nothing(db, statement, error, says):
    db.run(PARAMS + "; INSERT INTO params VALUES (0, 1, 1)")
    before = db.store.entries()
    with pytest.raises(error) as caught:
        db.run(statement)
    message = "\n".join(caught.value.lines())
    for part in says:
        assert part in message
    assert db.store.entries() is before


def test_arrow_nullability_is_the_declared_one_whatever_the_source_says(db):
    db.run("CREATE TABLE t (a INT NOT NULL, b INT)")
    db.run("INSERT INTO t VALUES (1, 2)")
    db.run("CREATE TABLE src (a INT, b INT NOT NULL); INSERT INTO src VALUES (3, 4); INSERT INTO t SELECT * FROM src")
    table = db.store.scratch("t").to_arrow()
    assert [f.nullable for f in table.schema] == [False, True]
    assert table.num_rows == 2


@pytest.mark.parametrize("write", ["CREATE TABLE u AS", "CREATE TABLE u (n BIGINT, x DOUBLE); INSERT INTO u"])
def test_branches_of_a_union_may_differ_in_nullability(db, write):
    db.run("CREATE TABLE t (n BIGINT, x DOUBLE); INSERT INTO t VALUES (1, NULL), (2, 0.5)")
    db.run(f"{write} SELECT n, 1.0 AS x FROM t UNION ALL SELECT n, x FROM t")
    assert db.rows("SELECT * FROM u ORDER BY n, x NULLS FIRST") == [(1, None), (1, 1.0), (2, 0.5), (2, 1.0)]


def test_nan_is_one_key_and_null_is_none(db):
    db.run("CREATE TABLE t (x DOUBLE UNIQUE)")
    db.run("INSERT INTO t VALUES (NULL), (NULL), ('NaN'), (0.0)")
    with pytest.raises(ConstraintError, match="x = nan"):
        db.run("INSERT INTO t VALUES ('NaN')")
    with pytest.raises(ConstraintError, match=r"x = -0\.0"):
        db.run("INSERT INTO t SELECT -0.0")
    db.run("INSERT INTO t VALUES (NULL)")
    assert len(db.store.scratch("t")) == 5


@pytest.mark.parametrize(
    ("declared", "arrow"),
    [
        ("BIGINT", pa.int64()),
        ("SMALLINT", pa.int16()),
        ("INT UNSIGNED", pa.uint32()),
        ("REAL", pa.float32()),
        ("DECIMAL(10, 2)", pa.decimal128(10, 2)),
        ("BOOLEAN", pa.bool_()),
        ("VARCHAR(10)", pa.string()),
        ("TEXT", pa.string()),
        ("BYTEA", pa.binary()),
        ("DATE", pa.date32()),
        ("TIME", pa.time64("ns")),
        ("TIMESTAMP", pa.timestamp("ns")),
        ("TIMESTAMP(3)", pa.timestamp("ms")),
        ("INTERVAL", pa.month_day_nano_interval()),
        ("INT[]", pa.list_(pa.int32())),
        ("STRUCT<a INT>", pa.struct([("a", pa.int32())])),
    ],
)
def test_a_declared_type_is_datafusions_and_holds_a_null(db, declared, arrow):
    db.run(f"CREATE TABLE t (k INT, v {declared}); INSERT INTO t (k) VALUES (1)")
    for k in range(2, 6):  # chunks of every type can be merged
        db.run(f"INSERT INTO t SELECT {k}, v FROM t WHERE k = 1")
    assert db.store.scratch("t").schema.field("v").type == arrow
    assert db.rows("SELECT DISTINCT v FROM t") == [(None,)]


def test_create_table_as_select_keeps_types_and_rows(db):
    db.run("CREATE TABLE t AS SELECT 1 AS a, 'x' AS b, CAST(2.5 AS REAL) AS c")
    assert db.store.scratch("t").schema.types == [pa.int64(), pa.string(), pa.float32()]
    db.run("CREATE TABLE u (k BIGINT PRIMARY KEY, s VARCHAR) AS SELECT a, b FROM t")
    with pytest.raises(ConstraintError):
        db.run("INSERT INTO u VALUES (1, 'again')")


def test_if_not_exists_and_or_replace(db):
    db.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1); CREATE TABLE IF NOT EXISTS t (b INT)")
    assert db.rows("SELECT a FROM t") == [(1,)]
    db.run("CREATE OR REPLACE TABLE t AS SELECT a + 1 AS b FROM t")
    assert db.rows("SELECT b FROM t") == [(2,)]
    assert db.store.scratch("t").at(1).to_pydict() == {"a": [1]}
    db.run("DROP TABLE IF EXISTS t, nothing; CREATE TABLE t (c INT)")
    assert db.store.scratch("t").version == 0


def test_a_view_follows_later_versions_also_through_a_view(db):
    db.run(
        "CREATE TABLE t (a INT); CREATE VIEW v (x) AS SELECT a * 2 FROM t; CREATE VIEW w AS SELECT sum(x) AS s FROM v"
    )
    for n in range(1, 4):
        db.run(f"INSERT INTO t VALUES ({n})")
        assert db.rows("SELECT s FROM w") == [(n * (n + 1),)]
    assert db.ctx.sql("SELECT s FROM w").to_pydict() == {"s": [12]}
    with pytest.raises(UsageError, match="read by the view `v`"):
        db.run("DROP TABLE t")
    with pytest.raises(UsageError, match="read itself"):
        db.run("CREATE OR REPLACE VIEW v AS SELECT s AS x FROM w")
    db.run("DROP TABLE t CASCADE")
    assert not db.store.entries()


def test_a_plan_keeps_the_version_it_was_made_with(db):
    db.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    frame = db.ctx.sql("SELECT a FROM t")
    db.run("INSERT INTO t VALUES (2)")
    assert frame.to_pydict() == {"a": [1]}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO air VALUES (0, 1.0)",
        "UPDATE air SET v = 0",
        "DELETE FROM air",
        "TRUNCATE air",
        "ALTER TABLE air ADD COLUMN c INT",
        "MERGE INTO air USING (SELECT 1 AS x) s ON air.x = s.x WHEN MATCHED THEN DELETE",
        "INSERT OVERWRITE air SELECT 0, 1.0",
    ],
)
@pytest.mark.parametrize("how", ["registered", "variable"])
def test_an_xarray_table_and_a_variable_never_change(statement, how):
    air = xr.Dataset({"v": ("x", [1.0, 2.0])}, coords={"x": [0, 1]})
    ctx = Context(namespace=(lambda: {"air": air}) if how == "variable" else None)
    if how == "registered":
        ctx.from_dataset("air", air)
    with pytest.raises(ImmutableError) as caught:
        ctx.script(statement)
    assert "never change" in caught.value.what
    assert caught.value.hint is not None
    copy, _, _ = caught.value.hint.partition(";")
    assert copy == "CREATE TABLE air_scratch AS SELECT * FROM air"
    ctx.script(f"{copy}; DELETE FROM air_scratch WHERE x = 0")
    assert ctx.scratch("air_scratch").to_arrow().to_pydict() == {"x": [1], "v": [2.0]}
    assert air.v.values.tolist() == [1.0, 2.0]
    if how == "registered":
        with pytest.raises(UsageError, match="an xarray table already"):
            ctx.script("CREATE TABLE air (a INT)")


class TestTransactions:
    def test_rollback_restores_every_table(self, db):
        db.run("CREATE TABLE a (x INT); CREATE TABLE b (x INT)")
        db.run("BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); CREATE TABLE c (x INT); DROP TABLE a")
        assert db.rows("SELECT * FROM b") == [(1,)]
        db.run("ROLLBACK")
        assert sorted(db.store.entries()) == ["a", "b"]
        assert db.rows("SELECT * FROM b") == []

    def test_commit_makes_one_version_of_each_table(self, db):
        db.run("CREATE TABLE a (x INT); BEGIN; INSERT INTO a VALUES (1); INSERT INTO a VALUES (2), (3); COMMIT")
        table = db.store.scratch("a")
        assert table.version == 1
        assert table.history()[-1].statement == "INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2), (3)"
        assert (table.history()[-1].added, table.history()[-1].removed) == (3, 0)

    def test_an_error_leaves_it_aborted_until_rollback(self, db):
        db.run("CREATE TABLE a (x INT); BEGIN; INSERT INTO a VALUES (1)")
        with pytest.raises(SqlError):
            db.run("INSERT INTO a VALUES (1, 2)")
        for statement in ("SELECT 1", "INSERT INTO a VALUES (2)", "SAVEPOINT s"):
            with pytest.raises(ExecutionError, match="aborted"):
                db.run(statement)
        assert "rolled back" in db.run("COMMIT").message
        assert db.rows("SELECT * FROM a") == []

    def test_a_failing_query_aborts_it_too(self, db):
        db.run("CREATE TABLE a (x INT); BEGIN; INSERT INTO a VALUES (1)")
        with pytest.raises(Exception, match="nowhere"):
            db.run("SELECT * FROM nowhere")
        with pytest.raises(ExecutionError, match="aborted"):
            db.run("SELECT 1")
        db.run("ROLLBACK")
        assert db.rows("SELECT * FROM a") == []

    def test_a_cell_that_fails_inside_its_own_transaction_changes_nothing(self, db):
        db.run("CREATE TABLE a (x INT)")
        with pytest.raises(SqlError):
            db.run("BEGIN; INSERT INTO a VALUES (1); INSERT INTO a VALUES ('x'); COMMIT")
        assert not db.store.in_transaction
        assert db.rows("SELECT * FROM a") == []

    def test_what_is_out_of_place_is_an_error(self, db):
        for statement in ("COMMIT", "ROLLBACK", "BEGIN; BEGIN"):
            with pytest.raises(UsageError):
                db.run(statement)

    def test_the_block_is_all_or_nothing(self, db):
        db.run("CREATE TABLE a (x INT)")
        rows = [{"x": [1]}, {"y": [1]}]
        with pytest.raises(UnknownNameError), db.store.transaction():
            list(map(db.store.scratch("a").append, rows))
        with db.store.transaction():
            db.store.scratch("a").append({"x": [2]})
            with pytest.raises(UnknownNameError):
                db.store.scratch("a").append({"y": [1]})
            with pytest.raises(ExecutionError, match="aborted"):
                db.store.scratch("a").append({"x": [3]})
            db.store.rollback()
        assert db.rows("SELECT * FROM a") == []


def test_append_is_the_same_path_as_insert(db):
    db.run(PARAMS)
    table = db.store.scratch("params")
    assert table.append({"step": [0, 1], "b": [1.0, math.inf]}) == 2
    assert db.rows("SELECT * FROM params ORDER BY step") == [(0, 3.0, 1.0), (1, 3.0, math.inf)]
    with pytest.raises(ConstraintError, match="params_b_check"):
        table.append(pa.table({"step": [2], "b": [-1.0]}))
    with pytest.raises(ConstraintError, match="step = 1"):
        table.append({"step": [1]})
    with pytest.raises(UnknownNameError):
        table.append({"nope": [1]})
    with pytest.raises(TypeMismatchError):
        table.append({"step": ["x"]})
    assert len(table) == 2


def test_a_decimal_is_rounded_and_never_cut_short(db):
    db.run("CREATE TABLE t (k INT, d DECIMAL(10, 2)); INSERT INTO t VALUES (1, 2.5), (2, 10); UPDATE t SET d = d / 3")
    assert [str(d) for (d,) in db.rows("SELECT d FROM t ORDER BY k")] == ["0.83", "3.33"]
    with pytest.raises(TypeMismatchError, match=r"`t\.d` is DECIMAL"):
        db.run("INSERT INTO t VALUES (3, 123456789012.5)")


def test_varchar_has_its_length_on_every_path(db):
    db.run("CREATE TABLE t (s VARCHAR(2)); INSERT INTO t VALUES ('ab')")
    schema = db.store.scratch("t").schema
    with pytest.raises(TypeMismatchError, match="'abc'"):
        db.store.scratch("t").append(pa.record_batch([pa.array(["abc"])], schema=schema))
    with pytest.raises(TypeMismatchError, match="3 characters"):
        db.run("UPDATE t SET s = s || 'c'")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_rows_of_a_data_frame_are_appended_without_its_index(make):
    context = Context()
    context.script("CREATE TABLE t (a BIGINT, b DOUBLE DEFAULT 7)")
    rows = make({"a": [1, 2, 3]})
    rows = rows[rows.a > 1] if make is pd.DataFrame else rows
    context.scratch("t").append(rows)
    found = context.sql("SELECT a, b FROM t ORDER BY a").to_pandas()
    assert found.a.tolist() == ([2, 3] if make is pd.DataFrame else [1, 2, 3])
    assert set(found.b) == {7.0}
    with pytest.raises(UnknownNameError, match="no column"):
        context.scratch("t").append(make({"c": [1]}))


def test_what_is_appended_no_longer_shares_the_callers_memory(db):
    db.run("CREATE TABLE t (a DOUBLE)")
    values = np.arange(3.0)
    db.store.scratch("t").append({"a": values})
    db.store.scratch("t").append(pa.record_batch({"a": pa.array(values)}))
    values[:] = -1
    assert db.rows("SELECT a FROM t") == [(0.0,), (1.0,), (2.0,)] * 2


def test_a_view_whose_table_is_gone_holds_up_nothing_else(db):
    db.ctx.from_dataset("air", xr.Dataset({"v": ("x", [1.0])}, coords={"x": [0]}))
    db.run("CREATE VIEW warm AS SELECT * FROM air; CREATE TABLE t (a INT)")
    db.ctx.deregister_table("air")
    assert db.rows("SELECT count(*) FROM t") == [(0,)]
    with pytest.raises(SqlError, match="air"):
        db.rows("SELECT * FROM warm")


def test_whole_numbers_stay_what_they_are_beside_others(db):
    db.run("CREATE TABLE t (k BIGINT, f DOUBLE); INSERT INTO t VALUES (9007199254740993, 1), (2.0, 0.5)")
    assert sorted(db.rows("SELECT k FROM t")) == [(2,), (9007199254740993,)]
    with pytest.raises(TypeMismatchError, match=r"`t\.k` is BIGINT and cannot hold 2\.5"):
        db.run("INSERT INTO t VALUES (9007199254740993, 1), (2.5, 0.5)")


def test_drop_forgets_the_name_of_a_registered_table_outside_a_transaction(db):
    db.ctx.from_dataset("air", xr.Dataset({"v": ("x", [1.0])}, coords={"x": [0]}))
    db.run("CREATE TABLE t (a INT)")
    with pytest.raises(UnsupportedError, match="ROLLBACK could not"):
        db.run("BEGIN; DROP TABLE t, air; COMMIT")
    assert sorted(name for (name,) in db.rows("SELECT table_name FROM information_schema.tables "
                                              "WHERE table_schema = 'public'")) == ["air", "t"]  # fmt: skip
    db.run("DROP TABLE t, air")
    with pytest.raises(SqlError, match="air"):
        db.rows("SELECT * FROM air")


def test_a_variable_is_not_dropped():
    ctx = Context(namespace=lambda: {"air": xr.Dataset({"v": ("x", [1.0])}, coords={"x": [0]})})
    ctx.script("SELECT * FROM air")
    with pytest.raises(ImmutableError, match="variable"):
        ctx.script("DROP TABLE air")


def test_select_into_is_create_table_as(db):
    db.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2)")
    assert db.run("SELECT a, a * 2 AS b INTO z FROM t").message == "z: table created, 2 rows inserted"
    assert sorted(db.rows("SELECT * FROM z")) == [(1, 2), (2, 4)]
    db.run("INSERT INTO z VALUES (3, 6); DELETE FROM z WHERE a = 1")
    assert db.store.scratch("z").version == 2
    with pytest.raises(errors.UsageError, match="`z` exists already"):
        db.run("SELECT a INTO z FROM t")
    db.run("BEGIN; SELECT a INTO gone FROM t; ROLLBACK")
    with pytest.raises(errors.UnknownNameError):
        db.run("SELECT * FROM gone")
    db.run("WITH q AS (SELECT 7 AS a) SELECT a + :by AS a INTO c FROM q UNION ALL SELECT 9", {"by": 1})
    assert sorted(db.rows("SELECT * FROM c")) == [(8,), (9,)]
    db.run("(SELECT 7 AS a INTO d)")
    assert db.rows("SELECT * FROM d") == [(7,)]
    db.run("EXPLAIN SELECT a INTO none FROM t")
    assert not db.rows("SELECT * FROM information_schema.tables WHERE table_name = 'none'")
    for nested in ("SELECT * FROM (SELECT a INTO y FROM t) AS q", "WITH q AS (SELECT a INTO y FROM t) SELECT * FROM q"):
        with pytest.raises(errors.SqlError):
            db.rows(nested)


@pytest.mark.parametrize(
    "statement",
    ["COPY (SELECT 1) TO '{}'", "COPY t TO '{}' STORED AS CSV", "COPY (SELECT a FROM t) TO '{}' STORED AS PARQUET"],
)
@pytest.mark.parametrize("explain", ["EXPLAIN ANALYZE", "EXPLAIN ANALYZE VERBOSE", "EXPLAIN (ANALYZE)"])
def test_explain_never_writes_a_file(db, tmp_path, statement, explain):
    db.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1)")
    with pytest.raises(errors.SqlError):
        db.rows(f"{explain} {statement.format(tmp_path / 'x')}")
    assert not list(tmp_path.iterdir())


def test_and_chain_begins_another_transaction(db):
    db.run("CREATE TABLE t (a BIGINT); BEGIN; INSERT INTO t VALUES (1)")
    assert db.run("COMMIT AND CHAIN").message == "committed; transaction begun"
    assert db.store.in_transaction
    db.run("INSERT INTO t VALUES (2)")
    assert db.run("ROLLBACK AND CHAIN").message == "rolled back; transaction begun"
    db.run("INSERT INTO t VALUES (3); COMMIT AND NO CHAIN")
    assert not db.store.in_transaction
    assert sorted(db.rows("SELECT * FROM t")) == [(1,), (3,)]
    with pytest.raises(errors.UnsupportedError, match="READ ONLY"):
        db.run("BEGIN READ ONLY")
    with pytest.raises(errors.UsageError, match="no transaction is open"):
        db.run("COMMIT AND CHAIN")


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (
            "INSERT INTO late VALUES (to_timestamp_seconds(9223372036854775807), NULL)",
            "t = '292277026596-12-04 15:30:07'",
        ),
        ("INSERT INTO late VALUES (to_timestamp_seconds(1), arrow_cast(2147483647, 'Date32'))", "d = '5881580-07-11'"),
        ("UPDATE late SET t = NULL", "t = NULL, d = '5881580-07-11'"),
        ("INSERT INTO narrow SELECT t FROM late", "cannot hold '292277026596-12-04 15:30:07'"),
    ],
)
def test_errors_show_times_that_python_does_not_hold(db, statement, shown):
    db.run("CREATE TABLE late (t TIMESTAMP(0) NOT NULL UNIQUE, d DATE UNIQUE)")
    db.run("CREATE TABLE narrow (t TIMESTAMP(9))")
    db.run("INSERT INTO late VALUES (to_timestamp_seconds(9223372036854775807), arrow_cast(2147483647, 'Date32'))")
    with pytest.raises(SqlError) as caught:
        db.run(statement)
    assert shown in str(caught.value)


@pytest.mark.parametrize("values", ["(0, 'abc'), (1, X'8f50'), (2, NULL)", "(0, X'616263'), ('1', X'8f50'), (2, NULL)"])
def test_values_without_a_common_type_take_the_declared_ones(values):
    ctx = Context()
    ctx.script(f"CREATE TABLE made (num INT, b BYTEA) AS VALUES {values}")
    table = ctx.sql("SELECT num, b FROM made ORDER BY num").to_arrow_table()
    assert table.to_pydict() == {"num": [0, 1, 2], "b": [b"abc", b"\x8f\x50", None]}
    assert str(table.schema.field("num").type) == "int32"


def test_values_that_do_not_fit_the_declared_types_are_refused():
    ctx = Context()
    with pytest.raises(SqlError):
        ctx.script("CREATE TABLE made (num INT, b BYTEA) AS VALUES (0, 'abc'), ('one', X'8f50')")
    with pytest.raises(SqlError):
        ctx.script("CREATE TABLE made (num INT) AS VALUES ('abc', 1), (X'8f50', 2)")
    assert "made" not in ctx.store.entries()
