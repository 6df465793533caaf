"""Linear regression by gradient descent, one INSERT a step, against what people use today for the same table.

The line ``y = a x + b`` is fitted to n rows; the state is ``params(step, a, b)`` and keeps its history. All contenders
make the same step; those that can keep the history keep it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
import xarray_sql
from sklearn.datasets import load_diabetes

from sqlmagic_xr.context import Context as Trainer
from sqlmagic_xr.engine.context import Context
from tests.bench.harness import Answer, Contender, Effort, Found, Report, Target, benchmark, race
from tests.bench.steps import How, run_steps, step_of

RATE = 0.4
CREATE = "CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)"
BEGIN = "INSERT INTO params VALUES (0, 0.0, 0.0)"
STEP = """
    SELECT {next}, cur.a - {rate} * AVG(-2.0 * d.x * (d.y - (cur.a * d.x + cur.b))),
                   cur.b - {rate} * AVG(-2.0 * (d.y - (cur.a * d.x + cur.b)))
    FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = {now}) cur
    GROUP BY cur.a, cur.b"""
OURS = "INSERT INTO params" + STEP.format(next=":next_step", now=":k", rate=":lr")


@cache
def diabetes_rows() -> pa.Table:
    """Body-mass index (scaled to unit spread) against disease progression: 442 rows (x, y)."""
    features, target = load_diabetes(return_X_y=True)
    x = features[:, 2]
    return pa.table({"x": x / x.std(), "y": (target - target.mean()) / target.std()})


@cache
def synthetic_rows(count: int) -> pa.Table:
    """``count`` rows (x, y) around the line y = 0.7 x + 0.1."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=count)
    return pa.table({"x": x, "y": 0.7 * x + 0.1 + rng.normal(scale=0.3, size=count)})


def ours(rows: pa.Table, *, how: How = "auto") -> Contender:
    """The step as a user writes it; the first step, which plans, is not timed."""

    def ready() -> Callable[[int], Found]:
        context = Context(namespace=lambda: {"d": rows})
        context.script(f"{CREATE}; {BEGIN}")
        step = step_of(context, [OURS], writes={"params"}, how=how)
        run_steps(context, step, 0, 1, lr=RATE)
        context.sql("DELETE FROM params WHERE step > 0")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps, lr=RATE)
            return lambda: last_of(context.scratch("params").to_arrow().to_pandas())

        return run

    return ready


def trained(rows: pa.Table, device: Literal["auto", "cpu"] = "auto") -> Contender:
    """The step in a training run, as a user starts it: checked, planned, and then many steps a call."""

    def ready() -> Callable[[int], Found]:
        context = Trainer(namespace=lambda: {"d": rows})
        context.script(f"{CREATE}; {BEGIN}")

        def run(steps: int) -> Found:
            context.train(OURS, steps=steps, params={"lr": RATE}, device=device)
            return lambda: last_of(context.scratch("params").to_arrow().to_pandas())

        return run

    return ready


def reregistering(rows: pa.Table) -> Contender:
    """xarray-sql alone: the history is a Dataset, built anew and registered again at each step."""

    def ready() -> Callable[[int], Found]:
        context = xarray_sql.Context()
        frame = rows.to_pandas().rename_axis("row")
        context.from_dataset("d", xr.Dataset.from_dataframe(frame), chunks={"row": -1})

        def run(steps: int) -> Answer:
            history = [(0.0, 0.0)]
            for k in range(steps):
                a, b = zip(*history, strict=True)
                data = {"a": ("step", np.array(a)), "b": ("step", np.array(b))}
                dataset = xr.Dataset(data, coords={"step": np.arange(len(history))})
                if k:
                    context.deregister_table("params")
                context.from_dataset("params", dataset, chunks={"step": -1})
                found = context.sql(STEP.format(next=k + 1, now=k, rate=RATE)).to_pandas()
                history.append(tuple(float(v) for v in found.iloc[0, 1:]))
            return np.array(history[-1])

        return run

    return ready


