"""The lists of tables: what cannot be read is listed with the reason, and hides no other."""

import pandas as pd
import pytest

from sqlmagic_xr import Context, SqlError
from sqlmagic_xr.engine.inventory import columns, schema, tables


@pytest.fixture
def space():
    return {"df": pd.DataFrame({"a": [1, 2]}), "other": pd.DataFrame({"b": [1]})}


@pytest.fixture
def context(space):
    found = Context(namespace=lambda: space)
    found.script(
        "CREATE TABLE t AS SELECT 1 AS z; CREATE VIEW v AS SELECT a FROM df; CREATE VIEW w AS SELECT a FROM v;"
        "CREATE VIEW x AS SELECT b FROM other; CREATE VIEW y AS SELECT z FROM t"
    )
    return found


def rows(context, query):
    return [tuple(row.values()) for row in context.script(query)[-1].to_arrow_table().to_pylist()]


def test_a_view_of_a_variable_that_is_gone_hides_no_other(context, space):
    del space["df"]
    kinds = dict(zip(*(tables(context)[c].to_pylist() for c in ("name", "kind")), strict=True))
    assert kinds == {
        "other": "DataFrame variable", "t": "scratch", "x": "view", "y": "view",
        "v": "view that cannot be read: there is no table df", "w": "view that cannot be read: there is no table df",
    }  # fmt: skip
    assert dict(rows(context, "SHOW TABLES")) == kinds
    listed = rows(context, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
    assert listed == [("other",), ("t",), ("x",), ("y",)]
    named = rows(context, "SELECT table_name, column_name FROM information_schema.columns ORDER BY 1")
    assert named == [("other", "b"), ("t", "z"), ("x", "b"), ("y", "z")]
    assert columns(context, ("w",)) is None
    assert schema(context, "x").columns["column_name"].to_pylist() == ["b"]
    with pytest.raises(SqlError, match="the view w cannot be read: there is no table df"):
        schema(context, "w")
    with pytest.raises(SqlError, match="the view w cannot be read: there is no table df"):
        context.script("DESCRIBE w")


def test_it_is_read_again_when_the_variable_is_back(context, space):
    kept = space.pop("df")
    with pytest.raises(SqlError, match="no table df"):
        context.script("SELECT * FROM w")
    space["df"] = pd.concat([kept, kept])
    assert rows(context, "SELECT COUNT(*) FROM w") == [(4,)]
    assert rows(context, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name IN ('v', 'w')") == [(2,)]
    assert schema(context, "w").columns["column_name"].to_pylist() == ["a"]


def test_a_broken_view_can_be_dropped(context, space):
    del space["df"]
    context.script("DROP VIEW w; DROP VIEW v")
    assert tables(context)["name"].to_pylist() == ["other", "t", "x", "y"]


def test_a_table_whose_rows_cannot_be_counted_is_listed(context):
    class Odd(pd.DataFrame):
        @property
        def shape(self):
            raise ValueError("no shape")

    listed = Context(namespace=lambda: {"odd": Odd({"a": [1]}), "fine": pd.DataFrame({"a": [1]})})
    assert dict(zip(*(tables(listed)[c].to_pylist() for c in ("name", "rows")), strict=True)) == {
        "fine": 1,
        "odd": None,
    }
    assert "no shape" in tables(listed)["kind"].to_pylist()[1]


@pytest.mark.parametrize(("value", "kind"), [("arrow_cast(1, 'Null')", "Null"), ("CAST('a' AS INT)", "INT")])
def test_a_query_is_described_whose_constants_cannot_be_calculated(context, value, kind):
    (column,) = context.script(f"DESCRIBE SELECT {value} AS x")[0].to_arrow_table().to_pylist()
    assert (column["column_name"], column["data_type"].upper()) == ("x", kind.upper())
