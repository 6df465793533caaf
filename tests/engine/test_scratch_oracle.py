"""Random sequences of statements, run here and on DuckDB: after each one the tables are the same."""

from __future__ import annotations

import contextlib

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr.errors import SqlError
from tests.dealt import MANY, MIXED, PACKED
from tests.engine.conftest import Db

EXAMPLES, STATEMENTS = 52, 40  # 2,080 statements
FEW = 1000

SETUP = """
CREATE TABLE t (k INTEGER PRIMARY KEY, v DOUBLE, s VARCHAR DEFAULT 'it''s');
CREATE TABLE "Zähler 2" (k INTEGER, v DOUBLE DEFAULT 0.5, "näme ""x" VARCHAR)
"""
OTHER = '"Zähler 2"'
TEXT = '"näme ""x"'

keys = st.integers(-2, 9).map(str)
numbers = st.sampled_from(["0.0", "1.5", "-2.25", "1e300", "NULL", "'NaN'::DOUBLE", "'Infinity'::DOUBLE"])
texts = st.sampled_from(["'a'", "''", "NULL", "'it''s'", "'ünï ☃'", "'\"q\"'", "DEFAULT"])
rows = st.tuples(keys, numbers, texts).map(lambda row: f"({', '.join(row)})")
row_lists = st.lists(rows, min_size=1, max_size=4).map(", ".join)
distinct_rows = st.lists(st.tuples(keys, numbers, texts), min_size=1, max_size=4, unique_by=lambda row: row[0]).map(
    lambda found: ", ".join(f"({', '.join(row)})" for row in found)
)
either = st.sampled_from(["t", OTHER])
nulls = st.sampled_from(["NULL, 1.5, 'n'", "3, NULL, NULL"])


@st.composite
def conditions(draw: st.DrawFn, table: str) -> str:
    other = OTHER if table == "t" else "t"
    low, high = sorted((draw(keys), draw(keys)), key=int)
    return draw(
        st.sampled_from(
            [
                "true",
                "false",
                f"{table}.k = {low}",
                f"{table}.k BETWEEN {low} AND {high}",
                f"{table}.k IN ({low}, {high}) OR {table}.v IS NULL",
                f"{table}.k > {low} AND {table}.k <= {high}",
                f"{table}.v > 0",
                f"{table}.v IS NOT NULL AND {table}.v = {table}.v",
                f"NOT ({table}.k < {high})",
                f"{table}.k IN (SELECT k FROM {other})",
                f"{table}.k NOT IN (SELECT k FROM {other} WHERE k IS NOT NULL)",
                f"EXISTS (SELECT 1 FROM {other} WHERE {other}.k = {table}.k AND {other}.v > 0)",
                f"{table}.k = (SELECT max(k) FROM {table})",
            ]
        )
    )


@st.composite
def updates(draw: st.DrawFn) -> str:
    table = draw(either)
    other = OTHER if table == "t" else "t"
    text = "s" if table == "t" else TEXT
    change = draw(
        st.sampled_from(
            [
                "v = v + 1",
                "k = k + 1",
                "k = k + 20",
                "k = 3",
                f"{text} = k",
                "v = DEFAULT",
                f"v = NULL, {text} = {text} || '+'",
                f"v = k / 2.0, {text} = upper({text})",
                "v = CASE WHEN v > 0 THEN 0.0 ELSE 1.5 END",
                f"v = (SELECT count(*) FROM {other})",
                f"v = (SELECT min(k) FROM {other} WHERE {other}.k = {table}.k)",
            ]
        )
    )
    return f"UPDATE {table} SET {change} WHERE {draw(conditions(table))}"


@st.composite
def statements(draw: st.DrawFn) -> str:
    table = draw(either)
    other = OTHER if table == "t" else "t"
    kind = draw(
        st.sampled_from(
            ["insert", "insert", "insert", "update", "update", "delete", "select", "nothing", "upsert", "from",
             "using", "merge", "merge", "default", "null", "transaction", "transaction", "truncate", "as"]
        )
    )  # fmt: skip
    if kind == "insert":
        return f"INSERT INTO {table} VALUES {draw(row_lists)}"
    if kind == "null":
        return f"INSERT INTO {table} VALUES ({draw(nulls)})"
    if kind == "default":
        return f"INSERT INTO {table} (k) VALUES ({draw(keys)}), ({draw(keys)})"
    if kind == "select":
        shift = draw(st.sampled_from(["0", "1", "100"]))
        copied = draw(st.sampled_from(["'copied'", "k"]))
        return f"INSERT INTO {table} SELECT k + {shift}, v, {copied} FROM {draw(either)} WHERE k < {draw(keys)}"
    if kind == "nothing":
        return f"INSERT INTO t VALUES {draw(row_lists)} ON CONFLICT DO NOTHING"
    if kind == "upsert":
        where = draw(st.sampled_from(["", " WHERE t.v IS NOT NULL"]))
        return (
            f"INSERT INTO t VALUES {draw(distinct_rows)} ON CONFLICT (k) DO UPDATE SET v = excluded.v, s = t.s{where}"
        )
    if kind == "update":
        return draw(updates())
    if kind == "from":
        return (
            f"UPDATE {table} SET v = q.w FROM (SELECT k, sum(v) AS w FROM {other} GROUP BY k) q WHERE {table}.k = q.k"
        )
    if kind == "delete":
        return f"DELETE FROM {table} WHERE {draw(conditions(table))}"
    if kind == "using":
        return f"DELETE FROM {table} USING {other} WHERE {table}.k = {other}.k AND {other}.v > 0"
    if kind == "merge":
        source = f"(SELECT k, sum(v) AS w FROM {OTHER} WHERE k IS NOT NULL GROUP BY k) q"
        matched = draw(st.sampled_from(["UPDATE SET v = q.w", "DELETE", "UPDATE SET k = t.k + 50"]))
        return (
            f"MERGE INTO t USING {source} ON t.k = q.k WHEN MATCHED AND q.w > 0 THEN {matched} "
            f"WHEN MATCHED THEN UPDATE SET v = 7 WHEN NOT MATCHED THEN INSERT (k, v) VALUES (q.k, q.w)"
        )
    if kind == "as":
        return f"CREATE OR REPLACE TABLE {OTHER} AS SELECT k, v, {TEXT} FROM {OTHER} WHERE k >= {draw(keys)}"
    if kind == "truncate":
        return f"TRUNCATE {table}"
    return draw(st.sampled_from(["BEGIN", "COMMIT", "ROLLBACK"]))


