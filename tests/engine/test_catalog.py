"""What columns a table or view has is asked of the engine once, and anew as soon as something below it is another."""

import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import Context


@pytest.fixture
def asked(monkeypatch):
    """The tables of which the engine was asked."""
    found, table = [], Context.table
    monkeypatch.setattr(Context, "table", lambda self, name: found.append(name) or table(self, name))
    return found


def test_a_schema_is_that_of_what_there_is_now(asked):
    data = {"d": xr.Dataset({"v": ("x", [1.0, 2.0])}, {"x": [0, 1]})}
    ctx = Context(namespace=lambda: data)
    ctx.script("CREATE TABLE t (a BIGINT); CREATE VIEW one AS SELECT a FROM t")
    ctx.script("CREATE VIEW two AS SELECT one.a, d.v FROM one CROSS JOIN d")

    def types():
        del asked[:]
        schema = ctx.tables.schema(("two",))
        return None if schema is None else [str(field.type) for field in schema]

    ctx.tables.schema(("two",))
    assert (types(), asked) == (["int64", "double"], [])
    ctx.script("INSERT INTO t VALUES (1)")
    assert (types(), asked) == (["int64", "double"], [])  # whatever the rows are
    ctx.script("DROP VIEW two; DROP VIEW one; DROP TABLE t; CREATE TABLE t (a VARCHAR)")
    ctx.script("CREATE VIEW one AS SELECT a FROM t; CREATE VIEW two AS SELECT one.a, d.v FROM one CROSS JOIN d")
    assert types()[1:] == ["double"]
    assert types()[0].startswith("string")
    data["d"] = xr.Dataset({"v": ("x", [1, 2])}, {"x": [0, 1]})
    ctx.sql("SELECT v FROM d").to_arrow_table()
    assert types()[1:] == ["int64"]
    ctx.script("CREATE OR REPLACE VIEW one AS SELECT 1.5 AS a")
    assert types() == ["double", "int64"]
    ctx.from_arrow(pa.table({"v": [True]}), "e")
    ctx.script("CREATE OR REPLACE VIEW two AS SELECT v FROM e")
    assert types() == ["bool"]
    ctx.script("DROP VIEW two")
    assert types() is None
