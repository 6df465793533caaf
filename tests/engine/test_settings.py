"""Settings that would hang the engine, end the process or make it read another SQL than we do are refused."""

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.engine.settings import _ONLY, _POSITIVE
from sqlmagic_xr.errors import UnsupportedError, UsageError


@pytest.mark.parametrize("name", sorted(_POSITIVE))
@pytest.mark.parametrize("value", ["0", "'0'", "-1", "' 0 '"])
def test_numbers_that_end_the_session(name, value):
    ctx = Context()
    with pytest.raises(UsageError, match="from 1 on"):
        ctx.script(f"SET {name} = {value}")
    with pytest.raises(UsageError, match="from 1 on"):
        ctx.sql(f"SET {name.upper()} TO {value}")
    ctx.script(f"SET {name} = +100")
    assert ctx.script("SELECT sum(value) AS s FROM generate_series(1, 100)")[0].to_arrow_table()["s"].to_pylist() == [
        5050
    ]


@pytest.mark.parametrize(("name", "only"), [(name, only) for name, (only, _) in _ONLY.items()])
def test_what_is_not_followed_is_not_accepted(name, only):
    ctx = Context()
    with pytest.raises(UnsupportedError, match=f"stays '{only}'"):
        ctx.script(f"SET {name} = 'other'")
    ctx.script(f"SET {name} = '{only}'; SET {name} = {only.upper()}")


def test_an_external_table_goes_to_the_engine_as_it_is(tmp_path):
    ctx = Context()
    place = tmp_path / "rows.parquet"
    ctx.script(f"COPY (SELECT 1 AS a UNION ALL SELECT 2) TO '{place}' STORED AS PARQUET")
    for number, create in enumerate(("CREATE EXTERNAL", "create external", "CREATE OR REPLACE EXTERNAL")):
        ctx.script(f"{create} TABLE e{number % 2} STORED AS PARQUET LOCATION '{place}'")
    assert ctx.script("SELECT sum(a) AS s FROM e0")[0].to_arrow_table().to_pydict() == {"s": [3]}
    with pytest.raises(Exception, match="exists"):
        ctx.script(f"CREATE TABLE t (a INT); CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{place}'")
    with pytest.raises(Exception, match=r"(?i)expected|location"):
        ctx.script("CREATE EXTERNAL TABLE broken STORED AS PARQUET LOCATION")


def test_a_column_is_called_as_the_setting_has_it_now():
    ctx = Context()
    query = "SELECT abs(0.12345678901234567::DECIMAL(38,17))"
    for value, name in (("true", "abs(Decimal128"), ("false", "abs(Float64"), ("true", "abs(Decimal128")):
        ctx.script(f"SET datafusion.sql_parser.parse_float_as_decimal = {value}")
        assert ctx.script(query)[0].to_arrow_table().schema.names[0].startswith(name), value
