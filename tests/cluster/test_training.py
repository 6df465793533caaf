"""Training on a dask cluster of two worker processes: the same rows as here, whatever happens to the workers."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr.cluster import parts
from sqlmagic_xr.errors import ClusterError
from sqlmagic_xr.queries import answer
from tests.cluster import cells
from tests.cluster.data import context, noting, slow
from tests.cluster.runs import (
    STEP,
    UNHEARD,
    assert_the_same,
    finish,
    full,
    in_time,
    left,
    nobody_is_at_work,
    on_the_shelf,
    over,
    pids,
    trained,
    training,
    written_to_disk,
)
from tests.queries.gridded.same import by_arrays

pytest.importorskip("distributed")
pytestmark = UNHEARD


def test_a_run_has_its_chunks_on_the_cluster_and_the_same_rows_as_here(client, store, expected):
    found = []
    for _ in range(2):
        ctx, run = training(store)
        explained = str(run.explain()[0])
        assert "executor: cluster" in explained
        assert "on the cluster: air, hum (8.6 MB in the memory of 2 workers" in explained
        before = ctx.chunks_read
        finish(run)
        assert ctx.chunks_read - before == 40  # ten chunks a step
        assert_the_same(ctx, expected)
        found.append(trained(ctx))
    assert found[0].equals(found[1])


def test_what_does_not_fit_the_workers_is_read_each_step_and_explain_says_so(client, store, expected, monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.cluster.holding._SHARE", 0.001)
    ctx, run = training(store)
    assert "on the cluster: air, hum (read each step: 8.6 MB exceed the 2.0 MB" in str(run.explain()[0])
    finish(run)
    assert_the_same(ctx, expected)


def test_what_array_code_does_not_cover_runs_here_and_explain_says_so(client, store, monkeypatch):
    odd = "INSERT INTO w SELECT :next_step, w.a + approx_distinct(t.n) / 100, w.b FROM w CROSS JOIN t WHERE w.step = :k"
    ctx, run = training(store, f"{odd} GROUP BY w.a, w.b", steps=1)
    assert "not cluster: runs here (no array code over chunks for approx_distinct)" in str(run.explain()[0])
    finish(run)
    assert len(trained(ctx)) == 2
    monkeypatch.setattr("sqlmagic_xr.train.steps.remote._LITTLE", 1_000)
    ctx, run = training(store, f"{odd} GROUP BY w.a, w.b", steps=1)
    assert "exceed the 1.0 kB that may be kept in memory: it is read each step" in str(run.explain()[0])
    finish(run)
    assert len(trained(ctx)) == 2


@pytest.mark.parametrize("name", {**cells.ON_THE_CLUSTER, **cells.HERE})
def test_training_cells_leave_the_same_rows_on_a_cluster_bit_by_bit_each_time(client, store, name, monkeypatch):
    found, anew = [], []

    def over_chunks(*args):
        anew.append(name)
        return answer.over_chunks(*args)

    monkeypatch.setattr("sqlmagic_xr.context.ArrayCode.over_chunks", lambda _, *args: over_chunks(*args))
    for options in ({"client": "none"}, {}, {}):
        ctx = context(store, **options)
        ctx.script(cells.CREATE)
        run = ctx.train({**cells.ON_THE_CLUSTER, **cells.HERE}[name], steps=3, params={"lr": 0.1}, stream=True)
        finish(run)
        executors = [explained.executor for explained in run.explain()]
        tables = [ctx.sql(f"SELECT * FROM {table}").to_arrow_table() for table in cells.TABLES]
        found.append([in_order(rows) for rows in (*tables, *run.run.curves)])
    here, *there = found
    assert all(one.equals(other) for one, other in zip(*there, strict=True))
    for one, other in zip(here, there[0], strict=True):
        for mine, column in zip(one.columns, other.columns, strict=True):
            np.testing.assert_allclose(column.to_numpy(), mine.to_numpy(), rtol=1e-12, atol=1e-300)
    assert ("cluster" in executors) == (name in cells.ON_THE_CLUSTER)
    if name in cells.ON_THE_CLUSTER and "no number" not in name:
        assert bool(anew) == (name in cells.ANEW), "a step is planned once, where nothing but numbers differs"


def in_order(rows):
    return rows.sort_by([(column, "ascending") for column in rows.column_names])


def test_a_run_and_its_curves_read_each_chunk_once(client, store, expected, tmp_path):
    """What workers read is noted in a file; the notebook reads none."""
    note = tmp_path / "reads"
    ctx = over(noting(xr.open_zarr(store, consolidated=False, chunks={}), note))
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO w VALUES (0, 0.0, 0.0)")
    loss = "SELECT w.step, AVG(power(w.a * t.hum + w.b - t.air / 100, 2)) AS loss FROM d t CROSS JOIN w GROUP BY w.step"
    run = ctx.train(f"{STEP.replace('CROSS JOIN t', 'CROSS JOIN d t')}; {loss}", steps=4, stream=True)
    tasks = set()
    for event in run:
        if type(event).__name__ == "Stepped":
            assert [len(there) for there in client.run(on_the_shelf).values()] == [10, 10]
            assert all(client.run(written_to_disk).values())
            tasks.add(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter))
    assert len(tasks) == 1, "after the first step, workers are called, and the scheduler has no task"
    assert run.run.curves[0].num_rows == 5
    assert len(note.read_text().split()) == 2 * 10
    assert str(os.getpid()) not in note.read_text().split()
    assert_the_same(ctx, expected)
    in_time(lambda: sum(map(len, client.run(on_the_shelf).values())) == 0)


def test_parts_are_shared_out_by_threads_and_a_dead_workers_go_to_a_new_one():
    regions = [(slice(n, n + 1),) for n in range(8)]
    two = parts.shared_out(regions, {"a": 1, "b": 3})
    assert [(len(part), part.lanes) for part in two] == [(6, 3), (2, 1)]
    assert [len(piece) for piece in parts.pieces(two[0], ("x", "y", "z"))] == [2, 2, 2]
    assert [region for part in two for region in part.regions] == regions
    assert [part.lanes for part in parts.shared_out(regions[:3], {"a": 1, "b": 4})] == [2, 1]
    assert parts.placed(2, {"a": 1, "b": 3}) == [("b",), ("a",)]
    places = [("b",), ("a",)]
    assert parts.taken_over(two, places, {"a": 1, "b": 3}) == {}
    assert parts.taken_over(two, places, {"b": 3, "c": 1}) == {1: ("b",)}, "c has to get ready first"
    split = parts.taken_over(two, places, {"a": 1, "c": 3})
    assert split == {0: ("a", "a", "a")}
    three = parts.shared_out(regions, {"a": 1, "b": 3, "c": 1})
    assert parts.taken_over(three, [("b",), ("a",), ("c",)], {"a": 1, "c": 1}) == {0: ("a", "c", "a")}
    assert parts.taken_over(two, places, {"c": 1, "d": 2}) == {0: ("c",), 1: ("d",)}, "nobody else is left"
    assert parts.returned(places, {"a": 1, "b": 3, "c": 3}) == {}, "each has his own"
    assert parts.returned([split[0], ("a",)], {"a": 1}) == {}
    assert parts.returned([split[0], ("a",)], {"a": 1, "c": 3, "d": 1}) == {0: ("c",)}
    assert parts.returned([("b",), ("b",)], {"b": 3, "d": 1}) == {1: ("d",)}


def test_threads_share_a_part_and_several_workers_have_that_of_a_dead_one_to_the_same_bits(
    client, store, expected, monkeypatch
):
    first, second = client.nthreads()
    monkeypatch.setattr("sqlmagic_xr.cluster.layout._LOOK", 0.0)
    found = []
    for split in ({}, {0: (second, first)}):
        monkeypatch.setattr("sqlmagic_xr.cluster.layout.taken_over", lambda *_, split=split: split)
        ctx, run = training(store)
        finish(run)
        assert_the_same(ctx, expected)
        found.append(trained(ctx))
    assert found[0].equals(found[1])


def test_what_a_worker_has_no_room_for_is_read_each_step(client, store, expected):
    client.run(full, 0.0)
    try:
        ctx, run = training(store)
        for _ in run:
            assert not any(client.run(on_the_shelf).values())
    finally:
        client.run(full, 0.75)
    assert_the_same(ctx, expected)


@pytest.mark.parametrize("by", ["calls", "tasks"])
def test_ctrl_c_ends_a_run_at_its_last_whole_generation_and_what_the_workers_do(client, monkeypatch, by):
    if by == "tasks":
        monkeypatch.setattr("sqlmagic_xr.cluster.holding._SHARE", 1e-9)
    client.run(full, 0.0)  # so that each step reads its chunks, which takes a second
    ctx = over(slow(0.05))
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO w VALUES (0, 0.0)")
    step = "INSERT INTO w SELECT :next_step, w.a - 0.1 * AVG(w.a - d.v) FROM w CROSS JOIN d WHERE w.step = :k"
    run = ctx.train(f"{step} GROUP BY w.a", steps=50, stream=True)
    steps = []

    def interrupt(event):
        if type(event).__name__ == "Stepped":
            steps.append(event.step)
            if len(steps) == 2:
                threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()

    try:
        with pytest.raises(KeyboardInterrupt):
            finish(run, interrupt)
        assert run.run.status == "interrupted"
        assert ctx.sql("SELECT MAX(step) AS k, COUNT(a) AS n FROM w").to_arrow_table().to_pylist() == [
            {"k": steps[-1], "n": len(steps) + 1}
        ]
        in_time(lambda: left(client) == ([], 0, 0))
    finally:
        client.run(full, 0.75)


# What the workers do not survive


def test_a_worker_that_is_killed_changes_nothing(client, store, monkeypatch):
    """It is killed in the middle of a query, between two steps of a run whose chunks it held; a new one gets them."""
    monkeypatch.setattr("sqlmagic_xr.cluster.layout._LOOK", 0.0)
    ctx, run = training(store, steps=7)
    events = iter(run)
    while type(next(events)).__name__ != "Stepped":
        pass
    victim, begin = pids(client)[0], time.monotonic()
    threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
    found = by_arrays(over(slow(0.1, size=20)), "SELECT x % 3 AS k, SUM(v) AS s FROM d GROUP BY 1")
    assert sorted(found.to_pylist(), key=lambda row: row["k"]) == [{"k": k, "s": 1_900_000.0} for k in range(3)]
    client.wait_for_workers(2, timeout=60)
    assert victim not in pids(client)
    shelves = []
    for event in events:
        if type(event).__name__ == "Stepped":
            shelves.append(sorted(map(len, client.run(on_the_shelf).values())))
            nobody_is_at_work(run)
    assert [0, 20] in shelves, "a step goes on where the chunks are, and waits for no new worker"
    assert shelves[-1] == [10, 10]
    assert run.run.status == "done"
    here, alone = training(store, steps=7, client="none")
    finish(alone)
    assert_the_same(ctx, trained(here))
    assert time.monotonic() - begin < 60


def test_without_workers_a_query_says_so_and_a_run_goes_on_when_they_are_back(client, store, expected, monkeypatch):
    monkeypatch.setattr("sqlmagic_xr.cluster.tasks.GONE", 3.0)
    ctx, run = training(store)
    events = iter(run)
    for event in events:
        if type(event).__name__ == "Stepped" and event.step == 2:
            break
    slowly = over(slow(0.2))
    threading.Timer(0.5, client.cluster.scale, (0,)).start()
    begin = time.monotonic()
    try:
        with pytest.raises(ClusterError, match=r"the workers of the dask cluster at .* are gone"):
            by_arrays(slowly, "SELECT SUM(v) AS s FROM d")
        assert time.monotonic() - begin < 60
        with pytest.raises(ClusterError, match="has no worker"):
            by_arrays(slowly, "SELECT SUM(v) AS s FROM d")
        with pytest.raises(ClusterError, match=r"has no worker|are gone"):
            finish(events)
        assert run.run.status == "failed"
        assert len(trained(ctx)) == 3
    finally:
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
    finish(ctx.train(STEP, steps=2, stream=True))
    assert_the_same(ctx, expected)
