"""The loop of a run by XLA: the same trajectory as NumPy's, whatever it meets, and errors that say what to do."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.dense.calls import Calls
from sqlmagic_xr.dense.xla import devices
from sqlmagic_xr.dense.xla.loop import XlaLoop
from sqlmagic_xr.errors import SqlError, UsageError
from sqlmagic_xr.train.start import train
from sqlmagic_xr.train.steps import arrays
from tests.train.test_many_steps import CURVE, PROGRAMS, descend, line, options_of

FEW = [
    "line",
    "schedule",
    "batches by step",
    "the newest",
    "two generations",
    "stored adam",
    "grid network",
    "grid means",
]


def numbers(ctx, table):
    rows = ctx.scratch(table).to_arrow()
    return {name: rows[name].to_numpy() for name in rows.column_names}


def assert_near(left, right, tolerance=1e-12):
    assert left.keys() == right.keys()
    for name, values in left.items():
        assert values.dtype == right[name].dtype, name
        scale = max(1.0, float(np.abs(right[name]).max(initial=0.0)))
        np.testing.assert_allclose(values, right[name], rtol=tolerance, atol=tolerance * scale, err_msg=name)


def told(ctx, cell, **options):
    found = ctx.train(cell, stream=True, **options).explain()
    return [str(note) for statement in found for note in statement.notes if note.kind == "a call"]


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("most", [1, 7])
def test_the_trajectory_is_numpys(name, most, monkeypatch):
    """One step a call, and up to seven."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(most, *limits)))
    make, cell, table = PROGRAMS[name]
    alone, device = make(), make()
    train(alone, cell, steps=22, each_step=True, **options_of(cell))
    train(device, cell, steps=22, each_step=False, device="cpu", **options_of(cell))
    assert_near(numbers(device, table), numbers(alone, table))
    if most > 1:
        assert len(device.scratch(table).history()) < 15


NEAR = "CAST(floor(20 + 10 * x * cur.a) AS BIGINT)"
CALCULATED = {
    "a WHERE on the state": "SELECT d.x * d.y AS v FROM d CROSS JOIN p cur WHERE cur.step = :k AND d.y * cur.a < 0.4",
    "one beside a WHERE known before": "SELECT h.x * o.y AS v FROM "
    "(SELECT d.i, d.x FROM d CROSS JOIN p cur WHERE cur.step = :k AND d.x * cur.a < 0.5) h JOIN "
    "(SELECT i, y FROM d WHERE i % 2 = 0) o ON h.i = o.i",
    "a join on the state": f"SELECT o.y - 0.5 AS v FROM (SELECT {NEAR} AS j FROM d CROSS JOIN p cur "
    "WHERE cur.step = :k) h JOIN d o ON o.i = h.j",
    "a LEFT JOIN on the state": f"SELECT coalesce(o.y, 0.25) AS v FROM (SELECT {NEAR} AS j FROM d CROSS JOIN p cur "
    "WHERE cur.step = :k AND cur.a * x < 0.4) h LEFT JOIN d o ON o.i = h.j",
    "ranks among some": "SELECT y AS v FROM (SELECT y, ROW_NUMBER() OVER (ORDER BY abs(x - q.a) + i * 1e-9) AS r "
    "FROM d CROSS JOIN p q WHERE q.step = :k AND x * q.a < 0.4) WHERE r <= 5",
}


