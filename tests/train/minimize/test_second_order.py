"""Newton, Gauss-Newton and Levenberg-Marquardt, and what a fit says of its errors: against NumPy and curve_fit."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import curve_fit, minimize
from scipy.special import expit

from sqlmagic_xr import Context
from sqlmagic_xr.errors import FitWarning, UsageError
from sqlmagic_xr.train.minimize import stationary


def context(start, data, **more):
    names = list(start)
    ctx = Context(namespace=lambda: {"d": data, **more})
    columns = ", ".join(f"{name} DOUBLE" for name in names)
    ctx.script(f"CREATE TABLE p (step BIGINT PRIMARY KEY, {columns})")
    ctx.script(f"INSERT INTO p VALUES (0, {', '.join(map(str, start.values()))})")
    return ctx


def points(count=80, low=0.0, high=4.0):
    x = np.linspace(low, high, count)
    return x, np.random.default_rng(3).normal(size=count)


CASES = {
    "linear": ({"a": 0.0, "b": 0.0}, "a*x + b", lambda x, a, b: a * x + b, (2.0, -1.0), 0.3),
    "exponential decay": (
        {"a": 1.0, "b": 1.0, "c": 0.0}, "a * exp(-b*x) + c", lambda x, a, b, c: a * np.exp(-b * x) + c,
        (3.0, 1.3, 0.5), 0.05,
    ),
    "sinusoid": (
        {"a": 1.0, "b": 2.9, "c": 0.2}, "a * sin(b*x + c)", lambda x, a, b, c: a * np.sin(b * x + c), (1.5, 3.1, 0.4),
        0.1,
    ),
    "logistic": (
        {"a": 3.5, "b": 1.5, "c": 1.8}, "a / (1 + exp(-b * (x - c)))", lambda x, a, b, c: a * expit(b * (x - c)),
        (4.0, 2.0, 2.1), 0.05,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("aggregate", ["AVG", "SUM"])
def test_least_squares_are_those_of_curve_fit(name, aggregate):
    start, model, function, truth, noise = CASES[name]
    x, random = points()
    y = function(x, *truth) + noise * random
    ctx = context(start, pa.table({"x": x, "y": y}))
    loss = f"SELECT {aggregate}(power(y - ({model}), 2)) FROM d CROSS JOIN p WHERE step = :k"
    run = ctx.minimize(loss, "p", using="levenberg_marquardt()", steps=25)
    values, covariance = curve_fit(function, x, y, p0=list(start.values()), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(run.fit.values[0], values, rtol=1e-6)
    np.testing.assert_allclose(run.fit.covariances[0], covariance, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(run.fit.standard_errors[0], np.sqrt(np.diag(covariance)), rtol=1e-4)


def test_a_likelihood_has_the_inverse_of_its_hessian():
    x, random = points(200, -2, 2)
    y = (expit(0.5 + 1.5 * x) > expit(random)).astype(float)
    ctx = context({"a": 0.0, "b": 0.0}, pa.table({"x": x, "y": y}))
    loss = "SELECT SUM(ln(1 + exp(a + b*x)) - y * (a + b*x)) FROM d CROSS JOIN p WHERE step = :k"
    run = ctx.minimize(loss, "p", using="newton()", steps=8)
    design = np.stack([np.ones_like(x), x], axis=1)
    best = minimize(lambda p: np.sum(np.logaddexp(0, design @ p) - y * (design @ p)), [0, 0], tol=1e-12).x
    chance = expit(design @ best)
    expected = np.linalg.inv(design.T @ (design * (chance * (1 - chance))[:, None]))
    np.testing.assert_allclose(run.fit.values[0], best, rtol=1e-5)
    np.testing.assert_allclose(run.fit.covariances[0], expected, rtol=1e-4)
    assert run.fit.table.column_names == ["parameter", "value", "standard_error"]
    mean = loss.replace("SUM", "AVG", 1)
    again = context({"a": 0.0, "b": 0.0}, pa.table({"x": x, "y": y})).minimize(mean, "p", using="newton()", steps=8)
    np.testing.assert_allclose(again.fit.covariances, run.fit.covariances, rtol=1e-6)
    climbed = context({"a": 0.0, "b": 0.0}, pa.table({"x": x, "y": y}))
    likelihood = loss.replace("SUM(ln(1 + exp(a + b*x)) - y * (a + b*x))", "SUM(y * (a + b*x) - ln(1 + exp(a + b*x)))")
    fit = climbed.train(f"MAXIMIZE ({likelihood}) OVER p USING newton()", steps=8).fit
    np.testing.assert_allclose(fit.covariances, run.fit.covariances, rtol=1e-6)


@pytest.mark.parametrize("name", ["newton()", "gauss_newton()"])
def test_a_regression_takes_one_step(name):
    x, random = points()
    y = 2 * x + 1 + random
    ctx = context({"a": 0.0, "b": 0.0}, pa.table({"x": x, "y": y}))
    ctx.minimize("SELECT AVG(power(y - (a*x + b), 2)) FROM d CROSS JOIN p WHERE step = :k", "p", using=name, steps=1)
    found = ctx.sql("SELECT a, b FROM p WHERE step = 1").to_arrow_table().to_pylist()[0]
    np.testing.assert_allclose([found["a"], found["b"]], np.polyfit(x, y, 1), rtol=1e-10)


def test_a_model_in_every_cell_is_numpys_in_every_cell():
    rng = np.random.default_rng(0)
    t = np.arange(40.0)
    lat, lon = np.array([10, 20, 30]), np.array([0, 5])
    y = rng.normal(size=(40, 3, 2)) + 0.1 * t[:, None, None] * lat[:, None] / 10
    grid = pa.table({
        "t": np.broadcast_to(t[:, None, None], y.shape).ravel(),
        "lat": np.broadcast_to(lat[:, None], y.shape).ravel(), "lon": np.broadcast_to(lon, y.shape).ravel(),
        "y": y.ravel(),
    })  # fmt: skip
    ctx = Context(namespace=lambda: {"grid": grid})
    ctx.script("""
        CREATE TABLE p (step INT, lat BIGINT, lon BIGINT, a DOUBLE, b DOUBLE, c DOUBLE, PRIMARY KEY (step, lat, lon));
        INSERT INTO p SELECT 0, lat, lon, 0, 0, 0 FROM grid GROUP BY lat, lon;
    """)
    loss = """
        SELECT g.lat, g.lon, AVG(power(y - (a + b * t / 40 + c * sin(t)), 2)) AS loss
        FROM grid g JOIN p ON p.lat = g.lat AND p.lon = g.lon WHERE step = :k GROUP BY g.lat, g.lon
    """
    run = ctx.minimize(loss, "p", per=["lat", "lon"], using="newton()", steps=1)
    design = np.stack([np.ones(40), t / 40, np.sin(t)], axis=1)
    expected, rest, *_ = np.linalg.lstsq(design, y.reshape(40, -1))
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design))[:, None] * rest / 37)
    found = run.fit.to_dataset().transpose("parameter", "lat", "lon", "other")
    assert found.sizes == {"parameter": 3, "lat": 3, "lon": 2, "other": 3}
    np.testing.assert_allclose(found.value.values.reshape(3, -1), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.standard_error.values.reshape(3, -1), errors, rtol=1e-9)
    assert len(run.fit.covariance) == 6 * 9


@pytest.mark.parametrize("listed", ["g.n, g.total", "g.total, g.n"])
def test_the_keys_of_a_fit_are_those_of_its_models_in_whatever_order_they_stand(listed):
    """And whatever they are called; the models come in the order of PER."""
    n, total = np.repeat([3, 1, 2], 8), np.tile(np.repeat([20, 10], 4), 3)
    y = 100.0 * n + total + np.random.default_rng(0).normal(size=24)
    ctx = Context(namespace=lambda: {"g": pa.table({"n": n, "total": total, "y": y})})
    ctx.script("""
        CREATE TABLE p (step INT, n BIGINT, total BIGINT, m DOUBLE, PRIMARY KEY (step, n, total));
        INSERT INTO p SELECT 0, n, total, 0 FROM g GROUP BY n, total
    """)
    loss = f"""SELECT {listed}, AVG(power(y - m, 2)) AS loss FROM g JOIN p ON p.n = g.n AND p.total = g.total
               WHERE step = :k GROUP BY {listed}"""
    fit = ctx.minimize(loss, "p", per=["n", "total"], using="newton()", steps=1).fit
    assert fit.keys["n"].to_pylist() == [1, 1, 2, 2, 3, 3]
    assert fit.keys["total"].to_pylist() == [10, 20] * 3
    means = [y[(n == a) & (total == b)].mean() for a in (1, 2, 3) for b in (10, 20)]
    np.testing.assert_allclose(fit.values[:, 0], means, rtol=1e-12)


def test_the_sql_of_the_second_order_can_be_pasted():
    x, random = points()
    y = 3 * np.exp(-1.3 * x) + 0.05 * random
    start, data = {"a": 2.8, "b": 1.2}, pa.table({"x": x, "y": y})
    # From a = b = 1 newton goes to a saddle.
    loss = "SELECT AVG(power(y - a * exp(-b*x), 2)) FROM d CROSS JOIN p WHERE step = :k"
    for name in ("newton", "gauss_newton", "levenberg_marquardt"):
        ctx, pasted = context(start, data), context(start, data)
        training = ctx.minimize(loss, "p", using=f"{name}()", steps=6, stream=True)
        once, each = training.sql.split("-- each step (%%xsql_train)\n")
        for _ in training:
            pass
        pasted.script(once)
        pasted.train(each, steps=6)
        for table in ctx.store.entries():
            assert ctx.scratch(table).to_arrow().equals(pasted.scratch(table).to_arrow())


def test_what_has_no_second_order_is_said():
    x, random = points()
    ctx = context({"a": 1.0, "b": 1.0}, pa.table({"x": x, "y": random}))
    loss = "SELECT AVG(abs(y - a * b * x)) FROM d CROSS JOIN p WHERE step = :k"
    with pytest.raises(UsageError, match="least squares"):
        ctx.minimize(loss, "p", using="gauss_newton()", steps=1)
    run = ctx.minimize("SELECT sqrt(AVG(power(y - a*b*x, 2))) FROM d CROSS JOIN p WHERE step = :k", "p", steps=2)
    with pytest.raises(UsageError, match="a fit needs a loss"):
        _ = run.fit
    plain = ctx.train("INSERT INTO p SELECT :next_step, a, b FROM p WHERE step = :k", steps=1)
    with pytest.raises(UsageError, match="MINIMIZE"):
        _ = plain.fit


BUMPS = "SELECT AVG(cos(a - x) + power(b - 1, 2)) FROM d CROSS JOIN p WHERE step = :k"


@pytest.mark.parametrize(
    ("verb", "loss", "start", "what"),
    [
        ("MINIMIZE", BUMPS, (0.3, 0.0), "no minimum but a saddle"),
        ("MAXIMIZE", BUMPS, (0.3, 0.0), "no maximum but a saddle"),
        ("MAXIMIZE", BUMPS, (3.0, 0.0), "no maximum but a minimum"),
        ("MINIMIZE", BUMPS.replace("+ power", "- power"), (0.3, 0.0), "no minimum but a maximum"),
        ("MINIMIZE", BUMPS, (3.0, 0.0), ""),
        ("MAXIMIZE", BUMPS.replace("+ power", "- power"), (0.3, 0.0), ""),
        ("MAXIMIZE", "SELECT AVG(power(x - (a*x + b), 2)) FROM d CROSS JOIN p WHERE step = :k", (0, 0), "a minimum"),
        ("MINIMIZE", "SELECT AVG(power(x - a*b*x, 2)) FROM d CROSS JOIN p WHERE step = :k", (0.1, 0.1), "a saddle"),
    ],
)
def test_newton_says_where_it_has_gone_to_another_kind_of_point(verb, loss, start, what):
    ctx = context({"a": start[0], "b": start[1]}, pa.table({"x": np.linspace(-0.5, 0.5, 21)}))
    cell = f"{verb} ({loss}) OVER p USING newton()"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = ctx.train(cell, steps=4)
    assert [w.category for w in told] == [FitWarning] * bool(what)
    assert (", by its Hessian" in run.message) == bool(what)
    assert what in run.message
    assert all(what in str(w.message) for w in told)
    assert run.status == "done"


@pytest.mark.parametrize(
    ("model", "times"), [("a*x + b", 0), ('"p"."a" * cos(x) + p.b / 2 - 1', 0), ("2.8 * exp(-b*x) + a", 1)]
)
def test_the_hessian_is_calculated_at_the_end_only_where_it_may_be_the_wrong_one(monkeypatch, model, times):
    asked, own = [], stationary.evaluated
    monkeypatch.setattr(stationary, "evaluated", lambda *given: asked.append(1) or own(*given))
    x, random = points()
    ctx = context({"a": 0.1, "b": 1.2}, pa.table({"x": x, "y": 3 * np.exp(-1.3 * x) + 0.05 * random}))
    loss = f"SELECT AVG(power(y - ({model}), 2)) FROM d CROSS JOIN p WHERE step = :k"
    assert ctx.minimize(loss, "p", using="newton()", steps=3).status == "done"
    assert len(asked) == times


def test_of_many_models_those_at_another_kind_of_point_are_counted():
    """And not those that WHERE leaves where they are; a batch is no part of the question."""
    ctx = Context(namespace=lambda: {"g": pa.table({"n": [1, 1, 2, 2, 3, 3], "x": [-0.2, 0.2] * 3})})
    ctx.script("""
        CREATE TABLE p (step INT, n BIGINT, m DOUBLE, PRIMARY KEY (step, n));
        INSERT INTO p VALUES (0, 1, 3.0), (0, 2, 0.2), (0, 3, 0.1)
    """)
    loss = "SELECT g.n, AVG(cos(m - x)) AS loss FROM g JOIN p ON p.n = g.n WHERE step = :k GROUP BY g.n"
    cell = f"MINIMIZE ({loss}) OVER p PER n USING newton()"
    for more, told in (("", "2 of 3 models are at no minimum but at a maximum"), (" WHERE n < 3", "1 of 2 models")):
        with pytest.warns(FitWarning, match=told) as found:
            ctx.train(f"{cell}{more}", steps=3)
        assert len(found) == 1
        assert "(n = 2)" in str(found[0].message) or "(n = 3)" in str(found[0].message)
    ctx.train(f"{cell} WHERE n = 1", steps=1)
    with pytest.warns(FitWarning, match="1 of 1 models"):
        ctx.train(f"{cell} WHERE n = 2 BATCH x > :k - 7", steps=1)
