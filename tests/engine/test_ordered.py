"""Frames that go on from a sorted one: which rows they have, in which order, and how many they may take."""

import pyarrow as pa
import pytest
from datafusion import SessionConfig, SessionContext, col, lit
from datafusion import functions as f

import sqlmagic_xr
from sqlmagic_xr.errors import UsageError
from tests.dealt import MANY

SCALAR = "SELECT k, x + (SELECT 0) AS x FROM d ORDER BY k"
HIDDEN = "SELECT x + (SELECT 0) AS x, g FROM d ORDER BY k"
FURTHER = col("x") + lit(1)

IN_ORDER = {
    "selected": lambda c: c.sql(SCALAR).select("x"),
    "dropped": lambda c: c.sql(SCALAR).drop("k"),
    "by name": lambda c: c.sql(SCALAR)[["x"]],
    "hidden": lambda c: c.sql(HIDDEN).select("x"),
    "renamed": lambda c: c.sql(SCALAR).with_column_renamed("k", "K k").with_column("z", FURTHER).drop("z").select("x"),
    "calculated": lambda c: c.sql("SELECT k, x FROM d ORDER BY k").select(FURTHER, col("k").alias("j")),
    "calculated downwards": lambda c: c.sql("SELECT x, -k AS m FROM d ORDER BY m DESC").with_column("z", FURTHER),
    "chosen from some": lambda c: c.sql("SELECT x, k FROM d ORDER BY k LIMIT 30").filter(col("x") > lit(100)),
    "by a frame's sort": lambda c: c.sql("SELECT x + (SELECT 0) AS x, k FROM d").sort("k").drop("k"),
    "by an alias": lambda c: c.sql(SCALAR).alias("t").select(col("t.x")),
    "as a stream": lambda c: c.sql(SCALAR).select("x").execute_stream(),
}

FIRST = {
    "of a selection": lambda c: c.sql(SCALAR).select("x").limit(3, 2),
    "of what is hidden": lambda c: c.sql(HIDDEN).select("x").limit(3, 2),
    "of some": lambda c: c.sql("SELECT x, k FROM d ORDER BY k LIMIT 30").filter(col("x") >= lit(200)).head(3),
    "of some that are calculated": lambda c: c.sql("SELECT x, k FROM d ORDER BY k OFFSET 2").with_column("z", FURTHER)
    .filter(col("z") > lit(0)).limit(3),
    "of the last": lambda c: c.sql("SELECT x, k FROM d ORDER BY k LIMIT 5").filter(col("x") >= lit(0)).tail(3),
    "behind an OFFSET": lambda c: c.sql("SELECT x FROM d ORDER BY k OFFSET 2").distinct().sort("x").limit(3),
    "below a sort": lambda c: c.sql("SELECT x + (SELECT 0) AS x FROM d ORDER BY k OFFSET 2").sort("x").limit(3),
    "of a union": lambda c: _left(c).union(_left(c), distinct=True).sort("x").limit(3),
    "of another's argument": lambda c: c.sql("SELECT -1 AS x WHERE false").union(_left(c)).sort("x").limit(3),
    "of a view": lambda c: (c.register_view("left_of_it", _left(c)), c.sql("SELECT x FROM left_of_it"))[1].sort("x")
    .limit(3),
    "of a view's table": lambda c: (c.register_table("again", _left(c).into_view()), c.sql("SELECT x FROM again"))[1]
    .sort("x").limit(3),
}  # fmt: skip

GROUPS = ("SELECT k FROM d GROUP BY k ORDER BY k", "SELECT DISTINCT k FROM d ORDER BY k")


def _left(c):
    return c.sql("SELECT x FROM d ORDER BY k OFFSET 2")


@pytest.fixture(scope="module", params=[(40, 2, 4), (MANY, 8192, 4)], ids=["by twos", "30,000 rows"])
def both(request):
    n, batch, partitions = request.param
    keys = [(i * 7 + 3) % n for i in range(n)]
    rows = pa.table({"k": keys, "x": [k * 100 for k in keys], "g": [k % 3 for k in keys]})
    config = SessionConfig().with_batch_size(batch).with_target_partitions(partitions)
    for c in (found := (SessionContext(config), sqlmagic_xr.Context(config))):
        SessionContext.register_record_batches(c, "d", [rows.to_batches()])
    return found


