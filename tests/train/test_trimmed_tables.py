"""A DELETE of old generations keeps a trajectory short, within calls of many steps, and writes nothing out for it."""

import pytest

from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.events import Stepped
from sqlmagic_xr.train.start import train
from tests.train.test_many_steps import commits, same
from tests.train.test_updated_tables import assert_alike, context

STEP = "INSERT INTO p SELECT :next_step, p.j, p.a - 0.1 * m.v FROM p JOIN m ON p.j = m.j WHERE p.step = :k"
TWO = (
    "INSERT INTO p SELECT :next_step, p.j, p.a - 0.1 * b.a FROM p JOIN p b ON b.step = :k - 1 AND p.j = b.j "
    "WHERE p.step = :k"
)
NEWEST = "INSERT INTO p SELECT :next_step, j, 0.9 * a FROM p WHERE step = (SELECT MAX(step) FROM p)"
MANY = {
    "behind": f"{STEP}; DELETE FROM p WHERE step < :k - 2",
    "in front": f"DELETE FROM p WHERE step < :k - 2; {STEP}",
    "the other way round": f"{STEP}; DELETE FROM p WHERE (:next_step - 3 >= step)",
    "the newest alone": f"{STEP}; DELETE FROM p WHERE step <= :k",
    "the newest": f"{NEWEST}; DELETE FROM p WHERE step < :k",
    "the last two": f"{TWO}; DELETE FROM p WHERE step < :k",
    "a log": f"{STEP}; INSERT INTO log SELECT :next_step, AVG(a) FROM p WHERE step = :k; "
    "DELETE FROM log WHERE step < :k - 5",
    "with an UPDATE": f"UPDATE m SET v = 0.9 * v; {STEP}; DELETE FROM p WHERE step < :k - 2",
}
ONE_BY_ONE = {
    "the newest of those that stay": f"DELETE FROM p WHERE step < :k; {NEWEST}",
    "what is read": f"DELETE FROM p WHERE step < :k; {TWO.replace('JOIN p b', 'LEFT JOIN p b')}",
    "by a course": f"{STEP}; DELETE FROM p WHERE step < :k - CAST(10 * :random AS BIGINT)",
    "the least": "INSERT INTO p SELECT :next_step, j, a * (SELECT MIN(step) FROM p) FROM p WHERE step = :k; "
    "DELETE FROM p WHERE step < :k - 1",
    "another column": f"{STEP}; DELETE FROM p WHERE a < -5",
    "and a condition": f"{STEP}; DELETE FROM p WHERE step < :k - 2 AND j > 0",
    "a real number": f"{STEP}; DELETE FROM p WHERE step < 0.5 * :k",
}


def begun(cell):
    ctx = context(cell)
    ctx.script("CREATE TABLE log (step BIGINT PRIMARY KEY, s DOUBLE)")
    if "k - 1 AND" in cell:
        ctx.script("INSERT INTO p VALUES (-1, 0, 0.5), (-1, 1, 0.25), (-1, 2, 1.5)")
    return ctx


@pytest.mark.parametrize("cell", [*MANY.values(), *ONE_BY_ONE.values()], ids=[*MANY, *ONE_BY_ONE])
def test_the_rows_are_those_of_the_statements_as_they_stand(cell):
    ctx, theirs, options = begun(cell), begun(cell), {"steps": 9, "seed": 3}
    train(ctx, cell, **options)
    train(theirs, cell, verbatim=True, **options)
    assert_alike(ctx, theirs, cell)
    assert (commits(ctx, "p") < 10) == (cell in MANY.values())
    counts = [
        [sum(getattr(c, what) for c in each.scratch("p").history()) for each in (ctx, theirs)]
        for what in ("added", "removed")
    ]
    assert all(mine == other for mine, other in counts)


@pytest.mark.parametrize("each_step", [True, False])
def test_nobody_writes_the_rows_out_before_somebody_reads_them(each_step):
    cell = MANY["behind"]
    ctx = begun(cell)
    ctx.train(cell, steps=40, each_step=each_step)
    assert all(chunk.drafts for chunk in ctx.store.table("p").chunks)
    assert sorted(set(ctx.scratch("p").to_arrow()["step"].to_pylist())) == [37, 38, 39, 40]


def test_a_device_and_many_steps_leave_the_same():
    cell = MANY["the last two"]
    ctx, device = same(lambda: begun(cell), cell, steps=20), begun(cell)
    train(device, cell, steps=20, device="cpu")
    assert_alike(ctx, device, cell)


def test_a_run_is_taken_back_and_a_version_restored():
    cell = MANY["behind"]
    ctx = begun(cell)
    run = ctx.train(cell, steps=20)
    assert len(ctx.scratch("p")) == 12
    run.rollback()
    assert ctx.scratch("p").to_arrow()["step"].to_pylist() == [0, 0, 0]
    ctx.train(cell, steps=5, each_step=True)
    ctx.scratch("p").restore(ctx.scratch("p").version - 2)
    assert sorted(set(ctx.scratch("p").to_arrow()["step"].to_pylist())) == [0, 1, 2, 3]


def test_others_add_old_rows_between_two_calls():
    cell = MANY["behind"]

    def run(**options):
        ctx = begun(cell)

        def change(event):
            if isinstance(event, Stepped) and event.step == 3:
                ctx.script("INSERT INTO p VALUES (-7, 1, 0.5)")

        train(ctx, cell, steps=9, on_event=change, **options)
        return ctx

    assert_alike(run(), run(verbatim=True), cell)


def test_a_step_that_deletes_its_own_rows_is_told():
    cell = f"{STEP}; DELETE FROM p WHERE step <= :next_step"
    with pytest.raises(SqlError) as ours:
        train(begun(cell), cell, steps=5)
    with pytest.raises(SqlError) as theirs:
        train(begun(cell), cell, steps=5, verbatim=True)
    assert str(ours.value) == str(theirs.value)