def same_outcome(db: Db, oracle: duckdb.DuckDBPyConnection, statement: str) -> None:
    ours = theirs = None
    try:
        db.run(statement)
    except SqlError as error:
        ours = error
    try:
        oracle.execute(statement)
    except duckdb.Error as error:
        theirs = error
    assert (ours is None) == (theirs is None), f"{statement}\nours: {ours}\nDuckDB: {theirs}"


def generated(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate],  # a failure prints its script; shrinking one takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )  # fmt: skip


ORACLE = duckdb.connect(config={"threads": 1})  # several wait for each other longer than such rows take


def emptied() -> duckdb.DuckDBPyConnection:
    """DuckDB without a table, and outside of transactions; to connect anew takes longer than a script."""
    with contextlib.suppress(duckdb.TransactionException):
        ORACLE.execute("ROLLBACK")
    ORACLE.execute(f"DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS {OTHER}")
    return ORACLE


def run_on_both(script: list[str], *, before: str | None = None, rows: int = 0) -> None:
    """Run a script here and on DuckDB, comparing the tables after each statement; they begin with so many rows.

    Keys lie far from each other, so that none becomes another's: DuckDB's MERGE looks for equal ones after each 2,048.
    """
    db, oracle = Db(before), emptied()
    for statement in SETUP.split(";"):
        same_outcome(db, oracle, statement)
    for name in ("t", OTHER) if rows else ():
        numbers = f"generate_series(100, {99 + rows})"
        db.run(f"INSERT INTO {name} SELECT value * 1000, value / 2.0, 'r' || value FROM {numbers}")
        oracle.execute(f"INSERT INTO {name} SELECT i * 1000, i / 2.0, 'r' || i FROM {numbers} q (i)")
    for statement in script:
        same_outcome(db, oracle, statement)
        if db.store.in_transaction and not _usable(db):
            continue  # aborted, here and there: only ROLLBACK or COMMIT go on
        for name in ("t", OTHER):
            same_rows(db.store.table(name.strip('"')).to_arrow(), oracle, name, statement)
    for name in ("t", "Zähler 2"):
        history = db.store.scratch(name).history() if not db.store.in_transaction else []
        if history:
            assert sum(c.added - c.removed for c in history) == len(db.store.scratch(name))


def same_rows(ours: pa.Table, oracle: duckdb.DuckDBPyConnection, name: str, statement: str) -> None:
    """Texts tell -0.0 from 0.0, and do not tell NaN from NaN; of few rows they are made here, which takes a tenth."""
    if ours.num_rows <= FEW:
        mine = zip(*(column.to_pylist() for column in ours.columns), strict=True)
        theirs = oracle.execute(f"SELECT * FROM {name}").fetchall()
        assert sorted(map(repr, mine)) == sorted(map(repr, theirs)), statement
        return
    oracle.register("ours", ours)
    texts = "SELECT COLUMNS(*)::VARCHAR FROM"
    ahead = oracle.execute(f"{texts} ours EXCEPT ALL {texts} {name}").fetchall()
    ((count,),) = oracle.execute(f"SELECT count(*) FROM {name}").fetchall()
    oracle.unregister("ours")
    assert (ahead, ours.num_rows) == ([], count), statement


@generated(EXAMPLES)
@given(st.lists(statements(), min_size=STATEMENTS, max_size=STATEMENTS))
def test_the_tables_are_duckdbs_after_each_statement(script: list[str]):
    run_on_both(script)


@generated(12)
@given(st.lists(statements(), min_size=STATEMENTS, max_size=STATEMENTS))
def test_they_are_with_rows_dealt_out_by_two(script: list[str]):
    run_on_both(script, before=MIXED, rows=30)


@generated(6)
@given(st.lists(statements(), min_size=10, max_size=10))
def test_they_are_with_many_rows(script: list[str]):
    run_on_both(script, before=PACKED, rows=MANY)


def _usable(db: Db) -> bool:
    try:
        db.store.check_usable()
    except SqlError:
        return False
    return True
