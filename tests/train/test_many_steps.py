"""Many steps in one call leave what steps one by one leave, down to the last bit, whatever ends the run."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, TypeMismatchError
from sqlmagic_xr.storage import chunk
from sqlmagic_xr.train.events import Stepped
from sqlmagic_xr.train.start import train
from tests.dealt import MANY, PACKED, dealing
from tests.storage import programs
from tests.train import test_array_executor as networks
from tests.train import test_plan_equals_verbatim as random_steps
from tests.train import test_spellings as spellings

D = pa.table({"i": np.arange(50), "x": np.linspace(-1, 1, 50), "y": np.linspace(-1, 1, 50) * 2 + 0.5})
LINE = "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 0.0, 0.0)"
DESCEND = (
    "INSERT INTO p SELECT :next_step, cur.a + {rate} * AVG(x * (y - cur.a * x - cur.b)), "
    "cur.b + {rate} * AVG(y - cur.a * x - cur.b) FROM d CROSS JOIN (SELECT a, b FROM p WHERE step = {k}) cur "
    "{where} GROUP BY cur.a, cur.b"
)
CURVE = "SELECT step, AVG(power(y - a * x - b, 2)) AS loss FROM d CROSS JOIN p GROUP BY step"


def descend(rate=":lr", k=":k", where=""):
    return DESCEND.format(rate=rate, k=k, where=where)


def line(*more):
    ctx = Context(namespace=lambda: {"d": D})
    ctx.script("; ".join([LINE, *more]))
    return ctx


def spelled():
    ctx = Context(namespace=lambda: {"d": spellings.D})
    ctx.script(spellings.CREATE)
    return ctx


def left(ctx, cell, *, each_step, **options):
    """All tables after a run, and how it ended."""
    try:
        run = train(ctx, cell, each_step=each_step, **options)
        end = (run.status, run.message, run.generation, run.steps, [t.to_pylist() for t in run.curves])
    except SqlError as error:
        end = (type(error), str(error))
    entries = ctx.store.entries()
    return {name: entry.to_arrow() for name, entry in entries.items() if hasattr(entry, "chunks")}, end


def commits(ctx, table):
    return len(ctx.scratch(table).history())


def shown(rows, in_order=True):
    """The rows of a table as text, where NaN is NaN; a GROUP BY that is dealt out gives them no order."""
    return repr(rows.to_pydict()) if in_order else sorted(map(repr, rows.to_pylist()))


def same(make, cell, in_order=True, **options):
    """The context of the run with many steps a call, which has left the same."""
    alone, together = make(), make()
    expected, end = left(alone, cell, each_step=True, **options)
    found, other = left(together, cell, each_step=False, **options)
    assert repr(end) == repr(other)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name].schema == rows.schema, name
        assert shown(found[name], in_order) == shown(rows, in_order), name
    return together


PROGRAMS = {
    "line": (line, descend(), "p"),
    "schedule": (line, descend(rate=":sched"), "p"),
    "random batches": (line, descend(where="WHERE (7 * i + CAST(50 * :random AS BIGINT)) % 50 < 9"), "p"),
    "batches by step": (line, descend(where="WHERE i % 5 = :k % 5"), "p"),
    "batches of two sizes": (line, descend(where="WHERE i % 7 = :k % 7"), "p"),
    "batches of any size": (line, descend(where="WHERE (7 * i) % 50 < 3 + CAST(47 * :random AS BIGINT)"), "p"),
    "the newest": (line, descend(k="(SELECT MAX(step) FROM p)"), "p"),
    "two generations": (
        lambda: line("INSERT INTO p VALUES (-1, 0.5, -0.5)"),
        "INSERT INTO p SELECT :next_step, cur.a + 0.1 * AVG(x * (y - cur.a * x)) + 0.5 * (cur.a - b.a), "
        "cur.b + 0.25 * (cur.b - b.b) FROM d CROSS JOIN p cur JOIN p b ON b.step = :k - 1 WHERE cur.step = :k "
        "GROUP BY cur.a, cur.b, b.a, b.b",
        "p",
    ),
    "a seed": (line, "INSERT INTO p SELECT :next_step, a + :seed, b * :random FROM p WHERE step = :k", "p"),
    **{f"stored {n}": (lambda: programs.begin("", None), ";\n".join(s), "w") for n, s in programs.STEPS.items()},
    **{f"grid {n}": (networks.context, *networks.TASKS[n]) for n in networks.TASKS},
}
OPTIONS = {"params": {"lr": 0.1}, "schedule": {"sched": "0.2 * power(0.9, :step)"}, "seed": 5}


def options_of(cell):
    """What of the options a cell reads, and what those programs need that bring their own."""
    schedule = {"sched": "0.2 * power(0.9, :step)"} if ":sched" in cell else {}
    if "lr * g FROM w CROSS" in cell:
        return {"schedule": {"lr": "0.1 * power(0.999, :step)"}, "seed": 5}
    return {"params": {"lr": 0.05}, "schedule": schedule, "seed": 5}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_trajectory_is_the_same_and_few_commits_make_it(name):
    make, cell, table = PROGRAMS[name]
    ctx = same(make, cell, steps=45, **options_of(cell))
    assert commits(ctx, table) < 25, name


@pytest.mark.parametrize("name", ["line", "random batches", "batches by step", "two generations"])
def test_steps_over_more_rows_than_a_batch_holds(name, monkeypatch):
    x = np.linspace(-1, 1, MANY)
    monkeypatch.setitem(globals(), "D", pa.table({"i": np.arange(MANY), "x": x, "y": x * 2 + 0.5}))
    make, cell, table = PROGRAMS[name]
    ctx = same(lambda: dealing(make(), PACKED), cell, steps=12, **options_of(cell))
    assert len(ctx.scratch(table)) >= 13


@pytest.mark.parametrize("cell", spellings.STEPS)
def test_steps_of_every_spelling(cell):
    same(spelled, cell, steps=12)


@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    first=random_steps.inserts(), second=st.sampled_from(random_steps.SECOND),
    made=st.sampled_from(random_steps.MADE), d=random_steps.data, p=random_steps.state, w=random_steps.weights,
    twos=st.booleans(),
)  # fmt: skip
def test_random_steps(first, second, made, d, p, w, twos):
    rows = sum(row[0] == max((r[0] for r in p), default=0) for row in p)
    if rows != 1 or (made and "GROUP BY d.g" in made):
        return  # else the next generation has as many rows as the product of those before
    cell = "; ".join([*([made, random_steps.FROM_MADE] if made else []), first, *([second] if second else [])])
    if twos and ("LIMIT 1" in cell or "newest" in cell):
        return  # of the rows of a step it is any
    options = {"steps": 2 if twos else 4, "params": random_steps.PARAMETERS, "in_order": not twos}
    same(lambda: random_steps.context_of(d, p, w, twos), cell, **options)


class TestEnds:
    def test_divergence_ends_before_the_generation_that_is_none(self):
        ctx = same(line, descend(rate="3.0"), steps=5000)
        assert commits(ctx, "p") < 200
        assert np.isfinite(ctx.scratch("p").to_arrow()["a"].to_numpy()).all()

    def test_an_integer_divided_by_zero_is_the_error_of_its_step(self):
        cell = "INSERT INTO p SELECT :next_step, a + 10 / (20 - :k), b FROM p WHERE step = :k"
        ctx = same(line, cell, steps=50)
        assert ctx.scratch("p").to_arrow()["step"].to_pylist()[-1] == 20

    def test_a_comparison_with_nan_is_made_by_the_engine(self):
        cell = ("INSERT INTO p SELECT :next_step, a + 0.5, CASE WHEN sqrt(10.0 - a) > 1 THEN b + 1 ELSE b END FROM p "
                "WHERE step = :k")  # fmt: skip
        same(line, cell, steps=45)

    def test_a_duplicate_key(self):
        make = lambda: line("CREATE TABLE u (i BIGINT PRIMARY KEY)")  # noqa: E731
        cell = f"{descend()}; INSERT INTO u SELECT CASE WHEN :k = 23 THEN 7 ELSE :k END"
        ctx = same(make, cell, steps=50, params={"lr": 0.1})
        assert ctx.scratch("u").to_arrow()["i"].to_pylist() == list(range(23))

    def test_a_check_that_fails(self):
        make = lambda: line("ALTER TABLE p ADD CHECK (a < 20)")  # noqa: E731
        ctx = same(make, "INSERT INTO p SELECT :next_step, a + 1, b FROM p WHERE step = :k", steps=50)
        assert len(ctx.scratch("p")) == 20
        assert commits(ctx, "p") < 18

    def test_an_empty_group(self):
        same(line, descend(rate="0.1", where="WHERE i < 30 - :k"), steps=50)

    def test_a_null_where_there_was_none(self):
        cell = "INSERT INTO p SELECT :next_step, a + 1, CASE WHEN a < 21 THEN b + 1 END FROM p WHERE step = :k"
        same(line, cell, steps=40)

    def test_a_hole_where_there_was_none(self):
        cell = "INSERT INTO w SELECT :next_step, i, val * 0.9 FROM w WHERE step = :k AND (val > 0.5 OR i > 1)"
        same(lambda: programs.begin("", None), cell, steps=45)

    def test_a_schedule_without_a_value_at_a_later_step(self):
        options = {"schedule": {"lr": "CASE WHEN :step < 20 THEN 0.1 END"}}
        same(line, descend(), steps=40, **options)
        same(line, descend(), steps=20, **options)

    @pytest.mark.parametrize("every", [None, 1, 7])
    def test_curves(self, every):
        same(line, f"{descend()};\n{CURVE}", steps=60, every=every, params={"lr": 0.1})

    def test_a_curve_that_diverges_takes_back_what_lies_behind(self):
        curve = "SELECT step, ln(10.0 - a) AS l FROM p"
        ctx = same(line, f"INSERT INTO p SELECT :next_step, a + 0.25, b FROM p WHERE step = :k;\n{curve}", steps=500)
        assert len(ctx.scratch("p")) == 40

    @pytest.mark.parametrize("options", [{"until": "loss < 0.05"}, {"patience": 3}, {"until": "step >= 30"}])
    def test_until_and_patience(self, options):
        same(line, f"{descend()};\n{CURVE}", steps=500, params={"lr": 0.3}, **options)


class TestAfterwards:
    def test_rollback_restore_and_any_generation_by_its_step(self):
        ctx = line()
        run = ctx.train(descend(), steps=200, params={"lr": 0.1})
        assert ctx.query("SELECT COUNT(*) AS n FROM p WHERE step = 137")["n"][0].as_py() == 1
        whole = ctx.scratch("p").to_arrow()
        newest = ctx.scratch("p").version
        assert newest < 100
        run.rollback()
        assert len(ctx.scratch("p")) == 1
        ctx.scratch("p").restore(newest)
        assert ctx.scratch("p").to_arrow().equals(whole)

    def test_a_version_is_a_whole_number_of_steps(self):
        make = lambda: programs.begin("", None)  # noqa: E731
        ctx = make()
        programs.train(ctx, "adam", 100)
        for version in range(1, ctx.scratch("w").version + 1):
            steps = ctx.scratch("w").at(version)["step"].to_numpy()
            assert (np.bincount(steps) == 5).all()

    def test_going_on_from_where_another_run_ended(self):
        whole, parts = line(), line()
        whole.train(descend(), steps=90, params={"lr": 0.1}, seed=1)
        for steps in (1, 30, 59):
            parts.train(descend(), steps=steps, params={"lr": 0.1}, seed=1)
        assert parts.scratch("p").to_arrow().equals(whole.scratch("p").to_arrow())

    def test_others_may_change_the_state_between_two_calls(self):
        """Whoever watches events of many steps steers between them."""
        ctx, seen = line(), []

        def change(event):
            if type(event).__name__ == "Stepped":
                seen.append(event.step)
                if event.step >= 30 and "changed" not in seen:
                    ctx.script("UPDATE p SET a = 0.0, b = 0.0 WHERE step = (SELECT MAX(step) FROM p)")
                    seen.append("changed")

        ctx.train(descend(), steps=100, params={"lr": 0.1}, on_event=change, each_step=False)
        rows = ctx.scratch("p").to_arrow().to_pylist()
        (zero,) = [n for n, row in enumerate(rows) if row["a"] == 0.0 and n]
        fresh = line()
        fresh.train(descend(), steps=100 - zero, params={"lr": 0.1})
        assert [r["a"] for r in rows[zero:]] == fresh.scratch("p").to_arrow()["a"].to_pylist()


def test_whoever_receives_the_events_receives_one_of_each_step():
    ctx, events = line(), []
    ctx.train(descend(), steps=30, params={"lr": 0.1}, on_event=events.append)
    assert [e.step for e in events if isinstance(e, Stepped)] == list(range(1, 31))
    assert commits(ctx, "p") == 32  # the table, its first row, and a version for each step


def test_a_slider_acts_on_the_steps_behind_it():
    ctx = line()
    options = {"tune": {"lr": (0.0, 1.0)}, "params": {"lr": 0.1}}
    training = ctx.train(descend(), steps=200, stream=True, each_step=False, **options)
    at = None
    for event in training:
        if at is None and type(event).__name__ == "Stepped" and event.step > 20:
            training.control.tune("lr", 0.0)
            at = event.step
    a = ctx.scratch("p").to_arrow()["a"].to_numpy()
    assert (a[at:] == a[at]).all()
    assert a[at] != a[at - 1]


def test_explain_tells_how_many_steps_a_call_makes():
    ctx = line()
    (told,) = ctx.train(descend(), steps=2, params={"lr": 0.1}, stream=True).explain()
    assert "a call: many steps (NumPy)" in str(told)
    other = line("CREATE TABLE log (n BIGINT)")
    told = other.train(f"{descend()}; INSERT INTO log SELECT 7", steps=2, params={"lr": 0.1}, stream=True).explain()
    assert "a call: one step (not every row that is added to log has :next_step for a key)" in str(told[0])


@pytest.mark.parametrize("options", [{}, {"schedule": {"h": "0.5 / (:next_step % 3 + 1)"}}, {"executor": "relational"}])
@pytest.mark.parametrize(("kind", "last"), [("TINYINT", 127), ("BIGINT", 2**63 - 1)])
def test_a_run_ends_where_its_step_column_does(kind, last, options):
    ctx = Context()
    ctx.script(f"CREATE TABLE p (step {kind}, a DOUBLE); INSERT INTO p VALUES ({last - 5}, 1)")
    cell = f"INSERT INTO p SELECT :next_step, a * {':h' if 'schedule' in options else '0.5'} FROM p WHERE step = :step"
    with pytest.raises(TypeMismatchError, match=f"`p.step` is {kind} and cannot hold {last + 1}"):
        ctx.train(cell, steps=20, **options)
    assert ctx.scratch("p").to_arrow()["step"].to_pylist() == list(range(last - 5, last + 1))


def test_a_step_by_itself_looks_at_few_rows_of_the_steps_before(monkeypatch):
    """The bounds of the table that it adds to are carried on, and not found out again over all that was added."""
    parts, plain = [], chunk.span
    monkeypatch.setattr(chunk, "span", lambda bounds: (parts.append(len(bounds)), plain(bounds))[1])
    run = train(line(), descend(), each_step=True, steps=40, params={"lr": 0.1})
    assert run.steps == 40
    assert max(parts[-20:], default=0) <= 3
