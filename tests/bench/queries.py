"""Queries outside of training: the same cell by arrays and by DataFusion; what "auto" costs where it stays away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sqlmagic_xr import Context
from tests.bench.arrays import long
from tests.bench.harness import Answer, Contender, Effort, Report, Target, benchmark, race

SCORES = """
WITH score AS (SELECT q.t AS t, k.t AS u, SUM(q.v * k.v) / 4.0 AS v FROM query q JOIN keys k ON q.c = k.c
               GROUP BY q.t, k.t),
top AS (SELECT t, MAX(v) AS v FROM score GROUP BY t),
e AS (SELECT s.t AS t, s.u AS u, exp(s.v - m.v) AS v FROM score s JOIN top m ON s.t = m.t),
total AS (SELECT t, SUM(v) AS v FROM e GROUP BY t)
SELECT e.t, x.c, SUM(e.v / n.v * x.v) AS v FROM e JOIN total n ON e.t = n.t JOIN keys x ON x.t = e.u
GROUP BY e.t, x.c ORDER BY t, c
"""
CELLWISE = "SELECT q.t AS t, AVG(q.v * k.v) AS v FROM query q JOIN keys k USING (t, c) GROUP BY q.t ORDER BY t"


def cell(sql: str, shape: tuple[int, int], executor: str) -> Contender:
    """A cell that is run again and again."""

    def ready() -> Callable[[int], Answer]:
        rng = np.random.default_rng(5)
        tables = {name: long("tc", rng.normal(size=shape)) for name in ("query", "keys")}
        context = Context(namespace=lambda: tables)

        def run(steps: int) -> Answer:
            for _ in range(steps):
                (result,) = context.script(sql, executor=executor)
                rows = result.to_arrow_table()
            return rows["v"].to_numpy()

        return run

    return ready


@benchmark("A query: attention of 1,024 by 16, written as joins")
def attention(effort: Effort) -> Report:
    """A cell as a person runs it: read, planned and laid out each time."""
    few = Effort(min(effort.repetitions, 3), effort.scale)
    contenders = {who: cell(SCORES, (1024, 16), who) for who in ("auto", "dense", "relational")}
    return race(contenders, steps=2, effort=few, check=1, targets=[Target("auto", "relational", 15)])


@benchmark("A query: two tables of 100,000 rows joined row by row, which arrays leave alone")
def cellwise(effort: Effort) -> Report:
    """What it costs to find out that arrays do not pay: the sizes of the tables and the limits of their keys."""
    contenders = {who: cell(CELLWISE, (1000, 100), who) for who in ("auto", "relational")}
    return race(contenders, steps=effort.steps(20), effort=effort, check=1)
