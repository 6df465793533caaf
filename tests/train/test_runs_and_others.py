"""A run beside others that write: nothing is put back that is not its own, and no two runs make one trajectory."""

import threading

import numpy as np
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, UsageError
from sqlmagic_xr.train.events import Started, Stepped

STEP = "INSERT INTO p SELECT :next_step, a + 1 FROM p WHERE step = :step"


@pytest.fixture
def ctx():
    context = Context()
    context.script(
        "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.0);CREATE TABLE log (n BIGINT)"
    )
    return context


def steps(ctx, table="p"):
    return ctx.sql(f"SELECT step FROM {table} ORDER BY step").to_arrow_table()["step"].to_pylist()


def at(number, what, kind=Stepped):
    """A callback that does something once, at the event that tells of a generation."""
    done = []

    def receive(event):
        if isinstance(event, kind) and event.generation == number and not done:
            done.append(event)
            what()

    return receive


class TestARunThatFailsBeforeItsFirstStep:
    def test_leaves_what_others_have_committed_meanwhile(self, ctx):
        late = ctx.train("INSERT INTO p SELECT :next_step, 1 / (:step - :step) FROM p WHERE step = :step", stream=True)
        ctx.train(STEP, steps=100)
        with pytest.raises(UsageError, match="stands at step = 100 and the run at 0"):
            list(late)
        assert steps(ctx) == list(range(101))

    def test_leaves_a_commit_between_its_beginning_and_its_step(self, ctx):
        ctx.script("CREATE TABLE q AS SELECT 1 AS a")
        with pytest.raises(SqlError):
            ctx.train(
                "INSERT INTO p SELECT :next_step, 1 / (:step - :step) FROM p WHERE step = :step", steps=3,
                on_event=at(0, lambda: ctx.script("UPDATE p SET a = 7"), Started),
            )  # fmt: skip
        assert ctx.scratch("p").to_arrow().to_pydict() == {"step": [0], "a": [7.0]}

    def test_puts_back_what_its_restart_dropped(self, ctx):
        ctx.train(STEP, steps=5)
        with pytest.raises(SqlError):
            ctx.train("INSERT INTO p SELECT :next_step, 1 / (:step - :step) FROM p WHERE step = 0", restart=True)
        assert steps(ctx) == list(range(6))

    def test_says_so_where_others_have_changed_what_it_restarted(self, ctx):
        ctx.train(STEP, steps=5)
        with pytest.raises(SqlError, match="not put back"):
            ctx.train(
                "INSERT INTO p SELECT :next_step, 1 / (:step - :step) FROM p WHERE step = 0", restart=True,
                on_event=at(0, lambda: ctx.script("UPDATE p SET a = 7"), Started),
            )  # fmt: skip
        assert ctx.scratch("p").to_arrow().to_pydict() == {"step": [0], "a": [7.0]}


class TestASecondRun:
    @pytest.mark.parametrize("kind", [Started, Stepped])
    def test_on_the_table_of_one_that_goes_on_is_refused(self, ctx, kind):
        def nested():
            with pytest.raises(UsageError, match="a run on `p` is going on already"):
                ctx.train(STEP, steps=3)

        run = ctx.train(STEP, steps=4, on_event=at(0 if kind is Started else 2, nested, kind))
        assert (run.status, run.generation, steps(ctx)) == ("done", 4, [0, 1, 2, 3, 4])

    def test_on_another_table_goes_on_inside(self, ctx):
        ctx.script("CREATE TABLE q (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO q VALUES (0, 0.0)")
        inner = STEP.replace(" p ", " q ")
        run = ctx.train(STEP, steps=4, on_event=at(2, lambda: ctx.train(inner, steps=3)))
        assert (run.generation, steps(ctx), steps(ctx, "q")) == (4, [0, 1, 2, 3, 4], [0, 1, 2, 3])

    def test_in_another_thread_is_refused(self, ctx):
        found = []

        def other():
            try:
                ctx.train(STEP, steps=3)
            except UsageError as error:
                found.append(error.what)

        def start():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

        run = ctx.train(STEP, steps=4, on_event=at(2, start))
        assert found == ["a run on `p` is going on already"]
        assert (run.status, steps(ctx)) == ("done", [0, 1, 2, 3, 4])

    def test_two_at_once_make_whole_generations(self, ctx):
        errors, runs = [], []

        def one():
            try:
                runs.append(ctx.train(STEP, steps=50))
            except UsageError as error:
                errors.append(error)

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(runs) + len(errors) == 4
        assert all(run.status == "done" for run in runs)
        assert steps(ctx) == list(range(50 * len(runs) + 1))

    def test_takes_over_from_a_stream_that_was_left(self, ctx):
        left = iter(ctx.train(STEP, steps=10, stream=True))
        while not isinstance(next(left), Stepped):
            pass
        assert ctx.train(STEP, steps=3).status == "done"
        with pytest.raises(UsageError, match="another run on `p` has begun"):
            list(left)
        assert steps(ctx) == [0, 1, 2, 3, 4]

    def test_may_follow_one_that_has_ended(self, ctx):
        for end in (lambda s: list(s), lambda s: next(iter(s))):
            end(ctx.train(STEP, steps=2, stream=True))
            ctx.train(STEP, steps=2)
        with pytest.raises(SqlError):
            ctx.train("INSERT INTO p SELECT :next_step, 1 / (:step - :step) FROM p WHERE step = :step")
        assert ctx.train(STEP, steps=1).status == "done"


