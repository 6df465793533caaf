"""What is calculated together with what it is made of equals what DataFusion gives, in one block and in many."""

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.dense.running import blocked, code
from sqlmagic_xr.dense.running.align import Alignment, restrict
from sqlmagic_xr.dense.running.blocked import BlockedMap, BlockedSum
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.sql.syntax import parse_one

PAIRS = "FROM d JOIN c ON d.p = c.p GROUP BY d.i, c.k"
SUMS = {
    "squares": f"SELECT d.i, c.k, SUM((d.v - c.v) * (d.v - c.v)) AS s {PAIRS}",
    "power": f"SELECT d.i, c.k, 2 * SUM(power(d.v - c.v, 2)) / 3 AS s {PAIRS}",
    "other order": "SELECT c.k, d.i, AVG(abs(c.v - d.v)) AS s FROM c JOIN d ON d.p = c.p GROUP BY c.k, d.i",
    "three factors": f"SELECT d.i, c.k, SUM((d.v - c.v) * exp(c.v * d.v) * (d.v + c.v)) AS s {PAIRS}",
    "masked": f"SELECT d.i, c.k, SUM(d.v - c.v) FILTER (WHERE d.v > c.v) AS s {PAIRS}",
    "masked by a case": f"SELECT d.i, c.k, SUM(CASE WHEN d.v > c.v THEN d.v - c.v ELSE 0.5 END) AS s {PAIRS}",
    "two axes gone": "SELECT d.i, SUM((d.v - c.v) * (d.v + c.v)) AS s FROM d JOIN c ON d.p = c.p GROUP BY d.i",
}


def tables(rows, pixels=7, centres=3):
    rng = np.random.default_rng(rows)

    def long(first, count):
        i, p = (a.ravel() for a in np.meshgrid(np.arange(count), np.arange(pixels), indexing="ij"))
        return pa.table({first: i, "p": p, "v": rng.normal(size=i.size)})

    return {"d": long("i", rows), "c": long("k", centres)}


def program_of(sql, data):
    grids = Grids(lambda name: data.get(name[0]), lambda name: {"d": ("i", "p"), "c": ("k", "p")}.get(name[0], ()))
    # As if a step wrote the tables: nothing is kept from one run to the next.
    program = Program([LoweredQuery(parse_one(sql).tree["Query"], tuple((name,) for name in data))], grids, {})
    return program, grids


def by_arrays(sql, data):
    """The rows at the first step and at the second, when the instructions are one function."""
    program, grids = program_of(sql, data)
    found = [arrow(program.step(grids, {}).run(0)) for _ in range(3)]
    assert program.code(0).ready
    return found


def by_datafusion(sql, data):
    context = SessionContext()
    for name, table in data.items():
        context.register_record_batches(name, [table.to_batches()])
    return context.sql(sql).to_arrow_table()


def rows_of(table):
    keys = [n for n in table.column_names if n in ("i", "k")]
    return table.sort_by([(n, "ascending") for n in keys]).to_pandas()[sorted(table.column_names)]


@pytest.mark.parametrize("rows", [1, 40, 30_000])
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_what_two_arrays_span(name, rows):
    data = tables(9)
    program, _ = program_of(SUMS[name], data)
    # What a FILTER lets through is counted as well, and so formed as a whole.
    blocked = any(isinstance(function, BlockedSum) for _, _, function in program.code(0).whole)
    assert blocked == (name != "masked")
    theirs = rows_of(by_datafusion(SUMS[name], data))
    for mine in map(rows_of, by_arrays(SUMS[name], data)):
        assert list(mine.dtypes) == list(theirs.dtypes)
        assert (mine.isna() == theirs.isna()).all(axis=None)
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-11)


def test_what_is_not_finite_is_refused():
    data = tables(50)
    data["c"] = data["c"].set_column(2, "v", pa.array(np.where(np.arange(21) == 4, np.inf, 1.0)))
    with pytest.raises(Refused, match="not finite"):
        by_arrays(SUMS["squares"], data)


FIRST = """
SELECT i, k FROM (SELECT d.i, c.k, ROW_NUMBER() OVER (PARTITION BY d.i ORDER BY {}) AS place
                  FROM d CROSS JOIN c WHERE d.p = 0 AND c.p = 0) r WHERE place = 1"""
