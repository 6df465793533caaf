"""MINIMIZE in a training cell: clauses, tables beside the parameters, curves, ends, and errors that change nothing."""

import re

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ParseError, SqlError, UnknownNameError, UsageError
from sqlmagic_xr.grids import datasets
from sqlmagic_xr.train.minimize import curve
from sqlmagic_xr.train.minimize.evaluation import evaluated
from tests.train.conftest import by_hand

LOSS = "(SELECT AVG(power(y - (a*x + b), 2)) FROM d CROSS JOIN params WHERE step = :k)"
CELL = f"MINIMIZE {LOSS} OVER params USING sgd(lr => :lr)"


def test_a_cell_without_a_derivative_descends_as_one_written_by_hand(ctx, rows):
    run = ctx.train(CELL, steps=20)
    np.testing.assert_allclose(rows(), by_hand(0.2, 20), rtol=1e-12)
    assert (run.status, run.steps, run.generation, run.table) == ("done", 20, 20, "params")


def test_the_loss_of_each_generation_is_the_curve(ctx):
    run = ctx.train(CELL, steps=5)
    fresh = ctx.sql(
        "SELECT step, AVG(power(y - (a*x + b), 2)) AS loss FROM d CROSS JOIN params GROUP BY step ORDER BY step"
    )
    np.testing.assert_allclose(run.curve["loss"].to_numpy(), fresh.to_arrow_table()["loss"].to_numpy(), rtol=1e-13)
    assert run.curve["step"].to_pylist() == list(range(6))
    assert ctx.sql("SELECT MAX(step) AS step FROM params_loss").to_pydict() == {"step": [4]}
    again = ctx.train(f"{CELL}; SELECT step, a FROM params ORDER BY step", steps=3)
    assert [curve.column_names for curve in again.curves] == [["step", "loss"], ["step", "a"]]
    assert again.curve["step"].to_pylist() == list(range(9))


def test_the_last_loss_comes_from_the_code_of_the_steps_unless_others_have_a_part_in_them(ctx, monkeypatch):
    asked = []
    monkeypatch.setattr(curve, "evaluated", lambda *given: asked.append(given) or evaluated(*given))
    ctx.script("CREATE TABLE few (x DOUBLE, y DOUBLE); INSERT INTO few SELECT x, y FROM d LIMIT 3")
    over = CELL.replace("FROM d", "FROM few")
    cells = {
        CELL: False,
        CELL.replace("sgd", "adam"): False,
        f"CREATE OR REPLACE TABLE few AS SELECT * FROM few; {over}": True,
    }
    for cell, by_query in cells.items():
        asked.clear()
        run = ctx.train(cell, steps=3)
        query = over if by_query else CELL
        fresh = ctx.sql(query[query.index("(") + 1 : query.index(") OVER")], params={"k": run.generation})
        assert run.curve["step"].to_pylist()[-1] == run.generation
        assert run.curve["loss"].to_pylist()[-1] == pytest.approx(fresh.to_arrow_table()[0][0].as_py(), rel=1e-13)
        assert bool(asked) == by_query


@pytest.mark.parametrize("optimizer", ["sgd(lr => 10.0)", "sgd(lr => 10.0, momentum => 0.5)", "adam(lr => 1e200)"])
def test_a_run_that_diverges_is_left_at_the_last_finite_loss_and_goes_on_from_there(ctx, optimizer):
    cell = CELL.replace("sgd(lr => :lr)", optimizer)
    run = ctx.train(cell, steps=3000, params={"lr": 10.0})
    assert run.status == "diverged"
    assert "others" not in run.message
    assert np.isfinite(run.curve["loss"].to_numpy()).all()
    assert ctx.sql("SELECT MAX(step) AS n FROM params").to_pydict()["n"] == [run.generation]
    assert f"step {run.generation + 1}: loss is " in run.message
    last = ctx.sql(LOSS[1:-1], params={"k": run.generation}).to_arrow_table()[0][0].as_py()
    assert np.isfinite(last)


