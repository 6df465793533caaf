"""A function that a session was given has its row in the table of functions, and hides one of ours of that name."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from datafusion import Accumulator, udaf, udf

from sqlmagic_xr import Context
from sqlmagic_xr.engine.functions import row_of
from sqlmagic_xr.errors import DerivativeError, UnsupportedError
from sqlmagic_xr.relation import functions
from sqlmagic_xr.relation.facts import key, types
from sqlmagic_xr.relation.reads import volatile
from sqlmagic_xr.sql.syntax import parse_one


class Largest(Accumulator):
    """The largest number so far."""

    def __init__(self):
        self._found = 0.0

    def update(self, values):
        self._found = max(self._found, pc.max(values).as_py() or 0.0)

    def merge(self, states):
        self.update(states[0])

    def state(self):
        return [pa.scalar(self._found)]

    def evaluate(self):
        return pa.scalar(self._found)


@pytest.fixture(autouse=True)
def table_of_functions(monkeypatch):
    monkeypatch.setattr(functions, "_GIVEN", {})


@pytest.fixture
def ctx():
    found = Context()
    found.script("CREATE TABLE d (x DOUBLE); INSERT INTO d VALUES (1.0), (2.0), (3.0);"
                 "CREATE TABLE p (step BIGINT, a DOUBLE); INSERT INTO p VALUES (0, 0.0)")  # fmt: skip
    return found


def given(ctx, name, function, volatility="immutable"):
    ctx.register_udf(udf(function, [pa.float64()], pa.float64(), volatility, name))


def largest(ctx):
    ctx.register_udaf(udaf(Largest, pa.float64(), pa.float64(), [pa.float64()], "immutable", name="largest"))


def bound(ctx, sql):
    return ctx.tables.bound(parse_one(sql).tree["Query"])


def test_what_it_is_and_whether_it_varies(ctx):
    given(ctx, "twice", lambda x: pc.multiply(x, 2.0))
    given(ctx, "drawn", lambda x: x, "volatile")
    largest(ctx)
    assert types(bound(ctx, "SELECT twice(x) AS y FROM d")) == ("double",)
    assert not volatile(bound(ctx, "SELECT twice(x) AS y FROM d"))
    assert volatile(bound(ctx, "SELECT drawn(x) AS y FROM d"))
    assert functions.is_aggregate("largest")
    assert key(bound(ctx, "SELECT LARGEST(x) AS y FROM d")) == ()


def test_what_varies_is_not_kept_by_a_step(ctx):
    count = iter(range(1000))
    given(ctx, "tick", lambda x: pa.array([float(next(count))] * len(x)), "volatile")
    ctx.train("INSERT INTO p SELECT :next_step, q.t FROM (SELECT MAX(tick(x)) AS t FROM d) q", steps=4)
    ticks = ctx.sql("SELECT a FROM p WHERE step > 0 ORDER BY step").to_arrow_table()["a"].to_pylist()
    assert len(set(ticks)) == 4


def test_an_aggregate_of_the_users_is_one(ctx):
    largest(ctx)
    assert ctx.sql("SELECT largest(x) AS y FROM d").to_arrow_table()["y"].to_pylist() == [3.0]
    with pytest.raises(UnsupportedError, match="no array code for largest"):
        ctx.script("SELECT largest(x) AS y FROM d", executor="dense")
    with pytest.raises(DerivativeError, match="largest"):
        ctx.sql("SELECT grad(largest(x), x) AS g FROM d")


def test_it_hides_one_of_ours(ctx):
    given(ctx, "exp", lambda x: pc.multiply(x, 10.0))
    assert ctx.sql("SELECT exp(x) AS y FROM d ORDER BY y").to_arrow_table()["y"].to_pylist() == [10.0, 20.0, 30.0]
    with pytest.raises(UnsupportedError, match="no array code for exp"):
        ctx.script("SELECT exp(x) AS y FROM d", executor="dense")
    with pytest.raises(DerivativeError, match="exp"):
        ctx.sql("SELECT grad(exp(x), x) AS g FROM d")
    ctx.register_derivative("exp", ["10.0"])
    assert ctx.sql("SELECT grad(exp(x), x) AS g FROM d").to_arrow_table()["g"].to_pylist() == [10.0] * 3


def test_it_hides_one_whose_query_is_known_already(ctx):
    query = "SELECT sum(i) AS s FROM n"
    ctx.script("CREATE TABLE n (i BIGINT); INSERT INTO n VALUES (9223372036854775807), (1)")
    with pytest.raises(Exception, match="a SUM of integers is beyond BIGINT"):
        ctx.sql(query).to_arrow_table()
    ctx.register_udaf(udaf(Largest, pa.float64(), pa.float64(), [pa.float64()], "immutable", name="sum"))
    assert ctx.sql(query).to_arrow_table()["s"].to_pylist() == [2.0**63]


def test_of_two_of_one_name_what_holds_of_both_is_known(ctx):
    given(ctx, "f", lambda x: x)
    given(ctx, "f", lambda x: x)  # as running a cell again does
    assert functions.varies("f") == "never"
    given(Context(), "f", lambda x: x, "volatile")
    assert functions.varies("f") == "call"


def test_functions_go_with_their_session():
    functions.give("exp", lambda: row_of(None, "exp", "scalar"), lambda: None)
    assert functions.is_given("exp")
    assert functions.function("exp") is functions.FUNCTIONS["exp"]
    assert not functions.is_given("exp")


def test_a_sum_of_another_session_leaves_ours_checked(ctx):
    """It did not: where any session of the process had a SUM of its own, SUM of ours wrapped around."""
    other = Context()
    other.register_udaf(udaf(Largest, pa.float64(), pa.float64(), [pa.float64()], "immutable", name="sum"))
    ctx.script("CREATE TABLE n (i BIGINT); INSERT INTO n VALUES (9223372036854775807), (1)")
    with pytest.raises(Exception, match="a SUM of integers is beyond BIGINT"):
        ctx.sql("SELECT sum(i) AS s FROM n").to_arrow_table()
    query = "SELECT grad(sum(x * q.a), q.a) AS g FROM d CROSS JOIN (SELECT 2.0 AS a) q"
    assert ctx.sql(query).to_arrow_table()["g"].to_pylist() == [6.0]
    other.script("CREATE TABLE d (x DOUBLE); INSERT INTO d VALUES (1.0), (2.0)")
    assert other.sql("SELECT sum(x) AS s FROM d").to_arrow_table()["s"].to_pylist() == [2.0]
    with pytest.raises(DerivativeError, match="sum"):
        other.sql(query)


def test_one_name_is_an_aggregate_here_and_a_scalar_there(ctx):
    """EXISTS over an aggregate always holds; over a function of the row it does where there is a row."""
    other = Context()
    largest(other)
    given(ctx, "largest", lambda x: x)
    ctx.script("CREATE TABLE r (x DOUBLE); INSERT INTO r VALUES (1.0)")
    query = "SELECT x FROM d WHERE EXISTS (SELECT largest(r.x) FROM r WHERE r.x = d.x)"
    assert ctx.sql(query).to_arrow_table()["x"].to_pylist() == [1.0]
    other.script("CREATE TABLE d (x DOUBLE); INSERT INTO d VALUES (1.0), (2.0);"
                 "CREATE TABLE r (x DOUBLE); INSERT INTO r VALUES (1.0)")  # fmt: skip
    assert other.sql(query + " ORDER BY x").to_arrow_table()["x"].to_pylist() == [1.0, 2.0]


def test_a_step_is_array_code_whatever_another_session_has(ctx):
    given(Context(), "exp", lambda x: pc.multiply(x, 10.0))
    ctx.train("INSERT INTO p SELECT :next_step, MAX(exp(d.x)) AS a FROM d", steps=2)
    found = ctx.sql("SELECT a FROM p WHERE step = 2").to_arrow_table()["a"].to_pylist()
    assert found == pytest.approx([20.085536923187668])
    assert ctx.script("SELECT MAX(exp(x)) AS y FROM d", executor="dense")[0].executor == "dense"


def test_a_context_gives_itself_none():
    Context()
    assert functions._GIVEN == {}