ORDERS = ["abs(d.v - c.v)", "d.v * c.v DESC", "round(c.v), c.k DESC", "CAST(round(c.v) AS BIGINT), c.v DESC"]


@pytest.mark.parametrize("order", ORDERS)
def test_the_first_of_each_partition(order):
    data = tables(30, centres=9)
    sql = FIRST.format(order)
    program, _ = program_of(sql, data)
    assert not any(node.op == "row number" for node, _, _ in program.code(0).whole)
    theirs = rows_of(by_datafusion(sql, data))
    for mine in by_arrays(sql, data):
        assert rows_of(mine).equals(theirs)


def centres(*values):
    places = np.arange(len(values))
    return {"d": tables(4)["d"], "c": pa.table({"k": places, "p": np.zeros(len(values), np.int64), "v": values})}


def test_rows_behind_the_first_may_be_equal():
    sql = FIRST.format("c.v")
    for mine in by_arrays(sql, centres(2.0, 1.0, 2.0)):
        assert set(mine["k"].to_pylist()) == {1}
    with pytest.raises(Refused, match="between equal rows"):
        by_arrays(sql, centres(1.0, 2.0, 1.0))


def test_zeros_of_either_sign_are_sorted_as_equal():
    data = centres(0.0, -0.0, 1.0)
    with pytest.raises(Refused, match="between equal rows"):
        by_arrays(FIRST.format("c.v"), data)
    for order, first in (("c.v, c.k", 0), ("c.v, c.k DESC", 1), ("abs(c.v - 1) DESC, c.v DESC, c.k DESC", 1)):
        for mine in by_arrays(FIRST.format(order), data):
            assert set(mine["k"].to_pylist()) == {first}


def test_a_nan_that_is_sorted_is_refused():
    with pytest.raises(Refused, match="NaN"):
        by_arrays(FIRST.format("c.v"), centres(np.nan, 1.0))


BATCHES = {
    "even": "i % 3 = 1", "every second from the end": "i % 2 = 1 AND i > 20", "uneven": "i % 3 <> 1", "one": "i = 7",
    "few": "i % 30 = 2",
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_of_rows_is_the_rows_of_its_condition(name):
    data = tables(100)
    batch = f"WITH b AS (SELECT i, p, v FROM d WHERE {BATCHES[name]}) "
    for sql in (
        f"{batch} SELECT b.i, c.k, SUM(b.v * c.v) AS s FROM b JOIN c ON b.p = c.p GROUP BY b.i, c.k",
        f"{batch} SELECT b.p AS i, c.k, SUM(b.v * c.v) AS s FROM b CROSS JOIN c WHERE c.p = 2 GROUP BY b.p, c.k",
        f"{batch} SELECT b.i, SUM(tanh(b.v) - d.v) AS s FROM b JOIN d ON b.i = d.i AND b.p = d.p GROUP BY b.i",
    ):
        theirs = rows_of(by_datafusion(sql, data))
        for mine in map(rows_of, by_arrays(sql, data)):
            np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-11)


def test_rows_that_lie_evenly_are_looked_at_where_they_are():
    rows, condition = Alignment(np.arange(100)), np.arange(100) % 5 == 2
    assert restrict(rows, condition).first == slice(2, 98, 5)
    assert restrict(rows, condition).coordinates.tolist() == list(range(2, 100, 5))
    condition[50] = True
    assert restrict(rows, condition).first.tolist() == np.flatnonzero(condition).tolist()


