"""Axes of tables that have the same coordinates are one axis, as long as they have."""

import numpy as np
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.dense.labels import Labels
from sqlmagic_xr.dense.lowering.descending import descent
from sqlmagic_xr.dense.node import FIRST, Graph
from tests.bench.steps import run_steps, step_of

MAKE = """
CREATE TABLE p (step BIGINT, i BIGINT, v DOUBLE, PRIMARY KEY (step, i));
CREATE TABLE q (step BIGINT, j BIGINT, v DOUBLE, PRIMARY KEY (step, j));
INSERT INTO p SELECT 0, i, 1.0 + i FROM (SELECT * FROM generate_series(0, 5) AS s(i));
INSERT INTO q SELECT 0, i, 0.5 * i FROM (SELECT * FROM generate_series(0, 5) AS s(i))
"""
SHRINKS = "INSERT INTO q SELECT :next_step, j, v * 0.5 FROM q WHERE step = :k AND j <> :k - 2"
READS = {
    "inner": "SELECT :next_step, i, p.v + q.v FROM p JOIN q ON j = i AND q.step = p.step WHERE p.step = :k",
    "left": "SELECT :next_step, i, p.v + coalesce(q.v, -1.0) FROM p LEFT JOIN q ON j = i AND q.step = p.step "
    "WHERE p.step = :k",
    "left with more": "SELECT :next_step, i, p.v + coalesce(q.v, -1.0) FROM p LEFT JOIN q ON j = i AND q.step = p.step "
    "AND q.v < p.v - 2 WHERE p.step = :k",
    "subquery": "SELECT :next_step, i, v + (SELECT SUM(p.v * q.v) FROM p JOIN q ON j = i AND q.step = p.step "
    "WHERE p.step = :k) FROM p WHERE step = :k",
    "product": "SELECT :next_step, i, SUM(p.v * q.v) FROM p CROSS JOIN q WHERE p.step = :k AND q.step = :k GROUP BY i",
    "itself": "SELECT :next_step, a.i, SUM(a.v * b.v * q.v) FROM p a CROSS JOIN p b "
    "JOIN q ON q.j = b.i AND q.step = b.step WHERE a.step = :k AND b.step = :k GROUP BY a.i",
    "null-safe": "SELECT :next_step, i, p.v + coalesce(q.v, -1.0) FROM p LEFT JOIN q ON (j IS NOT DISTINCT FROM i) "
    "AND (q.step IS NOT DISTINCT FROM p.step) WHERE p.step = :k",
}


@pytest.mark.parametrize("reads", READS)
def test_axes_that_part_in_a_run_leave_what_they_leave_as_it_stands(reads):
    statements = [f"INSERT INTO p {READS[reads]}", SHRINKS]
    arrays, verbatim = Context(), Context()
    for ctx in (arrays, verbatim):
        ctx.script(MAKE)
    run_steps(arrays, step_of(arrays, statements, writes=["p", "q"]), 0, 5)
    for k in range(5):
        with verbatim.transaction():
            for statement in statements:
                verbatim.script(statement, {"k": k, "next_step": k + 1, "step": k})
    for table in "pq":
        query = f"SELECT * FROM {table} ORDER BY 1, 2"
        found, expected = arrays.query(query).to_pandas(), verbatim.query(query).to_pandas()
        assert found.iloc[:, :2].equals(expected.iloc[:, :2]), table
        np.testing.assert_allclose(found["v"], expected["v"], 1e-12)


def test_an_axis_comes_of_those_that_it_was_made_of():
    graph = Graph(Labels())
    base, other = graph.make("axis", data=0), graph.make("axis", data=1)
    some = graph.make("restrict", (base,))
    both = graph.make("match", (some, other))
    assert descent(base, both) == ((some, FIRST), (both, FIRST))
    assert descent(base, base) == ()
    assert descent(both, base) is None
    assert descent(other, some) is None
