"""The table object: versions, history, retention; what a plan scans; threads and readers."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqlmagic_xr.errors import ConstraintError, ExecutionError, UnknownNameError, UsageError
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.storage.chunk import FANOUT, Chunk, append
from sqlmagic_xr.storage.pruning import visible
from sqlmagic_xr.storage.scratch import Retention
from sqlmagic_xr.storage.store import ScratchStore
from tests.dealt import MANY, PACKED, dealing
from tests.engine.conftest import Db


def batch(*steps: int) -> pa.RecordBatch:
    return pa.record_batch({"step": pa.array(steps, pa.int64())})


@pytest.fixture(scope="class")
def trajectory() -> Db:
    """1,000 generations of two rows each."""
    db = Db()
    db.run("CREATE TABLE p (step BIGINT, i BIGINT, v DOUBLE, PRIMARY KEY (step, i))")
    table = db.store.scratch("p")
    for step in range(1000):
        table.append({"step": [step, step], "i": [0, 1], "v": [step + 0.25, step + 0.75]})
    return db


class TestVersions:
    def test_every_commit_makes_one(self, db):
        db.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); UPDATE t SET a = 3 WHERE a = 1; DELETE FROM t")
        table = db.store.scratch("t")
        assert table.version == 3
        lines = [(c.version, c.added, c.removed) for c in table.history()]
        assert lines == [(0, 0, 0), (1, 2, 0), (2, 1, 1), (3, 0, 2)]
        assert table.history()[2].statement == "UPDATE t SET a = 3 WHERE a = 1"
        assert abs(table.history()[2].when - time.time()) < 60
        assert [table.at(n).to_pydict()["a"] for n in range(4)] == [[], [1, 2], [3, 2], []]

    def test_restore_is_a_version_too(self, db):
        db.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1); ALTER TABLE t RENAME COLUMN a TO b; DELETE FROM t")
        table = db.store.scratch("t")
        table.restore(1)
        assert table.version == 4
        assert table.to_arrow().to_pydict() == {"a": [1]}
        assert table.history()[-1].statement == "restore(1)"
        assert db.rows("SELECT a FROM t") == [(1,)]

    def test_a_statement_that_changes_no_row_makes_none(self, db):
        db.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
        db.run("DELETE FROM t WHERE a = 2; UPDATE t SET a = 1 WHERE a = 2")
        assert db.store.scratch("t").version == 1

    def test_unchanged_chunks_are_shared(self, trajectory):
        table = trajectory.store.table("p")
        trajectory.run("UPDATE p SET v = 0 WHERE step = 999")
        after = trajectory.store.table("p")
        shared = {id(c) for c in table.chunks} & {id(c) for c in after.chunks}
        assert len(shared) == len(table.chunks) - 1

    def test_the_past_is_limited_in_versions_and_bytes(self, db):
        db.store.retention = Retention(versions=5, nbytes=2**20, commits=8)
        db.run("CREATE TABLE t (a BIGINT)")
        table = db.store.scratch("t")
        for n in range(30):
            table.append({"a": [n]})
        assert table.at(25).num_rows == 25
        with pytest.raises(UnknownNameError, match="no version 24 any more") as gone:
            table.at(24)
        assert "25 to 30" in str(gone.value.hint)
        with pytest.raises(UnknownNameError, match="has no version 31"):
            table.restore(31)
        assert [c.version for c in table.history()] == list(range(17, 31))
        big = np.zeros(100_000)
        for _ in range(4):
            db.store.retention = Retention(versions=100, nbytes=2**20)
            table.append({"a": big.astype(np.int64)})
            db.run("UPDATE t SET a = a + 1")
        held = sum(c.nbytes for v in table._current.lineage.past(table.version).values() for c in v.chunks)
        assert held < 8 * 2**20

    def test_100_versions_of_a_growing_table_hold_no_copies(self, db):
        db.run("CREATE TABLE t (a BIGINT)")
        table = db.store.scratch("t")
        for n in range(2000):
            table.append({"a": np.arange(n * 10, n * 10 + 10)})
        versions = [table._current, *table._current.lineage.past(table.version).values()]
        chunks = {id(c): c.nbytes for v in versions for c in v.chunks}
        assert len(versions) == db.store.retention.versions + 1
        assert sum(chunks.values()) < 3 * 8 * 20_000

    def test_what_it_says_of_itself(self, db):
        db.run("CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(5)); INSERT INTO t VALUES (1, 'x')")
        assert repr(db.store.scratch("t")) == "ScratchTable('t': 1 rows, version 1, a INT, b VARCHAR(5))"
        assert db.store.scratch("t").definition.key == ("a",)
        with pytest.raises(UnknownNameError, match="no scratch table `u`"):
            db.store.scratch("u")


class TestChunks:
    @given(st.lists(st.integers(0, 40), max_size=60))
    @example([MANY, 40, 0, MANY, 1])
    @settings(max_examples=60, deadline=None)
    def test_there_are_few_and_the_rows_keep_their_order(self, sizes):
        chunks: tuple[Chunk, ...] = ()
        expected: list[int] = []
        for size in sizes:
            rows = range(len(expected), len(expected) + size)
            chunks = append(chunks, Chunk(batch(*rows)))
            expected += rows
            for chunk in chunks[-2:]:
                assert chunk.bounds(0) is not None
        assert [v for c in chunks for v in c.batch.column(0).to_pylist()] == expected
        assert all(a.level >= b.level for a, b in pairwise(chunks))
        assert len(chunks) <= (FANOUT - 1) * (len(expected).bit_length() // 2 + 1)
        for chunk in chunks:
            values = chunk.batch.column(0).to_pylist()
            bounds = chunk.bounds(0)
            assert bounds is not None
            assert (bounds.low, bounds.high, bounds.ascending) == (values[0], values[-1], True)

    def test_bounds_know_nulls_and_nan(self):
        def bounds(*values: float | None) -> object:
            return Chunk(pa.record_batch({"v": pa.array(values, pa.float64())})).bounds(0)

        assert bounds(None, None) is None
        assert bounds(1.0, float("nan")) is None
        found = bounds(2.0, None, 1.0)
        assert found is not None
        assert (found.low, found.high, found.ascending) == (1.0, 2.0, False)


class TestPruning:
    @pytest.mark.parametrize(
        ("query", "rows"),
        [
            ("SELECT * FROM p WHERE step = 500", 2),
            ("SELECT * FROM p WHERE 500 = step AND v > 0", 2),
            ("SELECT * FROM p AS cur WHERE cur.step = 500 - 1", 2),
            ("SELECT * FROM p WHERE step > 10 AND step <= 13 AND i = 1", None),
            ("SELECT * FROM p WHERE step BETWEEN 3 AND 5", 6),
            ("SELECT * FROM p WHERE step IN (7, 9)", 6),
            ("SELECT * FROM p WHERE step = -1", 0),
            ("SELECT * FROM p WHERE v >= 999.75", 1),
            ("SELECT a.v FROM p a JOIN p b ON a.step = b.step + 1 WHERE a.step = 10 AND b.step = 9", 4),
            ("SELECT (SELECT max(v) FROM p WHERE step = 4) FROM p WHERE step = 6", 6),
            ("SELECT * FROM p a LEFT JOIN p b ON a.i = b.i AND b.step = 3 WHERE a.step = 7 AND b.step < 5", None),
        ],
    )
    def test_a_plan_scans_only_what_can_pass(self, trajectory, query, rows):
        version = trajectory.store.table("p")
        stretches = visible(parse_one(query).tree, {"p": version})["p"]
        scanned = sum(stop - start for _, start, stop in stretches)
        assert scanned < 40 if rows is None else scanned <= rows
        whole = trajectory.ctx.store.schema.visible()
        with trajectory.store.schema.pinned(whole, {}):
            expected = super(type(trajectory.ctx), trajectory.ctx).sql(query).to_pandas()
        assert sorted(map(repr, trajectory.rows(query))) == sorted(
            map(repr, expected.itertuples(index=False, name=None))
        )

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT * FROM p WHERE step = 5 OR i = 0",
            "SELECT * FROM p WHERE step = 5 UNION ALL TABLE p",
            "SELECT * FROM p a, p b WHERE step = 5",
            "SELECT * FROM p a, p b WHERE a.step = 5",
            "SELECT * FROM p WHERE NOT (step = 5)",
            "SELECT * FROM p WHERE step NOT IN (5)",
            "SELECT * FROM p WHERE step = 5.0",
            "SELECT * FROM p WHERE step + 0 = 5",
            "SELECT * FROM p WHERE step = 5 AND v = (SELECT max(v) FROM p)",
            "WITH p AS (SELECT * FROM p) SELECT * FROM p WHERE step = 5",
            "SELECT * FROM p AS q (a, b, c) WHERE q.a = 5",
        ],
    )
    def test_where_a_place_may_see_all_of_it_all_is_scanned(self, trajectory, query):
        assert visible(parse_one(query).tree, {"p": trajectory.store.table("p")}) == {}

    @pytest.mark.parametrize(("least", "whole"), [(10, True), (990, False), (5000, False)])
    def test_of_few_rows_most_are_read_off_the_table_that_is_kept(self, trajectory, least, whole):
        version = trajectory.store.table("p")
        steps = [row for row in version.to_arrow().column("step").to_pylist() if row > least]
        version.providers.clear()
        assert trajectory.rows(f"SELECT count(*), sum(step) FROM p WHERE step > {least}") == [
            (len(steps), sum(steps) or None)
        ]
        assert ("whole" in version.providers) == whole

    def test_the_engine_is_given_one_chunks_rows(self, trajectory):
        plan = trajectory.run("EXPLAIN ANALYZE SELECT v FROM p WHERE step = 123").to_pandas()
        assert "output_rows=2" in "".join(plan["plan"])
        assert "output_rows=2000" not in "".join(plan["plan"]).replace("K", "000").replace(".00 ", "")

    def test_key_checks_look_only_at_chunks_that_can_hold_the_key(self, trajectory):
        looked: list[int] = []
        version = trajectory.store.table("p")
        for chunk in version.chunks:
            assert not chunk._keys, "a growing key has needed no index so far"
        with pytest.raises(ConstraintError, match="step = 3, i = 1"):
            trajectory.store.scratch("p").append({"step": [3], "i": [1], "v": [0.0]})
        looked = [n for n, chunk in enumerate(version.chunks) if chunk._keys]
        assert looked == [0]

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.floats(-5, 5) | st.none()), max_size=25),
        *[st.integers(-1, 31)] * 2, st.floats(-5, 5), st.sampled_from([(1, False), (1, True)]),
    )  # fmt: skip
    @example([(3, 0.5), (1, None), (7, -2.0), (8, 4.0), (2, 1.0)], 2, 8, 1.0, (MANY // 5, PACKED))
    @settings(max_examples=30, deadline=None)
    def test_random_tables_and_ranges_lose_no_row(self, rows, low, high, bound, dealt):
        times, by_twos = dealt
        db = Db()
        dealing(db.ctx, by_twos).script("CREATE TABLE t (k INT, x DOUBLE)")
        for k, x in rows:
            db.store.scratch("t").append({"k": [k] * times, "x": [x] * times})
        found = db.rows(f"SELECT k, x FROM t WHERE k >= {low} AND k < {high} AND x <= {bound}")
        there = [(k, x) for k, x in rows if low <= k < high and x is not None and x <= bound]
        assert sorted(found) == sorted(there * times)


class TestThreads:
    def test_writers_are_serialised(self, db):
        db.run("CREATE TABLE t (k BIGINT PRIMARY KEY); CREATE TABLE n (total BIGINT); INSERT INTO n VALUES (0)")
        failures: list[BaseException] = []

        def write(offset: int) -> None:
            try:
                for k in range(25):
                    with db.store.transaction():
                        db.store.scratch("t").append({"k": [offset + k]})
                        db.run("UPDATE n SET total = total + 1")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(1000 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert db.rows("SELECT total, (SELECT count(*) FROM t) FROM n") == [(100, 100)]

    def test_readers_see_one_version_for_the_whole_statement(self, db):
        db.run(
            "CREATE TABLE a (x BIGINT); CREATE TABLE b (x BIGINT); INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)"
        )
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                with db.store.transaction():
                    db.run("UPDATE a SET x = x + 1")
                    db.run("UPDATE b SET x = x + 1")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            query = "SELECT a.x, b.x, (SELECT max(x) FROM a) FROM a CROSS JOIN b"
            seen = {row for _ in range(80) for row in db.rows(query)}
        finally:
            stop.set()
            writer.join(30)
        assert all(a == b == c for a, b, c in seen)
        assert len(seen) > 1

    def test_another_threads_open_transaction_is_not_seen_and_waited_for(self, db):
        db.run("CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1)")
        db.store.lock_timeout = 0.2
        outcome: list[object] = []

        def other() -> None:
            outcome.append(db.rows("SELECT count(*) FROM t"))
            try:
                db.run("INSERT INTO t VALUES (2)")
            except ExecutionError as error:
                outcome.append(error.what)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
        assert outcome[0] == [(0,)]
        assert "MainThread" in str(outcome[1])
        db.run("COMMIT")
        assert db.rows("SELECT count(*) FROM t") == [(1,)]

    def test_a_transaction_whose_thread_has_ended_is_rolled_back(self, db):
        db.run("CREATE TABLE t (a INT)")
        thread = threading.Thread(target=db.run, args=("BEGIN; INSERT INTO t VALUES (1)",))
        thread.start()
        thread.join(20)
        db.run("INSERT INTO t VALUES (2)")
        assert db.rows("SELECT a FROM t") == [(2,)]


def test_a_scratch_name_cannot_be_registered_over(db):
    db.run("CREATE TABLE t (a INT)")
    with pytest.raises(Exception, match="scratch table"):
        db.ctx.register_record_batches("t", [[batch(1)]])
    assert db.rows("SELECT count(*) FROM t") == [(0,)]


def test_rows_for_append_must_be_rows(db):
    db.run("CREATE TABLE t (a INT, b INT)")
    table = db.store.scratch("t")
    with pytest.raises(UsageError, match="not list"):
        table.append([1, 2])
    with pytest.raises(UsageError, match="different lengths"):
        table.append({"a": [1], "b": [1, 2]})
    with pytest.raises(UsageError, match="given twice"):
        table.append(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    assert table.append({}) == 0
    assert isinstance(db.store, ScratchStore)
