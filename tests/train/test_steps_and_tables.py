"""Tables that change between two steps: by another cell's thread, a callback, a view that is replaced."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xarray as xr
from datafusion import SessionContext, udf
from datafusion.catalog import Schema

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.events import Stepped
from sqlmagic_xr.train.steps.step import FollowingStep

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


def two(*more):
    return context(
        "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)",
        "CREATE TABLE d (i BIGINT PRIMARY KEY, x DOUBLE)", "INSERT INTO d VALUES (1, 1), (2, 2)", *more,
    )  # fmt: skip


def values(ctx):
    return [a for _, a in rows(ctx, "SELECT step, a FROM p ORDER BY step")]


SUMS = "INSERT INTO p SELECT :next_step, SUM(x) FROM d"


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
class TestWhatAStepWasPlannedOn:
    def test_columns_that_change_places_are_written_by_position(self, way):
        ctx = context("CREATE TABLE p (step BIGINT, a DOUBLE, b DOUBLE)", "INSERT INTO p VALUES (0, 1, 2)")
        swap = (
            "ALTER TABLE p RENAME COLUMN a TO c; ALTER TABLE p RENAME COLUMN b TO a; ALTER TABLE p RENAME COLUMN c TO b"
        )
        ctx.train("INSERT INTO p SELECT :next_step, a + 1, b + 10 FROM p WHERE step = :step", steps=4,
                  on_event=after(ctx, {2: swap}), **way)  # fmt: skip
        # From step 3 on the second column is b and the third a.
        assert rows(ctx)[1:] == [(1, 2, 12), (2, 3, 22), (3, 23, 13), (4, 14, 33)]

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ("ALTER TABLE p ADD COLUMN b DOUBLE DEFAULT 7.0", [(3, 6, 7.0), (4, 7, 7.0)]),
            ("ALTER TABLE p ADD COLUMN b VARCHAR DEFAULT 'new'", [(3, 6, "new"), (4, 7, "new")]),
        ],
    )
    def test_a_column_that_is_added_has_its_default(self, way, change, expected):
        ctx = two()
        ctx.train("INSERT INTO p (step, a) SELECT :next_step, SUM(x) + :step FROM d WHERE i < 9 HAVING COUNT(*) > 0",
                  steps=4, on_event=after(ctx, {2: change + "; UPDATE d SET x = x + 0.5"}), **way)  # fmt: skip
        assert rows(ctx)[3:] == expected

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("ALTER TABLE p ADD COLUMN b DOUBLE", "2 values for 3 columns of `p`"),
            ("ALTER TABLE p DROP COLUMN a", "2 values for 1 column of `p`"),
            ("ALTER TABLE d DROP COLUMN x", "no column x"),
            ("ALTER TABLE d RENAME COLUMN x TO y", "no column x"),
            ("ALTER TABLE p ADD CHECK (a < 3)", "CHECK"),
            ("ALTER TABLE p ADD CONSTRAINT one UNIQUE (a)", "UNIQUE|violates|twice|already"),
            ("DROP TABLE d", "no table d|there is no .*d"),
        ],
    )
    def test_what_no_longer_fits_is_an_error_of_sql(self, way, change, message):
        ctx = two()
        with pytest.raises(SqlError, match=message):
            ctx.train(f"{SUMS} WHERE :step >= 0", steps=4, on_event=after(ctx, {1: change}), **way)
        assert values(ctx)[1:] == [3.0] if "DROP COLUMN a" not in change else True

    def test_a_view_that_is_replaced_is_the_new_one(self, way):
        ctx = two("CREATE VIEW v AS SELECT x FROM d")
        changes = {1: "CREATE OR REPLACE VIEW v AS SELECT x * 10 AS x FROM d",
                   2: "CREATE OR REPLACE VIEW v AS SELECT a AS x FROM p WHERE step <= 1",
                   3: "DROP VIEW v; CREATE TABLE v (x DOUBLE); INSERT INTO v VALUES (5)"}  # fmt: skip
        ctx.train("INSERT INTO p SELECT :next_step, SUM(x) FROM v", steps=4, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, 3, 30, 4, 5]

    def test_a_view_behind_a_view_is_looked_at_too(self, way):
        ctx = two("CREATE VIEW w AS SELECT x FROM d", "CREATE VIEW v AS SELECT x + 1 AS x FROM w")
        changes = {2: "CREATE OR REPLACE VIEW w AS SELECT x * 10 AS x FROM d"}
        ctx.train("INSERT INTO p SELECT :next_step, SUM(x) FROM public.v", steps=3, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, 5, 5, 32]

    def test_a_view_that_is_dropped_is_missed(self, way):
        ctx = two("CREATE VIEW v AS SELECT x FROM d")
        with pytest.raises(SqlError, match="v"):
            ctx.train("INSERT INTO p SELECT :next_step, SUM(x) FROM v", on_event=after(ctx, {2: "DROP VIEW v"}), **way)
        assert values(ctx) == [1, 3, 3]

    def test_a_derivative_follows_its_view(self, way):
        ctx = two("CREATE VIEW loss AS SELECT step, SUM(a * x) AS l FROM d CROSS JOIN p GROUP BY step")
        step = "INSERT INTO p SELECT :next_step, MAX(a) - grad(SUM(a * w.x), a) FROM w CROSS JOIN p WHERE step = :step GROUP BY step"  # noqa: E501
        ctx.script("CREATE VIEW w AS SELECT x FROM d")
        changes = {2: "CREATE OR REPLACE VIEW w AS SELECT x * 10 AS x FROM d"}
        ctx.train(step, steps=3, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, -2, -5, -35]

    def test_a_table_that_is_made_anew_is_another_table(self, way):
        ctx = two()
        changes = {
            1: "DROP TABLE d; CREATE TABLE d (y BIGINT, i BIGINT, x BIGINT); INSERT INTO d VALUES (0, 1, 40)",
            2: "CREATE OR REPLACE TABLE d AS SELECT 1 AS i, 0.25 AS x",
            3: "ALTER TABLE d RENAME TO gone; CREATE TABLE other AS SELECT 6.0 AS x; ALTER TABLE other RENAME TO d",
        }
        ctx.train(SUMS, steps=4, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, 3, 40, 0.25, 6]

    def test_a_variable_that_is_rebound_is_followed(self, way):
        frames = {"d": pa.table({"x": [1.0, 2.0]})}
        ctx = Context(namespace=lambda: frames)
        ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
        changes = {1: lambda: frames.update(d=pa.table({"x": [5.0]})),
                   2: lambda: frames.update(d=pa.table({"z": [1], "x": [6]})),
                   3: lambda: frames.update(d=grid([7.0, 8.0]))}  # fmt: skip
        ctx.train(SUMS, steps=4, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, 3, 5, 6, 15]

    def test_an_xarray_variable_that_is_rebound_or_changed_is_followed(self, way):
        variables = {"d": grid([1.0, 2.0])}
        ctx = Context(namespace=lambda: variables)
        ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")

        def exchange():
            variables["d"]["x"] = ("i", np.array([10.0, 20.0]))

        changes = {1: lambda: variables.update(d=grid([5.0, 6.0, 7.0])),
                   2: lambda: variables.update(d=grid([1.0, 1.0])),

                   3: exchange}  # fmt: skip
        ctx.train(SUMS, steps=4, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, 3, 18, 2, 30]

    def test_a_registered_table_that_is_exchanged_is_the_new_one(self, way):
        ctx = context("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)")

        def register(*x):
            ctx.deregister_table("d")
            ctx.register_record_batches("d", [pa.table({"x": list(x)}).to_batches()])

        register(1.0, 2.0)
        changes = {
            1: lambda: register(5.0),
            2: lambda: ctx.deregister_table("d") or ctx.from_dataset("d", grid([8.0, 9.0])),
        }
        ctx.train(SUMS, steps=3, on_event=after(ctx, changes), **way)
        assert values(ctx) == [1, 3, 5, 17]

    def test_a_table_of_a_schema_of_its_own_is_read_as_it_is(self, way):
        ctx = context("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE)", "INSERT INTO p VALUES (0, 1.0)")
        schema = Schema.memory_schema()
        ctx.catalog().register_schema("s", schema)

        def put(*x):
            if "d" in schema.names():
                schema.deregister_table("d")
            schema.register_table("d", SessionContext().from_arrow(pa.table({"x": list(x)})).into_view())

        put(1.0, 2.0)
        ctx.train("INSERT INTO p SELECT :next_step, SUM(x) FROM s.d", steps=3,
                  on_event=after(ctx, {2: lambda: put(5.0)}),
                  **way)  # fmt: skip
        assert values(ctx) == [1, 3, 3, 5]

    def test_a_function_that_is_registered_anew_is_the_new_one(self, way):
        ctx = two()

        def register(factor):
            ctx.register_udf(udf(lambda x: pc.multiply(x, factor), [pa.float64()], pa.float64(), "immutable", "scaled"))
            ctx.register_derivative("scaled", [f"{factor}"])

        register(2.0)
        step = "INSERT INTO p SELECT :next_step, SUM(scaled(d.x)) + MAX(a) * 0 + grad(SUM(scaled(a) * i), a) FROM d CROSS JOIN p WHERE step = :step GROUP BY step"  # noqa: E501
        ctx.train(step, steps=3, on_event=after(ctx, {2: lambda: register(3.0)}), **way)
        assert values(ctx) == [1, 12, 12, 18]

    def test_a_setting_that_changes_is_followed(self, way):
        ctx = two("CREATE TABLE t AS SELECT '2020-01-01T00:30:00Z' AS s, 1.0 AS x")
        step = "INSERT INTO p SELECT :next_step, SUM(x * date_part('hour', s::TIMESTAMPTZ)) FROM t"
        ctx.train(step, steps=2, on_event=after(ctx, {1: "SET datafusion.execution.time_zone = '+05:00'"}), **way)
        assert values(ctx)[1] != values(ctx)[2]

    def test_a_default_and_a_check_that_are_added_hold(self, way):
        ctx = two()
        what = "ADD COLUMN b DOUBLE", "ALTER COLUMN b SET DEFAULT 4.0", "ADD CHECK (a + b < 12)"
        change = "; ".join(f"ALTER TABLE p {each}" for each in what)
        with pytest.raises(SqlError, match="CHECK"):
            ctx.train("INSERT INTO p (step, a) SELECT :next_step, SUM(x) + 2 * :step FROM d", steps=9,
                      on_event=after(ctx, {2: change}), **way)  # fmt: skip
        assert rows(ctx) == [(0, 1, None), (1, 3, None), (2, 5, None), (3, 7, 4)]

    def test_tables_that_the_step_makes_are_no_change(self, way, monkeypatch):
        ctx = two("CREATE TABLE best AS SELECT 'text' AS other")
        planned = []
        take = FollowingStep._take
        monkeypatch.setattr(FollowingStep, "_take", lambda self, prepared: (planned.append(1), take(self, prepared)))
        step = "INSERT INTO p SELECT :next_step, a + 1 FROM best"
        ctx.train(f"CREATE OR REPLACE TABLE best AS SELECT MAX(a) AS a FROM p; {step}", steps=5, **way)
        assert (len(planned), values(ctx)) == (1, [1, 2, 3, 4, 5, 6])


def grid(x):
    return xr.Dataset({"x": ("i", np.array(x))}, coords={"i": np.arange(len(x))})


CURVES = [
    "SELECT step, SUM(a * x) AS loss FROM p CROSS JOIN d GROUP BY step ORDER BY step",
    "SELECT step, MAX(s) AS loss FROM losses GROUP BY step ORDER BY step",
    "SELECT COUNT(*) AS n, SUM(a) AS s FROM p CROSS JOIN d",
]


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("when", [2, 4])
@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE p SET a = a + 100 WHERE step = 1",
        "INSERT INTO p VALUES (-5, 7)",
        "DELETE FROM p WHERE step = 0",
        "UPDATE d SET x = x * 3",
        "ALTER TABLE p ADD COLUMN b DOUBLE DEFAULT 1.0",
        "CREATE OR REPLACE VIEW losses AS SELECT step, 5 * a AS s FROM p",
        "CREATE OR REPLACE TABLE d AS SELECT 1 AS i, 9 AS x",
    ],
)
def test_a_curve_is_in_the_end_what_its_query_gives(change, when, every, curve):
    ctx = two("CREATE VIEW losses AS SELECT step, a * x AS s FROM p CROSS JOIN d")
    step = "INSERT INTO p (step, a) SELECT :next_step, a + 1 FROM p WHERE step = :step"
    run = ctx.train(f"{step}; {curve}", steps=4, every=every, on_event=after(ctx, {when: change}))
    expected = ctx.sql(curve).to_arrow_table()
    assert run.curve.column_names == expected.column_names
    assert [tuple(r.values()) for r in run.curve.to_pylist()] == [tuple(r.values()) for r in expected.to_pylist()]
