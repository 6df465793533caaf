"""Texts in a run: whole numbers in array code, whatever Arrow type, NULL, length or last character they have."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.dense.labels import Labels

TYPES = [pa.string(), pa.large_string(), pa.string_view()]
NAMES = ["a", "a\0", "", None, "a\0\0", "aé", "b", None, "a", "z" * 3000]

CELL = """
INSERT INTO p
SELECT :next_step, cur.name, cur.w + COUNT(*) + SUM(d.x)
FROM d JOIN (SELECT name, w FROM p WHERE step = :k) cur ON d.name = cur.name
GROUP BY cur.name, cur.w
"""


def context(names, kind, key=""):
    found = Context()
    table = pa.table(
        {"i": np.arange(len(names)), "name": pa.array(names, pa.string()).cast(kind), "x": np.ones(len(names))}
    )
    found.from_arrow(table, "d")
    found.script(f"CREATE TABLE p (step BIGINT, name VARCHAR, w DOUBLE{key})")
    found.script("INSERT INTO p SELECT DISTINCT 0, name, 0.0 FROM d WHERE name IS NOT NULL")
    return found


def trajectory(ctx):
    rows = ctx.script("SELECT * FROM p ORDER BY step, name")[0].to_arrow_table().to_pylist()
    return [tuple(row.values()) for row in rows]


@pytest.mark.parametrize("key", ["", ", PRIMARY KEY (step, name)"])
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_array_code_tells_texts_apart_as_the_engine_does(kind, key):
    found = {}
    for executor in ("relational", "auto", "dense"):
        ctx = context(NAMES, kind, key)
        ctx.train(CELL, steps=3, executor=executor)
        found[executor] = trajectory(ctx)
    assert found["relational"] == found["auto"] == found["dense"]
    distinct = set(NAMES) - {None}
    expected = {(s, n, 2.0 * s * NAMES.count(n)) for s in range(4) for n in distinct}
    assert set(found["dense"]) == expected
    assert len(found["dense"]) == len(expected)


@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize("chosen", ["a", "a\0", "", "nobody"])
def test_a_text_of_a_literal_or_a_parameter_is_that_text_and_no_other(kind, chosen):
    cell = """
    INSERT INTO p SELECT :next_step, :chosen, cur.w + (SELECT COUNT(*) FROM d WHERE name = :chosen)
    FROM (SELECT w FROM p WHERE step = :k AND name = :chosen) cur
    """
    found = {}
    for executor in ("relational", "auto"):
        ctx = context(NAMES, kind)
        ctx.script("INSERT INTO p VALUES (0, 'nobody', 0.0)")
        ctx.train(cell, steps=2, params={"chosen": chosen}, executor=executor)
        found[executor] = [row for row in trajectory(ctx) if row[0]]
    assert found["relational"] == found["auto"] == [(s, chosen, s * float(NAMES.count(chosen))) for s in (1, 2)]


def test_one_long_text_does_not_make_every_cell_as_long():
    names = [f"n{i % 50}" for i in range(20_000)]
    names[7] = "x" * 20_000
    ctx = context(names, pa.string())
    tracemalloc.start()
    ctx.train(CELL, steps=2, executor="dense")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6  # as NumPy's own texts the column alone has 1.6e9 bytes
    assert len(trajectory(ctx)) == 3 * len(set(names))


def test_the_memory_set_aside_is_compared_with_what_texts_take(monkeypatch):
    from sqlmagic_xr.train.steps import arrays

    names = [f"n{i}" for i in range(1000)]
    names[7] = "x" * 2_000_000
    monkeypatch.setattr(arrays, "default_budget", lambda: 1_000_000)
    told = str(context(names, pa.string()).train(CELL, steps=1, stream=True).explain())
    assert "d does not fit the memory that is set aside" in told
    names[7] = "x"
    told = str(context(names, pa.string()).train(CELL, steps=1, stream=True).explain())
    assert "does not fit" not in told


def test_a_dictionary_gives_back_what_it_was_given():
    labels = Labels()
    codes = labels.codes(["a", "a\0", "", "a"])
    assert len(set(codes.tolist())) == 3
    assert codes[0] == codes[3] == labels.code("a") == labels.label("a").code
    assert labels.texts(codes.reshape(2, 2)).tolist() == [["a", "a\0"], ["", "a"]]
    assert labels.texts(codes[0]).item() == "a"
