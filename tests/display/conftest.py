"""Recorded events of a run, for those who watch."""

import numpy as np
import pytest

from sqlmagic_xr.train.events import Ended, Newest, Panel, Range, Refreshed, Started, Stepped, Tuned


def panel(steps, names=("loss",), title="mean squared error", units=None, start=0):
    x = np.arange(start, start + steps)
    return Panel(title, "step", x, {n: 8 * np.exp(-x / (20.0 * (i + 1))) for i, n in enumerate(names)}, units or {})


def newest(step):
    return Newest(("step", "a", "note"), ((step, 0.123456789, None),), 1)


def recorded(steps=40, panels=None, error=None):
    """The events of a run of so many steps, the curves refreshed every ten."""
    draw = panels or (lambda n: (panel(n),))
    out = [Started("params", "step", 0, steps, {"lr": 0.1}, {"lr": Range(1e-4, 1.0)}, draw(1), newest(0))]
    for step in range(1, steps + 1):
        out.append(Stepped(step, step, step * 0.02))
        if step % 10 == 0:
            out.append(Refreshed(step, step, step * 0.02, {"lr": 0.1}, draw(step + 1), newest(step)))
        if step == 15:
            out.append(Tuned(15, "lr", 0.2))
    status = "failed" if error else "done"
    message = f"{status}: {steps} steps"
    last = Ended(status, message, steps, steps, 0.8, {"lr": 0.2}, draw(steps + 1), newest(steps), error)
    return [*out, last]


@pytest.fixture
def events():
    return recorded()
