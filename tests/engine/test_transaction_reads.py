"""A query that fails while it runs aborts the transaction that it was planned in, whoever asks for its rows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from sqlmagic_xr import errors

_FAILS = "SELECT 1 / (a - 1) AS x FROM t"

_WAYS = {
    "rows": lambda ctx: ctx.script(_FAILS)[0].to_arrow_table(),
    "preview": lambda ctx: ctx.script(_FAILS)[0].preview(5),
    "sorted": lambda ctx: ctx.script(_FAILS + " ORDER BY x")[0].preview(5),
    "count": lambda ctx: len(ctx.script(_FAILS + " WHERE 1 / (a - 1) > 0")[0]),
    "csv": lambda ctx: ctx.script(_FAILS)[0].to_csv("/dev/null"),
    "dataset": lambda ctx: ctx.script(_FAILS)[0].to_dataset(dims=["x"]),
    "frame": lambda ctx: ctx.sql(_FAILS).to_arrow_table(),
    "pandas": lambda ctx: ctx.sql(_FAILS).to_pandas(),
    "collect": lambda ctx: ctx.sql(_FAILS).collect(),
    "derived": lambda ctx: ctx.sql(_FAILS).limit(3).to_pydict(),
    "stream": lambda ctx: pa.table(ctx.sql(_FAILS)),
    "html": lambda ctx: ctx.sql(_FAILS)._repr_html_(),
    "frame's dataset": lambda ctx: ctx.sql(_FAILS).to_dataset(dims=["x"]),
    "show": lambda ctx: ctx.sql(_FAILS).show(),
    "iterated": lambda ctx: list(ctx.sql(_FAILS)),
}


@pytest.mark.parametrize("way", _WAYS)
def test_a_query_that_fails_while_it_runs_aborts_its_transaction(db, way):
    db.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2)")
    with pytest.raises(Exception, match=r"(?i)divi"):
        _WAYS[way](db.ctx)
    with pytest.raises(errors.ExecutionError, match="the transaction is aborted"):
        db.run("INSERT INTO t VALUES (3)")
    assert db.run("COMMIT").message == "rolled back: a statement of the transaction had failed"
    assert db.rows("SELECT a FROM t") == [(1,)]


def test_only_its_own_transaction_is_aborted(db):
    db.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1)")
    before = db.run(_FAILS)
    db.run("BEGIN")
    within = db.run(_FAILS)
    db.run("COMMIT; BEGIN; INSERT INTO t VALUES (2)")
    for result in (before, within):
        with pytest.raises(errors.ExecutionError, match="division by zero"):
            result.to_arrow_table()
    db.run("COMMIT")
    assert sorted(db.rows("SELECT a FROM t")) == [(1,), (2,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t AS x SET zzz.a = 3",
        "UPDATE t AS x SET t.a = 3",
        "UPDATE t SET (zzz.a, b) = (1, 2)",
        "INSERT INTO t VALUES (1, 1) ON CONFLICT (a) DO UPDATE SET zzz.b = 3",
        "MERGE INTO t USING t AS s ON t.a = s.a WHEN MATCHED THEN UPDATE SET s.a = 3",
        "MERGE INTO t USING t AS s ON t.a = s.a + 9 WHEN NOT MATCHED THEN INSERT (s.a, b) VALUES (4, 5)",
    ],
)
def test_a_column_of_another_table_cannot_be_assigned(db, statement):
    db.run("CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT); INSERT INTO t VALUES (1, 2)")
    with pytest.raises(errors.UnknownNameError, match="is not the table that is changed"):
        db.run(statement)
    assert db.rows("SELECT * FROM t") == [(1, 2)]


def test_the_changed_tables_own_name_may_stand_before_its_columns(db):
    db.run("CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT); INSERT INTO t (a, b) VALUES (1, 2)")
    db.run("UPDATE t SET t.a = 2, public.t.b = 3; UPDATE t AS x SET x.b = x.b + 1")
    assert db.rows("SELECT * FROM t") == [(2, 4)]


def test_information_schema_tells_of_scratch_tables_as_tables(db):
    db.run('CREATE TABLE t (a BIGINT); CREATE VIEW v AS SELECT a FROM t; CREATE TABLE "it\'s" (a BIGINT)')
    query = "SELECT table_name, table_type FROM information_schema.tables{} WHERE table_schema = 'public' ORDER BY 1"
    expected = [("it's", "BASE TABLE"), ("t", "BASE TABLE"), ("v", "VIEW")]
    assert db.rows(query.format("")) == db.rows(query.format(" AS i")) == expected
    views = "SELECT v.table_name, v.definition FROM information_schema.views AS v WHERE v.table_schema = 'public'"
    assert db.rows(views) == [("v", "CREATE VIEW v AS SELECT a FROM t")]
    assert db.rows("SELECT information_schema.views.table_name FROM information_schema.views") == [("v",)]
    assert db.rows("SELECT schema_owner FROM information_schema.schemata WHERE schema_name = 'public'") == [(None,)]


def test_pipes_run_as_the_engine_runs_them(db):
    db.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2)")
    assert db.rows("SELECT * FROM t |> AS q |> SELECT q.a |> WHERE a > 1") == [(2,)]
    assert sorted(db.rows("SELECT a FROM t |> EXTEND a * :by AS b", {"by": 3})) == [(1, 3), (2, 6)]
    assert db.rows("SELECT * FROM t |> AGGREGATE sum(a) AS s") == [(3,)]


def test_a_type_is_true_also_where_the_table_has_its_full_name(db):
    db.run("CREATE TABLE told (a BIGINT)")
    for schema in ("information_schema", "datafusion.information_schema"):
        query = f"SELECT {schema}.tables.table_type FROM {schema}.tables WHERE tables.table_name = 'told'"
        assert db.rows(query) == [("BASE TABLE",)]
