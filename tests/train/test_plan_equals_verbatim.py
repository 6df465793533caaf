"""Whatever the plan of a step does, the tables are what the statements as they stand would have made."""

import math

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, UnsupportedError
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.steps.arrays import ArrayExecutor
from sqlmagic_xr.train.steps.plan import PlannedStep
from sqlmagic_xr.train.steps.step import VerbatimStep
from tests.dealt import MANY, PACKED, dealing

STEPS = 3
MOST_ROWS = 40  # a step may join three tables with each other: a few more and the next one has millions of rows
PARAMETERS = {"lr": 0.25, "names": ["u", "w"]}

reals = st.sampled_from([None, -2.0, -0.5, 0.0, 1.0, 3.0])
small = st.integers(0, 2)
data = st.lists(st.tuples(reals, reals, small), max_size=5)
# (step, a, b, n): one row for the first steps, none, or several where the table has no key.
state = st.lists(st.tuples(st.just(0) | st.integers(-1, 1), reals, reals, st.none() | small), max_size=4)
one_row = st.tuples(st.just(0), reals, reals, small).map(lambda row: [row])
weights = st.lists(st.tuples(small, reals), max_size=4, unique_by=lambda row: row[0])

# How a step reads its newest generation; `cur` has the columns a, b, n.
CURRENT = [
    "CROSS JOIN (SELECT a, b, n FROM p WHERE step = :k) cur",
    "CROSS JOIN (SELECT * FROM p WHERE :k = p.step) cur",
    "CROSS JOIN (SELECT q.a, q.b * 2 AS b, q.n FROM p AS q WHERE (q.step) = :k AND q.a IS NOT NULL) cur",
    "CROSS JOIN (SELECT a, b, n FROM p ORDER BY step DESC LIMIT 1) cur",
    "CROSS JOIN (SELECT a, b, n FROM p WHERE step = (SELECT MAX(step) FROM p)) cur",
    "JOIN p cur ON cur.step = :k",
    "JOIN (SELECT a, b, n, step FROM p) cur ON cur.step = :k AND (d.g >= cur.n OR cur.n IS NULL)",
    ", p AS cur",  # with the key in WHERE
    "LEFT JOIN p cur ON cur.step = :k",
    "LEFT JOIN p cur ON cur.step = :k AND cur.n = d.g",
    "CROSS JOIN newest cur",  # a view
    "CROSS JOIN last_one cur",  # a CTE
    "CROSS JOIN (SELECT MAX(a) AS a, MIN(b) AS b, COUNT(n) AS n FROM p WHERE step = :k) cur",
    "RIGHT JOIN p cur ON cur.step = :k",
    "CROSS JOIN (SELECT a, b, n FROM p WHERE step = :k UNION ALL SELECT 1.0, 2.0, 3) cur",
]  # fmt: skip
# How it reads what else there is.
BESIDE = [
    "",
    " LEFT JOIN p prev ON prev.step = :k - 1",
    " LEFT JOIN (SELECT a, step FROM p) prev ON prev.step = :k - 1",
    " CROSS JOIN (SELECT a FROM p WHERE step = :k - 1) prev",
    " JOIN w ON w.step = :k AND w.j = d.g",
    " CROSS JOIN e",
    " LEFT JOIN e ON e.g = d.g",
]
WHERE = [
    "", "d.x > 0", "d.g = :k", "d.y IS NOT NULL AND d.x <> 1", "cur.a > d.x", "d.g IN (0, :next_step)",
    "d.s IN (:names)",
    "EXISTS (SELECT 1 FROM e WHERE e.g = d.g)", "d.x > (SELECT AVG(b) FROM p WHERE step = :k)", "d.x = cur.n",
    "d.g IN (SELECT j FROM w WHERE step = :k)", "(SELECT COUNT(*) FROM e WHERE e.z > cur.a) < 2",
]  # fmt: skip
# Value of the two reals that are inserted.
AGGREGATED = [
    "cur.a - :lr * AVG(d.x * cur.a - d.y)", "SUM(d.x + cur.b)", "COUNT(*)", "cur.b", "MAX(cur.n) + COUNT(cur.a)",
    "COALESCE(cur.a, 7) / 2", "SUM(CASE WHEN d.x > cur.a THEN cur.b ELSE d.y END)", "cur.n / 2", "AVG(cur.a)",
]  # fmt: skip
PLAIN = ["cur.a * d.x", "cur.b + :lr", "d.y", "b", "cur.n + 0.5", "COALESCE(cur.n, d.g)", "cur.a", "- cur.b"]
GROUPS = ["cur.a, cur.b, cur.n", "1, 2, 3", "cur.a, cur.b, cur.n, d.g"]


