"""Monitors against recorded events: what they say, and that none of them can break a run."""

import io

import numpy as np
import pytest

from sqlmagic_xr.display.monitor import (
    Guarded,
    Several,
    StaticMonitor,
    TerminalMonitor,
    TextMonitor,
    curves_as_text,
    newest_as_text,
)
from sqlmagic_xr.display.overlay import laid_under
from sqlmagic_xr.display.sparkline import sparkline
from sqlmagic_xr.train.events import Panel, Started
from tests.display.conftest import panel, recorded


def play(monitor, events):
    for event in events:
        monitor.receive(event)
    monitor.close()


def test_text_says_the_end_and_draws_the_curves(events):
    out = io.StringIO()
    play(TextMonitor(out), events)
    assert out.getvalue().splitlines() == ["done: 40 steps", "loss  ██▇▇▆▆▆▅▅▅▄▄▄▄▃▃▃▃▂▂▂▂▂▂▂▂▁▁▁▁▁▁  8 → 1.0827"]


def test_text_is_the_same_for_equal_runs(events):
    texts = []
    for _ in range(2):
        out = io.StringIO()
        play(TextMonitor(out), recorded())
        texts.append(out.getvalue())
    assert texts[0] == texts[1]


def test_a_failed_run_leaves_its_message_to_the_error():
    out = io.StringIO()
    play(TextMonitor(out), recorded(error=ValueError("no")))
    assert "failed" not in out.getvalue()


def test_the_terminals_bar_moves_and_goes(events):
    bar = io.StringIO()
    monitor = TerminalMonitor(bar)
    for event in events[:-1]:
        monitor.receive(event)
    assert "0/40" in bar.getvalue()
    assert monitor._bar.n == 40
    assert "loss" in monitor._bar.postfix
    monitor.receive(events[-1])
    assert bar.getvalue().endswith("\r")
    monitor.close()
    monitor.close()


def test_a_bar_that_never_began_can_be_closed():
    TerminalMonitor(io.StringIO()).close()


def test_static_shows_one_picture_at_the_end(events):
    shown = []
    play(StaticMonitor(lambda *a, **k: shown.append((a, k))), events)
    ((bundle,), keywords) = shown[0]
    assert len(shown) == 1
    assert set(bundle) == {"image/png", "text/plain"}
    assert keywords == {"metadata": {"image/png": {"width": 614, "height": 288}}, "raw": True}


@pytest.mark.parametrize(
    "events",
    [recorded(panels=lambda n: ()), recorded(steps=0, error=ValueError("at once"))],
    ids=["no curve", "no step"],
)
def test_static_shows_nothing_where_there_is_nothing(events):
    shown = []
    play(StaticMonitor(lambda *a, **k: shown.append(a)), events)
    assert shown == []


class Broken:
    def __init__(self, at):
        self.at, self.closed = at, 0

    def receive(self, event):
        if isinstance(event, self.at):
            raise RuntimeError("no front end")

    def close(self):
        self.closed += 1
        if self.closed == 1 and self.at == ():
            raise RuntimeError("cannot close")


def test_a_monitor_that_fails_is_reported_once_and_let_go(events):
    reports, out = [], io.StringIO()
    broken = Broken(Started)
    both = Several([Guarded(broken, reports.append), Guarded(TextMonitor(out), reports.append)])
    play(both, events * 2)
    assert reports == ["Broken failed and is let go; the run goes on (RuntimeError: no front end)"]
    assert broken.closed == 1
    assert out.getvalue().count("done: 40 steps") == 2


def test_a_monitor_that_cannot_be_closed_is_reported_too(events, capsys):
    play(Guarded(Broken(())), events)
    assert "cannot close" in capsys.readouterr().err


def test_the_curves_as_text():
    two = panel(3, ("a", "longer"))
    assert [line[:8] for line in curves_as_text((two,)).splitlines()] == ["a       ", "longer  "]
    assert curves_as_text((panel(0),)) == ""
    assert newest_as_text((two, panel(1))) == "a 7.2387, longer 7.6098, loss 8"
    gap = Panel("", "step", np.arange(3), {"y": np.array([1.0, np.nan, 3.0])})
    assert curves_as_text((gap,)) == "y  ▁ █  1 → 3"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([5.0], "▁"),
        ([np.nan, np.nan], "  "),
        ([0, 0, 0], "▁▁▁"),
        ([1e308, -1e308, 0], "█▁▅"),
        ([1e-320, 1e-310], "▁█"),
        ([np.inf, 1.0, 2.0], " ▁█"),
        (range(100), "▁▁▁▂▂▂▂▃▃▃▃▃▄▄▄▄▅▅▅▅▅▆▆▆▆▇▇▇▇███"),
    ],
)
def test_sparklines(values, line):
    assert sparkline(values) == line


def test_curves_of_kept_runs_are_laid_under_those_of_one_title_or_place():
    own = (panel(3), Panel("", "step", np.arange(3), {"a": np.ones(3)}, {"a": "K"}))
    kept = (Panel("", "step", np.arange(9), {"a": np.zeros(9)}, {"a": "K"}), panel(9))
    one, two = laid_under(own, {"first": kept})
    assert [list(other.lines) for other in one.under] == [["loss (first)"]]
    assert len(one.under[0].x) == 9
    assert two.under == ()
    (alone,) = laid_under(own[1:], {"first": kept, "second": kept[:1]})
    assert [(list(o.lines), dict(o.units)) for o in alone.under] == [
        (["a (first)"], {"a (first)": "K"}),
        (["a (second)"], {"a (second)": "K"}),
    ]
    text = Panel("", "step", np.array(["x"], object), {"a": np.ones(1)})
    assert laid_under((text,), {"first": kept})[0].under == ()
    assert laid_under((), {"first": kept}) == ()
