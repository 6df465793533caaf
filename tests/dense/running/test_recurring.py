"""What a step calculates of a number that comes again is kept, and changes no bit; what never does leaves no trace."""

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.dense.running import recurring

IMAGES, PIXELS = 60, 90
STEP = """INSERT INTO w
    WITH z AS (SELECT image, unit, SUM(ink * val) AS z FROM d JOIN w ON w.pixel = d.pixel
               WHERE step = :k AND {batch} GROUP BY image, unit),
    s AS (SELECT image, SUM(exp(z)) AS total FROM z GROUP BY image),
    loss AS (SELECT AVG(ln(total) - z) AS l FROM z JOIN s ON s.image = z.image
             JOIN labels t ON t.image = z.image AND t.label = z.unit)
    SELECT :next_step, pixel, unit, val - :lr * grad(loss.l, val) FROM w CROSS JOIN loss WHERE step = :k"""


def data():
    rng = np.random.default_rng(4)
    images = np.arange(IMAGES)
    coords = {"image": images, "pixel": np.arange(PIXELS)}
    return {
        "d": xr.Dataset({"ink": (("image", "pixel"), rng.normal(size=(IMAGES, PIXELS)))}, coords=coords),
        "labels": xr.Dataset({"label": ("image", rng.integers(0, 50, IMAGES))}, coords={"image": images}),
    }


def left(batch, monkeypatch, *, units=50, steps=24, keeps=True, each_step=False, **params):
    """The weights of all steps, and what was kept of them."""
    kept = []
    monkeypatch.setattr(recurring, "_LEAST", 4 if keeps else 10**9)
    plain = recurring.Kept.keep
    monkeypatch.setattr(recurring.Kept, "keep", lambda self, *args: (kept.append(self), plain(self, *args))[1])
    tables = data()
    context = Context(namespace=lambda: tables)
    context.script(
        "CREATE TABLE w (step BIGINT, pixel BIGINT, unit BIGINT, val DOUBLE, PRIMARY KEY (step, pixel, unit))"
    )
    context.script(f"INSERT INTO w SELECT 0, pixel, u, sin(pixel * u) / 9 FROM (SELECT DISTINCT pixel FROM d) p "
                   f"CROSS JOIN (SELECT value AS u FROM generate_series(0, {units - 1})) q")  # fmt: skip
    cell = STEP.format(batch=batch) + (
        ";\nSELECT step, SUM(val * val) AS size FROM w GROUP BY step" if each_step else ""
    )
    run = context.train(cell, steps=steps, params={"lr": 0.5, **params}, executor="dense")
    assert run.generation == steps
    rows = context.query("SELECT val FROM w ORDER BY step, pixel, unit")["val"].to_numpy()
    monkeypatch.undo()
    return rows, list(dict.fromkeys(kept))


@pytest.mark.parametrize(
    ("batch", "numbers"),
    [("image % 7 = :k % 7", 7), ("image % 7 > :k % 3 AND image % 2 = :k % 2", 6), ("image % 5 = (:k + :n) % 5", 5),
     ("(image % 3 = 0) = (:k % 4 > 1)", 2)],
)  # fmt: skip
@pytest.mark.parametrize("each_step", [False, True])
def test_a_batch_that_comes_again_is_looked_up_and_changes_no_bit(batch, numbers, each_step, monkeypatch):
    params = {"n": 5} if ":n" in batch else {}
    rows, kept = left(batch, monkeypatch, each_step=each_step, **params)
    expected, none = left(batch, monkeypatch, keeps=False, each_step=each_step, **params)
    assert np.array_equal(rows, expected)
    assert not none
    assert max(len(each._known) for each in kept) <= numbers
    assert sum(each._hits for each in kept) >= 24 - 2 * numbers - 2  # a step or two go node by node


@pytest.mark.parametrize("batch", ["image > :k % 1000000 - 30 AND image < :k + 40", "image % 5 <= :k"])
def test_what_is_calculated_of_the_step_itself_is_not_kept(batch, monkeypatch):
    rows, kept = left(batch, monkeypatch, steps=8)
    expected, _ = left(batch, monkeypatch, steps=8, keeps=False)
    assert np.array_equal(rows, expected)
    assert not any(each._hits for each in kept)


def test_what_never_comes_again_leaves_when_there_is_no_room(monkeypatch):
    monkeypatch.setattr(recurring, "MOST", 1000)
    never, again = recurring.Kept(), recurring.Kept()
    for number in range(20):
        for each in (never, again):
            assert each.find((number,)) is None
            each.keep((number,), (np.zeros(10),))
        assert again.find((0,)) is not None
    assert not never._known
    assert len(again._known) == 12
    assert again.find((3,)) is not None
    assert again.find((19,)) is None