def test_two_cells_with_state_are_one_run(ctx, rows):
    cell = CELL.replace("sgd(lr => :lr)", "adam(lr => :lr)")
    run = ctx.train(cell, steps=20)
    whole = rows()
    run.rollback()
    assert not [name for name in ctx.store.entries() if name != "params"]
    ctx.train(cell, steps=12)
    ctx.train(cell, steps=8)
    np.testing.assert_array_equal(rows(), whole)
    ctx.train(cell, steps=20, restart=True)
    np.testing.assert_array_equal(rows(), whole)


def test_moments_begin_anew_where_others_have_made_steps(ctx, rows):
    cell = CELL.replace("sgd(lr => :lr)", "adam(lr => :lr)")
    ctx.train(cell, steps=5)
    ctx.script("INSERT INTO params VALUES (6, 0.5, 0.5)")
    ctx.train(cell, steps=1)
    # The first step of Adam is the rate long, whatever the gradient.
    np.testing.assert_allclose(np.abs(rows()[-1, 1:] - 0.5), 0.2, rtol=1e-6)


def test_until_and_patience_look_at_the_loss_and_cost_one_step_more(ctx):
    run = ctx.train(CELL, steps=500, until="loss < 0.01")
    assert run.status == "until"
    loss = run.curve["loss"].to_numpy()
    assert loss[-2] < 0.01 <= loss[-3]
    run = ctx.train(CELL, steps=5000, patience=5)
    assert run.status == "patience"
    assert f"at step {run.curve['step'].to_pylist()[int(np.argmin(run.curve['loss'].to_numpy()[:-1]))]};" in run.message


def test_maximize_climbs_and_where_freezes(ctx, rows):
    ctx.train("MAXIMIZE (SELECT -power(a - 3, 2) - power(b - 2, 2) FROM params WHERE step = :k) OVER params.a "
              "USING sgd(lr => 0.25)", steps=3)  # fmt: skip
    np.testing.assert_allclose(rows()[:, 1], [0, 1.5, 2.25, 2.625])
    np.testing.assert_array_equal(rows()[:, 2], 0)


def test_each_key_has_a_model_of_its_own(ctx):
    ctx.script("""
        CREATE TABLE cells (run BIGINT, step BIGINT, rate DOUBLE, a DOUBLE, PRIMARY KEY (run, step));
        INSERT INTO cells VALUES (1, 0, 0.25, 0.0), (2, 0, 0.5, 0.0), (3, 0, 0.1, 1.0);
    """)
    cell = """
        WITH loss AS (SELECT run, AVG(power(a - run, 2)) AS loss FROM cells WHERE step = :k GROUP BY run)
        MINIMIZE loss OVER cells.a PER run USING sgd(lr => rate) WHERE run < 3
    """
    run = ctx.train(cell, steps=2)
    assert ctx.sql("SELECT a FROM cells WHERE step = 2 ORDER BY run").to_pydict() == {"a": [0.75, 2.0, 1.0]}
    assert run.curve.column_names == ["step", "loss", "run 1", "run 2", "run 3"]
    np.testing.assert_allclose(run.curve["run 1"].to_numpy(), [1.0, 0.25, 0.0625])


