"""Curves as people write them: a line for each key, curves of one title together, gaps where nothing was measured."""

import numpy as np
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.train.curves.series import MOST, merged
from sqlmagic_xr.train.events import Panel, Refreshed


@pytest.fixture
def context():
    found = Context()
    found.script(
        "CREATE TABLE p (step BIGINT, run INT, lr DOUBLE, a DOUBLE, PRIMARY KEY (step, run));"
        "INSERT INTO p VALUES (0, 1, 0.1, 1.0), (0, 2, 0.5, 1.0)"
    )
    return found


STEP = "INSERT INTO p SELECT :next_step, run, lr, a * (1 - lr) FROM p WHERE step = :k;\n"


def panels(context, curves, **options):
    training = context.train(STEP + curves, stream=True, steps=3, **options)
    events = list(training)
    return events[-1].panels, [event for event in events if isinstance(event, Refreshed)]


def lines(panel):
    return {name: np.round(values, 4).tolist() for name, values in panel.lines.items()}


SLOW, QUICK = [1.0, 0.9, 0.81, 0.729], [1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("every", [None, 1])
def test_a_key_beside_the_step_makes_a_line_of_each_value(context, every):
    (panel,), _ = panels(context, "SELECT step, lr, AVG(a) AS loss FROM p GROUP BY step, lr ORDER BY step", every=every)
    assert panel.x.tolist() == [0, 1, 2, 3]
    assert lines(panel) == {"lr = 0.1": SLOW, "lr = 0.5": QUICK}


def test_lines_come_in_the_order_of_their_keys(context):
    curve = "SELECT step, lr, AVG(a) AS loss FROM p GROUP BY step, lr ORDER BY step, lr DESC"
    (panel,), _ = panels(context, curve, every=1)
    assert list(panel.lines) == ["lr = 0.1", "lr = 0.5"]


def test_a_text_makes_lines_also_without_a_group(context):
    (panel,), _ = panels(context, "SELECT step, CASE run WHEN 1 THEN 'slow' ELSE 'quick' END AS name, a FROM p")
    assert lines(panel) == {"slow": SLOW, "quick": QUICK}


def test_several_numbers_are_told_apart(context):
    (panel,), _ = panels(context, "SELECT step, run, AVG(a) AS loss, COUNT(*) AS n FROM p GROUP BY step, run")
    assert set(panel.lines) == {"loss, run = 1", "n, run = 1", "loss, run = 2", "n, run = 2"}
    assert lines(panel)["loss, run = 2"] == QUICK


def test_a_key_that_is_one_value_a_step_stays_a_line(context):
    (panel,), _ = panels(context, "SELECT step, MIN(a) AS low, COUNT(*) AS n FROM p GROUP BY step")
    assert set(panel.lines) == {"low", "n"}
    context.script("DELETE FROM p WHERE step > 0 OR run = 2")
    (panel,), _ = panels(context, "SELECT step, lr, AVG(a) AS loss FROM p GROUP BY step, lr")
    assert lines(panel) == {"lr": [0.1] * 4, "loss": SLOW}


def test_a_line_that_begins_later_has_a_gap_before(context):
    context.script("DELETE FROM p WHERE run = 2")
    training = context.train(
        "INSERT INTO p SELECT :next_step, run, lr, a * (1 - lr) FROM p WHERE step = :k"
        " UNION ALL SELECT :next_step, 2, 0.5, 1.0 WHERE :next_step = 2;"
        "SELECT step, lr, AVG(a) AS loss FROM p GROUP BY step, lr",
        stream=True, steps=3, every=1,
    )  # fmt: skip
    (panel,) = list(training)[-1].panels
    assert lines(panel)["lr = 0.1"] == SLOW
    np.testing.assert_allclose(panel.lines["lr = 0.5"], [np.nan, np.nan, 1.0, 0.5])


def test_curves_of_one_title_share_a_panel(context):
    (panel,), _ = panels(
        context,
        "-- loss\nSELECT step, AVG(a) AS training FROM p GROUP BY step;"
        "-- loss\nSELECT step, MAX(a) AS held_out FROM p GROUP BY step",
    )
    assert panel.title == "loss"
    assert lines(panel)["held_out"] == SLOW
    assert set(panel.lines) == {"training", "held_out"}
    apart, _ = panels(
        context, "SELECT step, AVG(a) AS x FROM p GROUP BY step; SELECT step, MAX(a) AS y FROM p GROUP BY step"
    )
    assert len(apart) == 2


def test_panels_that_do_not_fit_stay_apart_and_equal_names_are_told_apart():
    one = Panel("t", "step", np.arange(3), {"loss": np.ones(3)}, {"loss": "K"})
    shorter = Panel("t", "step", np.arange(2), {"loss": np.zeros(2)}, {"loss": "K"})
    other = Panel("t", "step", np.array([5, 6]), {"loss": np.zeros(2)})
    together, apart = merged([one, shorter, other])
    np.testing.assert_array_equal(together.lines["loss (2)"], [0, 0, np.nan])
    assert together.units == {"loss": "K", "loss (2)": "K"}
    assert apart is other


def test_of_very_many_lines_the_first_are_drawn_and_the_rest_is_said(context):
    context.script("DELETE FROM p; INSERT INTO p SELECT 0, value, value, 1.0 FROM generate_series(1, 100)")
    (panel,), _ = panels(context, "-- many\nSELECT step, run, AVG(a) AS loss FROM p GROUP BY step, run")
    assert len(panel.lines) == MOST
    assert panel.title == "many (40 of 100 lines)"


def test_patience_looks_at_the_best_line(context):
    run = context.train(
        "INSERT INTO p SELECT :next_step, run, lr, CASE run WHEN 1 THEN a + 1 ELSE greatest(a - 0.25, 0.5) END FROM p"
        " WHERE step = :k; SELECT step, run, AVG(a) AS loss FROM p GROUP BY step, run",
        steps=50, patience=3,
    )  # fmt: skip
    assert run.status == "patience"
    assert run.steps == 5


def test_a_run_is_a_dataset(context):
    run = context.train(STEP, steps=2)
    found = run.to_dataset()
    assert dict(found.sizes) == {"step": 3, "run": 2}
    np.testing.assert_allclose(found.a.sel(run=2), QUICK[:3])
    assert found.attrs["status"] == "done"