@pytest.mark.parametrize("name", CALCULATED)
def test_which_rows_there_are_may_be_calculated(name, monkeypatch):
    """A device keeps all rows, and leaves out of an aggregate what is not there."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    cell = (
        "INSERT INTO p SELECT :next_step, cur.a + 0.01 * (AVG(e.v) + COUNT(*) - 20 + 0.1 * SUM(e.v)), "
        f"cur.b + 0.01 * (MAX(e.v) - MIN(e.v) + STDDEV(e.v)) FROM ({CALCULATED[name]}) e CROSS JOIN p cur "
        "WHERE cur.step = :k GROUP BY cur.a, cur.b"
    )
    alone, device = line(), line()
    train(alone, cell, steps=15, each_step=True)
    train(device, cell, steps=15, each_step=False, device="cpu")
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert len(device.scratch("p").history()) < 10


OF_BATCHES = (
    "INSERT INTO p WITH b AS (SELECT i, x, y FROM d WHERE i % 7 = :k % 7), h AS (SELECT b.i, b.x * o.y AS v, c.y AS w, "
    "ROW_NUMBER() OVER (ORDER BY abs(b.x - q.a) + b.i * 1e-9) AS r FROM b JOIN d o ON o.i = 49 - b.i "
    "LEFT JOIN (SELECT i, y FROM d WHERE i % 3 > 0) c ON c.i = b.i CROSS JOIN p q WHERE q.step = :k) "
    "SELECT :next_step, cur.a + 0.01 * (AVG(h.v) + 0.1 * COUNT(*) + MAX(h.v)), cur.b + 0.01 * (MIN(h.v) + STDDEV(h.v) "
    "+ SUM(CASE WHEN h.r = 1 THEN h.v ELSE 0.0 END) + SUM(coalesce(h.w, 0.5))) FROM h CROSS JOIN p cur "
    "WHERE cur.step = :k GROUP BY cur.a, cur.b"
)
OF_ANY_SIZE = descend(where="WHERE (7 * i) % 50 < 3 + CAST(40 * :random AS BIGINT)")


@pytest.mark.parametrize(("cell", "most"), [(OF_BATCHES, 1), (OF_ANY_SIZE, 4)], ids=["known", "drawn"])
def test_batches_of_other_sizes_are_made_in_few_programs(cell, most, monkeypatch):
    """Their joins, groups, ranks, extremes and LEFT JOINs leave out what a batch has not."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    compiled, plain = [], XlaLoop._compile
    monkeypatch.setattr(XlaLoop, "_compile", lambda self: (compiled.append(self), plain(self))[1])
    alone, device = line(), line()
    train(alone, cell, steps=30, each_step=True, **options_of(cell))
    training = train(device, cell, steps=30, each_step=False, device="cpu", stream=True, **options_of(cell))
    for _ in training:
        pass
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert "not JAX" not in str(training.explain())
    assert 1 <= len(compiled) <= most
    assert len(device.scratch("p").history()) < 13


def test_a_batch_without_a_row_is_numpys(monkeypatch):
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    cell = (
        "INSERT INTO p SELECT :next_step, cur.a + 0.1, coalesce(e.v, 7.0) FROM (SELECT SUM(x) AS v FROM d "
        "WHERE i < 20 - :k % 22) e CROSS JOIN p cur WHERE cur.step = :k"
    )
    alone, device = line(), line()
    train(alone, cell, steps=30, each_step=True)
    training = train(device, cell, steps=30, each_step=False, device="cpu", stream=True)
    for _ in training:
        pass
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert (numbers(device, "p")["b"] == 7.0).sum() == 2


def test_a_table_that_is_made_anew_has_the_rows_that_there_are(monkeypatch):
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    cell = (
        "CREATE OR REPLACE TABLE t AS SELECT d.i AS i, d.x * cur.a AS v FROM d CROSS JOIN p cur "
        "WHERE cur.step = :k AND d.x * cur.a < 0.05; INSERT INTO p SELECT :next_step, cur.a + 0.01 * COUNT(*), cur.b "
        "FROM t CROSS JOIN p cur WHERE cur.step = :k GROUP BY cur.a, cur.b"
    )
    alone, device = line(), line()
    train(alone, cell, steps=15, each_step=True)
    train(device, cell, steps=15, each_step=False, device="cpu")
    for table in "pt":
        assert_near(numbers(device, table), numbers(alone, table))
    assert 0 < len(device.scratch("t")) < 50
    assert len(device.scratch("p").history()) < 10


def test_no_row_at_all_is_numpys(monkeypatch):
    """An aggregate of none is NULL, and that is the engine's to say."""
    monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
    cell = (
        "INSERT INTO p SELECT :next_step, cur.a + 0.1, e.v FROM (SELECT coalesce(SUM(x), 7.0) AS v FROM d "
        "CROSS JOIN p q WHERE q.step = :k AND x > q.a) e CROSS JOIN p cur WHERE cur.step = :k"
    )
    alone, device = line(), line()
    train(alone, cell, steps=15, each_step=True)
    train(device, cell, steps=15, each_step=False, device="cpu")
    assert_near(numbers(device, "p"), numbers(alone, "p"))
    assert numbers(device, "p")["b"][-1] == 7.0


def test_equal_runs_give_equal_numbers():
    runs = [line(), line()]
    for ctx in runs:
        ctx.train(descend(where="WHERE i % 5 = 3"), steps=60, params={"lr": 0.1}, device="cpu")
    assert runs[0].scratch("p").to_arrow().equals(runs[1].scratch("p").to_arrow())