def duckdb_insert(rows: pa.Table) -> Contender:
    """DuckDB: the same INSERT at each step."""

    def ready() -> Callable[[int], Found]:
        connection = _duckdb(rows)

        def run(steps: int) -> Found:
            for k in range(steps):
                connection.execute("INSERT INTO params" + STEP.format(next=k + 1, now=k, rate=RATE))
            return lambda: last_of(connection.execute("SELECT * FROM params").df())

        return run

    return ready


def duckdb_recursive(rows: pa.Table) -> Contender:
    """DuckDB: the whole loop as one recursive CTE; quick, and nothing can be seen or stopped before its end."""

    def ready() -> Callable[[int], Found]:
        connection = _duckdb(rows)

        def run(steps: int) -> Found:
            step = STEP.format(next="cur.step + 1", rate=RATE, now="").split("CROSS JOIN")[0]
            query = f"""WITH RECURSIVE cur(step, a, b) AS (
                SELECT 0::BIGINT, 0.0::DOUBLE, 0.0::DOUBLE UNION ALL
                {step} CROSS JOIN cur WHERE cur.step < {steps} GROUP BY cur.step, cur.a, cur.b)
                SELECT * FROM cur"""
            found = connection.sql(query).to_arrow_table()
            return lambda: last_of(found.to_pandas())

        return run

    return ready


def in_one_statement(rows: pa.Table) -> Contender:
    """The whole loop as one recursive query here, derivative, planning and all."""

    def ready() -> Callable[[int], Found]:
        context = Trainer(namespace=lambda: {"d": rows})

        def run(steps: int) -> Found:
            loss = "power(d.y - (cur.a * d.x + cur.b), 2)"
            query = f"""WITH RECURSIVE cur(step, a, b) AS (
                SELECT 0, 0.0, 0.0 UNION ALL
                SELECT cur.step + 1, cur.a - {RATE} * AVG(grad({loss}, cur.a)),
                       cur.b - {RATE} * AVG(grad({loss}, cur.b))
                FROM d CROSS JOIN cur WHERE cur.step < {steps} GROUP BY cur.step, cur.a, cur.b)
                SELECT * FROM cur"""
            found = context.sql(query).to_arrow_table()
            return lambda: last_of(found.to_pandas())

        return run

    return ready


def sqlite_insert(rows: pa.Table) -> Contender:
    """SQLite: the same INSERT at each step."""

    def ready() -> Callable[[int], Found]:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute("CREATE TABLE d (x REAL, y REAL)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO d VALUES (?, ?)", zip(*rows.to_pydict().values(), strict=True))
        connection.execute("COMMIT")
        connection.execute(CREATE)
        connection.execute(BEGIN)

        def run(steps: int) -> Found:
            for k in range(steps):
                connection.execute("INSERT INTO params" + STEP.format(next=k + 1, now=k, rate=RATE))
            return lambda: last_of(pd.read_sql("SELECT * FROM params", connection))

        return run

    return ready


def numpy_by_hand(rows: pa.Table) -> Contender:
    """NumPy as one writes it: whole-array expressions."""

    def ready() -> Callable[[int], Found]:
        x, y = (rows[name].to_numpy() for name in ("x", "y"))

        def run(steps: int) -> Answer:
            a = b = 0.0
            for _ in range(steps):
                error = y - (a * x + b)
                a, b = a - RATE * np.mean(-2.0 * x * error), b - RATE * np.mean(-2.0 * error)
            return np.array([a, b])

        return run

    return ready


def _duckdb(rows: pa.Table) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.register("arrow_rows", rows)
    connection.execute("CREATE TABLE d AS SELECT * FROM arrow_rows")
    connection.execute(CREATE)
    connection.execute(BEGIN)
    return connection


def last_of(history: pd.DataFrame) -> Answer:
    return history.sort_values("step").iloc[-1][["a", "b"]].to_numpy(dtype=np.float64)


