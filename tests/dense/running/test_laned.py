"""Numbers that are calculated alike are one vector in a loop, and each is to the bit what it is by itself."""

import pytest

from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.dense.running import looped
from sqlmagic_xr.train.start import train
from tests.dense.wide import weights

EVERY = range(12)


def step(new, moment="0.9 * cur.m{i} + 0.1 * g.g{i}", score="cur.w{i} * d.f{i}"):
    sums = ", ".join(f"AVG(r * f{i}) AS g{i}" for i in EVERY)
    inner = ", ".join(f"d.f{i}" for i in EVERY)
    first, *others = (score.format(i=i) for i in EVERY)
    return f"""INSERT INTO p WITH cur AS (SELECT * FROM p WHERE step = :k),
        e AS (SELECT tanh({first} - {" + ".join(others)}) - d.y AS r, {inner} FROM d CROSS JOIN cur),
        g AS (SELECT {sums} FROM e)
        SELECT :next_step, {", ".join(new(i, moment.format(i=i)) for i in EVERY)},
            {", ".join(moment.format(i=i) for i in EVERY)} FROM g CROSS JOIN cur"""


STEPS = {
    "its own": step(lambda i, m: f"cur.w{i} - 0.05 * ({m}) / (1 - power(0.9, :next_step))"),
    "others in another order": step(lambda i, m: f"cur.w{(5 * i + 2) % 12} - 0.05 * ({m}) / (sqrt(abs(cur.m{i})) + 1)"),
    "one for all": step(lambda i, m: f"cur.w{i} - 0.05 * ({m}) * cur.w3"),
    "a neighbour, which goes round": step(lambda i, m: f"cur.w{(i + 1) % 12}", "cur.m{i} * 0.5 + cur.w{i}"),
    "comparisons": step(lambda i, m: f"CASE WHEN {m} > cur.m{i} THEN cur.w{i} ELSE cur.w{i} - {m} END"),
    "functions that round": step(lambda i, m: f"exp(-abs(cur.w{i})) - 0.05 * tanh({m})"),
    "whole numbers": step(lambda i, m: f"cur.w{i} - 0.01 * CAST(CAST(cur.m{i} * 10 AS BIGINT) % 3 + 1 AS DOUBLE)"),
    "what a statement before has written": step(lambda i, m: f"cur.w{i} - 0.05 * ({m})").replace("INTO p", "INTO q")
    + "; INSERT INTO p SELECT :next_step, "
    + ", ".join([f"w{i} + 0.5 * m{i}" for i in EVERY] + [f"m{i}" for i in EVERY]) + " FROM q WHERE step = :next_step",
}  # fmt: skip


@pytest.mark.parametrize("cell", STEPS.values(), ids=STEPS)
def test_a_loop_gives_what_single_steps_give(cell, monkeypatch):
    found, plain = [], looped.Laned
    monkeypatch.setattr(looped, "Laned", lambda *given: found.append(plain(*given)) or found[-1])
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    alone, many = weights(len(EVERY)), weights(len(EVERY))
    for ctx in (alone, many):
        ctx.script("CREATE TABLE q AS SELECT * FROM p")
    train(alone, cell, steps=20, each_step=True)
    train(many, cell, steps=20, each_step=False)
    assert many.scratch("p").to_arrow().equals(alone.scratch("p").to_arrow())
    assert len(many.scratch("p").history()) < 12
    assert {len(lanes) for made in found for lanes in made.members.values()} == {12}


def test_a_weight_that_is_none_ends_the_call_before_its_step(monkeypatch):
    """The seventh weight becomes infinite at the ninth step: as by itself."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    cell = step(lambda i, m: f"cur.w{i} * 1e38" if i == 6 else f"cur.w{i}", score="0.0 * cur.m{i} * d.f{i}")
    found = []
    for each in (True, False):
        ctx = weights(len(EVERY))
        run = train(ctx, cell, steps=20, each_step=each)
        found.append((repr(run), ctx.scratch("p").to_arrow()))
    assert found[0] == found[1]
    assert found[0][0] == "Run(step 9: w6 is infinite; `p` stands at step 8)"
