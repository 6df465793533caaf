"""The widget: what it shows, what its controls ask for, and that nothing of it stays."""

import asyncio
import re
import time

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances

from sqlmagic_xr.display.budget import Budget
from sqlmagic_xr.display.frames import frame
from sqlmagic_xr.display.live import LiveMonitor
from sqlmagic_xr.display.page import page
from sqlmagic_xr.display.progress import Progress, duration
from sqlmagic_xr.train.control import Control
from sqlmagic_xr.train.events import Panel, Paused, Range, Refreshed, Started, Stepped
from tests.display.conftest import newest, panel, recorded


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, *arguments, **keywords):
        self.updates.append((arguments, keywords))


class Front:
    """A front end: keeps what is displayed, and sends what a person does."""

    def __init__(self):
        self.handle = Handle()
        self.shown = []

    def display(self, widget, **keywords):
        self.shown.append(widget)
        return self.handle

    @property
    def widget(self):
        return self.shown[-1]

    def do(self, what, **more):
        self.widget._handle_custom_msg({"do": what, **more}, [])

    @property
    def said(self):
        return self.widget.shown["said"]

    def last(self, line=0):
        """The last point of a line that is drawn."""
        drawn = self.widget.shown["panels"][0]["lines"][line]
        return tuple(float(numbers(drawn[axis])[-1]) for axis in "xy")


def numbers(data):
    return np.frombuffer(data, np.float64)


@pytest.fixture
def front():
    return Front()


@pytest.fixture
def control():
    return Control({"lr": Range(1e-4, 1.0), "b": Range(-1.0, 1.0)})


@pytest.fixture
def monitor(front, control):
    monitor = LiveMonitor(control, front.display, budget=Budget(share=1e9, rest=0))
    yield monitor
    monitor.close()


def test_it_shows_progress_curves_and_values(front, monitor, events):
    pictures = []
    for event in events[:-1]:
        monitor.receive(event)
        pictures.append(front.last())
    assert "step 40 of 40 · 50 steps/s" in front.said
    assert front.widget.shown["values"] == {
        "columns": ["step", "a", "note"], "rows": [["40", "0.123457", "NULL"]], "more": 0,
    }  # fmt: skip
    assert [x for x, _ in dict.fromkeys(pictures)] == [0, 10, 20, 30, 40]


def test_text_values_and_curves_tell_of_one_step(front, control, events):
    now = [0.0]
    monitor = LiveMonitor(control, front.display, budget=Budget(clock=lambda: 0.0, run=lambda: now[0]))
    told = []
    for event in events[:-1]:
        now[0] = getattr(event, "seconds", now[0])
        monitor.receive(event)
        shown = front.widget.shown
        told.append((shown["step"], int(re.match(r"step (\d+)", shown["said"])[1]), int(shown["values"]["rows"][0][0]),
                     front.last()[0]))  # fmt: skip
    assert {len(set(each)) for each in told} == {1}
    assert len(set(told)) >= 3
    monitor.close()


def test_what_the_curves_do_not_show_yet_is_told(front, monitor):
    monitor.receive(started())
    monitor.receive(Refreshed(60, 60, 0.2, {}, (panel(51),), newest(60), upto=50))
    assert front.said == "step 60 of 100 · curves up to step 50"
    monitor.receive(Stepped(70, 70, 0.3))
    assert "step 60" in front.said, "the steps alone do not move, as long as the curves are about to follow"
    monitor.receive(Stepped(80, 80, 1.3))
    assert re.match(r"step 80 of 100 · .* steps/s .*· curves up to step 50$", front.said)


def test_it_leaves_a_picture_and_no_widget(front, monitor, events):
    before = len(_instances)
    for event in events:
        monitor.receive(event)
    assert len(_instances) == before
    ((bundle,), keywords) = front.handle.updates[0]
    assert len(front.handle.updates) == 1
    assert set(bundle) == {"image/png", "text/html", "text/plain"}
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert keywords["raw"]
    monitor.close()
    monitor.close()