@pytest.mark.parametrize("using", ["sgd(lr => 0.1)", "adam(lr => 0.1)"])
def test_the_keys_of_per_may_come_in_another_order_than_an_earlier_run_named_them(ctx, using):
    ctx.script("CREATE TABLE cells (step BIGINT, lat BIGINT, lon BIGINT, a DOUBLE, PRIMARY KEY (step, lat, lon))")
    begin = "INSERT INTO cells VALUES (0, 1, 30, 0.5), (0, 1, 20, 0.25), (0, 2, 20, -0.5)"
    loss = "(SELECT lat, lon, AVG(power(y - a*x*lat - lon, 2)) AS loss FROM d CROSS JOIN cells WHERE step = :k "
    cell = f"MINIMIZE {loss} GROUP BY lat, lon) OVER cells PER lat, lon USING {using}"
    kept, curves = [], []
    for second in (cell, cell.replace("PER lat, lon", "PER lon, lat")):
        ctx.script(f"DELETE FROM cells; DROP TABLE IF EXISTS cells_loss; DROP TABLE IF EXISTS cells_adam; {begin}")
        ctx.train(cell, steps=3)
        curves.append(ctx.train(second, steps=70).curve)
        kept.append(ctx.sql("SELECT step, lat, lon, loss FROM cells_loss ORDER BY 1, 2, 3").to_arrow_table())
        kept.append(ctx.sql("SELECT step, lat, lon, a FROM cells ORDER BY 1, 2, 3").to_arrow_table())
    assert kept[0].equals(kept[2])
    assert kept[1].equals(kept[3])
    assert kept[0].num_rows == 3 * 73
    for key in ((1, 20), (1, 30), (2, 20)):
        mine, other = curves[1][f"lon {key[1]}, lat {key[0]}"], curves[0][f"lat {key[0]}, lon {key[1]}"]
        assert mine.to_pylist() == other.to_pylist()
    ctx.script("CREATE TABLE others AS SELECT * FROM cells")
    with pytest.raises(UsageError, match=r"columns \(step, lat, lon, a\), not that of .* \(step, lat, lon, loss\)"):
        ctx.train(cell.replace("0.1)", "0.1, losses => others)"), steps=1)


def test_a_batch_is_a_condition_on_the_rows_of_the_loss(ctx, rows):
    ctx.train(f"{CELL} BATCH x > 0", steps=1)
    whole = rows()
    ctx.train(CELL.replace("WHERE step = :k", "WHERE step = :k AND x > 0"), steps=1, restart=True)
    np.testing.assert_array_equal(rows(), whole)


@pytest.mark.parametrize(("labels", "times"), [([3, 5, 7], 1), (["c", "a", "b"], 2)], ids=["numbers", "texts"])
def test_the_cells_of_a_dataset_are_gone_through_once_in_a_run(monkeypatch, labels, times):
    """Unless it is another one by then, or its labels are texts, whose codes are those of one reader."""
    read, own = [], datasets.DatasetGrid
    monkeypatch.setattr(datasets, "DatasetGrid", lambda *given: read.append(1) or own(*given))
    cells = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.0]])
    variables = {"g": xr.Dataset({"v": (("lat", "t"), cells)}, coords={"lat": labels, "t": [0, 1]})}
    ctx = Context(namespace=lambda: variables)
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, m DOUBLE); INSERT INTO p VALUES (0, 0.5)")
    cell = "MINIMIZE (SELECT AVG(power(v - m, 2)) FROM g CROSS JOIN p WHERE step = :k) OVER p USING newton()"
    ctx.train(cell, steps=1)
    assert len(read) == times
    assert ctx.sql("SELECT m FROM p WHERE step = 1").to_pydict()["m"] == [pytest.approx(3.0)]
    run = ctx.train(cell, steps=1, stream=True)
    variables["g"] = variables["g"] + 10
    for _ in run:
        pass
    assert ctx.sql("SELECT m FROM p WHERE step = 2").to_pydict()["m"] == [pytest.approx(13.0)]


def test_other_statements_of_the_step_stand_before_and_behind(ctx):
    ctx.script("CREATE TABLE log (step BIGINT PRIMARY KEY, a DOUBLE)")
    run = ctx.train(f"{CELL}; INSERT INTO log SELECT step, a FROM params WHERE step = :next_step", steps=3)
    assert run.table == "params"
    assert ctx.sql("SELECT COUNT(*) AS n FROM log JOIN params USING (step, a)").to_pydict() == {"n": [3]}


def test_the_library_call_is_the_statement(ctx, rows):
    ctx.minimize(LOSS[1:-1], "params", using="sgd(lr => :lr)", steps=20)
    np.testing.assert_allclose(rows(), by_hand(0.2, 20), rtol=1e-12)