@pytest.mark.parametrize(
    ("cell", "steps"),
    [
        (descend(rate="3.0"), 3000),
        ("INSERT INTO p SELECT :next_step, a + 10 / (20 - :k), b FROM p WHERE step = :k", 50),
        ("INSERT INTO p SELECT :next_step, a + 0.5, CASE WHEN sqrt(10.0 - a) > 1 THEN b + 1 ELSE b END FROM p "
         "WHERE step = :k", 45),
        ("INSERT INTO p SELECT :next_step, a + 1, CASE WHEN a < 21 THEN b + 1 END FROM p WHERE step = :k", 40),
        (f"{descend()};\n{CURVE}", 40),
    ],
    ids=["diverges", "divides by zero", "compares a NaN", "becomes NULL", "has a curve"],
)  # fmt: skip
def test_what_has_to_be_looked_at_is_told_by_numpy(cell, steps):
    ends = []
    for options in ({}, {"device": "cpu"}):
        ctx = line()
        try:
            run = ctx.train(cell, steps=steps, params={"lr": 0.1}, **options)
            end = (run.status, run.generation, run.message.split(":")[:2])
        except SqlError as error:
            end = (type(error), str(error))
        ends.append((end, {n: np.nan_to_num(v, nan=-7.0) for n, v in numbers(ctx, "p").items()}))
    assert ends[0][0] == ends[1][0]
    few = 12  # what diverges does so differently from its last bits on
    assert_near(*({n: v[:few] for n, v in end[1].items()} for end in reversed(ends)), 1e-9)


def test_single_precision_is_asked_for():
    ctx, double = line(), line()
    ctx.train(descend(), steps=50, params={"lr": 0.1}, device="cpu", precision="single")
    double.train(descend(), steps=50, params={"lr": 0.1})
    single, exact = numbers(ctx, "p"), numbers(double, "p")
    assert single["a"].dtype == np.float64
    assert_near(single, exact, 1e-4)
    assert (single["a"] != exact["a"]).any()
    assert (single["a"][5:] == single["a"][5:].astype(np.float32)).all()


def test_explain_tells_the_library_the_device_and_what_is_kept_there():
    (note,) = told(line(), descend(), params={"lr": 0.1}, device="cpu")
    assert "JAX" in note
    assert "double precision" in note
    assert "steps a call" in note
    assert "kept there" in note
    shorter = (
        "CREATE OR REPLACE TABLE t AS SELECT d.i AS i, d.x * cur.a AS v FROM d CROSS JOIN p cur WHERE cur.step = :k "
        "AND d.i < 15 - :k; INSERT INTO p SELECT :next_step, cur.a + AVG(t.v), cur.b FROM t CROSS JOIN p cur "
        "WHERE cur.step = :k GROUP BY cur.a, cur.b"
    )
    note, _ = told(line(), shorter, device="cpu")
    assert "NumPy, not JAX" in note
    assert "anew at each step" in note


def test_a_context_may_name_the_device():
    ctx = Context(device="cpu")
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
    cell = "INSERT INTO p SELECT :next_step, a * 0.5 FROM p WHERE step = :k"
    assert "JAX" in told(ctx, cell)[0]
    assert "NumPy" in told(ctx, cell, device="auto")[0]


