"""Rows that are not written out: whoever looks at the table finds what was appended, and nothing is looked at twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqlmagic_xr.errors import ConstraintError
from sqlmagic_xr.storage.chunk import Chunk
from sqlmagic_xr.storage.draft import MOST, Draft
from sqlmagic_xr.storage.scratch import Retention
from tests.dealt import PACKED, dealing
from tests.engine.conftest import Db

WHOLE = [pa.field(name, pa.int64(), nullable=False) for name in ("step", "i")]
SCHEMA = pa.schema([*WHOLE, ("v", pa.float64())])
CREATE = "CREATE TABLE p (step BIGINT NOT NULL, i BIGINT, v DOUBLE, PRIMARY KEY (step, i))"


ACTS = ["draft", "draft", "draft", "drafts", "batch", "read", "begin"]


class Values:
    """A column that counts how often it is written out."""

    def __init__(self, values):
        self._values = np.asarray(values)
        self.asked = 0
        self.limits = None

    @property
    def distinct(self):
        return self._values

    def values(self):
        self.asked += 1
        return self._values


def draft(step, values, places=None):
    columns = (np.int64(step), Values(np.arange(len(values)) if places is None else places), Values(values))
    return Draft(len(values), columns, SCHEMA, 24 * len(values))


def rows(step, values):
    return [(step, i, v) for i, v in enumerate(values)]


def table_of(db):
    db.run(CREATE)
    return db.store.scratch("p")


def keep(db, *drafts, apart=frozenset({"i"})):
    return db.store.append_drafts("p", drafts, "INSERT", apart=apart)


def found(table):
    return list(zip(*table.to_pydict().values(), strict=True))


class TestReading:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(1, 3)), max_size=200), st.booleans())
    @example(
        [("draft", 20_000), ("drafts", 15_000), ("batch", 30_000), ("read", 1), ("begin", 9000), ("draft", 2)], PACKED
    )
    def test_the_table_is_what_was_appended_in_any_order(self, acts, by_twos):
        db = Db()
        dealing(db.ctx, by_twos)
        table, expected, step = table_of(db), [], 0
        past = {0: []}
        for act, size in acts:
            values = [step + place / 4 for place in range(size)]
            if act == "read":
                assert found(table.to_arrow()) == expected
                continue
            if act == "begin":
                db.store.begin()
                keep(db, draft(step, values))
                db.store.rollback()
                continue
            if act == "batch":
                table.append({"step": [step] * size, "i": range(size), "v": values})
                expected = expected + rows(step, values)
            else:
                steps = [step] if act == "draft" else [step, step + 1]
                keep(db, *(draft(s, values) for s in steps), apart=frozenset({"step", "i"}))
                expected = expected + [row for s in steps for row in rows(s, values)]
            step += 2
            past[table.version] = expected
        assert found(table.to_arrow()) == expected
        assert db.rows("SELECT * FROM p ORDER BY step, i") == expected
        version = db.store.table("p")
        assert sum(chunk.rows for chunk in version.chunks) == len(expected) == version.rows
        span = version.span(0)
        assert (span and (span.low, span.high)) == ((expected[0][0], expected[-1][0]) if expected else None)
        assert len(version.chunks) <= 4 * (len(expected).bit_length() // 2 + 2)
        for number in range(max(0, table.version - 60), table.version + 1):
            assert found(table.at(number)) == past[number]

    def test_nothing_is_written_out_before_somebody_reads(self, db):
        table_of(db)
        made = [draft(step, [0.5, 1.5]) for step in range(MOST)]
        for one in made:
            keep(db, one)
        assert db.store.table("p").span(0) == (0, MOST - 1, True)
        assert [cells.asked for one in made for cells in one.columns[1:]] == [0] * (2 * MOST)
        assert db.rows("SELECT count(*), max(v) FROM p WHERE step = 3") == [(2, 1.5)]
        assert db.rows("SELECT count(*) FROM p") == [(2 * MOST,)]
        assert [cells.asked for one in made for cells in one.columns[1:]] == [1] * (2 * MOST)

    def test_a_long_run_writes_each_row_out_once_and_holds_few_chunks(self, db):
        table = table_of(db)
        made = [draft(step, [0.5]) for step in range(1000)]
        for one in made:
            keep(db, one)
        assert max(cells.asked for one in made for cells in one.columns[1:]) == 1
        assert len(db.store.table("p").chunks) < 16
        assert found(table.to_arrow()) == [(step, 0, 0.5) for step in range(1000)]

    def test_the_past_counts_what_the_newest_does_not_share(self):
        db = Db()
        db.store.retention = Retention(versions=10, nbytes=500)
        table = table_of(db)
        for step in range(8):
            keep(db, draft(step, [1.0] * 10))  # 240 bytes each, and all of them are the newest version's too
        assert len(table.at(2)) == 20
        db.run("DELETE FROM p")
        with pytest.raises(Exception, match="no version 6 any more"):
            table.at(6)

    def test_large_drafts_count_since_a_reader_may_have_the_others_written_out(self):
        db = Db()
        db.store.retention = Retention(versions=10, nbytes=3 * 2**21)
        table = table_of(db)
        for step in range(8):
            keep(db, draft(step, np.ones(2**17)))  # three megabytes each
        assert len(table.at(table.version - 1)) == 7 * 2**17
        with pytest.raises(Exception, match=f"no version {table.version - 4} any more"):
            table.at(table.version - 4)


class TestChecks:
    def test_a_key_that_is_there_already(self, db):
        table_of(db)
        keep(db, draft(0, [1.0, 2.0]))
        keep(db, draft(1, [1.0]))
        with pytest.raises(ConstraintError, match="step = 0, i = 0 is in the table already, and 1 more"):
            keep(db, draft(0, [3.0, 4.0]))
        keep(db, draft(0, [3.0], places=[7]))
        assert db.rows("SELECT count(*) FROM p") == [(4,)]

    def test_a_key_that_comes_twice(self, db):
        table_of(db)
        with pytest.raises(ConstraintError, match="step = 2, i = 1 comes twice"):
            keep(db, draft(2, [3.0, 4.0], places=[1, 1]), apart=frozenset())
        # Two rows may lie apart in a column that is not the key's.
        with pytest.raises(ConstraintError, match="comes twice"):
            keep(db, draft(2, [3.0, 4.0], places=[1, 1]), apart=frozenset({"v"}))

    def test_a_check_reads_the_rows(self, db):
        db.run("CREATE TABLE p (step BIGINT NOT NULL, i BIGINT NOT NULL, v DOUBLE CHECK (v < 2))")
        keep(db, draft(0, [1.0]))
        with pytest.raises(ConstraintError, match=r"false for the row with step = 1, i = 1, v = 2.0"):
            keep(db, draft(1, [1.0, 2.0]))
        assert db.rows("SELECT step, v FROM p") == [(0, 1.0)]


def test_the_numbers_of_drafts_are_seen_without_writing_them_out():
    one, other = draft(4, [0.5, np.nan]), draft(5, [1.5])
    chunk = Chunk((one, other))
    assert np.concatenate([np.ravel(cells) for cells in chunk.numbers(0)]).tolist() == [4, 5]
    assert np.isnan(np.concatenate([np.ravel(cells) for cells in chunk.numbers(2)])).sum() == 1
    assert one.columns[2].asked == 0
    assert chunk.nbytes == 3 * 24
    assert chunk.batch.column(2).to_pylist()[0] == 0.5
    assert [len(cells) for cells in chunk.numbers(2)] == [3]


def test_bounds_of_what_is_no_number_are_those_of_the_rows():
    schema = pa.schema([("a", pa.float64()), ("b", pa.string()), ("c", pa.bool_())])
    chunk = Chunk((Draft(2, (np.float64("nan"), np.str_("x"), np.True_), schema, 10),))
    assert [chunk.bounds(place) for place in range(3)] == [None] * 3
    assert chunk.batch.to_pydict()["b"] == ["x", "x"]
    assert chunk.batch.to_pydict()["c"] == [True, True]
