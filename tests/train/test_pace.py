"""What is done beside the steps stays a small part of the time."""

import numpy as np
import pytest

from sqlmagic_xr.train.curves.pace import Allowance, Pace, Stopwatch


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
                taken = cost(clock.now - begin)
                spent += taken
                clock.now += taken
            turns += 1
        clock.now += step
    taken = cost(clock.now - begin)
    return turns, (spent + taken) / (clock.now + taken - begin)


@pytest.mark.parametrize("cost", [0.0, 0.001, 0.02, 0.2])
def test_a_pace_keeps_to_a_tenth(cost):
    clock = Clock()
    turns, share = simulate(Pace(clock=clock), clock, lambda elapsed: cost, seconds=60)
    assert share <= 0.1 + cost / 60
    assert turns >= min(200, 0.8 * 60 / (11 * cost or 1))
    assert turns <= 60 / 0.25 + 1


@pytest.mark.parametrize("seconds", [5, 20, 100])
@pytest.mark.parametrize("fixed", [0.0, 0.005, 0.02, 0.05])
@pytest.mark.parametrize("growth", [0.0, 0.002, 0.01, 0.02, 0.03, 0.05, 0.08])
def test_an_allowance_keeps_to_a_tenth_with_the_last_turn(fixed, growth, seconds):
    """The cost of a turn is ``fixed + growth * t``: what is fixed, and what grows with the table."""
    clock = Clock()
    turns, share = simulate(Allowance(clock=clock), clock, lambda t: fixed + growth * t, seconds=seconds)
    last = fixed / seconds + growth
    assert share <= max(0.1, last + (2 * fixed + growth) / seconds)  # where the last alone takes it all
    assert turns >= 2 + (fixed + growth * seconds < 0.02 * seconds) * (2 + (seconds > 5))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("growth", [0.0, 0.005, 0.02])
def test_an_allowance_keeps_to_a_tenth_on_a_busy_machine(growth, seed):
    """A turn takes up to two times what it should, at random."""
    clock, noise = Clock(), np.random.default_rng(seed)
    turns, share = simulate(
        Allowance(clock=clock), clock, lambda t: (0.01 + growth * t) * noise.uniform(1, 2), seconds=10
    )
    assert share <= 0.1
    assert turns >= 2


def test_turns_go_on_for_as_long_as_they_are_cheap():
    clock = Clock()
    turns, share = simulate(Allowance(clock=clock), clock, lambda t: 0.001, seconds=100)
    assert turns > 350
    assert share < 0.01


def test_an_allowance_holds_for_several_that_share():
    clock = Clock()
    several = [Allowance(clock=clock, share=0.1 / 3) for _ in range(3)]
    spent = 0.0
    while clock.now < 120:
        for pace in several:
            if pace.due:
                with pace.turn():
                    clock.now += 0.02
                    spent += 0.02
        clock.now += 0.005
    assert 0.03 <= spent / 20 <= 0.1


def test_what_is_too_costly_waits_for_the_end():
    clock = Clock()
    turns, _ = simulate(Allowance(clock=clock), clock, lambda t: 0.3 + 0.2 * t, seconds=100)
    assert turns <= 2


def test_a_stopwatch_stands_still_while_it_is_held(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    watch = Stopwatch()
    begin = watch()
    clock.now += 1
    with watch.held():
        clock.now += 10
        assert watch() - begin == 1
    clock.now += 1
    assert watch() - begin == 2


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
