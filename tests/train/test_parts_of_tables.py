"""A table whose rows are a grid for each layer, and none as a whole: a query over all of it is one for each part."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.grids.generations import Generations
from tests.bench.steps import run_steps, step_of

MAKE = """
CREATE TABLE w (step BIGINT, layer {kind}, inp BIGINT, out BIGINT, val DOUBLE NOT NULL,
                PRIMARY KEY (step, layer, inp, out));
INSERT INTO w SELECT 0, {first}, i, o, 0.1 * i - 0.3 * o
FROM (SELECT * FROM generate_series(0, 4) AS s(i)) CROSS JOIN (SELECT * FROM generate_series(0, 2) AS t(o));
INSERT INTO w SELECT 0, {second}, i, o, 0.2 * i + 0.1 * o
FROM (SELECT * FROM generate_series(0, 2) AS s(i)) CROSS JOIN (SELECT * FROM generate_series(0, 1) AS t(o))
"""
NAMES = {"numbers": ("BIGINT", "1", "2"), "texts": ("TEXT", "'first'", "'the second'")}
BY_ONE = """
INSERT INTO w
WITH h AS (SELECT i, out, SUM(x.v * val) AS z FROM x JOIN w ON w.inp = x.c WHERE step = :k AND layer = {first}
           GROUP BY i, out),
a AS (SELECT i, w.out AS o, SUM(tanh(z) * val) AS z FROM h JOIN w ON w.inp = h.out
      WHERE step = :k AND layer = {second} GROUP BY i, w.out),
loss AS (SELECT AVG(power(a.z - y.v, 2)) AS l FROM a JOIN y ON y.i = a.i)
SELECT :next_step, layer, inp, out, val - 0.05 * grad(loss.l, val) FROM w CROSS JOIN loss WHERE step = :k
"""
ITSELF = """
INSERT INTO w SELECT :next_step, layer, inp, out, val * 0.9 + CASE WHEN layer = {second} THEN 0.1 ELSE 0 END FROM w
WHERE step = :k
"""
ANOTHER = """
INSERT INTO w SELECT :next_step, a.layer, a.inp, a.out, a.val - 0.1 * b.val FROM w a JOIN w b ON b.step = a.step
 AND b.layer = a.layer AND b.inp = a.inp AND b.out = a.out WHERE a.step = :k
"""


def made(kind):
    names = dict(zip(("kind", "first", "second"), NAMES[kind], strict=True))
    ctx, rng = Context(), np.random.default_rng(2)
    i, c = (g.ravel() for g in np.meshgrid(np.arange(7), np.arange(5), indexing="ij"))
    ctx.from_arrow(pa.table({"i": i, "c": c, "v": rng.normal(size=35)}), name="x")
    ctx.from_arrow(pa.table({"i": np.arange(7), "v": rng.normal(size=7)}), name="y")
    ctx.script(MAKE.format(**names))
    return ctx, names


def rows(ctx):
    return ctx.query("SELECT * FROM w ORDER BY step, layer, inp, out").to_pandas()


def verbatim(kind, text, *steps):
    ctx, _ = made(kind)
    for k in steps:
        ctx.script(text, {"k": k, "next_step": k + 1, "step": k})
    return ctx


def assert_alike(one, other):
    found, expected = rows(one), rows(other)
    assert found.drop(columns="val").equals(expected.drop(columns="val"))
    np.testing.assert_allclose(found["val"], expected["val"], 1e-12, 1e-14)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("cell", [BY_ONE, ITSELF, ANOTHER], ids=["gradient", "itself", "another"])
def test_a_step_over_all_layers_leaves_what_it_leaves_as_it_stands(cell, kind):
    arrays, names = made(kind)
    text = cell.format(**names)
    (told,) = arrays.train(text, steps=1, stream=True).explain()
    assert "a call: many steps" in str(told)
    arrays.train(text, steps=6, each_step=False)
    alone, _ = made(kind)
    alone.train(text, steps=6, each_step=True)
    assert rows(arrays).equals(rows(alone))
    assert_alike(arrays, verbatim(kind, text, *range(6)))


@pytest.mark.parametrize("each_step", [True, False])
def test_a_run_that_goes_on_makes_the_steps_that_it_would_have_made(each_step):
    whole, names = made("numbers")
    parts, _ = made("numbers")
    text = BY_ONE.format(**names)
    whole.train(text, steps=7, each_step=each_step)
    for steps in (3, 1, 3):
        parts.train(text, steps=steps, each_step=each_step)
    assert rows(whole).equals(rows(parts))  # to the last bit


@pytest.mark.parametrize("turned_up", ["SELECT 3, {third}, 0, 0, 1.0", "SELECT 3, {first}, 9, 9, 1.0"])
@pytest.mark.parametrize("kind", NAMES)
def test_rows_that_turn_up_in_no_part_or_leave_a_part_with_holes_are_not_lost(kind, turned_up):
    ctx, names = made(kind)
    text, third = ITSELF.format(**names), "3" if kind == "numbers" else "'third'"
    other = verbatim(kind, text, 0, 1, 2)
    step = step_of(ctx, [text], writes=["w"])
    run_steps(ctx, step, 0, 3)
    more = f"INSERT INTO w {turned_up.format(third=third, **names)}"
    for each in (ctx, other):
        each.script(more)
    run_steps(ctx, step, 3, 2)
    for k in (3, 4):
        other.script(text, {"k": k, "next_step": k + 1, "step": k})
    assert_alike(ctx, other)


@pytest.mark.parametrize("each_step", [True, False])
def test_parts_of_other_axes_are_read_from_the_arrays_that_wrote_them(each_step, monkeypatch):
    """A bias has one `inp`, and lies along fewer axes than weights: which part a scan asks for tells them apart."""
    ctx, _ = made("texts")
    ctx.script("INSERT INTO w SELECT 0, 'bias', 0, o, 0.5 - o FROM (SELECT * FROM generate_series(0, 2) AS t(o))")
    cell = """
INSERT INTO w WITH h AS (SELECT i, out, SUM(x.v * val) AS z FROM x JOIN w ON w.inp = x.c
                         WHERE step = :k AND layer = 'first' GROUP BY i, out),
a AS (SELECT h.out AS o, AVG(z + b.val) AS g FROM h JOIN w b ON b.out = h.out
      WHERE b.step = :k AND b.layer = 'bias' AND b.inp = 0 GROUP BY h.out)
SELECT :next_step, 'first', inp, out, val - 0.01 * a.g FROM w JOIN a ON a.o = w.out WHERE step = :k AND layer = 'first'
UNION ALL SELECT :next_step, 'bias', 0, out, val - 0.1 * a.g FROM w JOIN a ON a.o = w.out
WHERE step = :k AND layer = 'bias' AND w.inp = 0"""
    found, plain = [], Generations.rows
    monkeypatch.setattr(Generations, "rows", lambda self, name, fixed: found.append(name) or plain(self, name, fixed))
    ctx.train(cell, steps=3, each_step=each_step)
    before = found.count(("w",))
    ctx.train(cell, steps=9, each_step=each_step)
    assert 0 < found.count(("w",)) <= 2 * before
    monkeypatch.undo()
    alone, _ = made("texts")
    alone.script("INSERT INTO w SELECT 0, 'bias', 0, o, 0.5 - o FROM (SELECT * FROM generate_series(0, 2) AS t(o))")
    for k in range(12):
        alone.script(cell, {"k": k, "next_step": k + 1})
    assert_alike(ctx, alone)
