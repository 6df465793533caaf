"""Curves that steps calculate themselves: what ends a run ends it at its generation, with many steps a call too."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.train.curves.curve import Curve
from sqlmagic_xr.train.events import Stepped
from sqlmagic_xr.train.start import train
from tests.dealt import MANY, PACKED, dealing
from tests.train.test_many_steps import CURVE, PROGRAMS, commits, descend, left, options_of

HELD = pa.table({"i": np.arange(30), "u": np.linspace(-2, 2, 30), "v": np.linspace(-2, 2, 30) * 2 + 0.4})
HELD_OUT = "SELECT step, sqrt(AVG(power(v - a * u - b, 2))) AS held FROM h CROSS JOIN p GROUP BY step"
BY_KEY = (
    "SELECT p.step, d.i % 3 AS third, AVG(abs(d.y - a * d.x - b)) AS l FROM d CROSS JOIN p GROUP BY p.step, d.i % 3"
)
BY_ROW = "SELECT p.step, d.i AS i, d.y - a * d.x - b AS l FROM d CROSS JOIN p"
OWN = "SELECT step, a * a + b * b AS size FROM p"
NOT_AT_FIRST = "SELECT step, ln(a) AS l FROM p"


def many(monkeypatch, most):
    """Calls of at most so many steps, that end where ``every`` asks for it."""
    if most is not None:
        monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(most, *limits)))


def near(end):
    """An end in which sums may have been taken in any order: numbers to twelve digits, points in an order of ours."""
    if len(end) == 2:  # an error
        return end
    status, _, generation, steps, curves = end
    told = [sorted(tuple(f"{value:.12g}" for value in row.values()) for row in rows) for rows in curves]
    return status, generation, steps, told


def same(make, cell, monkeypatch, calls=(7, None), tell=repr, **options):
    """The last of some runs with many steps a call, each of which has left what steps by themselves leave."""
    alone, ctx = make(), None
    expected, end = left(alone, cell, each_step=True, **options)
    for most in calls:
        with monkeypatch.context() as patch:
            many(patch, most)
            ctx = make()
            found, other = left(ctx, cell, each_step=False, **options)
        assert tell(end) == tell(other), most
        for name, rows in expected.items():
            assert repr(found[name].to_pydict()) == repr(rows.to_pydict()), (most, name)
    return ctx


class Asked:
    """How many queries each curve has asked."""

    def __init__(self, monkeypatch):
        self.counts = Counter()
        query = Curve._query

        def counted(curve, *given):
            self.counts[curve.statement.text] += 1
            return query(curve, *given)

        monkeypatch.setattr(Curve, "_query", counted)


DATA = pa.table({"i": np.arange(50), "x": np.linspace(-1, 1, 50), "y": np.linspace(-1, 1, 50) * 2 + 0.5})


def context(data=DATA):
    ctx = Context(namespace=lambda: {"d": data, "h": HELD})
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 0.0, 0.0)")
    return ctx


@pytest.mark.parametrize("curve", [CURVE, HELD_OUT, OWN, BY_KEY, BY_ROW])
def test_a_curve_asks_one_query_and_has_all_its_points(curve, monkeypatch):
    asked, ctx, verbatim = Asked(monkeypatch), context(), context()
    run = ctx.train(f"{descend()};\n{curve}", steps=25, params={"lr": 0.2})
    assert set(asked.counts.values()) == {1}
    assert commits(ctx, "p") < 12
    other = verbatim.train(f"{descend()};\n{curve}", steps=25, params={"lr": 0.2}, verbatim=True)
    keys = [(name, "ascending") for name in run.curves[0].column_names if name in ("step", "third", "i")]
    mine, theirs = run.curves[0].sort_by(keys), other.curves[0].sort_by(keys)
    assert mine.schema == theirs.schema
    for name in mine.column_names:
        np.testing.assert_allclose(mine[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "options",
    [{"until": "loss < 0.05"}, {"until": "held < 0.3 AND loss < 0.1"}, {"until": "step >= :last"}, {"patience": 3},
     {"patience": 2, "until": "loss < 1e-20"}, {"until": "loss < 0.3 - 0.01 * :k"}],
    ids=str,
)  # fmt: skip
def test_a_run_ends_where_single_steps_end(options, monkeypatch):
    cell = f"{descend()};\n{CURVE};\n{HELD_OUT}"
    params = {"lr": 0.3, **({"last": 60} if ":last" in options.get("until", "") else {})}
    ctx = same(context, cell, monkeypatch, calls=(None, 7), steps=200, params=params, **options)
    ((steps,),) = ctx.script("SELECT MAX(step) FROM p")[0]
    assert commits(ctx, "p") <= steps / 7 + 4


@pytest.mark.parametrize("options", [{"until": "loss < 0.05"}, {"patience": 4}], ids=str)
@pytest.mark.parametrize("optimizer", ["sgd(lr => 0.3)", "adam(lr => 0.2)"])
def test_a_minimize_ends_where_single_steps_end(optimizer, options, monkeypatch):
    cell = f"MINIMIZE (SELECT AVG(power(d.y - p.a * d.x - p.b, 2)) FROM d CROSS JOIN p) OVER p USING {optimizer}"
    ctx = same(context, cell, monkeypatch, calls=(None, 7), steps=120, **options)
    ((steps,),) = ctx.script("SELECT MAX(step) FROM p")[0]
    assert commits(ctx, "p") <= steps / 7 + 4


@pytest.mark.parametrize("name", ["line", "schedule", "the newest", "two generations", "a seed", "grid network"])
def test_programs_with_their_own_curve(name, monkeypatch):
    make, cell, table = PROGRAMS[name]
    column = next(c for c in make().store.table(table).definition.names if c in ("a", "v", "val", "w"))
    curve = f"SELECT step, SUM({column} * {column}) AS size FROM {table} GROUP BY step"
    asked = Asked(monkeypatch)
    same(make, f"{cell};\n{curve}", monkeypatch, steps=30, until="size > 1e6", **options_of(cell))
    begin = 2 if name == "two generations" else 1
    assert set(asked.counts.values()) == {3 * begin}, "those before the first step, in each of the runs"


@pytest.mark.parametrize(
    ("cell", "curve", "options"),
    [
        (descend(rate="3.0"), CURVE, {"until": "loss < 0"}),
        ("INSERT INTO p SELECT :next_step, a + 0.25, b FROM p WHERE step = :k", "SELECT step, ln(5.0 - a) AS l FROM p",
         {"patience": 50}),
        ("INSERT INTO p SELECT :next_step, a + 0.25, b FROM p WHERE step = :k",
         "SELECT step, CASE WHEN a < 4 THEN a END AS l FROM p", {"until": "l IS NULL"}),
        ("INSERT INTO p SELECT :next_step, a + 0.25, b FROM p WHERE step = :k",
         "SELECT step, 10 / (20 - step) AS l FROM p", {"until": "l > 50"}),
        (descend(), "SELECT step, a AS l, ln(-1.0 - a * a) AS never FROM p", {"until": "step = 25"}),
    ],
    ids=["overflows", "becomes NaN", "becomes NULL", "divides by zero", "never a number"],
)  # fmt: skip
def test_what_has_to_be_looked_at(cell, curve, options, monkeypatch):
    same(context, f"{cell};\n{curve}", monkeypatch, steps=400, params={"lr": 0.1} if ":lr" in cell else {}, **options)


@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    rate=st.floats(0.01, 1.2), where=st.sampled_from(["", "WHERE i % 5 = :k % 5", "WHERE x > -0.5"]),
    curves=st.lists(st.sampled_from([CURVE, HELD_OUT, OWN, BY_KEY]), min_size=1, max_size=3, unique=True),
    patience=st.sampled_from([None, 1, 5]), bound=st.floats(0.001, 3.0), most=st.sampled_from([7, 40, None]),
    twos=st.booleans(),
)  # fmt: skip
def test_random_ends(rate, where, curves, patience, bound, most, twos):
    first = {CURVE: "loss", HELD_OUT: "held", OWN: "size", BY_KEY: "l"}[curves[0]]
    cell, options = ";\n".join([descend(where=where), *curves]), {"patience": patience, "until": f"{first} < {bound}"}
    with pytest.MonkeyPatch.context() as patch:
        tell, options = near if twos else repr, {**options, "steps": 50, "params": {"lr": rate}}
        same(lambda: dealing(context(), twos), cell, patch, (most,), tell, **options)


@pytest.mark.parametrize("curve", [CURVE, BY_KEY, BY_ROW])
def test_a_curve_over_more_rows_than_a_batch_holds(curve):
    """It is what its query says afterwards, number by number."""
    x = np.random.default_rng(5).permutation(np.linspace(-1, 1, MANY))
    ctx = dealing(context(pa.table({"i": np.arange(MANY), "x": x, "y": x * 2 + 0.5})), PACKED)
    run = ctx.train(f"{descend()};\n{curve}", steps=3, params={"lr": 0.2})
    keys = [(name, "ascending") for name in run.curves[0].column_names if name in ("step", "third", "i")]
    mine, theirs = run.curves[0].sort_by(keys), ctx.query(curve).sort_by(keys)
    assert mine.num_rows == theirs.num_rows >= 4
    for name in theirs.column_names:
        np.testing.assert_allclose(mine[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-11, atol=1e-13)


def test_a_slider_and_a_stop_act_at_the_end_of_a_call():
    """With calls that end at every seventh step, a slider that is moved there moves the same steps."""
    assert steered(1) == steered(7)


def steered(most):
    """The table and the curve of a run whose slider is moved behind step 21, and which is stopped behind step 63."""
    ctx = context()
    with pytest.MonkeyPatch.context() as patch:
        many(patch, most)
        training = train(
            ctx, f"{descend()};\n{CURVE}", steps=300, stream=True, each_step=False, every=7, params={"lr": 0.1},
            tune={"lr": (0.0, 1.0)},
        )  # fmt: skip
        for event in training:
            if isinstance(event, Stepped) and event.step == 21:
                training.control.tune("lr", 0.4)
            if isinstance(event, Stepped) and event.step == 63:
                training.control.stop()
    run = training.run
    assert (run.status, run.steps, commits(ctx, "p") < 40) == ("stopped", 63, most > 1)
    return ctx.scratch("p").to_arrow().to_pydict(), run.curves[0].to_pydict()


def test_held_out_data_that_are_exchanged_are_read_anew(monkeypatch):
    """A notebook may rebind what a curve reads between two calls."""
    data = {"d": DATA, "h": HELD}
    ctx = Context(namespace=lambda: data)
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 0.0, 0.0)")
    training = train(ctx, f"{descend()};\n{HELD_OUT}", steps=60, stream=True, each_step=False, params={"lr": 0.1})
    for event in training:
        if isinstance(event, Stepped) and event.step >= 20 and data["h"] is HELD:
            data["h"] = HELD.set_column(2, "v", pa.array(np.zeros(30)))
    expected = ctx.query(HELD_OUT + " ORDER BY step")
    np.testing.assert_allclose(training.run.curves[0]["held"].to_numpy(), expected["held"].to_numpy(), rtol=1e-12)


def test_explain_tells_which_curves_are_calculated_with_the_steps():
    cell = f"{descend()};\n{CURVE};\nSELECT step, a FROM p ORDER BY step LIMIT 3"
    (told,) = context().train(cell, steps=2, params={"lr": 0.1}, stream=True).explain()
    assert "curves: 1 of 2 (calculated with each step)" in str(told)


DECLINED = (
    "SELECT step, AVG(power(y - a * x - b, 2)) AS loss, MAX(CAST(a AS VARCHAR)) AS said FROM d CROSS JOIN p {} "
    "GROUP BY step"
)


@pytest.mark.parametrize(
    ("curve", "options"),
    [
        (DECLINED.format(""), {"until": "loss < 0.05"}),
        (DECLINED.format(""), {"until": "said LIKE '1.5%'"}),
        (DECLINED.format(""), {"until": "loss < 0.3 - 0.01 * :k"}),
        (DECLINED.format(""), {"patience": 2, "until": "loss < 1e-20"}),
        (DECLINED.format(""), {"until": "loss < 0.05", "every": 7}),
        (DECLINED.format("WHERE step > 11 AND step % 3 = 0"), {"until": "loss < 0.2"}),
        (DECLINED.format("WHERE step > 11"), {"patience": 20}),
        (CURVE, {"until": "loss < 0.05", "every": 7}),
        (CURVE, {"patience": 3, "every": 5}),
    ],
    ids=str,
)
def test_a_curve_that_array_code_declines_ends_a_run_there_too(curve, options, monkeypatch):
    """It is asked behind a call, and what lies behind the generation that ends the run is taken back."""
    calls = None, 7
    ctx = same(context, f"{descend()};\n{curve}", monkeypatch, calls, steps=200, params={"lr": 0.3}, **options)
    assert commits(ctx, "p") < 60


@pytest.mark.parametrize("until", ["l > 2.2", "l > 100"])
def test_a_declined_curve_that_shows_a_number_that_is_none(until, monkeypatch):
    """What comes first ends the run."""
    cell = "INSERT INTO p SELECT :next_step, a + 0.25, b FROM p WHERE step = :k"
    curve = "SELECT step, ln(10.0 - a) AS l, CAST(a AS VARCHAR) AS said FROM p"
    for condition in (until, "l < 0.5"):
        same(context, f"{cell};\n{curve}", monkeypatch, steps=500, until=condition)


def test_a_curve_that_looks_back_is_asked_of_each_generation(monkeypatch):
    curve = "SELECT step, MIN(a) OVER (ORDER BY step) + CAST('1' AS DOUBLE) AS low FROM p"
    ctx = same(context, f"{descend()};\n{curve}", monkeypatch, steps=20, params={"lr": 0.3}, until="low > 5")
    assert commits(ctx, "p") > 20


def test_a_look_that_takes_long_makes_calls_short():
    calls = Calls(alone=False)
    for _ in range(8):
        calls.made(calls.length(999), 1e-4)
    assert calls.length(999) > 100
    calls.looked(0.5)
    assert calls.length(999) > 100, "each look takes as long"
    calls.looked(10.0)
    assert calls.length(999) == 1