def test_in_a_kernel_the_picture_is_drawn_when_the_cell_has_ended(front, monitor, events):
    async def run():
        for event in events:
            monitor.receive(event)
        ((bundle,), _) = front.handle.updates[-1]
        assert set(bundle) == {"text/html", "text/plain"}
        assert bundle["text/plain"] in bundle["text/html"]
        while len(front.handle.updates) < 2:
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert len(front.handle.updates) == 2
    assert set(front.handle.updates[-1][0][0]) == {"image/png", "text/html", "text/plain"}


def test_without_curves_there_are_progress_and_buttons(front, monitor):
    for event in recorded(panels=lambda n: ()):
        monitor.receive(event)
    assert front.handle.updates == [(({"text/plain": ""},), {"raw": True})]


def test_a_run_that_is_continued_shows_at_once_what_there_is(front, monitor):
    monitor.receive(Started("params", "step", 49, 100, {}, {}, (panel(50),), newest(49)))
    assert front.last()[0] == 49
    assert front.said == "step 0 of 100"


def test_a_run_that_breaks_off_leaves_no_widget(monitor, events):
    before = len(_instances)
    monitor.receive(events[0])
    assert len(_instances) > before
    monitor.close()
    assert len(_instances) == before


def test_buttons_ask_and_the_run_decides(front, monitor, control, events):
    monitor.receive(events[0])
    front.do("pause")
    assert control.paused
    assert front.widget.paused
    front.do("resume")
    assert not control.paused
    assert not front.widget.paused
    front.do("stop")
    assert control.ending == "stopped"


def started(**tunable):
    values = {name: value for name, (value, _) in tunable.items()}
    ranges = {name: r for name, (_, r) in tunable.items()}
    return Started("params", "step", 0, 100, values, ranges, (panel(1),), newest(0))


def test_sliders_are_logarithmic_where_the_range_spans_decades(front, monitor, control):
    monitor.receive(started(lr=(0.1, Range(1e-4, 1.0)), b=(0.5, Range(-1.0, 1.0))))
    assert front.widget.sliders == [
        {"name": "lr", "low": 1e-4, "high": 1.0, "value": 0.1, "log": True},
        {"name": "b", "low": -1.0, "high": 1.0, "value": 0.5, "log": False},
    ]
    front.do("tune", name="lr", value=0.05)
    front.do("tune", name="b", value=-1)
    assert control.wishes() == {"lr": 0.05, "b": -1.0}


def test_the_ends_of_a_range_are_never_passed(front, control):
    control.tunable["lr"] = Range(0.00123456, 0.987654)
    monitor = LiveMonitor(control, front.display)
    monitor.receive(started(lr=(0.1, control.tunable["lr"])))
    front.do("tune", name="lr", value=0.988)
    assert control.wishes() == {"lr": 0.987654}
    front.do("tune", name="lr", value=0.00123)
    assert control.wishes() == {"lr": 0.00123456}
    monitor.close()


def test_it_draws_no_more_than_a_tenth_of_the_time_and_once_a_second(front, control):
    spent, worked = [0.0], [0.0]
    budget = Budget(clock=lambda: spent[0], run=lambda: worked[0])
    monitor = LiveMonitor(control, front.display, budget=budget)
    drawn = []
    seen = monitor._seen

    def slow(*arguments):
        spent[0] += 0.05
        worked[0] += 0.05
        drawn.append(worked[0])
        return seen(*arguments)

    monitor._seen = slow
    monitor.receive(started())
    for step in range(1, 2001):
        worked[0] += 0.005
        monitor.receive(Stepped(step, step, worked[0]))
        monitor.receive(Refreshed(step, step, worked[0], {}, (panel(2),), newest(step)))
    assert spent[0] <= 0.1 * worked[0]
    assert max(np.diff(drawn)) <= 1.1
    monitor.close()


def test_someone_who_looks_closer_is_answered_at_once_with_finer_points(front, control):
    monitor = LiveMonitor(control, front.display, budget=Budget(rest=1000))
    monitor.receive(started())
    monitor.receive(Refreshed(7, 7, 0.2, {}, (panel(100_000),), newest(7)))
    front.do("look", panel=0, range=[1000, 1500])
    monitor.receive(Stepped(8, 8, 0.21))
    x = numbers(front.widget.shown["panels"][0]["lines"][0]["x"])
    np.testing.assert_array_equal(x, np.arange(999, 1502))
    front.do("look", panel=0, range=None)
    monitor.receive(Stepped(9, 9, 0.22))
    assert front.last()[0] == 99_999
    monitor.close()


