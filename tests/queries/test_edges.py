"""Random recursions along the edges of random graphs: array code gives the engine's rows, whoever goes through them."""

import random

import numpy as np
import pyarrow as pa

import sqlmagic_xr
from sqlmagic_xr.engine import context as engine
from sqlmagic_xr.queries import rounds
from tests.dealt import MANY, PACKED, dealing

CASES = 24
AGGREGATES = [
    "SUM(r.v * e.w) / 3", "AVG(r.v)", "COUNT(*) * 0.1", "SUM(r.v) FILTER (WHERE e.c > 0)",
    "coalesce(SUM(r.v * e.w) FILTER (WHERE r.v > 0), 0.5)", "AVG(r.v * e.w) + COUNT(e.w) / 1000.0", "MAX(r.v)",
    "SUM(r.v) / COUNT(*) + MIN(e.w)", "COUNT(DISTINCT r.i) * 0.1",
]  # fmt: skip
CONDITIONS = ["", "AND e.c < 2", "AND r.v > -0.5", "AND e.w IS NOT NULL", "AND e.c + e.s < 30"]
QUERY = """WITH RECURSIVE r(k, i, v) AS (SELECT 0, id, CAST(0.1 * id AS DOUBLE) FROM nodes UNION ALL
    SELECT r.k + 1, e.t, {aggregate} FROM {source} ON e.s = r.i WHERE r.k < 9 {condition} GROUP BY r.k, e.t)
    SELECT k, i, v FROM r ORDER BY k, i"""


def graph(rng, pick, most=None):
    """Edges of a random graph, in which most nodes have one, and its nodes; so many edges if that is asked for."""
    count = pick.choice([3, 8, 30]) if most is None else most // 10
    source, target = rng.integers(0, count, (2, pick.choice([count, 3 * count]) if most is None else most))
    if pick.random() < 0.6:
        ring = np.arange(count)
        source, target = np.r_[source, ring], np.r_[target, (ring + 1) % count]
    size = len(source)
    weights = pa.array(rng.normal(size=size), mask=rng.random(size) < (0.1 if pick.random() < 0.3 else 0))
    edges = pa.table({"s": source, "t": target, "w": weights, "c": rng.integers(0, 3, size)})
    return {"e": edges, "nodes": pa.table({"id": np.arange(count)})}


def test_random_sums_along_edges(monkeypatch):
    rng, pick, tables = np.random.default_rng(1), random.Random(2), {}
    gone, by_arrays = [], 0
    inner = rounds.ArrayRounds.go

    def go(self, most):
        for each in inner(self, most):
            gone.append(each)
            yield each

    monkeypatch.setattr(rounds.ArrayRounds, "go", go)
    ours, theirs = (kind(namespace=lambda: tables) for kind in (sqlmagic_xr.Context, engine.Context))
    for case in range(CASES):
        gone.clear()
        tables.update(graph(rng, pick, MANY if case == 11 else None))
        dealing(ours, PACKED if case == 11 else False)
        source = pick.choice(["r JOIN e", "e JOIN r"])
        sql = QUERY.format(aggregate=pick.choice(AGGREGATES), source=source, condition=pick.choice(CONDITIONS))
        found, expected = (context.sql(sql).to_pandas() for context in (ours, theirs))
        assert found[["k", "i"]].equals(expected[["k", "i"]]), sql
        np.testing.assert_allclose(found.v.astype(float), expected.v.astype(float), 1e-9, 1e-12, err_msg=sql)
        by_arrays += bool(gone)
    assert by_arrays > CASES * 3 // 4
