"""Many rounds of a recursion in one call: the same rows, bit for bit, however many are made at a time."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

import sqlmagic_xr
from sqlmagic_xr.dense import calls
from sqlmagic_xr.queries import rounds
from tests.queries.test_rounds import SCRIPT

STATES = {
    "descent": """r(k, a, b) AS (SELECT 0, {a}, {b} UNION ALL
        SELECT k + 1, r.a - {rate} * AVG(grad(power(y - (r.a * x + r.b), 2), r.a)),
               r.b - {rate} * AVG(grad(power(y - (r.a * x + r.b), 2), r.b))
        FROM d CROSS JOIN r WHERE k < {n} AND x > {b} / 9 GROUP BY k, r.a, r.b)""",
    "logistic map": "r(k, x) AS (SELECT 0, {a} UNION ALL SELECT k + 1, 3.7 * x * (1 - x) FROM r WHERE k < {n})",
    "ends by itself": "r(k, x) AS (SELECT 0, {a} UNION ALL SELECT k + 1, x * {rate} FROM r WHERE abs(x) > 1e-7)",
    "whole numbers": "r(k, f, g) AS (SELECT 0, 0, 1 UNION ALL SELECT k + 1, g, f + g FROM r WHERE k < {n})",
    "infinity": "r(k, x) AS (SELECT 0, {a} UNION ALL SELECT k + 1, x * 1e37 FROM r WHERE k < {n})",
    "Newton in each cell": """r AS (SELECT 0 AS k, i, x + 1 AS v, x + 1 AS x FROM d UNION ALL
        SELECT k + 1, i, v, x - {rate} * (x * x - v) / (2 * x) FROM r WHERE k < {n})""",
    "power iteration": """r(k, i, v) AS (SELECT 0, i, {a} + i FROM m WHERE j = 0 UNION ALL
        SELECT r.k + 1, m.i, SUM(m.w * r.v) / 3 FROM m JOIN r ON m.j = r.i WHERE r.k < {n} GROUP BY r.k, m.i)""",
    "two parts": """r(k, part, i, v) AS (
        SELECT 0, 'v', i, {a} + i FROM m WHERE j = 0 UNION ALL SELECT 0, 's', 0, {b} UNION ALL (
        SELECT r.k + 1, 'v', m.i, SUM(m.w * r.v) / 3 FROM m JOIN r ON m.j = r.i
            WHERE r.k < {n} AND r.part = 'v' GROUP BY r.k, m.i
        UNION ALL SELECT s.k + 1, 's', 0, s.v + q.v FROM r s CROSS JOIN (SELECT SUM(v) AS v FROM r WHERE part = 'v') q
            WHERE s.k < {n} AND s.part = 's' AND s.i = 0))""",
    "k-means": """r(k, i, x, y) AS (SELECT 0, i, x + {b} * i, y - {a} * i FROM d WHERE i < 3 UNION ALL
        SELECT k + 1, i, AVG(px), AVG(py) FROM (SELECT r.k, r.i, d.x AS px, d.y AS py,
            ROW_NUMBER() OVER (PARTITION BY d.i ORDER BY power(d.x - r.x, 2) + power(d.y - r.y, 2)) AS place
            FROM d CROSS JOIN r WHERE r.k < {n}) q
        WHERE place = 1 GROUP BY k, i)""",
    "loses rows": """r(k, i, v) AS (SELECT 0, i, x FROM d UNION ALL
        SELECT k + 1, i, v / 2 FROM r WHERE k < {n} AND i + k < 45)""",
    "a NULL comes": """r(k, x) AS (SELECT 0, {a} UNION ALL
        SELECT k + 1, CASE WHEN k = 9 THEN NULL ELSE x * {rate} END FROM r WHERE k < {n})""",
}


@pytest.fixture(scope="module")
def context():
    found = sqlmagic_xr.Context()
    found.script(SCRIPT)
    return found


@pytest.fixture
def at_a_time(monkeypatch):
    """Lets a call make so many rounds; returns how many each has made."""
    made, inner = [], rounds.ArrayRounds._go_many

    def go_many(self, count):
        gone = inner(self, count)
        made.append(0 if gone is None else gone.rounds)
        return gone

    def most(count):
        monkeypatch.setattr(calls.Calls, "length", lambda self, *limits: count)
        made.clear()
        return made

    monkeypatch.setattr(rounds.ArrayRounds, "_go_many", go_many)
    return most


def bits(context, recursion):
    """The rows as what they are to the last bit, by the round and the key."""
    found = context.sql(f"WITH RECURSIVE {recursion} SELECT * FROM r").to_arrow_table()
    keys = [name for name in found.column_names if name in ("k", "part", "i")]
    found = found.sort_by([(name, "ascending") for name in keys])
    columns = {name: found[name].combine_chunks() for name in found.column_names}
    return {n: c.view(pa.int64()) if pa.types.is_floating(c.type) else c for n, c in columns.items()}


@pytest.mark.parametrize("name", STATES)
def test_the_rows_are_the_same_bit_for_bit_however_many_rounds_are_a_call(context, at_a_time, name):
    rng = np.random.default_rng(len(name))
    worked = 0
    for n in (2, 6, 7, 8, 15, 30):
        a, b = rng.uniform(0.1, 0.9, 2)
        recursion = STATES[name].format(a=a, b=b, rate=rng.uniform(0.05, 0.3), n=n)
        at_a_time(1)
        one = bits(context, recursion)
        for count in (2, 7, 64):
            made = at_a_time(count)
            many = bits(context, recursion)
            worked += sum(made)
            assert one.keys() == many.keys()
            for column in one:
                assert one[column].equals(many[column]), (n, count, column)
    assert worked > 0 or name == "loses rows"


def test_a_call_that_takes_long_makes_fewer_rounds():
    lengths, found = calls.Calls(alone=False), []
    for seconds in itertools.repeat(0.002, 12):  # of one round
        found.append(lengths.length(1000))
        lengths.made(found[-1], seconds * found[-1])
    assert found[:5] == [1, 2, 4, 8, 16]
    assert max(found) * 0.002 <= 0.05
