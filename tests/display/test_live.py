"""The widget: what it shows, what its controls ask for, and that nothing of it stays."""

import time

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances

from sqlmagic_xr.display.budget import Budget
from sqlmagic_xr.display.live import LiveMonitor, duration
from sqlmagic_xr.train.control import Control
from sqlmagic_xr.train.curves.pace import Pace
from sqlmagic_xr.train.events import Paused, Range, Refreshed, Started, Stepped
from tests.display.conftest import newest, panel, recorded


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, *arguments, **keywords):
        self.updates.append((arguments, keywords))


class Front:
    """A front end: keeps what is displayed, and finds widgets by what they say."""

    def __init__(self):
        self.handle = Handle()
        self.shown = []

    def display(self, widget, **keywords):
        self.shown.append(widget)
        return self.handle

    def widgets(self, kind, box=None):
        box = box or self.shown[0]
        found = [box] if isinstance(box, kind) else []
        return found + [w for child in getattr(box, "children", ()) for w in self.widgets(kind, child)]

    def button(self, name):
        return next(b for b in self.widgets(ipywidgets.Button) if b.description == name)

    def text(self):
        return " ".join(w.value for w in self.widgets(ipywidgets.HTML))

    def image(self):
        return self.widgets(ipywidgets.Image)[0].value


@pytest.fixture
def front():
    return Front()


@pytest.fixture
def control():
    return Control({"lr": Range(1e-4, 1.0), "b": Range(-1.0, 1.0)})


@pytest.fixture
def monitor(front, control):
    monitor = LiveMonitor(control, front.display, budget=Budget(share=1e9, rest=0), pace=Pace(rest=0, times=0))
    yield monitor
    monitor.close()


def test_it_shows_progress_curves_and_values(front, monitor, events):
    pictures = []
    for event in events[:-1]:
        monitor.receive(event)
        pictures.append(bytes(front.image()))
    assert "step 40 of 40 · 50 steps/s" in front.text()
    assert "0.123457" in front.text()
    assert "NULL" in front.text()
    assert len(set(pictures)) == 5  # nothing, and four refreshes
    assert all(p.startswith(b"\x89PNG") for p in pictures)


def test_it_leaves_a_picture_and_no_widget(front, monitor, events):
    before = len(_instances)
    for event in events:
        monitor.receive(event)
    assert len(_instances) == before
    ((bundle,), keywords) = front.handle.updates[0]
    assert len(front.handle.updates) == 1
    assert set(bundle) == {"image/png", "text/plain"}
    assert keywords["raw"]
    monitor.close()
    monitor.close()


def test_without_curves_there_are_progress_and_buttons(front, monitor):
    for event in recorded(panels=lambda n: ()):
        monitor.receive(event)
    assert front.handle.updates == [(({"text/plain": ""},), {"raw": True})]


def test_a_run_that_is_continued_shows_at_once_what_there_is(front, monitor):
    monitor.receive(started())
    assert len(front.image()) < 100, "a point alone is no picture"
    monitor.close()
    front.shown.clear()
    again = LiveMonitor(Control(), front.display)
    again.receive(Started("params", "step", 49, 100, {}, {}, (panel(50),), newest(49)))
    assert len(front.image()) > 1000
    again.close()


def test_a_run_that_breaks_off_leaves_no_widget(front, monitor, events):
    before = len(_instances)
    monitor.receive(events[0])
    assert len(_instances) > before
    monitor.close()
    assert len(_instances) == before


def test_buttons_ask_and_the_run_decides(front, monitor, control, events):
    monitor.receive(events[0])
    front.button("Pause").click()
    assert control.paused
    front.button("Resume").click()
    assert not control.paused
    assert front.button("Pause")
    front.button("Stop").click()
    assert control.ending == "stopped"


def started(**tunable):
    values = {name: value for name, (value, _) in tunable.items()}
    ranges = {name: r for name, (_, r) in tunable.items()}
    return Started("params", "step", 0, 100, values, ranges, (panel(1),), newest(0))


def test_sliders_are_logarithmic_where_the_range_spans_decades(front, monitor, control):
    monitor.receive(started(lr=(0.1, Range(1e-4, 1.0)), b=(0.5, Range(-1.0, 1.0))))
    (log,) = front.widgets(ipywidgets.FloatLogSlider)
    (linear,) = front.widgets(ipywidgets.FloatSlider)
    assert (log.description, log.value, linear.description, linear.value) == ("lr", 0.1, "b", 0.5)
    log.value = 0.0500034
    linear.value = -1.0
    assert control.wishes() == {"lr": 0.05, "b": -1.0}
    log.value = 1.0
    assert control.wishes() == {"lr": 1.0}


def test_an_end_of_a_range_that_is_no_round_number_is_never_passed(front, control):
    control.tunable["lr"] = Range(0.00123456, 0.987654)
    monitor = LiveMonitor(control, front.display)
    monitor.receive(started(lr=(0.1, control.tunable["lr"])))
    (log,) = front.widgets(ipywidgets.FloatLogSlider)
    log.value = log.base**log.max
    assert control.wishes() == {"lr": 0.987654}
    log.value = log.base**log.min
    assert control.wishes()["lr"] == pytest.approx(0.00123456, rel=1e-2)
    monitor.close()


def test_it_draws_no_more_than_a_tenth_of_the_time(front, control):
    now = [0.0]
    monitor = LiveMonitor(control, front.display, budget=Budget(clock=lambda: now[0]))
    drawn = []
    draw = monitor._draw

    def slow():
        draw()
        now[0] += 0.1
        drawn.append(now[0])

    monitor._draw = slow
    monitor.receive(started())
    for step in range(1, 2001):
        now[0] += 0.005
        monitor.receive(Stepped(step, step, now[0]))
        monitor.receive(Refreshed(step, step, now[0], {}, (panel(2),), newest(step)))
    assert len(drawn) >= 5
    assert 0.1 * (len(drawn) + 2) <= 0.1 * now[0], "the last picture costs two more"
    monitor.close()


def test_a_click_is_answered_at_once_whatever_it_costs(front, control):
    monitor = LiveMonitor(control, front.display, budget=Budget(share=0))
    monitor.receive(started())
    before = front.image()
    monitor.receive(Refreshed(7, 7, 0.2, {}, (panel(8),), newest(7)))
    assert front.image() == before
    front.widgets(ipywidgets.ToggleButton)[0].value = True
    monitor.receive(Stepped(8, 8, 0.21))
    assert front.image() != before
    monitor.close()


def test_a_paused_run_shows_everything_at_once(front, control):
    monitor = LiveMonitor(control, front.display, budget=Budget(share=0), pace=Pace(rest=1000))
    monitor.receive(started())
    monitor.receive(Stepped(1, 1, 0.1))
    monitor.receive(Refreshed(7, 7, 0.2, {}, (panel(8),), newest(7)))
    before = front.image()
    assert "step 7" not in front.text()
    monitor.receive(Paused(7, 7))
    assert "step 7 of 100 · paused" in front.text()
    assert front.image() != before
    before = front.image()
    front.widgets(ipywidgets.ToggleButton)[0].value = True
    monitor.receive(Paused(7, 7))
    assert front.image() != before, "the scale is changed while it waits"
    monitor.close()


def test_a_frame_is_quick_whatever_the_number_of_steps(front, monitor):
    monitor.receive(started())
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        monitor.receive(Refreshed(7, 7, 0.2, {}, (panel(200_000),), newest(7)))
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.3


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0 s"), (59.2, "1 min 0 s"), (3600, "1 h 0 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