class TestATrajectoryThatOthersChange:
    @pytest.mark.parametrize("way", [{}, {"executor": "relational"}, {"verbatim": True}])
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("DROP TABLE p", "`p` is gone"),
            ("ALTER TABLE p RENAME TO other", "`p` is gone"),
            ("DELETE FROM p WHERE step = 3", "`p` stands at step = 2 and the run at 3"),
            ("INSERT INTO p VALUES (9, 9.0)", "`p` stands at step = 9 and the run at 3"),
            ("TRUNCATE TABLE p", "`p` has no rows and the run at 3"),
            ("DROP TABLE p; CREATE TABLE p (a DOUBLE, step BIGINT); INSERT INTO p VALUES (1, 1)", "stands at step = 1"),
            ("ALTER TABLE p RENAME COLUMN step TO k", "`p` has no column `step`"),
            ("DROP TABLE p; CREATE VIEW p AS SELECT 3 AS step, 1.0 AS a", "`p` is gone"),
            (lambda ctx: ctx.scratch("p").restore(1), "`p` stands at step = 0 and the run at 3"),
        ],
    )
    def test_ends_the_run_with_the_reason(self, ctx, change, message, way):
        def do():
            ctx.script(change) if isinstance(change, str) else change(ctx)

        ended = []

        def receive(event):
            change_at(event)
            ended.append(event)

        change_at = at(3, do)
        with pytest.raises(SqlError, match=message):
            ctx.train(STEP, steps=6, on_event=receive, **way)
        assert (ended[-1].status, ended[-1].generation, ended[-1].steps) == ("failed", 3, 3)

    @pytest.mark.parametrize("way", [{}, {"executor": "relational"}, {"verbatim": True}])
    def test_goes_on_from_rows_that_were_changed(self, ctx, way):
        ctx.train(STEP, steps=4, on_event=at(2, lambda: ctx.script("UPDATE p SET a = 10 WHERE step = 2")), **way)
        assert ctx.sql("SELECT a FROM p ORDER BY step").to_arrow_table()["a"].to_pylist() == [0, 1, 10, 11, 12]

    @pytest.mark.parametrize("way", [{}, {"executor": "relational"}, {"verbatim": True}])
    def test_may_be_remade_with_its_columns_in_another_order(self, ctx, way):
        remake = (
            "CREATE TABLE copy AS SELECT a, step FROM p; DROP TABLE p; ALTER TABLE copy RENAME TO p;"
            "ALTER TABLE p ADD COLUMN b DOUBLE DEFAULT 5.0"
        )
        step = "INSERT INTO p (step, a) SELECT :next_step, a + 1 FROM p WHERE step = :step"
        ctx.train(step, steps=4, on_event=at(2, lambda: ctx.script(remake)), **way)
        found = ctx.sql("SELECT step, a, b FROM p ORDER BY step").to_arrow_table().to_pydict()
        assert found == {"step": [0, 1, 2, 3, 4], "a": [0, 1, 2, 3, 4], "b": [5.0] * 5}