def test_a_stored_column_that_spans_all_cells_is_gone_through_block_by_block():
    """AVG of a square over a grid forms no array of the grid's size; what is computed for others as well it takes."""
    rng = np.random.default_rng(0)
    t, lat, lon = np.indices((30, 5, 4)).reshape(3, -1)
    data = {
        "g": pa.table({"t": t, "lat": lat, "lon": lon, "v": rng.normal(size=t.size)}),
        "p": pa.table({"lat": lat[:20], "lon": lon[:20], "a": rng.normal(size=20), "b": rng.normal(size=20)}),
    }
    query = """SELECT g.lat, g.lon, AVG(power(g.v - (p.a + p.b * g.t), 2)) AS loss
               FROM g JOIN p ON p.lat = g.lat AND p.lon = g.lon GROUP BY g.lat, g.lon"""
    keys = {"g": ("t", "lat", "lon"), "p": ("lat", "lon")}
    source = Grids(lambda name: data.get(name[-1]), lambda name: keys[name[-1]])
    program = Program([LoweredQuery(parse_one(query).tree["Query"], (("p",),))], source, {})
    assert any(isinstance(function, BlockedSum) for _, _, function in program.code(0).whole)
    found = arrow(program.step(source, {}).run(0)).sort_by([("lat", "ascending"), ("lon", "ascending")])
    cells = data["g"]["v"].to_numpy().reshape(30, 20)
    a, b = (data["p"][name].to_numpy() for name in "ab")
    expected = ((cells - (a + b * np.arange(30)[:, None])) ** 2).mean(axis=0)
    np.testing.assert_allclose(found["loss"].to_numpy(), expected, rtol=1e-13)


REST = "g.v - (p.a + p.b * g.t)"
SUMS_OF_REST = {
    "one": [f"AVG(power({REST}, 2)) AS loss"],
    "masked": [f"COALESCE(SUM({REST}) FILTER (WHERE {REST} > 0), 0) AS above"],
    "several": [f"AVG({REST}) AS mean, SUM(({REST}) * g.t) AS slope, MAX(abs({REST})) AS far"],
    "several queries": [f"AVG({REST}) AS mean, SUM(({REST}) * g.t) AS slope", f"AVG(power({REST}, 2)) AS loss"],
}
EXPECTED = {
    "loss": lambda rest, t: (rest**2).mean(axis=0),
    "above": lambda rest, t: np.nansum(np.where(rest > 0, rest, np.nan), axis=0),
    "mean": lambda rest, t: rest.mean(axis=0),
    "slope": lambda rest, t: (rest * t).sum(axis=0),
    "far": lambda rest, t: np.abs(rest).max(axis=0),
}


def whole_of(program, place=0):
    return {node: function for node, _, function in program.code(place).whole}


@pytest.mark.parametrize("keys", [("t", "lat", "lon"), ("lat", "t", "lon"), ("lat", "lon", "t")])
@pytest.mark.parametrize("name", SUMS_OF_REST)
def test_a_grid_is_gone_through_as_it_lies_and_no_cell_twice(name, keys, monkeypatch):
    """Whichever its first axis is, in blocks that are cut along one axis or along two, by one thread or by several."""
    rng = np.random.default_rng(0)
    t, lat, lon = np.indices((30, 5, 4)).reshape(3, -1)
    data = {
        "g": pa.table({"t": t, "lat": lat, "lon": lon, "v": rng.normal(size=t.size)}),
        "p": pa.table({"lat": lat[:20], "lon": lon[:20], "a": rng.normal(size=20), "b": rng.normal(size=20)}),
    }
    cells = data["g"]["v"].to_numpy().reshape(30, 20)
    a, b = (data["p"][name].to_numpy() for name in "ab")
    rest = cells - (a + b * np.arange(30)[:, None])
    source = Grids(lambda name: data.get(name[-1]), lambda name: {"g": keys, "p": ("lat", "lon")}[name[-1]])
    queries = [
        LoweredQuery(parse_one(
            f"SELECT g.lat, g.lon, {items} FROM g JOIN p ON p.lat = g.lat AND p.lon = g.lon GROUP BY g.lat, g.lon"
        ).tree["Query"]) for items in SUMS_OF_REST[name]
    ]  # fmt: skip
    monkeypatch.setattr(code, "FEW", 0)
    for block, alone in ((65_536, 1 << 23), (50, 1 << 23), (7, 1)):
        monkeypatch.setattr(blocked, "_BLOCK", block)
        monkeypatch.setattr(blocked, "_ALONE", alone)
        program = Program(queries, source, {}, changing=[("p",)])
        step = program.step(source, {})
        for place in range(len(queries)):
            found = arrow(step.run(place)).sort_by([("lat", "ascending"), ("lon", "ascending")])
            for column in found.column_names[2:]:
                expected = EXPECTED[column](rest, np.arange(30)[:, None])
                np.testing.assert_allclose(found[column].to_numpy(), expected, rtol=1e-12, atol=1e-12)
    made = whole_of(program)
    formed = [node for node, function in made.items() if isinstance(function, BlockedMap)]
    assert bool(formed) == (name != "one")
    if name == "several queries":  # what the first has formed is there for the second, by whomever it is run
        assert all(whole_of(program, 1)[node] is made[node] for node in formed)
        alone = Program(queries, source, {}, changing=[("p",)]).step(source, {}).run(1)
        np.testing.assert_allclose(
            arrow(alone).sort_by([("lat", "ascending"), ("lon", "ascending")])["loss"].to_numpy(),
            (rest**2).mean(axis=0), rtol=1e-12,
        )  # fmt: skip


