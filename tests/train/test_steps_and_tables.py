"""Tables that change between two steps: by another cell's thread, a callback, a view that is replaced."""

import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.train.events import Stepped

WAYS = [{}, {"executor": "relational"}, {"verbatim": True}]
WAY_NAMES = ["auto", "relational", "verbatim"]


def context(*statements):
    ctx = Context()
    ctx.script("; ".join(statements))
    return ctx


def after(ctx, changes, **more):
    """A callback that runs SQL, or calls a function, once the generation of that number is made."""

    def receive(event):
        what = changes.get(event.generation) if isinstance(event, Stepped) else None
        if isinstance(what, str):
            ctx.script(what)
        elif what is not None:
            what()

    return receive


def rows(ctx, query="SELECT * FROM p ORDER BY step"):
    return [tuple(row.values()) for row in ctx.sql(query).to_arrow_table().to_pylist()]


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_a_relation_that_is_kept_never_takes_the_name_of_another(way):
    ctx = context(
        "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)", "INSERT INTO p VALUES (0, 0, 0)",
        "CREATE TABLE u (g BIGINT, x DOUBLE)", "INSERT INTO u VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE TABLE v (g BIGINT, x DOUBLE)", "INSERT INTO v VALUES (1, 100), (2, 200), (3, 300)",
    )  # fmt: skip
    changes = {2: "UPDATE u SET x = x + 1", 4: "UPDATE v SET x = x + 1", 5: "UPDATE u SET x = x * 2"}
    step = "INSERT INTO p SELECT :next_step, median(u.x), median(v.x) FROM u JOIN v ON u.g = v.g"
    ctx.train(step, steps=6, on_event=after(ctx, changes), **way)
    assert rows(ctx)[1:] == [(1, 2, 200), (2, 2, 200), (3, 3, 200), (4, 3, 200), (5, 3, 201), (6, 6, 201)]


SPELLINGS = ["p", "public.p", "datafusion.public.p", '"p"', "P", 'PUBLIC."p"', 'datafusion."public".P']


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize("name", SPELLINGS)
class TestOneTableHoweverItsNameIsWritten:
    def test_the_newest_generation(self, name, way):
        ctx = context("CREATE TABLE p (step BIGINT, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)")
        step = f"INSERT INTO p SELECT :next_step, a*2 AS a FROM {name} WHERE step = (SELECT MAX(step) FROM {name})"
        ctx.train(step, steps=4, **way)
        assert [a for _, a in rows(ctx)] == [1, 2, 4, 8, 16]

    def test_a_second_read_of_a_whole_table_sees_what_the_step_has_written(self, name, way):
        ctx = context(
            "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)",
            "CREATE TABLE sums (step BIGINT, s DOUBLE, n BIGINT)", "INSERT INTO sums VALUES (0, 0, 0)",
        )  # fmt: skip
        ctx.train(
            "INSERT INTO sums SELECT :next_step, SUM(a), COUNT(*) FROM p;"
            "INSERT INTO p SELECT :next_step, a + 1 FROM p WHERE step = :step;"
            f"INSERT INTO sums SELECT :next_step, SUM(a), COUNT(*) FROM {name}",
            steps=3, **way,
        )  # fmt: skip
        assert rows(ctx, "SELECT s, n FROM sums WHERE step > 0 ORDER BY n, step") == [
            (1, 1), (3, 2), (3, 2), (6, 3), (6, 3), (10, 4),
        ]  # fmt: skip

    def test_a_view_of_that_name(self, name, way):
        ctx = context("CREATE TABLE q (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO q VALUES (0, 1.0)",
                      "CREATE VIEW p AS SELECT * FROM public.q")  # fmt: skip
        ctx.train(f"INSERT INTO q SELECT :next_step, SUM(a) FROM {name}", steps=4, **way)
        assert [a for _, a in rows(ctx, "SELECT * FROM q ORDER BY step")] == [1, 1, 2, 4, 8]

    def test_a_table_that_the_step_makes_anew(self, name, way):
        ctx = context("CREATE TABLE q (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO q VALUES (0, 1.0)",
                      "CREATE TABLE p (a BIGINT, z BIGINT)", "INSERT INTO p VALUES (7, 1), (8, 2)")  # fmt: skip
        ctx.train(
            f"CREATE OR REPLACE TABLE {name} AS SELECT a / 2 AS a FROM q WHERE step = :step;"
            "INSERT INTO q SELECT :next_step, a FROM datafusion.public.p",
            steps=3, **way,
        )  # fmt: skip
        assert [a for _, a in rows(ctx, "SELECT * FROM q ORDER BY step")] == [1, 0.5, 0.25, 0.125]

    def test_a_cte_hides_only_the_bare_name(self, name, way):
        ctx = context("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)")
        hidden = "." not in name
        ctx.train(
            "WITH p AS (SELECT 0 AS step, 100.0 AS a) "
            f"INSERT INTO p SELECT :next_step, (SELECT MAX(a) FROM {name}) + 1", steps=3, **way,
        )  # fmt: skip
        assert [a for _, a in rows(ctx)] == ([1, 101, 101, 101] if hidden else [1, 2, 3, 4])

    def test_a_derivative_knows_its_key(self, name, way):
        ctx = context("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 2.0)",
                      "CREATE TABLE d (x DOUBLE)", "INSERT INTO d VALUES (1), (2)")  # fmt: skip
        ctx.train(
            "INSERT INTO p SELECT :next_step, MAX(a) - 0.1 * grad(SUM(a*a*x), a) "
            f"FROM d CROSS JOIN {name} q WHERE q.step = :step GROUP BY step", steps=2, **way,
        )  # fmt: skip
        assert [a for _, a in rows(ctx)] == pytest.approx([2, 0.8, 0.32])


def test_another_table_of_almost_that_name_is_another():
    ctx = context(
        "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)",
        'CREATE TABLE "P" (step BIGINT PRIMARY KEY, a DOUBLE)', 'INSERT INTO "P" VALUES (0, 10.0)',
    )  # fmt: skip
    ctx.train('INSERT INTO p SELECT :next_step, SUM(a) FROM public."P"', steps=3)
    assert [a for _, a in rows(ctx)] == [1, 10, 10, 10]
    assert [a for _, a in rows(ctx, 'SELECT * FROM "P"')] == [10]


@pytest.mark.parametrize("name", ["d", "public.d", "datafusion.public.d", '"d"', "D"])
def test_a_variable_is_followed_however_its_name_is_written(name):
    variables = {"d": pa.table({"x": [1.0, 2.0]})}
    ctx = Context(namespace=lambda: variables)
    assert rows(ctx, f"SELECT SUM(x) FROM {name}") == [(3.0,)]
    variables["d"] = pa.table({"x": [5.0]})
    assert rows(ctx, f"SELECT SUM(x) FROM {name}") == [(5.0,)]
