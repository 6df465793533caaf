"""Curves on a canvas as a person handles them: values under the pointer, zoom, scale, lines; and what axes say."""

from __future__ import annotations

import numpy as np
import pytest

from sqlmagic_xr.display.page import page as html_of
from sqlmagic_xr.display.widget import CHART, browser
from sqlmagic_xr.train.events import Panel

EVALUATE = "([code, text]) => new Function(`${code}; return JSON.stringify(${text})`)()"


@pytest.fixture
def ticks(page):
    """Evaluates an expression of axis.js; labels only."""
    import json

    def evaluate(expression):
        return [tick["label"] for tick in json.loads(page.evaluate(EVALUATE, [browser("axis.js"), expression]))]

    return evaluate


def test_ticks_read_as_they_are_said(ticks):
    assert ticks("linearTicks(0, 1, 5, false)") == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert ticks("linearTicks(-0.5, 3.2, 7, true)") == ["0", "1", "2", "3"]
    assert ticks("linearTicks(-3e-7, 2e-7, 3, false)") == ["−2×10⁻⁷", "0", "2×10⁻⁷"]
    assert ticks("linearTicks(123456.70, 123456.78, 4, false)")[:2] == ["123456.70", "123456.72"]
    assert ticks("logTicks(1e-12, 1)")[0] == "10⁻¹²"
    assert ticks("logTicks(0.5, 60)") == ["0.5", "1", "2", "5", "10", "20", "50"]
    assert ticks("logTicks(2, 3)") == ["2.0", "2.2", "2.4", "2.6", "2.8", "3.0"]
    assert ticks("timeTicks(Date.UTC(2000, 0), Date.UTC(2010, 0), 6)") == [
        "2000",
        "2002",
        "2004",
        "2006",
        "2008",
        "2010",
    ]
    assert ticks("timeTicks(Date.UTC(2000, 0), Date.UTC(2000, 5), 6)")[:2] == ["2000-01", "2000-02"]
    assert ticks("timeTicks(Date.UTC(2000, 0, 1), Date.UTC(2000, 0, 1, 12), 5)") == [
        "01-01",
        "03:00",
        "06:00",
        "09:00",
        "12:00",
    ]
    assert ticks("textTicks(-0.5, 2.5, ['a', 'b', 'c'], 9)") == ["a", "b", "c"]


@pytest.mark.parametrize("low", [-1e308, -1.0, 0.0, 1e-300, 5.0, 1e9])
@pytest.mark.parametrize("span", [1e-6, 1.0, 1e7, 1e308])
def test_labels_of_ticks_differ(ticks, low, span):
    found = ticks(f"linearTicks({low}, {low} + {span}, 5, false)")
    assert len(set(found)) == len(found) <= 12


@pytest.fixture
def shown(page):
    """A picture of two panels as a run leaves it, on a page of its own."""
    x = np.arange(2000)
    loss = {"loss": 8 * np.exp(-x / 200.0), "test": 9 * np.exp(-x / 250.0)}
    bins = Panel("", "month", np.array(["Jan", "Feb"], object), {"air": np.array([270.0, 271.5])}, {"air": "K"})
    both = (Panel("squared error", "step", x, loss, loss=("loss",)), bins)
    page.goto("about:blank")
    page.set_content(f"<body style='margin: 0'>{html_of(both, log=False, png=b'')}</body>")
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(100)
    return page


def pixels(page):
    return page.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")


def test_values_stand_under_the_pointer(shown):
    canvas = shown.locator("canvas").first
    box = canvas.bounding_box()
    middle = 64 + (box["width"] - 78) / 2
    canvas.hover(position={"x": middle, "y": 100})
    shown.wait_for_timeout(100)
    tip = shown.locator(".sqlmagic-xr-tip").first
    first, loss, test = tip.inner_text().splitlines()
    step = int(first.removeprefix("step "))
    assert abs(step - 1000) < 20
    assert float(loss.removeprefix("loss ")) == pytest.approx(8 * np.exp(-step / 200), rel=1e-4)
    assert float(test.split()[1]) == pytest.approx(9 * np.exp(-step / 250), rel=0.02)
    shown.locator("canvas").nth(1).hover(position={"x": 66, "y": 100})
    shown.wait_for_timeout(100)
    assert shown.locator(".sqlmagic-xr-tip").nth(1).inner_text().splitlines() == ["month Jan", "air 270 K"]


def test_a_stretch_is_dragged_and_a_double_click_shows_all(shown):
    canvas = shown.locator("canvas").first
    before = pixels(shown)
    box = canvas.bounding_box()
    shown.mouse.move(box["x"] + 100, box["y"] + 100)
    shown.mouse.down()
    shown.mouse.move(box["x"] + 200, box["y"] + 110)
    shown.mouse.up()
    shown.mouse.move(5, 900)
    shown.wait_for_timeout(100)
    near = pixels(shown)
    assert near != before
    canvas.hover(position={"x": 70, "y": 100})
    shown.wait_for_timeout(100)
    low, high = (2000 * (at - 64) / (box["width"] - 78) for at in (100, 200))
    said = shown.locator(".sqlmagic-xr-tip").first.inner_text().splitlines()[0]
    assert low - 50 < int(said.removeprefix("step ")) < high, "what is told is seen"
    canvas.dblclick(position={"x": 150, "y": 100})
    shown.mouse.move(5, 900)
    shown.wait_for_timeout(100)
    assert pixels(shown) == before


def test_lines_and_the_scale_are_switched(shown):
    buttons = shown.locator(".sqlmagic-xr-panel").first.locator(".sqlmagic-xr-legend button")
    assert buttons.all_inner_texts() == ["loss", "test"]
    before = pixels(shown)
    buttons.nth(1).click()
    assert buttons.nth(1).get_attribute("aria-pressed") == "false"
    shown.wait_for_timeout(100)
    without = pixels(shown)
    assert without != before
    buttons.nth(1).click()
    shown.locator("button", has_text="log y").click()
    shown.wait_for_timeout(100)
    assert pixels(shown) not in (before, without)


def test_the_picture_stands_where_scripts_do_not_run():
    panels = (Panel("", "step", np.arange(3), {"loss": np.array([3.0, 2.0, 1.0])}),)
    plain = html_of(panels, log=False, png=b"png", text="loss 3 → 1 <")
    assert plain.index("<img") < plain.index("<script>")
    assert 'alt="loss 3 → 1 &lt;"' in plain
    assert browser(*CHART) in plain
