"""Pictures: readable ticks on every axis, on light and dark pages, from one step to thousands."""

import io

import numpy as np
import pytest
from PIL import Image

from sqlmagic_xr.display.looks import COLOURS, INK, thin
from sqlmagic_xr.display.plot import CurvePlot, plain
from sqlmagic_xr.train.events import Panel
from tests.display.conftest import panel


def of(y, x=None, name="y", **keywords):
    y = np.asarray(y, float)
    return Panel("", "step", np.arange(len(y)) if x is None else np.asarray(x), {name: y}, **keywords)


def drawn(*panels, log=False):
    plot = CurvePlot(panels, log=log)
    plot.png()
    return plot


def labels(axis):
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [label.get_text() for place, label in ticks if low <= place <= high and label.get_text()]


def pixels(plot, background):
    image = Image.open(io.BytesIO(plot.png())).convert("RGBA")
    page = Image.new("RGBA", image.size, background)
    page.alpha_composite(image)
    return np.asarray(page.convert("RGB"), float)


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_ink_and_lines_can_be_seen_on_light_and_dark_pages(page):
    assert contrast(INK, page) >= 4.3
    assert all(contrast(colour, page) >= 3 for colour in COLOURS)
    plot = drawn(panel(50))
    image = pixels(plot, page)
    corner = image[2, 2]
    assert np.abs(corner - int(page[1:3], 16)).max() < 1, "the page shines through"
    assert (np.abs(image - corner).max(axis=2) > 60).sum() > 500, "there is something to see"


@pytest.mark.parametrize("steps", [0, 1, 2, 40, 41, 5000])
@pytest.mark.parametrize("log", [False, True])
def test_any_number_of_steps(steps, log):
    plot = drawn(panel(steps), log=log)
    axes = plot._figure.axes[0]
    low, high = axes.get_xlim()
    assert low < 0
    assert high > max(steps - 1, 0)
    assert 1 <= len(labels(axes.xaxis)) <= 9
    assert all(label.lstrip("−").isdigit() for label in labels(axes.xaxis)), "steps are whole numbers"
    assert len(axes.lines[0].get_xdata()) == min(steps, 4000) if steps <= 4000 else True
    assert (axes.lines[0].get_marker() == "o") == (steps <= 40)


@pytest.mark.parametrize(
    ("y", "most"),
    [
        (np.geomspace(1, 1e-12, 50), 9),
        (np.geomspace(1000, 1, 50), 9),
        (np.geomspace(100, 2, 50), 9),
        (np.linspace(2, 3, 50), 9),
        ([5.0, 5.0], 9),
        (np.geomspace(1e-300, 1e300, 50), 9),
    ],
)
def test_log_axes_have_a_few_ticks_that_differ(y, most):
    axes = drawn(of(y), log=True)._figure.axes[0]
    found = labels(axes.yaxis)
    assert axes.get_yscale() == "log"
    assert 2 <= len(set(found)) == len(found) <= most
    assert axes.get_ylim()[0] < min(y)
    assert axes.get_ylim()[1] > max(y)


@pytest.mark.parametrize("y", [[0.0, 0.0], [-1.0, -2.0], [], [np.nan]])
def test_without_a_positive_value_a_log_axis_stays_linear(y):
    assert drawn(of(y), log=True)._figure.axes[0].get_yscale() == "linear"


def test_a_line_is_never_lost_on_a_log_axis():
    two = Panel("", "step", np.arange(3), {"a": np.array([1.0, 2, 3]), "b": np.array([-1.0, -2, -3])})
    assert drawn(two, log=True)._figure.axes[0].get_yscale() == "linear"


@pytest.mark.parametrize(
    "y", [[1e-9, 2e-9], [123456.70, 123456.78], [1e9, 3e9], [-0.5, 0.5], [7.0, 7.0], [1e-320, 0.0], [1e308, -1e308]]
)
def test_linear_ticks_can_be_told_apart(y):
    found = labels(drawn(of(y))._figure.axes[0].yaxis)
    assert 2 <= len(set(found)) == len(found)


def test_labels_come_from_column_names_and_units():
    (one,) = drawn(of([1, 2], name="air", units={"air": "K", "step": "month"}))._figure.axes
    assert (one.get_xlabel(), one.get_ylabel()) == ("step [month]", "air [K]")
    two = Panel("t", "lat", np.array([1.0, 2]), {"a": np.ones(2), "b": np.ones(2)}, {"a": "K", "b": "K"})
    (axes,) = drawn(two)._figure.axes
    assert axes.get_ylabel() == "K"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]
    mixed = Panel("t", "lat", np.array([1.0, 2]), {"a": np.ones(2), "b": np.ones(2)}, {"a": "K"})
    (axes,) = drawn(mixed)._figure.axes
    assert axes.get_ylabel() == ""
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a [K]", "b"]


def test_several_panels_share_a_picture():
    panels = (panel(30), panel(30, ("a", "b")), panel(30, ("c",), title=""))
    plot = drawn(*panels)
    assert [axes.get_title(loc="left") for axes in plot._figure.axes] == ["mean squared error"] * 2 + [""]
    boxes = [axes.get_position() for axes in plot._figure.axes]
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[2].y1 < boxes[0].y0
    width, height = plot.size
    assert (width, height) == (8.6, 5.4)