class TestBadInput:
    def test_no_gpu(self):
        if any(device.platform == "gpu" for device in jax.devices()):
            pytest.skip("there is one")
        with pytest.raises(UsageError, match="JAX finds no GPU here; what it knows: cpu"):
            line().train(descend(), device="gpu", params={"lr": 0.1})

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"device": "tpu"}, "device is one of auto, cpu, gpu"),
            ({"device": "cpu", "precision": "half"}, "precision is one of double, single"),
            ({"precision": "single"}, "single precision is that of a device"),
            ({"device": "cpu", "verbatim": True}, "device cpu runs array code"),
            ({"device": "cpu", "executor": "relational"}, "device cpu runs array code"),
        ],
    )
    def test_options_that_do_not_fit(self, options, message):
        with pytest.raises(UsageError, match=message):
            line().train(descend(), params={"lr": 0.1}, **options)

    def test_a_context_on_no_device(self):
        with pytest.raises(UsageError, match="device is one of auto, cpu, gpu, not 'cuda'"):
            Context(device="cuda")

    def test_jax_that_is_too_old(self, monkeypatch):
        monkeypatch.setattr(jax, "__version_info__", (0, 4, 30))
        with pytest.raises(UsageError, match=r"needs JAX 0\.8 or newer"):
            devices.find("cpu")

    def test_jax_that_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "jax", None)
        with pytest.raises(UsageError, match="needs JAX, which is not installed"):
            devices.find("cpu")

    def test_a_device_without_room_leaves_it_to_numpy(self, monkeypatch):
        monkeypatch.setattr(devices.Device, "room", property(lambda self: 100))
        ctx = line()
        ctx.train(descend(), steps=30, params={"lr": 0.1}, device="cpu")
        assert len(ctx.scratch("p")) == 31
        assert "do not fit" in told(ctx, descend(), params={"lr": 0.1}, device="cpu")[0]

    def test_data_beyond_the_budget_are_gone_through_by_the_engine(self, monkeypatch):
        ctx, alone = line(), line()
        monkeypatch.setattr(arrays, "default_budget", lambda: 1000)
        train(ctx, descend(), steps=3, params={"lr": 0.1}, device="cpu")
        (explained,) = ctx.train(descend(), params={"lr": 0.1}, device="cpu", stream=True).explain()
        assert explained.executor == "relational"
        assert "d does not fit the memory that is set aside" in str(explained)
        monkeypatch.undo()
        train(alone, descend(), steps=3, params={"lr": 0.1}, each_step=True)
        assert_near(numbers(ctx, "p"), numbers(alone, "p"))

    def test_a_device_that_runs_out_of_room_leaves_the_rest_to_numpy(self, monkeypatch):
        """The calls that were made stay, and no step is lost."""
        ctx, alone, plain, calls = line(), line(), XlaLoop._given, []

        def given(self, *some):
            calls.append(some)
            if len(calls) == 3:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.")
            return plain(self, *some)

        monkeypatch.setattr(XlaLoop, "_given", given)
        monkeypatch.setattr(Calls, "length", lambda self, *limits: max(1, min(7, *limits)))
        training = train(ctx, descend(), steps=40, stream=True, each_step=False, params={"lr": 0.1}, device="cpu")
        for _ in training:
            pass
        (note,) = (n for n in training.explain()[0].notes if n.kind == "a call")
        assert "NumPy, not JAX" in str(note)
        assert "Out of memory allocating 7 bytes" in str(note)
        train(alone, descend(), steps=40, params={"lr": 0.1})
        assert_near(numbers(ctx, "p"), numbers(alone, "p"))


def test_auto_never_imports_jax():
    code = (
        "import sys; from sqlmagic_xr import Context; ctx = Context();"
        "ctx.script('CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)');"
        "ctx.train('INSERT INTO p SELECT :next_step, a * 0.5 FROM p WHERE step = :k', steps=50);"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_x64_stays_as_the_user_has_it():
    line().train(descend(), steps=20, params={"lr": 0.1}, device="cpu")
    assert not jax.config.jax_enable_x64
    assert jax.numpy.ones(1).dtype == np.float32


@pytest.mark.parametrize("options", [{"until": "loss < 0.05"}, {"patience": 5}, {}])
def test_curves_are_calculated_with_the_steps_there_too(options):
    """A run ends at the same generation, and its curve asks no query for the steps that the device has made."""
    found, contexts = [], []
    for device in ("auto", "cpu"):
        contexts.append(line())
        run = contexts[-1].train(f"{descend()};\n{CURVE}", steps=60, params={"lr": 0.3}, device=device, **options)
        found.append((run.status, run.steps, run.curves[0]))
    (status, steps, curve), (other, made, ours) = found
    assert (other, made) == (status, steps)
    assert ours["step"].to_pylist() == curve["step"].to_pylist()
    np.testing.assert_allclose(ours["loss"].to_numpy(), curve["loss"].to_numpy(), rtol=1e-11, atol=1e-14)
    assert_near(numbers(contexts[1], "p"), numbers(contexts[0], "p"))
    assert len(contexts[1].scratch("p").history()) < 30


def test_tables_that_are_made_anew_have_the_last_steps_rows():
    """Of many steps in a call; and where a step of the call is NumPy's, those of the last one before it."""
    cell = (
        "CREATE OR REPLACE TABLE e AS SELECT d.i AS i, d.y - cur.a * d.x AS v FROM d CROSS JOIN p cur "
        "WHERE cur.step = :k; "
        "INSERT INTO p SELECT :next_step, cur.a + 0.1 * AVG(d.x * e.v) + CAST(0 / (20 - :k) AS DOUBLE), cur.b "
        "FROM d JOIN e ON d.i = e.i CROSS JOIN p cur WHERE cur.step = :k GROUP BY cur.a, cur.b"
    )
    for steps in (2, 25):
        rows = []
        for device in ("auto", "cpu"):
            ctx = line()
            if steps > 20:
                with pytest.raises(SqlError):
                    ctx.train(cell, steps=steps, device=device)
            else:
                ctx.train(cell, steps=steps, device=device)
            rows.append((numbers(ctx, "e"), numbers(ctx, "p")))
        for ours, theirs in zip(rows[1], rows[0], strict=True):
            assert_near(ours, theirs)