WRONG = [
    ("MINIMIZE (SELECT y FROM d) OVER params", UsageError, "has 50 rows"),
    ("MINIMIZE (SELECT AVG(y) FROM d) OVER params", UsageError, "does not read `params.a`"),
    ("MINIMIZE (SELECT AVG(y), AVG(x) FROM d) OVER params", UsageError, "a loss is one number"),
    ("MINIMIZE (SELECT MAX('x') FROM d) OVER params", SqlError, "no number"),
    (
        "MINIMIZE (SELECT AVG(power(y - a*x, 2)) FROM d CROSS JOIN params WHERE step = 7) OVER params.a",
        UsageError,
        "NULL",
    ),
    (CELL.replace("sgd(", "adan("), UsageError, "no optimizer adan"),
    (CELL.replace(":lr)", ":lr, momentun => 1)"), UsageError, "no option momentun"),
    (CELL.replace(":lr)", ":lr, nesterov => 1)"), UsageError, "TRUE or FALSE"),
    (CELL.replace(":lr)", ":lr, momentum => 'a')"), UsageError, "momentum is 'a', which is no number"),
    (CELL.replace(":lr)", ":lr, weight_decay => NULL)"), UsageError, "weight_decay is NULL"),
    (CELL.replace(":lr)", ":lr, max_norm => TRUE)"), UsageError, "max_norm is True, which is no number"),
    (CELL.replace(":lr)", ":lr, max_delta => concat('1', '2'))"), UsageError, "max_delta is '12', which is no"),
    (CELL.replace(":lr)", ":lr, momentum => :unknown)"), SqlError, "momentum: .*unknown"),
    (CELL.replace("lr => :lr", ""), UsageError, "needs a learning rate"),
    (CELL.replace(":lr", "-0.1"), UsageError, "below zero"),
    (CELL.replace(":lr", "CASE WHEN a > 5 THEN 1.0 END"), UsageError, "lr is NULL"),
    (CELL.replace(":lr", "'x'"), UsageError, "lr is 'x' at step 1, which is no number"),
    (CELL.replace(":lr", "TRUE"), UsageError, "lr is True at step 1, which is no number"),
    (CELL.replace("(SELECT", "SELECT").replace(") OVER", " OVER"), ParseError, "stands in parentheses"),
    (CELL.replace(":lr", "q"), UnknownNameError, "no column q"),
    (CELL.replace("OVER params", "OVER params.step"), SqlError, "part of the key"),
    (CELL.replace("OVER params", "OVER params.q"), UnknownNameError, "no column `q`"),
    (CELL.replace("OVER params", "OVER parms"), UnknownNameError, "no scratch table"),
    (CELL.replace("WHERE step = :k", ""), UsageError, "reads all generations of `params` together"),
    (CELL.replace("OVER params", "OVER params PER x"), UsageError, "no column `x`"),
    (CELL.replace("OVER params ", ""), ParseError, "needs OVER"),
    (CELL.replace("sgd(lr => :lr)", "sgd(lr => )"), ParseError, "name => value"),
    (CELL + "; " + CELL, UsageError, "one MINIMIZE"),
    (CELL.replace("(a*x", "(a*z"), SqlError, "z"),
]


@pytest.mark.parametrize(("cell", "kind", "what"), WRONG, ids=[w[2] for w in WRONG])
def test_what_does_not_fit_is_said_and_nothing_has_changed(ctx, rows, cell, kind, what):
    before = dict(ctx.store.entries())
    with pytest.raises(kind, match=what) as caught:
        ctx.train(cell, steps=3)
    assert caught.value.text == cell
    assert caught.value.span is not None
    option = re.search(r":lr, \w+ => (.*)\) ?$", cell)
    assert option is None or cell[caught.value.span.column - 1 :].startswith(option[1])
    assert dict(ctx.store.entries()) == before


def test_parameters_that_are_null_or_missing_are_said(ctx):
    ctx.script("UPDATE params SET a = NULL")
    with pytest.raises(UsageError, match=r"`params.a` is NULL in 1 rows|the loss is NULL"):
        ctx.train(CELL, steps=1)
    ctx.script("DELETE FROM params")
    with pytest.raises(UsageError, match="`params` is empty"):
        ctx.train(CELL, steps=1)