def values(found):
    batches = found.collect() if hasattr(found, "collect") else [batch.to_pyarrow() for batch in found]
    return [value for batch in batches for value in batch.column(0).to_pylist()]


@pytest.mark.parametrize("made", IN_ORDER.values(), ids=IN_ORDER)
def test_what_is_selected_further_keeps_its_order(both, made):
    found = values(made(both[1]))
    assert found == sorted(found)
    assert len(found) > 25


@pytest.mark.parametrize("made", FIRST.values(), ids=FIRST)
def test_the_first_rows_are_those_that_are_sorted_first(both, made):
    assert values(made(both[1])) == [200, 300, 400]


@pytest.mark.parametrize("key", ["abs(k)", "-k DESC", "CASE WHEN true THEN k END", "coalesce(k, 0)", "CAST(k AS INT)"])
def test_a_sort_by_what_is_no_column_goes_on(both, key):
    frame = both[1].sql(f"SELECT x FROM d ORDER BY {key}")
    assert values(frame.limit(3)) == [0, 100, 200]
    assert len(values(frame.select(FURTHER))) == len(values(frame))


def test_rows_by_chance_are_shown_and_limited(both):
    shuffled = both[1].sql("SELECT x FROM d ORDER BY random() LIMIT 20")
    assert len(set(values(shuffled))) == 20
    assert len(values(shuffled.limit(3))) == 3


def test_the_engine_still_loses_rows_and_orders(both):
    """Where this fails the engine has mended it: the workaround can go, and its lines in the docs."""
    unsorted = [name for name, made in IN_ORDER.items() if (found := values(made(both[0]))) != sorted(found)]
    assert {"selected", "dropped", "hidden"} <= set(unsorted)
    assert any(values(made(both[0])) != [200, 300, 400] for name, made in FIRST.items() if name.startswith("b"))


@pytest.mark.parametrize("count", [2**31 - 1, 2**31, 2**63 - 1])
@pytest.mark.parametrize("query", GROUPS)
def test_more_groups_than_there_is_room_for(both, query, count):
    n = both[1].sql("SELECT count(*) AS n FROM d").to_pydict()["n"][0]
    assert values(both[1].sql(query).limit(count)) == list(range(n))
    assert values(both[1].sql(query).select("k").limit(count, 2)) == list(range(2, n))
    assert values(both[1].sql(query).head(count)) == list(range(n))
    assert values(both[1].sql(query).limit(3, count)) == []


def test_rows_of_groups_are_shown(both, capsys):
    both[1].sql(GROUPS[0]).limit(2).show(2**31)
    assert "| 1 |" in capsys.readouterr().out


@pytest.mark.parametrize("count", [-1, 2**63, 2**64])
def test_what_is_no_number_of_rows(both, count):
    with pytest.raises(UsageError, match=f"limit takes a number of rows, and {count} is none"):
        both[1].sql("SELECT k FROM d").limit(count)
    with pytest.raises(UsageError, match="head takes a number of rows"):
        both[1].sql("SELECT k FROM d").head(n=count)
    with pytest.raises(UsageError, match=f"and {count} is none"):
        both[1].sql("SELECT k FROM d").limit(3, offset=count)


def test_what_cannot_be_had_in_order_is_refused(both):
    some = both[1].sql("SELECT x FROM d ORDER BY k LIMIT 30").filter(col("x") > lit(100))
    with pytest.raises(UsageError, match="head takes the first rows, and what they are sorted by is not among"):
        some.head(2)
    assert values(some.sort("x").head(2)) == [200, 300]
    left = both[1].sql("SELECT k, max(x) AS x FROM d GROUP BY k ORDER BY k OFFSET 2")
    with pytest.raises(UsageError, match="Give the OFFSET a LIMIT"):
        left.aggregate([], [f.min(col("k"))])
    assert values(left.limit(3)) == [2, 3, 4]
