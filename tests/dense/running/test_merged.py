"""A network whose views are read by its loss, its gradient and the next layer is calculated once in a loop."""

import numpy as np
import pytest
import xarray as xr

import sqlmagic_xr
from sqlmagic_xr.dense.running import looped
from sqlmagic_xr.dense.running.merged import merged

VIEWS = """
    CREATE TABLE w (step BIGINT, i BIGINT, o BIGINT, val DOUBLE, PRIMARY KEY (step, i, o));
    INSERT INTO w SELECT 0, x.i, o.o, 0.1 * x.i - 0.2 * o.o FROM x CROSS JOIN o WHERE x.row = 0;
    CREATE VIEW hidden AS
    SELECT w.step, x.row, w.o, 1 / (1 + exp(-SUM(x.v * w.val))) AS v
    FROM x JOIN w ON w.i = x.i GROUP BY w.step, x.row, w.o;
    CREATE VIEW loss AS
    SELECT h.step, AVG(power(h.v - t.v, 2)) AS loss FROM hidden h JOIN t ON t.row = h.row AND t.o = h.o GROUP BY h.step
"""
STEPS = {
    "gradient": "MINIMIZE (SELECT loss FROM loss WHERE step = :k) OVER w.val USING adam(lr => 0.1)",
    "rows that are not all": """
        INSERT INTO w SELECT :next_step, a.i, a.o, a.val - 0.1 * h.v + 0.01 * g.v
        FROM w a JOIN hidden h ON h.step = a.step AND h.o = a.o AND h.row = 2
        JOIN hidden g ON g.step = a.step AND g.o = a.o AND g.row = 3 WHERE a.step = :k
    """,
    "pairs of one axis": """
        INSERT INTO w SELECT :next_step, a.i, a.o, SUM(a.val * b.val * c.val) / 10
        FROM w a JOIN w b ON b.step = a.step AND b.o = a.o JOIN w c ON c.step = b.step AND c.i = b.i
        WHERE a.step = :k GROUP BY a.i, a.o
    """,
}


def made():
    rng = np.random.default_rng(0)
    axes = {"row": np.arange(40), "i": np.arange(3), "o": np.arange(2)}

    def grid(*dims):
        shape = [len(axes[d]) for d in dims]
        return xr.Dataset({"v": (dims, rng.normal(size=shape))}, coords={d: axes[d] for d in dims})

    tables = {
        "x": grid("row", "i"),
        "t": grid("row", "o"),
        "o": xr.Dataset({"one": ("o", [1, 1])}, coords={"o": [0, 1]}),
    }
    context = sqlmagic_xr.Context(namespace=lambda: tables)
    context.script(VIEWS)
    return context


@pytest.mark.parametrize("name", list(STEPS))
def test_many_steps_in_a_call_give_the_bits_of_steps_by_themselves(name):
    found = []
    for each_step in (False, True):
        context = made()
        context.train(STEPS[name], steps=24, each_step=each_step)
        found.append(context.sql("SELECT step, i, o, val FROM w ORDER BY step, i, o").to_arrow_table())
    assert found[0].equals(found[1])


LAYERS = """
    CREATE TABLE u (step BIGINT, o BIGINT, i BIGINT, val DOUBLE, PRIMARY KEY (step, o, i));
    INSERT INTO u SELECT step, o, i, val FROM w;
    CREATE VIEW predicted AS
    SELECT u.step, h.row, u.i, 1 / (1 + exp(-SUM(h.v * u.val))) AS v
    FROM hidden h JOIN u ON u.o = h.o AND u.step = h.step GROUP BY u.step, h.row, u.i
"""
AUTOENCODER = """
    MINIMIZE (SELECT SUM(power(p.v - x.v, 2)) FROM predicted p JOIN x ON x.row = p.row AND x.i = p.i WHERE p.step = :k)
    OVER w.val, u.val USING sgd(lr => 0.01)
"""


@pytest.mark.parametrize(("more", "cell", "layers"), [("", STEPS["gradient"], 1), (LAYERS, AUTOENCODER, 2)])
def test_what_three_read_is_calculated_once(more, cell, layers, monkeypatch):
    counts = []

    def counted(brief, *others):
        once, known, unmoved = merged(brief, *others)
        counts.append([sum(node.data == "exp" for node, _, _ in found) for found in (brief, once)])
        return once, known, unmoved

    monkeypatch.setattr(looped, "merged", counted)
    context = made()
    context.script(more)
    context.train(cell, steps=8)
    before, after = counts[0]
    assert before > after == 2 * layers  # the sigmoid, and what its derivative divides by