@st.composite
def inserts(draw):
    """An INSERT of the next generation, read in some way, into p or into w."""
    current, beside = draw(st.sampled_from(CURRENT)), draw(st.sampled_from(BESIDE))
    conditions = [draw(st.sampled_from(WHERE))]
    if current == ", p AS cur":
        current, beside = "CROSS JOIN p AS cur" if beside else current, beside
        conditions.append("cur.step = :k")
    where = " AND ".join(c for c in conditions if c)
    aggregated = draw(st.booleans())
    values = draw(st.lists(st.sampled_from(AGGREGATED if aggregated else PLAIN), min_size=2, max_size=2, unique=True))
    if draw(st.booleans()) and "prev" in beside:
        values[0] = f"COALESCE({'MAX(prev.a)' if aggregated else 'prev.a'}, 0.5) * 2"
    source = f"FROM d {current}{beside}" + (f" WHERE {where}" if where else "")
    if draw(st.booleans()):
        source += " " if not aggregated else f" GROUP BY {draw(st.sampled_from(GROUPS[::2]))}"
    query = f"SELECT :next_step, {values[0]}, {values[1]}, {draw(st.sampled_from(['1', 'cur.n', 'NULL']))} {source}"
    ctes = "last_one AS (SELECT a, b, n FROM p WHERE step = :k)" if "last_one" in current else ""
    return f"INSERT INTO p {'WITH ' + ctes + ' ' if ctes else ''}{query}"


SECOND = [
    None,
    "INSERT INTO w SELECT :next_step, w.j, w.v + cur.a FROM w CROSS JOIN (SELECT a FROM p WHERE step = :next_step) cur "
    "WHERE w.step = :k",
    "INSERT INTO w (step, j, v) SELECT :next_step, g, SUM(x) FROM d GROUP BY g",
    "INSERT INTO w (step, j) SELECT MAX(step) + 1, 7 FROM p",
    "INSERT INTO w VALUES (:next_step, 9, :lr)",
]

# A table that is made anew at each step, of one row or of several, and read by the statement behind it.
MADE = [
    None,
    "CREATE OR REPLACE TABLE t AS SELECT AVG(d.x * cur.a) AS x, COUNT(*) AS n, cur.b * 2 AS b, MAX(cur.n) "
    "FROM d CROSS JOIN (SELECT a, b, n FROM p WHERE step = :k) cur GROUP BY cur.b",
    "CREATE OR REPLACE TABLE t AS SELECT d.g AS n, SUM(d.x) AS x, :lr AS b FROM d GROUP BY d.g",
    "CREATE OR REPLACE TABLE t AS WITH c AS (SELECT * FROM p WHERE step = :k) SELECT c.n, c.a AS x, c.b FROM c",
]
FROM_MADE = "INSERT INTO p SELECT :next_step, t.x * 2, cur.b, t.n FROM t CROSS JOIN p cur WHERE cur.step = :k"


def context_of(d, p, w, by_twos=False):
    table = pa.table(
        {
            "x": pa.array([r[0] for r in d], pa.float64()),
            "y": pa.array([r[1] for r in d], pa.float64()),
            "g": pa.array([r[2] for r in d], pa.int64()),
            "s": pa.array(["uvw"[r[2]] for r in d], pa.string()),
        }
    )
    ctx = dealing(Context(namespace=lambda: {"d": table}), by_twos)
    ctx.script(
        "CREATE TABLE p (step BIGINT NOT NULL, a DOUBLE, b DOUBLE, n BIGINT);"
        "CREATE TABLE w (step BIGINT, j BIGINT, v DOUBLE); CREATE TABLE e (g BIGINT, z DOUBLE);"
        "INSERT INTO e VALUES (0, 1.5), (1, -0.5), (1, NULL);"
        "CREATE VIEW newest AS SELECT a, b, n FROM p ORDER BY step DESC LIMIT 1"
    )
    for name, rows in (("p", p), ("w", [(0, *r) for r in w])):
        columns = [list(column) for column in zip(*rows, strict=True)]
        if columns:
            ctx.scratch(name).append(dict(zip(ctx.scratch(name).definition.names, columns, strict=True)))
    return ctx


