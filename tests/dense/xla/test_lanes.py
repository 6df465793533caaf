"""Weights that are columns are lanes of one vector, whichever of the others each of them reads."""

import pytest

from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.dense.xla import loop
from sqlmagic_xr.train.start import train
from tests.dense.wide import weights
from tests.train.test_devices import assert_near, numbers

EVERY = range(6)


def step(beside, average="AVG(r * f{i})"):
    score = " + ".join(f"cur.w{i} * d.f{i}" for i in EVERY)
    moments = [f"0.9 * cur.m{i} + 0.1 * g.g{i}" for i in EVERY]
    new = [f"cur.w{i} - 0.05 * ({moments[i]}) / (sqrt(abs({beside(i)})) + 0.5)" for i in EVERY]
    return f"""INSERT INTO p WITH cur AS (SELECT * FROM p WHERE step = :k),
        e AS (SELECT tanh({score}) - d.y AS r, {", ".join(f"d.f{i}, cur.w{i}" for i in EVERY)} FROM d CROSS JOIN cur),
        g AS (SELECT {", ".join(f"{average.format(i=i)} AS g{i}" for i in EVERY)} FROM e)
        SELECT :next_step, {", ".join([*new, *moments])} FROM g CROSS JOIN cur"""


@pytest.mark.parametrize(
    "beside",
    [lambda i: f"cur.m{i}", lambda i: f"cur.w{(5 * i + 2) % 6} - cur.m{5 - i}", lambda i: "cur.w3"],
    ids=["its own", "others in another order", "one for all"],
)
def test_the_trajectory_is_numpys(beside, monkeypatch):
    found, plain = [], loop.lanes
    monkeypatch.setattr(loop, "lanes", lambda *given: found.append(plain(*given)) or found[-1])
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    alone, device = weights(len(EVERY)), weights(len(EVERY))
    train(alone, step(beside), steps=15, each_step=True)
    train(device, step(beside), steps=15, each_step=False, device="cpu")
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert len(device.scratch("p").history()) < 10
    assert {"sum", "map"} == {node.op for node in found[0]}
    assert all(len(group) == 6 for group in found[0].values())


def test_a_sum_times_a_number_of_its_own(monkeypatch):
    """What stands outside of a sum is another number in each lane."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    alone, device = weights(len(EVERY)), weights(len(EVERY))
    cell = step(lambda i: f"cur.m{i}", "SUM(r * f{i} * w{i}) * 0.02")
    train(alone, cell, steps=15, each_step=True)
    train(device, cell, steps=15, each_step=False, device="cpu")
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert len(device.scratch("p").history()) < 10
