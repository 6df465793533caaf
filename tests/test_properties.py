"""What an object works out once: threads wait for what they ask for, and for nothing else."""

import threading

import pyarrow as pa
import pytest
from datafusion import udf

from sqlmagic_xr import Context
from sqlmagic_xr.properties import kept_property

SECONDS = 20


class Knot:
    """One whose properties need those of another, each in the middle of its work."""

    def __init__(self, meeting):
        self.meeting, self.other = meeting, None

    @kept_property
    def first(self):
        self.meeting.wait(SECONDS)
        return 1 if self.other is None else self.other.second

    @kept_property
    def second(self):
        self.meeting.wait(SECONDS)
        return 2 if self.other is None else self.other.first


def together(*asked):
    """What several threads are told; an error where one of them is told nothing."""
    told = [None] * len(asked)

    def ask(number):
        told[number] = asked[number]()

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    return told


def test_two_threads_within_two_properties_do_not_wait_for_each_other():
    meeting = threading.Barrier(2)
    one, two = Knot(meeting), Knot(meeting)
    one.other, two.other = Knot(meeting), Knot(meeting)
    assert together(lambda: one.first, lambda: two.second) == [2, 1]


def test_threads_that_ask_at_once_are_told_the_same_object():
    class Made:
        meeting = threading.Barrier(2)

        @kept_property
        def value(self):
            self.meeting.wait(SECONDS)
            return object()

    made = Made()
    first, second = together(lambda: made.value, lambda: made.value)
    assert first is second is made.value


WAYS = {
    "rows": lambda result: result.to_arrow_table().num_rows,
    "number": lambda result: len(result),
    "preview": lambda result: result.preview(5).total,
}


def meeting_context(meet):
    """A context with a function that calls ``meet`` for each batch that it is given."""
    context = Context()
    context.script("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2)")

    def met(values):
        meet()
        return values

    context.register_udf(udf(met, [pa.int64()], pa.int64(), "volatile", "met"))
    return context


@pytest.mark.parametrize("way", WAYS)
def test_a_result_does_not_wait_for_another(way):
    meeting = threading.Barrier(2)
    results = [meeting_context(lambda: meeting.wait(SECONDS)).script("SELECT max(met(a)) FROM t")[0] for _ in "ab"]
    assert together(*(lambda r=r: WAYS[way](r) for r in results)) == [1, 1]


def test_a_result_that_two_threads_ask_runs_once():
    met, meeting = [], threading.Barrier(2)
    result = meeting_context(lambda: met.append(1)).script("SELECT max(met(a)) AS n FROM t")[0]

    def rows():
        meeting.wait(SECONDS)
        return result.to_arrow_table()

    first, second = together(rows, rows)
    assert first is second
    assert first.to_pydict() == {"n": [2]}
    assert met == [1]
