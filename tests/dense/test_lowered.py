"""What the same queries have been lowered to is kept, as long as the tables look the same; their rows may be others."""

import pyarrow as pa
import pytest

from sqlmagic_xr.dense import lowered
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.relation.recalled import Recalled
from sqlmagic_xr.sql.syntax import parse_one

SQL = "SELECT t.k, SUM(t.v * u.w) AS s FROM t JOIN u ON u.k = t.k GROUP BY t.k"


def grids(t):
    tables = {"t": pa.table(t), "u": pa.table({"k": [1, 2], "w": [2.0, 3.0]})}
    return Grids(lambda name: tables.get(name[-1]), lambda name: ("k",))


def rows(tables, sql=SQL):
    program = Program([LoweredQuery(parse_one(sql).tree["Query"])], tables, {})
    return arrow(program.step(tables, {}).run(0)).sort_by("k").to_pydict()


@pytest.fixture
def lowerings(monkeypatch):
    """How often something is lowered."""
    made = []

    class Counted(lowered.Lowering):
        def __post_init__(self):
            super().__post_init__()
            made.append(self)

    monkeypatch.setattr(lowered, "_KNOWN", Recalled(most=4))
    monkeypatch.setattr(lowered, "Lowering", Counted)
    return made


def test_other_rows_are_other_results_of_the_same_graph(lowerings):
    assert rows(grids({"k": [1, 2], "v": [1.0, 10.0]})) == {"k": [1, 2], "s": [2.0, 30.0]}
    assert rows(grids({"k": [1, 2], "v": [5.0, 7.0]})) == {"k": [1, 2], "s": [10.0, 21.0]}
    assert rows(grids({"k": [2, 3, 4], "v": [5.0, 7.0, 1.0]})) == {"k": [2], "s": [15.0]}  # and other sizes
    assert len(lowerings) == 1


@pytest.mark.parametrize(
    ("t", "found"),
    [
        ({"k": [1, 2], "v": [1, 10]}, [2.0, 30.0]),  # another type
        ({"k": [1, 2], "v": [1.0, None]}, [2.0, None]),  # NULL, which is met while it runs
        ({"v": [1.0, 10.0], "k": [1, 2]}, [2.0, 30.0]),  # another order of the columns
        ({"k": [1, 2], "v": [1.0, 10.0], "more": [0, 0]}, [2.0, 30.0]),  # another column
    ],
)
def test_tables_that_look_different_are_lowered_anew(lowerings, t, found):
    assert rows(grids({"k": [1, 2], "v": [1.0, 10.0]})) == {"k": [1, 2], "s": [2.0, 30.0]}
    before = len(lowerings)
    assert rows(grids(t)) == {"k": [1, 2], "s": found}
    assert len(lowerings) > before


def test_another_query_is_another_graph(lowerings):
    table = {"k": [1, 2], "v": [1.0, 10.0]}
    assert rows(grids(table), "SELECT k, v + 1 AS s FROM t")["s"] == [2.0, 11.0]
    assert rows(grids(table), "SELECT k, v + 2 AS s FROM t")["s"] == [3.0, 12.0]
    assert len(lowerings) == 2


def test_texts_are_looked_up_in_the_dictionary_of_their_own_tables(lowerings):
    sql = "SELECT k, v AS s FROM t WHERE name = 'b'"
    assert rows(grids({"k": [1, 2], "name": ["a", "b"], "v": [1.0, 2.0]}), sql)["s"] == [2.0]
    assert rows(grids({"k": [1, 2], "name": ["b", "a"], "v": [1.0, 2.0]}), sql)["s"] == [1.0]
    assert rows(grids({"k": [1, 2], "name": ["x", "b"], "v": [1.0, 2.0]}), sql)["s"] == [2.0]


def test_no_more_than_some_are_kept(lowerings):
    for number in range(6):
        rows(grids({"k": [1], "v": [1.0]}), f"SELECT k, v + {number} AS s FROM t")
    assert len(lowered._KNOWN) == 4
