"""Steps over arrays that write over one another leave what they leave one by one, down to the last bit."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.dense.running.looped import NumpyLoop
from sqlmagic_xr.dense.running.text import Text
from tests.dealt import MANY, PACKED, dealing
from tests.train.test_curves_within_steps import many, same
from tests.train.test_many_steps import commits

ROWS, WIDTH = 700, 6  # 4,200 cells: arrays of 4,096 and more are used again
D = pa.table({"i": np.arange(ROWS), "x": np.sin(np.arange(ROWS)), "y": np.cos(np.arange(ROWS) * 0.7)})
X = pa.table({
    "i": np.repeat(np.arange(ROWS), WIDTH), "c": np.tile(np.arange(WIDTH), ROWS),
    "v": np.sin(np.arange(ROWS * WIDTH) * 1.3),
})  # fmt: skip


def grown():
    """A matrix of weights, and a table with a row of the state."""
    ctx = Context(namespace=lambda: {"d": D, "x": X})
    ctx.script("CREATE TABLE w (step BIGINT, c BIGINT, o BIGINT, v DOUBLE, PRIMARY KEY (step, c, o))")
    c, o = np.divmod(np.arange(WIDTH * WIDTH), WIDTH)
    ctx.scratch("w").append(pa.table({"step": 0 * c, "c": c, "o": o, "v": np.sin(3.0 * c + o)}))
    return ctx


LAYER = """
CREATE OR REPLACE TABLE z AS SELECT x.i AS i, w.o AS o, SUM(x.v * w.v) AS v FROM x JOIN w ON x.c = w.c
    WHERE w.step = :k GROUP BY x.i, w.o;
CREATE OR REPLACE TABLE h AS SELECT z.i AS i, z.o AS o, tanh(z.v + 0.5) AS v FROM z;
CREATE OR REPLACE TABLE g AS SELECT h.i AS i, h.o AS o, (1.0 - h.v * h.v) * (h.v - d.y) / {divisor} AS v
    FROM h JOIN d ON h.i = d.i {where};
CREATE OR REPLACE TABLE now AS SELECT w.c AS c, w.o AS o, w.v AS v FROM w WHERE w.step = :k;
INSERT INTO w SELECT :next_step, now.c, now.o, now.v - 0.001 * e.v FROM now JOIN
    (SELECT x.c AS c, g.o AS o, SUM(x.v * g.v) AS v FROM x JOIN g ON x.i = g.i GROUP BY x.c, g.o) e
    ON e.c = now.c AND e.o = now.o
"""


@pytest.mark.parametrize(
    "cell",
    [
        LAYER.format(divisor="2.0", where=""),
        LAYER.format(divisor="(20 / (20 - :k))", where=""),
        LAYER.format(divisor="0.25", where="WHERE d.i % 4 = :k % 4"),
        LAYER.format(divisor="ln(23.5 - :k)", where=""),
    ],
    ids=["whole", "an integer divided by zero", "batches", "a number that is none"],
)
def test_a_layer_of_tables_and_what_they_hold_at_the_end(cell, monkeypatch):
    ctx = same(grown, cell, monkeypatch, (7,), steps=30)
    assert commits(ctx, "w") < 22


def test_arrays_are_written_over(monkeypatch):
    """Else the tests here would look at nothing."""
    written, plain = [], Text.function
    monkeypatch.setattr(Text, "function", lambda self, names: written.extend(self._lines) or plain(self, names))
    many(monkeypatch, 7)
    grown().train(LAYER.format(divisor="2.0", where=""), steps=20)
    assert sum("out=" in line for line in written) >= 3  # tanh, and twice the derivative


FUNCTIONS = ("({a} + {b})", "({a} - {b})", "({a} * {b})", "({a} * {a})", "tanh({a})", "exp(-abs({a}))", "({b} / 3.0)")


def chain(seed):
    """Three tables of large columns, each of those before, some of them read again and again."""
    draw = random.Random(seed)
    columns, statements = ["d.x", "d.y", "p.a", "p.b"], []
    for number in range(3):
        made = [draw.choice(FUNCTIONS).format(a=draw.choice(columns), b=draw.choice(columns)) for _ in range(3)]
        made = [draw.choice(FUNCTIONS).format(a=one, b=draw.choice(columns)) for one in made]
        text = ", ".join(f"{expression} AS v{place}" for place, expression in enumerate(made))
        before = [f"JOIN t{one} ON t{one}.i = d.i" for one in range(number)]
        from_ = f"FROM d CROSS JOIN p {' '.join(before)} WHERE p.step = :k"
        statements.append(f"CREATE OR REPLACE TABLE t{number} AS SELECT d.i AS i, {text} {from_}")
        columns += [f"t{number}.v{place}" for place in range(3)]
    sums = ", ".join(f"AVG(t2.v{place}) * 0.01 + AVG(t{place}.v1)" for place in range(2))
    statements.append(f"INSERT INTO p SELECT :next_step, {sums} FROM t0 JOIN t1 ON t0.i = t1.i JOIN t2 ON t1.i = t2.i")
    return ";\n".join(statements)


def long(times=6):
    data = {"d": pa.concat_tables([D] * times).set_column(0, "i", pa.array(np.arange(times * ROWS)))}
    ctx = Context(namespace=lambda: data)
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 0.3, -0.2)")
    return ctx


@pytest.mark.parametrize("seed", range(3))
def test_random_chains(seed, monkeypatch):
    same(long, chain(seed), monkeypatch, (4,), steps=7)


def test_a_random_chain_over_more_rows_than_a_batch_holds(monkeypatch):
    same(lambda: dealing(long(MANY // ROWS + 1), PACKED), chain(3), monkeypatch, (3,), steps=5)


def test_what_is_asked_of_the_last_step_is_that_of_the_last_sound_one(monkeypatch):
    """A call that ends early is made again as far as it was sound."""
    calls, plain = [], NumpyLoop._ran
    monkeypatch.setattr(NumpyLoop, "_ran", lambda self, *given: calls.append(given[-1]) or plain(self, *given))
    cell = LAYER.format(divisor="(20 / (20 - :k))", where="")
    same(grown, cell, monkeypatch, (7,), steps=30)
    assert any(again < count for count, again in pairwise(calls))
