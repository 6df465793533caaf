"""A step is looked at by what it has changed, and that gives what a look at the whole table would."""

import math

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.errors import UsageError
from sqlmagic_xr.storage.draft import Draft
from sqlmagic_xr.train.inspection import DivergedError, Inspection
from sqlmagic_xr.train.task import read_task
from sqlmagic_xr.train.trajectory import trajectory_of

TASK = read_task("INSERT INTO w SELECT :next_step, i, v FROM w WHERE step = :k")


@pytest.fixture
def store(ctx):
    ctx.script("CREATE TABLE w (step BIGINT, i BIGINT, v DOUBLE); INSERT INTO w VALUES (0, 0, 1.0), (0, 1, NULL)")
    return ctx.store


def step(store, inspection, generation, steps, values=None):
    """Add rows of these steps; what the inspection says inside the transaction, and what the whole table says."""
    before = {"w": store.table("w")}
    with store.transaction():
        store.append("w", pa.table({"step": steps, "i": range(len(steps)), "v": values or [0.5] * len(steps)}), "test")
        seen = inspection.look(before, {"w": store.table("w")}, generation)
    fresh = Inspection(TASK, trajectory_of(TASK, store.table("w")))
    return seen, fresh.look(before, {"w": store.table("w")}, generation)


def test_generations_of_any_size_through_any_number_of_merges(store):
    inspection = Inspection(TASK, trajectory_of(TASK, store.table("w")))
    for generation in range(200):
        rows = [generation + 1] * (1 + generation % 7)
        assert step(store, inspection, generation, rows) == (generation + 1, generation + 1)


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ([5, 6, 5], None),
        ([4], "step = 4, but|stays step = 4"),
        ([5, 4], "inserts step = 4"),
        ([5, None], "step is NULL"),
    ],
)
def test_what_is_out_of_order_old_or_unknown(store, steps, what):
    inspection = Inspection(TASK, trajectory_of(TASK, store.table("w")))
    for generation in range(4):
        step(store, inspection, generation, [generation + 1])
    if what is None:
        assert step(store, inspection, 4, steps) == (6, 6)
        return
    with pytest.raises(UsageError, match=what):
        step(store, inspection, 4, steps)


def test_rows_that_someone_else_has_added_between_two_steps_are_seen(store):
    inspection = Inspection(TASK, trajectory_of(TASK, store.table("w")))
    step(store, inspection, 0, [1])
    store.append("w", pa.table({"step": [9], "i": [0], "v": [0.0]}), "someone else")
    assert step(store, inspection, 1, [2]) == (9, 9)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_a_number_that_is_none_any_more(store, bad, rows):
    inspection = Inspection(TASK, trajectory_of(TASK, store.table("w")))
    step(store, inspection, 0, [1] * 5, [0.1, None, 0.2, 0.3, 0.4])
    with pytest.raises(DivergedError) as found:
        step(store, inspection, 1, [2] * rows, [None, *[0.1] * (rows - 2), bad][-rows:])
    assert found.value.column == "v"
    assert str(found.value.value) == str(bad)


@pytest.mark.parametrize("column", [np.float64("nan"), np.float64("inf")])
def test_drafts_are_looked_at_as_they_are(store, column):
    schema = store.table("w").definition.schema
    inspection = Inspection(TASK, trajectory_of(TASK, store.table("w")))

    def look(generation, *values):
        before = {"w": store.table("w")}
        with store.transaction():
            drafts = [Draft(1, (np.int64(generation + 1), np.int64(i), v), schema, 24) for i, v in enumerate(values)]
            store.append_drafts("w", drafts, "test", apart=frozenset())
            made = inspection.look(before, {"w": store.table("w")}, generation)
            assert store.table("w").chunks[-1].drafts  # nobody has written them out
        return made

    assert [look(generation, np.float64(0.5), np.float64(1.5)) for generation in range(3)] == [1, 2, 3]
    with pytest.raises(DivergedError) as found:
        look(3, np.float64(0.5), column)
    assert str(found.value.value) == str(column)
    assert store.table("w").rows == 2 + 3 * 2
