"""What is done beside the steps stays a small part of the time."""

import pytest

from sqlmagic_xr.train.pace import Allowance, Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def simulate(pace, clock, cost, *, seconds, step=0.01):
    """Take every turn that is due while a run goes on; returns the turns, and their share with one more at the end."""
    begin, turns, spent = clock.now, 0, 0.0
    while clock.now - begin < seconds:
        if pace.due:
            with pace.turn():
                spent += cost(clock.now - begin)
                clock.now += cost(clock.now - begin)
            turns += 1
        clock.now += step
    spent += cost(clock.now - begin)
    return turns, spent / (clock.now - begin)


@pytest.mark.parametrize("cost", [0.0, 0.001, 0.02, 0.2])
def test_a_pace_keeps_to_a_tenth(cost):
    clock = Clock()
    turns, share = simulate(Pace(clock=clock), clock, lambda elapsed: cost, seconds=60)
    assert share <= 0.1 + cost / 60
    assert turns >= min(200, 0.8 * 60 / (11 * cost or 1))
    assert turns <= 60 / 0.25 + 1


@pytest.mark.parametrize(
    "cost", [lambda t: 0.001, lambda t: 0.05, lambda t: 0.002 * t, lambda t: 0.01 * t, lambda t: 0.04 * t]
)
def test_an_allowance_keeps_to_a_tenth_also_where_the_cost_grows(cost):
    clock = Clock()
    turns, share = simulate(Allowance(clock=clock), clock, cost, seconds=100)
    assert share <= 0.105
    assert turns >= 3


def test_what_is_too_costly_waits_for_the_end():
    clock = Clock()
    turns, _ = simulate(Allowance(clock=clock), clock, lambda t: 0.3 + 0.2 * t, seconds=100)
    assert turns <= 3


def test_a_turn_that_fails_is_a_turn():
    clock = Clock()
    pace = Pace(clock=clock)

    def fail():
        with pace.turn():
            clock.now += 1
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert not pace.due
    clock.now += 9.9
    assert not pace.due
    clock.now += 0.2
    assert pace.due