def tables(ctx):
    found = {}
    for name in ("p", "w"):
        rows = [tuple(r.values()) for r in ctx.scratch(name).to_arrow().to_pylist()]
        # Rounded, so that sums which differ in their last bits do not change the order.
        found[name] = sorted(rows, key=to_nine_places)
    if "t" in ctx.store.entries():
        made = ctx.scratch("t").to_arrow()
        found["t"] = [tuple(map(str, made.schema.types)), tuple(made.schema.names)]
        found["t"] += sorted((tuple(r.values()) for r in made.to_pylist()), key=to_nine_places)
    return found


def to_nine_places(row):
    """Rows are put in order by what both ways agree about; beyond that two may stand in another order."""
    return tuple((value is None, round(value, 9) if value is not None else 0) for value in row)


def same(left, right):
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)
    return left == right


def run(ctx, step, k, look=True):
    """The tables after the step if they are looked at, or the kind of error it has met."""
    try:
        with ctx.transaction():
            step.run({"k": k, "next_step": k + 1, **PARAMETERS})
    except SqlError as error:
        return type(error)
    return tables(ctx) if look else None


def has_one_answer(statements, ctx, k, by_twos):
    """Whether it is settled what the step gives.

    `ORDER BY step DESC LIMIT 1` takes the first of several newest rows. In a table that nobody has written since it was
    made both ways have the same, unless one deals it out by twos; after a step, rows that SQL gives no order may have
    come in another one.
    """
    if not any("LIMIT 1" in s or "newest" in s for s in statements):
        return True
    if FROM_MADE in statements:
        return False  # which adds several rows of one step before the read
    steps = ctx.scratch("p").to_arrow().column("step").to_pylist()
    return steps.count(max(steps, default=0)) <= 1 or (k == 0 and len(statements) == 1 and not by_twos)


def compare(statements, d, p, w, arrays=False, seen=True, by_twos=False):
    """Run the statements both ways, and give the plan; with arrays, whatever is array code runs so.

    Unless they are ``seen`` after each step, nobody reads the tables of the plan before the end: what array code has
    calculated is not written out meanwhile. The plan's rows may be dealt out ``by_twos``.
    """
    ours, theirs = context_of(d, p, w, by_twos), context_of(d, p, w)
    planned = PlannedStep(
        [ours.prepare(parse_one(s)) for s in statements], writes={"p", "w", "t"}, varying={"k", "next_step"},
        executors=[ArrayExecutor(ours)] if arrays else [],
    )  # fmt: skip
    verbatim = VerbatimStep([theirs.prepare(parse_one(s)) for s in statements])
    for k in range(STEPS):
        settled = has_one_answer(statements, theirs, k, by_twos)
        if not settled or len(theirs.scratch("p")) + len(theirs.scratch("w")) > MOST_ROWS:
            return planned
        mine, right = run(ours, planned, k, seen or k == STEPS - 1), run(theirs, verbatim, k)
        if right is UnsupportedError:
            return planned  # the engine cannot run the statement as it stands; folded, it sometimes can
        if isinstance(right, type) or isinstance(mine, type):
            assert mine == right, (k, str(planned.explain()[0]))
            continue
        if mine is None:
            continue
        for name in right:
            assert len(mine[name]) == len(right[name]), (k, name, mine, right, str(planned.explain()[0]))
            for a, b in zip(mine[name], right[name], strict=True):
                assert all(map(same, a, b)), (k, name, a, b, str(planned.explain()[0]))
    return planned


@pytest.mark.parametrize(
    ("arrays", "seen"), [(False, True), (True, True), (True, False)], ids=["relational", "arrays", "arrays, unseen"]
)
@settings(max_examples=60, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    first=inserts(), second=st.sampled_from(SECOND), made=st.sampled_from(MADE), d=data, p=state, w=weights,
    by_twos=st.sampled_from([False, False, True]),
)  # fmt: skip
def test_random_steps(arrays, seen, first, second, made, d, p, w, by_twos):
    try:
        parse_one(first)
    except SqlError:
        pytest.fail(f"the test's own statement cannot be read: {first}")
    statements = [*([made, FROM_MADE] if made else []), first, *([second] if second else [])]
    compare(statements, d, p, w, arrays, seen, by_twos)


@pytest.mark.parametrize("arrays", [False, True], ids=["relational", "arrays"])
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    first=inserts(), second=st.sampled_from(SECOND), made=st.sampled_from(MADE), d=data.filter(bool), p=one_row,
    w=weights,
)  # fmt: skip
def test_random_steps_over_many_rows(arrays, first, second, made, d, p, w):
    rows = (d * MANY)[:MANY]
    compare(
        [*([made, FROM_MADE] if made else []), first, *([second] if second else [])], rows, p, w, arrays, by_twos=PACKED
    )
