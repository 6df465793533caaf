"""Pictures take less than a tenth of a run, the first and the last one among them, and come evenly."""

import math

import pytest

from sqlmagic_xr.display.budget import Budget


class Run:
    """A run of ``steps`` steps of ``step`` seconds each, whose pictures cost ``cost``, the last one twice that."""

    def __init__(self, step, steps, cost, known=True, stop=math.inf):
        self.now = self.spent = 0.0
        budget = Budget(clock=lambda: self.now)
        length = step * steps if known else math.inf
        self.at = []
        with budget.spending():  # the widget and the figure are made
            budget.expect(cost)
            self.pay(cost / 2)
        for _ in range(steps):
            self.now += step
            if budget.due(self.now, length):
                self.at.append(self.now)
                with budget.drawing(self.now):
                    self.pay(cost)
            if self.now > stop:
                break
        self.pay(2 * cost)
        self.share = self.spent / self.now
        self.gaps = [b - a for a, b in zip([0.0, *self.at], self.at, strict=False)]

    def pay(self, seconds):
        self.spent += seconds
        self.now += seconds


@pytest.mark.parametrize("step", [0.0001, 0.001, 0.02, 0.3])
@pytest.mark.parametrize("seconds", [2, 4, 10, 30])
@pytest.mark.parametrize("cost", [0.02, 0.04, 0.1])
def test_all_pictures_take_less_than_a_tenth(step, seconds, cost):
    run = Run(step, round(seconds / step), cost)
    fixed = 2.5 * cost / run.now
    assert run.share <= max(0.1, fixed)
    if fixed < 0.025:
        assert len(run.at) >= min(4, seconds)
        assert run.share >= 0.045 or min(run.gaps) <= 0.251 + step
        assert run.at[0] <= 0.26 + cost + step


def test_a_run_much_shorter_than_its_pictures_shows_the_last_one_only():
    assert Run(0.001, 500, 0.1).at == []


@pytest.mark.parametrize("known", [True, False])
def test_in_a_long_run_pictures_come_from_the_beginning_and_evenly(known):
    run = Run(0.001, 20_000, 0.03, known)
    assert run.at[0] <= 0.27
    assert len([t for t in run.at if t <= 4]) >= 4
    assert max(run.gaps) <= 1.6


def test_a_run_that_is_stopped_after_four_seconds_has_not_paid_in_advance():
    assert Run(0.001, 10**6, 0.03, stop=4.1).share <= 0.1


def test_a_pause_earns_nothing_and_text_is_paid_for_too():
    now = [0.0]
    budget = Budget(clock=lambda: now[0])
    with budget.drawing(0.0):
        now[0] += 0.1
    assert budget.due(10.0, 10.0)
    with budget.spending():
        now[0] += 0.7
    assert not budget.due(10.0, 10.0)
    now[0] += 100
    assert not budget.due(10.0, 10.0)
