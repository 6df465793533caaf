"""Many small statements and one long one, against DuckDB: what it costs to read, plan and commit them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import duckdb
import numpy as np

from sqlmagic_xr import Context
from tests.bench.harness import Answer, Effort, Report, Target, benchmark, race

TABLE = "CREATE TABLE t (k BIGINT PRIMARY KEY, v DOUBLE, s VARCHAR);"


def _inserts(count: int) -> str:
    return "\n".join(f"INSERT INTO t VALUES ({i}, {i * 0.5}, 'name {i}');" for i in range(count))


def _rows(count: int) -> str:
    return "INSERT INTO t VALUES " + ",\n".join(f"({i}, {i * 0.5}, 'name {i}')" for i in range(count))


def _tables(count: int) -> str:
    others = "\n".join(f"CREATE TABLE t{i} (a BIGINT, b DOUBLE, c VARCHAR);" for i in range(count))
    return f"{others} INSERT INTO t VALUES ({count}, 0, '')"


def _ours(script: Callable[[int], str]) -> Callable[[int], Callable[[], Answer]]:
    context = Context()

    def run(count: int) -> Callable[[], Answer]:
        context.script(TABLE + script(count))
        return lambda: context.sql("SELECT sum(k), sum(v) FROM t").to_arrow_table().to_pandas().to_numpy()[0]

    return run


def _duckdbs(script: Callable[[int], str]) -> Callable[[int], Callable[[], Answer]]:
    connection = duckdb.connect()

    def run(count: int) -> Callable[[], Answer]:
        connection.execute(TABLE + script(count)).fetchall()
        return lambda: np.array(connection.execute("SELECT sum(k), sum(v) FROM t").fetchall()[0], np.float64)

    return run


def _against_duckdb(script: Callable[[int], str], count: int, effort: Effort) -> Report:
    contenders = {"sqlmagic_xr": partial(_ours, script), "DuckDB": partial(_duckdbs, script)}
    return race(contenders, steps=count, effort=effort, targets=[Target("sqlmagic_xr", "DuckDB", 0.2)])


@benchmark("Statements: INSERT of 20,000 rows in one VALUES")
def values(effort: Effort) -> Report:
    """The rows are read off the text; a step is a row."""
    return _against_duckdb(_rows, 20_000, effort)


@benchmark("Statements: 2,000 INSERTs of one row")
def inserts(effort: Effort) -> Report:
    """A commit each."""
    return _against_duckdb(_inserts, 2_000, effort)


@benchmark("Statements: 2,000 tables")
def tables(effort: Effort) -> Report:
    """What a CREATE TABLE costs does not grow with the tables that there are."""
    return _against_duckdb(_tables, 2_000, effort)