def test_functions_of_few_cells_are_taken_apart_and_change_no_bit(monkeypatch):
    """Each is an instruction then: calculated once for two statements, or looked up with what it is made of."""
    data = tables(9)
    sql = """SELECT d.i, c.k, d.p, CASE WHEN d.v > c.v THEN d.v - c.v ELSE 0.5 END AS s
             FROM d JOIN c ON d.p = c.p AND c.k < 2"""
    found = {}
    for few in (0, code.FEW):
        monkeypatch.setattr(code, "FEW", few)
        program, grids = program_of(sql, data)
        before = [f for f in whole_of(program).values() if isinstance(f, BlockedMap)]
        assert before
        found[few] = [arrow(program.step(grids, {}, whole=whole).run(0)) for whole in (False, False, True)]
        left = [f for f in whole_of(program).values() if isinstance(f, BlockedMap)]
        assert len(left) == (0 if few else len(before))
    for apart, together in zip(*found.values(), strict=True):
        assert apart == together
        assert apart.num_rows == 9 * 2 * 7


def test_functions_of_no_cells_are_none():
    """A block of them has no cell either: the loop over blocks does not begin."""
    data = tables(0)
    program, grids = program_of("SELECT d.i, c.k, d.p, d.v * c.v + d.v AS s FROM d JOIN c ON d.p = c.p", data)
    assert [f for f in whole_of(program).values() if isinstance(f, BlockedMap)]
    with pytest.raises(Refused, match="the result has no row"):
        program.step(grids, {}).run(0)


Z = [0.0, -0.0, 1.0, -1.0, 36.5, -36.5, 700.0, 708.6, -708.6, 709.5, -709.5, 711.0, -711.0, 745.2, -745.2, 800.0,
     -800.0, np.inf, -np.inf, np.nan, 1e-300, *np.linspace(-50, 50, 41)]  # fmt: skip
SIGMOIDS = "SELECT i, 1 / (1 + exp(-z)) AS up, 1 / (exp(z) + 1) AS down FROM t"


def reciprocals(program):
    return sum(function is np.reciprocal for _, _, function in program.code(0).whole)


def test_the_slope_of_a_sigmoid_takes_the_exponential_that_is_there():
    data = {"t": pa.table({"i": range(len(Z)), "z": Z})}
    grids = Grids(lambda name: data.get(name[0]), lambda name: ("i",))
    program = Program([LoweredQuery(parse_one(SIGMOIDS).tree["Query"], (("t",),))], grids, {})
    assert reciprocals(program) == 1
    theirs = by_datafusion(f"{SIGMOIDS} ORDER BY i", data)
    for _ in range(2):
        mine = arrow(program.step(grids, {}).run(0)).sort_by("i")
        for name in ("up", "down"):
            np.testing.assert_allclose(mine[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-15)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT i, exp(-z) AS up, ln(exp(z)) AS down FROM t",  # the smallest of its own values have no reciprocal
        "SELECT i, 1 / (2 + exp(-z)) AS up, 1 / (2 + exp(z)) AS down FROM t",
        "SELECT i, exp(-z) AS up, (1 + exp(z)) * exp(z) AS down FROM t",
        "SELECT i, exp(-z) AS up, 1 / (1 + exp(z + 1)) AS down FROM t",
    ],
)
def test_any_other_exponential_is_calculated_by_itself(sql):
    data = {"t": pa.table({"i": range(len(Z)), "z": Z})}
    grids = Grids(lambda name: data.get(name[0]), lambda name: ("i",))
    assert reciprocals(Program([LoweredQuery(parse_one(sql).tree["Query"])], grids, {})) == 0