def test_many_lines_have_a_legend_beside_them():
    plot = drawn(panel(30, tuple(f"w{i}" for i in range(20))))
    (axes,) = plot._figure.axes
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert texts == [*(f"w{i}" for i in range(10)), "and 10 more"]
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 20, "no two lines look alike"
    box = axes.get_legend().get_window_extent()
    assert box.y0 >= 0
    assert box.x1 <= plot.size[0] * 100


def test_text_and_dates_can_be_an_axis():
    names = Panel("", "month", np.array(["Jan", "Feb", "Mar"], object), {"y": np.arange(3.0)})
    (axes,) = drawn(names)._figure.axes
    assert labels(axes.xaxis) == ["Jan", "Feb", "Mar"]
    days = np.arange("2000-01", "2003-01", dtype="datetime64[M]").astype("datetime64[us]")
    (axes,) = drawn(Panel("", "time", days, {"y": np.arange(36.0)}))._figure.axes
    assert "2001" in labels(axes.xaxis)


def test_a_fine_picture_has_the_same_size_in_inches():
    plot = drawn(panel(30))
    coarse, fine = (Image.open(io.BytesIO(plot.png(dpi=dpi))).size for dpi in (100, 200))
    assert fine == (2 * coarse[0], 2 * coarse[1]) == (1280, 600)


def test_thinning_keeps_the_envelope_the_ends_and_the_gaps():
    rng = np.random.default_rng(0)
    y = rng.normal(size=100_000)
    y[5000] = 100.0
    y[40_000:45_000] = np.nan
    x = np.arange(len(y))
    few, values = thin(x, y, 4000)
    assert len(few) <= 4100
    assert (few[0], few[-1]) == (0, len(y) - 1)
    assert np.all(np.diff(few) > 0)
    assert np.nanmax(values) == 100.0
    assert np.nanmin(values) == np.nanmin(y)
    assert np.isnan(values[(few > 40_100) & (few < 44_900)]).all()
    np.testing.assert_array_equal(values, y[few])


def test_plain_numbers():
    assert plain([0.1 + 0.2, 1.0]) == ["0.3", "1.0"]
    assert plain([-5.0, 0.0]) == ["−5", "0"]
    assert plain([]) == []


@pytest.mark.parametrize("last", [30_100, 1_002_000, 9_999_999])
def test_no_label_of_a_tick_is_cut_off(last):
    plot = drawn(of([1.0, 2.0, 0.004], x=[0, 5, last]), log=True)
    (axes,) = plot._figure.axes
    ends = [t.get_window_extent().x1 for t in axes.get_xticklabels() if t.get_text()]
    inside = axes.get_window_extent().x1 + 1
    shown = [end for end, place in zip(ends, axes.get_xticks(), strict=False) if place <= axes.get_xlim()[1]]
    assert inside <= max(*shown, inside) <= 100 * plot.size[0]


def test_all_ticks_have_the_ink_of_the_page():
    (axes,) = drawn(of(np.geomspace(1, 0.01, 50)), log=True)._figure.axes
    ticks = [*axes.yaxis.get_minor_ticks(), *axes.yaxis.get_major_ticks(), *axes.xaxis.get_major_ticks()]
    assert len(ticks) > 10
    assert {tick.tick1line.get_color() for tick in ticks} == {INK}


def test_the_best_step_is_marked_and_told():
    y = np.array([5.0, 1.25, np.nan, 3.0])
    marked = of(y, x=np.arange(10, 14), name="loss", loss=("loss",))
    (axes,) = drawn(marked)._figure.axes
    assert [t.get_text() for t in axes.texts] == ["best 1.25 at step 11"]
    (ring,) = [line for line in axes.lines if line.get_label() == "_best"]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (11, 1.25)
    (axes,) = drawn(of(y, name="a"))._figure.axes
    assert not axes.texts, "less is not better of what is no loss"
    two = Panel("", "step", np.arange(2), {"a": np.array([3.0, 2.0]), "b": np.array([1.0, 4.0])}, loss=("a", "b"))
    assert two.best_text == "best 1 at step 0 (b)"
    assert of([np.nan, np.nan], loss=("y",)).best is None


@pytest.mark.parametrize("title", ["", "error", "squared error of what was held out, and of all the rest"])
@pytest.mark.parametrize("alone", [False, True])
def test_the_words_of_the_best_step_cover_nothing(title, alone):
    def of_lines(*names):
        lines = {name: np.linspace(0.123456, 2 + place, 50) for place, name in enumerate(names)}
        return Panel(title, "step", np.arange(50), lines, loss=names)

    long = of_lines("what is held out of it", "what is trained on")
    figure = drawn(*[long] if alone else [of_lines("a"), of_lines("a", "b"), long, of_lines(*"abcdefg")])._figure
    for axes in figure.axes:
        (words,) = axes.texts
        box = words.get_window_extent()
        assert box.y0 >= axes.get_window_extent().y1
        assert box.x0 >= 0
        assert box.y1 <= figure.bbox.y1
        titles = [axes._left_title] if title else []
        for other in [*titles, *([axes.get_legend()] if axes.get_legend() else [])]:
            assert not box.overlaps(other.get_window_extent()), other


def test_curves_of_other_runs_are_laid_under():
    other = of([9.0, 8.0, 7.0, 6.0], x=[0, 10, 20, 30], name="y (first)")
    (axes,) = drawn(of([1.0, 2.0], under=(other,)))._figure.axes
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["y", "y (first)"]
    assert axes.get_xlim()[1] > 30
    assert axes.get_ylim()[1] > 9
    assert axes.lines[1].get_alpha() < 1
    assert axes.lines[1].get_zorder() < axes.lines[0].get_zorder()