@pytest.mark.parametrize(
    ("kind", "keys", "without"),
    [("BIGINT", "1, 2, 3", "run = 3"), ("INT", "1, 2, 3", "run = 3"), ("VARCHAR", "'a', 'b', 'c'", "run = c"),
     ("DOUBLE", "0.0, -1.0, 2.5", "run = 2.5")],
)  # fmt: skip
def test_parameters_without_a_loss_are_told_whatever_their_key_is(ctx, kind, keys, without):
    one, other, last = keys.split(", ")
    ctx.script(f"""
        CREATE TABLE cells (step BIGINT, run {kind}, a DOUBLE, PRIMARY KEY (step, run));
        CREATE TABLE seen (run {"BIGINT" if kind == "INT" else kind});
        INSERT INTO seen VALUES ({one}), ({other});
        INSERT INTO cells VALUES (0, {one}, 1), (0, {other}, 1), (0, {last}, 1);
    """)
    cell = """MINIMIZE (SELECT c.run, SUM(c.a * c.a) AS loss FROM cells c JOIN seen ON seen.run = c.run
                        WHERE c.step = :k GROUP BY c.run) OVER cells.a PER run USING sgd(lr => 0.1)"""
    with pytest.raises(UsageError, match=f"1 of 3 keys of `cells` have no loss \\({without}, for example"):
        ctx.train(cell, steps=1)
    ctx.script(f"DELETE FROM cells WHERE run = {last}")
    ctx.train(cell, steps=1)
    assert ctx.sql("SELECT a FROM cells WHERE step = 1").to_pydict() == {"a": [0.8, 0.8]}


def test_a_step_that_fails_takes_back_what_was_made_for_it(ctx):
    with pytest.raises(SqlError):
        ctx.train(f"{CELL}; INSERT INTO params SELECT :next_step, CAST('x' || a AS DOUBLE), b FROM params", steps=3)
    assert list(ctx.store.entries()) == ["params"]


LATER = [
    ("0.1 * (3 - :k)", {}, r"lr is -0.1 at step 5, which is below zero", 4),
    (
        ":rate",
        {"rate": "CASE WHEN :step < 20 THEN 0.1 ELSE -0.5 END"},
        r"lr is -0.5 at step 21, which is below zero",
        20,
    ),
    (":rate", {"rate": "CASE WHEN :step < 3 THEN 0.1 END"}, "the schedule of rate gives no value at step 3", 3),
    ("CASE WHEN :k < 30 THEN 0.1 END", {}, "lr is NULL at step 31", 30),
    ("CASE WHEN a > 0.5 THEN -1.0 ELSE 0.1 END", {}, r"lr is -1 at step \d+, which is below zero", None),
    ("CASE WHEN b < 100 AND :rate < 1 THEN 0.1 END", {"rate": ":step / 5.0"}, "lr is NULL in 1 rows", 5),
]


@pytest.mark.parametrize(("rate", "schedule", "what", "stands"), LATER, ids=[w[0] + w[2][:9] for w in LATER])
def test_a_rate_that_becomes_negative_or_null_is_said(ctx, rows, rate, schedule, what, stands):
    cell = CELL.replace(":lr", rate)
    with pytest.raises(SqlError, match=what) as caught:
        ctx.train(cell, steps=50, schedule=schedule)
    if "schedule" not in what:
        assert caught.value.text == cell
    found = rows()
    assert np.isfinite(found).all()
    if stands is not None:
        assert found[-1, 0] == stands
    assert (np.diff(found[:, 1]) >= 0).all()  # downhill all the way


def test_a_run_ends_before_a_rate_that_nobody_would_use(ctx, rows):
    assert ctx.train(CELL.replace(":lr", "0.1 * (9.5 - :k)"), steps=10).status == "done"
    assert rows()[-1, 0] == 10