class TestTheWayBack:
    def test_a_rollback_undoes_nobody_elses_commits(self, ctx):
        run = ctx.train(STEP, steps=4, on_event=at(2, lambda: ctx.script("UPDATE p SET a = 10 WHERE step = 1")))
        with pytest.raises(UsageError, match="others have changed `p` while the run went on"):
            run.rollback()
        assert len(steps(ctx)) == 5

    def test_a_rollback_looks_at_a_table_that_was_made_since(self, ctx):
        step = STEP + "; CREATE OR REPLACE TABLE best AS SELECT MAX(a) AS a FROM p"
        run = ctx.train(step, steps=2)
        ctx.script("DROP TABLE best; CREATE TABLE best AS SELECT 7 AS mine")
        with pytest.raises(UsageError, match="`best` has changed since the run"):
            run.rollback()
        assert ctx.scratch("best").to_arrow().to_pydict() == {"mine": [7]}
        ctx.script("DROP TABLE best")
        with pytest.raises(UsageError, match="`best` has changed since the run"):
            run.rollback()

    def test_a_table_of_the_same_version_number_is_not_taken_for_the_runs(self, ctx):
        run = ctx.train(STEP, steps=2)
        number = ctx.scratch("p").version
        ctx.script("DROP TABLE p; CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)")
        for k in range(number):
            ctx.script(f"INSERT INTO p VALUES ({k}, -1)")
        assert ctx.scratch("p").version == number
        with pytest.raises(UsageError, match="`p` has changed since the run"):
            run.rollback()

    def test_the_version_that_a_run_left_is_its_own(self, ctx):
        seen = []

        def receive(event):
            if isinstance(event, Stepped) and event.step == 3:
                seen.append(ctx.scratch("p").version)
                ctx.script("UPDATE p SET a = -1 WHERE step = 0")

        run = ctx.train(STEP, steps=3, on_event=receive)
        assert run.versions_after == {"p": seen[0]}
        with pytest.raises(UsageError, match=f"`p` has changed since the run, which left it at version {seen[0]}"):
            run.rollback()

    @pytest.mark.parametrize("when", [2, 4])
    def test_a_diverged_step_is_not_taken_back_over_others_commits(self, ctx, when):
        cell = STEP + "; SELECT step, CASE WHEN step < 3 THEN 1.0 ELSE CAST('nan' AS DOUBLE) END AS loss FROM p"
        change = at(when, lambda: ctx.script("UPDATE p SET a = a + 100 WHERE step = 1"))
        run = ctx.train(cell, steps=6, every=6, on_event=change)
        assert run.status == "diverged"
        kept = ctx.sql("SELECT a FROM p WHERE step = 1").to_arrow_table()["a"].to_pylist()
        assert kept == [101.0]
        assert (run.generation, steps(ctx)) == ((2, [0, 1, 2]) if when == 2 else (6, list(range(7))))
        assert ("others have changed" in run.message) == (when == 4)

    def test_a_transaction_of_the_callers_may_hold_the_run(self, ctx):
        ctx.script("BEGIN")
        run = ctx.train(STEP, steps=3)
        assert (run.status, steps(ctx)) == ("done", [0, 1, 2, 3])
        ctx.script("ROLLBACK")
        assert steps(ctx) == [0]
        with pytest.raises(UsageError, match="`p` has changed since the run"):
            run.rollback()

    def test_a_transaction_that_is_rolled_back_between_two_steps_ends_the_run(self, ctx):
        def receive(event):
            if isinstance(event, Stepped) and event.generation in (2, 4):
                ctx.script("BEGIN" if event.generation == 2 else "ROLLBACK")

        with pytest.raises(UsageError, match="`p` stands at step = 2 and the run at 4"):
            ctx.train(STEP, steps=6, on_event=receive)
        assert steps(ctx) == [0, 1, 2]

    def test_a_transaction_that_is_committed_between_two_steps_is_the_runs_own(self, ctx):
        def receive(event):
            if isinstance(event, Stepped) and event.generation in (2, 4):
                ctx.script("BEGIN" if event.generation == 2 else "COMMIT")

        run = ctx.train(STEP, steps=6, on_event=receive)
        run.rollback()
        assert steps(ctx) == [0]


def test_a_long_run_of_a_small_table_stays_the_runs_own(ctx):
    run = ctx.train(STEP, steps=300)
    assert run.holdings.disturbed == frozenset()
    assert np.array_equal(steps(ctx), np.arange(301))
    run.rollback()
    assert steps(ctx) == [0]