def test_a_paused_run_shows_everything_at_once(front, control):
    monitor = LiveMonitor(control, front.display, budget=Budget(rest=1000))
    monitor.receive(started())
    monitor.receive(Stepped(1, 1, 0.1))
    monitor.receive(Refreshed(7, 7, 0.2, {}, (panel(8),), newest(7)))
    assert "step 7" not in front.said
    monitor.receive(Paused(7, 7))
    assert front.said == "step 7 of 100 · paused"
    assert front.last()[0] == 7
    monitor.close()


def test_the_scale_that_someone_has_chosen_stays(front, monitor, events):
    monitor.receive(events[0])
    front.do("log", value=True)
    for event in events[1:]:
        monitor.receive(event)
    ((bundle,), _) = front.handle.updates[0]
    assert '"log": true' in bundle["text/html"]


def test_a_message_is_small_and_quick_whatever_the_number_of_steps(front, monitor):
    monitor.receive(started())
    many = panel(200_000, tuple(f"w{i}" for i in range(20)))
    seconds = []
    for step in range(5):
        begin = time.process_time()
        monitor.receive(Refreshed(step, step, 0.2, {}, (many,), newest(step)))
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.15
    lines = front.widget.shown["panels"][0]["lines"]
    assert sum(len(line["x"]) + len(line["y"]) for line in lines) < 250_000


def test_a_frame_says_what_stands_at_the_axes():
    days = np.array(["2000-01-01", "NaT", "2000-01-03"], "datetime64[us]")
    dated = Panel("t", "day", days, {"air": np.array([1.0, 2.0, np.nan])}, {"air": "K"})
    texts = Panel(
        "", "month", np.array(["Jan", "Feb"], object), {"a": np.ones(2), "b": np.ones(2)}, {"a": "K", "b": "K"}
    )
    under = Panel("", "step", np.array([0, 5]), {"loss (one)": np.array([4.0, 2.0])})
    whole = Panel("", "step", np.arange(3), {"loss": np.array([3.0, 1.0, 2.0])}, loss=("loss",), under=(under,))
    one, two, three = frame((dated, texts, whole))
    assert (one["kind"], one["y_label"], one["whole"], one["best"]) == ("time", "air [K]", False, None)
    np.testing.assert_array_equal(numbers(one["lines"][0]["x"]), [946684800e3, np.nan, 946857600e3])
    assert (two["kind"], two["names"], two["y_label"]) == ("text", ["Jan", "Feb"], "[K]")
    assert (three["whole"], three["best"]["text"]) == (True, "best 1 at step 1")
    assert [(line["name"], line["under"]) for line in three["lines"]] == [("loss", False), ("loss (one)", True)]


def test_what_stays_on_the_page_runs_no_text_of_the_users():
    evil = "</script><img src=x onerror=alert(1)>"
    html = page((panel(3, (evil,), title=evil),), log=False, png=b"")
    assert html.count("</script>") == 1
    assert "<img src=x" not in html


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0 s"), (59.2, "1 min 0 s"), (3600, "1 h 0 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_time_that_is_left_is_told_when_it_is_known():
    progress = Progress(1000)
    progress.made(1, 3.0)  # the first step plans and fetches
    assert progress.line(1, 3.0) == "step 1 of 1,000"
    assert progress.line(51, 3.5) == "step 51 of 1,000 · 100 steps/s"
    assert progress.line(201, 5.0) == "step 201 of 1,000 · 100 steps/s · 8 s left"
    assert progress.line(1000, 12.99) == "step 1,000 of 1,000 · 100 steps/s"
    assert progress.line(7, None) == "step 7 of 1,000 · paused"
    unknown = Progress(None)
    unknown.made(1, 1.0)
    assert unknown.line(21, 3.0, rows=1234) == "step 21, 1,234 rows · 10 steps/s"
