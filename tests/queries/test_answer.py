"""Queries outside of training as array code: who runs them, what they give, and what stays as it is."""

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UnsupportedError

SCORES = "SELECT q.t AS t, k.t AS u, SUM(q.v * k.v) / 4.0 FROM query q JOIN keys k ON q.c = k.c GROUP BY q.t, k.t"
SMALL = "SELECT q.t, SUM(q.v * k.v) AS v FROM query q JOIN keys k USING (t, c) GROUP BY q.t"


def long(**dims):
    axes = np.meshgrid(*[np.arange(n) for n in dims.values()], indexing="ij")
    values = np.random.default_rng(3).normal(size=axes[0].size)
    return pa.table({**{d: a.ravel() for d, a in zip(dims, axes, strict=True)}, "v": values})


@pytest.fixture
def variables():
    """Two tables in long form whose product has 4.2 million pairs."""
    return {"query": long(t=512, c=16), "keys": long(t=512, c=16)}


@pytest.fixture
def ctx(variables):
    return Context(namespace=lambda: variables)


def run(ctx, sql, **options):
    (result,) = ctx.script(sql, **options)
    return result


def same(one, other, keys):
    one, other = (r.to_arrow_table().sort_by([(k, "ascending") for k in keys]) for r in (one, other))
    assert one.schema == other.schema
    for name in one.column_names:
        np.testing.assert_allclose(one[name].to_numpy(), other[name].to_numpy(), rtol=1e-10, atol=1e-12)


def test_a_sum_over_a_large_join_runs_as_array_code(ctx):
    result, relational = run(ctx, SCORES), run(ctx, SCORES, executor="relational")
    assert (result.executor, relational.executor) == ("dense", "relational")
    assert len(result) == 512 * 512
    assert result.columns == relational.columns  # that of an expression without a name, too
    assert result.preview(3).total == 512 * 512
    same(result, relational, ["t", "u"])


@pytest.mark.parametrize(
    "sql",
    [
        SMALL,
        "SELECT * FROM query",
        "SELECT q.t, k.v FROM query q JOIN keys k USING (t, c)",
        "SELECT AVG(v) AS v FROM query",
        SCORES + " LIMIT 5",
        "SELECT q.t, median(q.v * k.v), SUM(k.v) FROM query q JOIN keys k ON q.c = k.c GROUP BY q.t",
    ],
)
def test_what_may_not_pay_is_left_to_the_engine(ctx, sql):
    assert run(ctx, sql).executor == "relational"


@pytest.mark.parametrize(
    "order", ["ORDER BY t DESC, u", "ORDER BY u, t DESC NULLS LAST LIMIT 7", "ORDER BY q.t, k.t DESC LIMIT 4 OFFSET 2"]
)
def test_the_order_asked_for_is_that_of_the_rows(ctx, order):
    result, relational = (run(ctx, f"{SCORES} {order}", executor=e) for e in ("auto", "relational"))
    assert result.executor == "dense"
    one, other = result.to_arrow_table(), relational.to_arrow_table()
    assert one["t"].equals(other["t"])
    assert one["u"].equals(other["u"])


def test_dense_answers_small_queries_too_and_says_why_where_it_cannot(ctx):
    same(run(ctx, SMALL, executor="dense"), run(ctx, SMALL, executor="relational"), ["t"])
    rows = ctx.sql("SELECT t, MAX(v) AS v FROM query GROUP BY t ORDER BY t LIMIT 2", executor="dense")
    assert rows.to_pydict()["t"] == [0, 1]
    with pytest.raises(UnsupportedError, match="no array code for median") as caught:
        run(ctx, "SELECT\n  median(v) FROM query", executor="dense")
    assert caught.value.span.line == 2
    with pytest.raises(UnsupportedError, match="no column of its SELECT"):
        ctx.sql("SELECT t FROM query ORDER BY v + 1", executor="dense")


def test_statements_with_effects_run_as_ever(ctx):
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.5)", executor="dense")
    assert run(ctx, "SELECT step, a * 2 AS a FROM p", executor="dense").to_pandas().a.tolist() == [3.0]


def test_a_result_is_lazy_and_of_the_tables_that_it_was_asked_of(ctx, variables):
    ctx.script("CREATE TABLE k AS SELECT * FROM keys")
    sql = SCORES.replace("keys k", "k")
    before = run(ctx, sql, executor="relational").to_arrow_table()
    kept = run(ctx, sql)
    ctx.script("UPDATE k SET v = 0")
    assert kept.executor == "relational"  # what arrays would read now is not what was asked
    np.testing.assert_allclose(
        kept.to_pandas().sort_values(["t", "u"]).iloc[:, 2],
        before.to_pandas().sort_values(["t", "u"]).iloc[:, 2],
    )
    variables["query"] = variables["query"].slice(0, 16 * 500)
    assert run(ctx, SCORES).to_arrow_table().num_rows == 500 * 512


class Untouched(xr.backends.BackendArray):
    """An array on disk, say, that must not be read."""

    shape, dtype = (512, 16), np.dtype(np.float64)

    def __getitem__(self, key):
        raise AssertionError("it is read")


def test_datasets_in_memory_are_grids_and_lazy_ones_are_not_read():
    values = np.random.default_rng(1).normal(size=(512, 16))
    kept = xr.Dataset({"v": (("t", "c"), values)})
    names = {"query": kept, "keys": kept}
    ctx = Context(namespace=lambda: names)
    product = "SELECT q.t, k.c, SUM(q.v * k.v) AS v FROM query q CROSS JOIN keys k WHERE q.c = k.c GROUP BY q.t, k.c"
    result = run(ctx, product)
    assert result.executor == "dense"
    assert dict(result.to_dataset(["t", "c"]).sizes) == {"t": 512, "c": 16}
    backend = xr.core.indexing.LazilyIndexedArray(Untouched())
    names["keys"] = xr.Dataset({"v": (("t", "c"), backend)})
    assert run(ctx, product).executor == "relational"


def test_explain_tells_who_runs_a_query(ctx):
    assert run(ctx, f"EXPLAIN {SCORES}").plan.startswith("executor: dense (array code instead of 4,194,304 pairs")
    assert run(ctx, f"EXPLAIN {SMALL}").plan.startswith("executor: relational (it sums over")
    assert "executor" not in run(ctx, "EXPLAIN SELECT v FROM query").plan
    assert "executor" not in run(ctx, f"EXPLAIN {SCORES}", executor="relational").plan
    told = run(ctx, "EXPLAIN SELECT median(v) FROM query", executor="dense").plan
    assert told.startswith("executor: relational (no array code for median(v))")


def test_a_view_of_a_table_is_read_with_the_columns_that_it_names(ctx):
    ctx.script("CREATE VIEW doubled AS SELECT t, c, v * 2 AS w FROM keys")
    sql = SCORES.replace("keys k", "doubled k").replace("k.v", "k.w")
    same(run(ctx, sql, executor="dense"), run(ctx, sql, executor="relational"), ["t", "u"])
    assert run(ctx, sql).executor == "dense"


def test_what_the_engine_refuses_is_refused():
    ctx = Context(namespace=lambda: {"query": long(t=4, c=2)})
    with pytest.raises(Exception, match="nowhere"):
        ctx.sql("SELECT nowhere FROM query", executor="dense")
