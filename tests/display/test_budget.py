"""Pictures take a small part of a run, the first of them and all later ones, and yet come every second."""

import pytest

from sqlmagic_xr.display.budget import Budget


class Run:
    """A run whose pictures cost ``cost`` seconds of a processor, on a machine that leaves it ``having`` of one."""

    def __init__(self, step, seconds, cost, having=1.0):
        self.now = self.worked = self.spent = 0.0
        self.having = having
        budget = Budget(clock=lambda: self.spent, run=lambda: self.worked)
        self.at = []
        with budget.spending():  # the widget is made
            self.pay(2 * cost)
        while self.now < seconds:
            self.work(step)
            if budget.due(self.now):
                self.at.append(self.now)
                with budget.drawing(self.now):
                    self.pay(cost)
        self.share = self.spent / self.worked
        self.gaps = [b - a for a, b in zip([0.0, *self.at], self.at, strict=False)]

    def work(self, seconds):
        self.worked += seconds
        self.now += seconds / self.having

    def pay(self, seconds):
        self.spent += seconds
        self.work(seconds)


@pytest.mark.parametrize("step", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("seconds", [2, 4, 10])
@pytest.mark.parametrize("cost", [0.0005, 0.002, 0.01, 0.05])
@pytest.mark.parametrize("having", [1.0, 0.125])
def test_a_picture_comes_every_second_within_a_tenth(step, seconds, cost, having):
    run = Run(step, seconds, cost, having)
    assert max(run.gaps) <= 0.75 + (step + cost) / having + 1e-9
    if cost <= 0.01 * having:
        assert run.share <= 0.1
        assert run.at[0] <= 0.75 + (step + 2 * cost) / having


@pytest.mark.parametrize("having", [1.0, 0.125])
def test_what_the_points_of_a_curve_cost_is_paid_four_times_a_second(having):
    run = Run(0.001, 10, 0.001, having)
    assert len(run.at) >= 36
    assert run.share <= 0.06


def test_text_is_paid_for_too():
    spent = [0.0]
    budget = Budget(clock=lambda: spent[0], run=lambda: 100.0 if spent[0] else 0.0)
    with budget.drawing(0.0):
        spent[0] += 0.1
    assert budget.due(0.7) is False
    assert budget.due(0.75), "whatever it costs"
    assert not Budget(rest=0.25).due(0.2)
