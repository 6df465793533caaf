"""Many small statements and one long one, against DuckDB: what it costs to read, plan and commit them.

And single queries against DataFusion alone: what is added to its planning.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from itertools import count as numbers

import duckdb
import numpy as np
import pyarrow as pa
from datafusion import SessionContext

from sqlmagic_xr import Context
from tests.bench.harness import Answer, Effort, Report, Target, Verdict, benchmark, race

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


QUERIES = {
    "a condition": "SELECT a, b FROM t WHERE a > {}",
    "a join": "SELECT t.a, u.c FROM t JOIN u ON t.k = u.k WHERE t.a > {}",
    "a GROUP BY": "SELECT b, SUM(a) AS s FROM t WHERE a > {} GROUP BY b",
}
MORE, AGAIN = 400, 300
"""Microseconds that the frame of the first of these may cost more than DataFusion's own: of a new text, of the same.

DataFusion takes 120 to 150 of them. Before queries were bound a new text cost 450 more, and 50 on top were allowed.
"""


@benchmark("Statements: a query of a new text, and of the same again")
def texts(effort: Effort) -> Report:
    """The least time to a query's frame, nothing of which runs; each time with another number in it, and with one."""
    rows = np.random.default_rng(0).uniform(0, 1e6, (2, 1000))
    tables = {"t": pa.table({"k": np.arange(1000), "a": rows[0], "b": rows[1].round(-5)}),
              "u": pa.table({"k": np.arange(1000), "c": rows[1]})}  # fmt: skip
    ours, theirs = Context(), SessionContext()
    ours.script("CREATE TABLE t (k BIGINT, a DOUBLE, b DOUBLE); CREATE TABLE u (k BIGINT, c DOUBLE)")
    for name, table in tables.items():
        ours.scratch(name).append(table)
        theirs.register_record_batches(name, [table.to_batches()])
    report = Report(["query", "us DataFusion", "us new", "times", "us more", "us again", "us more"])
    for what, query in QUERIES.items():
        alone, new, again = _least(query, ours, theirs, effort.steps(200 * effort.repetitions))
        shown = (alone, new, new / alone, new - alone, again, again - alone)
        report.rows.append([what, *(f"{n:.2f}" if n is shown[2] else f"{n:.0f}" for n in shown)])
        if what == "a condition":
            for said, more, most in (("new text", new - alone, MORE), ("text again", again - alone, AGAIN)):
                text = f"{what}, {said}: {more:.0f} us more than DataFusion alone (at most: {most})"
                report.verdicts.append(Verdict(text, more <= most))
    return report


def _least(query: str, ours: Context, theirs: SessionContext, times: int) -> tuple[float, float, float]:
    """Microseconds of a text by DataFusion, of a new one by us, and of one that was there before; turn by turn."""
    asked = [(theirs, True), (ours, True), (ours, False)]
    least = [np.inf] * len(asked)
    number = numbers()
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            for place, (session, new) in enumerate(asked):
                text = query.format(next(number) if new else 0.5)
                begin = time.perf_counter()
                session.sql(text)
                least[place] = min(least[place], 1e6 * (time.perf_counter() - begin))
    finally:
        gc.enable()
    return least[0], least[1], least[2]