@benchmark("Linear regression, scikit-learn's diabetes (442 rows)")
def diabetes(effort: Effort) -> Report:
    """Small data: what a step costs besides its arithmetic. The recursive CTE pays for its plan once a run."""
    rows = diabetes_rows()
    contenders = {
        "sqlmagic_xr": ours(rows),
        "sqlmagic_xr, a run": trained(rows),
        "sqlmagic_xr, a run by XLA": trained(rows, "cpu"),
        "xarray-sql, re-registering": reregistering(rows),
        "relational": ours(rows, how="relational"),
        "verbatim": ours(rows, how="verbatim"),
        "DuckDB INSERT": duckdb_insert(rows),
        "DuckDB recursive CTE, 200 steps": duckdb_recursive(rows),
        "DuckDB recursive CTE, 2,000 steps": duckdb_recursive(rows),
        "one recursive query, 2,000 steps": in_one_statement(rows),
        "SQLite INSERT": sqlite_insert(rows),
        "NumPy": numpy_by_hand(rows),
    }
    against = {name: 1.0 for name in contenders if name.startswith("DuckDB")} | {"xarray-sql, re-registering": 8}
    targets = [Target("sqlmagic_xr", name, ratio) for name, ratio in against.items()]
    # A run makes many steps a call, and commits them together; it is to be as quick as the loop that one writes.
    targets += [
        Target("sqlmagic_xr, a run", "NumPy", 1),
        Target("sqlmagic_xr, a run", "DuckDB recursive CTE, 2,000 steps", 2),
        Target("one recursive query, 2,000 steps", "DuckDB recursive CTE, 2,000 steps", 2),
        # Compiling is in it: a second of it is 0.0025 ms a step.
        Target("sqlmagic_xr, a run by XLA", "NumPy", 5),
        Target("sqlmagic_xr, a run by XLA", "DuckDB recursive CTE, 2,000 steps", 7),
    ]
    counts = dict.fromkeys(contenders, 200) | {"xarray-sql, re-registering": 30}
    counts |= {"sqlmagic_xr, a run": 20_000, "sqlmagic_xr, a run by XLA": 400_000}
    counts |= dict.fromkeys(
        ["sqlmagic_xr", "DuckDB recursive CTE, 2,000 steps", "NumPy", "one recursive query, 2,000 steps"], 2000
    )
    return race(contenders, steps=counts, effort=effort, check=25, targets=targets)


def _larger(count: int, few: int, targets: list[Target], effort: Effort) -> Report:
    """Args:
    count: rows.
    few: steps; a recursive query, which pays for its plan once, makes ten times as many of short ones.
    targets, effort: see :func:`race`.
    """
    rows = synthetic_rows(count)
    contenders = {
        "sqlmagic_xr": ours(rows),
        "relational": ours(rows, how="relational"),
        "verbatim": ours(rows, how="verbatim"),
        "DuckDB INSERT": duckdb_insert(rows),
        "DuckDB recursive CTE": duckdb_recursive(rows),
        "one recursive query": in_one_statement(rows),
        "NumPy": numpy_by_hand(rows),
    }
    if count <= 100_000:  # slower than the others by orders of magnitude beyond
        contenders["xarray-sql, re-registering"] = reregistering(rows)
        contenders["SQLite INSERT"] = sqlite_insert(rows)
    many = 10 * few if count <= 100_000 else few
    steps = dict.fromkeys(contenders, few) | dict.fromkeys(["DuckDB recursive CTE", "one recursive query"], many)
    return race(contenders, steps=steps, effort=effort, targets=targets)


@benchmark("Linear regression, 100,000 rows")
def hundred_thousand(effort: Effort) -> Report:
    """Middling data."""
    targets = [
        Target("sqlmagic_xr", "DuckDB INSERT", 1),
        Target("sqlmagic_xr", "NumPy", 1 / 2),
        Target("one recursive query", "DuckDB recursive CTE", 3),
    ]
    return _larger(100_000, 40, targets, effort)


@benchmark("Linear regression, 1 million rows")
def million(effort: Effort) -> Report:
    """Larger than the caches."""
    targets = [Target("sqlmagic_xr", "DuckDB INSERT", 1.6), Target("sqlmagic_xr", "NumPy", 1 / 1.2)]
    return _larger(1_000_000, 15, targets, effort)


@benchmark("Linear regression, 5 million rows")
def five_million(effort: Effort) -> Report:
    """Bound by memory."""
    targets = [Target("sqlmagic_xr", "DuckDB INSERT", 2.5), Target("sqlmagic_xr", "NumPy", 2.5)]
    return _larger(5_000_000, 6, targets, effort)
