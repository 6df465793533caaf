"""The one table of functions agrees with the engine, with array code and with the calculus."""

import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.autodiff import rules
from sqlmagic_xr.dense.arrays import UNARY
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow
from sqlmagic_xr.relation.functions import FUNCTIONS, SAME, is_aggregate, varies
from sqlmagic_xr.sql.syntax import parse_one

ENGINE = SessionContext()
VALUES = ["2.5", "2", "CAST(2 AS INT)", "CAST(2 AS FLOAT)", "'a'", "TRUE", "NULL"]


def test_aggregates_and_window_functions_are_those_of_the_engine():
    aggregates = {name for name, row in FUNCTIONS.items() if row.kind == "aggregate"}
    windows = {name for name, row in FUNCTIONS.items() if row.kind == "window"}
    assert set(ENGINE.udafs()) <= aggregates
    assert aggregates <= {*ENGINE.udafs(), *SAME}
    assert set(ENGINE.udwfs()) - aggregates == windows


def test_what_differs_at_each_call():
    assert {name for name in FUNCTIONS if varies(name) == "call"} == {"random", "rand", "uuid"}
    assert varies("now") == "statement"


def test_what_has_array_code():
    assert {name for name in UNARY if not FUNCTIONS[name].arrays} == set()
    data = pa.table({"i": [0, 1, 2], "v": [1.0, 2.0, 4.5]})
    ENGINE.register_record_batches("three", [data.to_batches()])
    for name, row in FUNCTIONS.items():
        if row.kind == "aggregate" and row.arrays:
            sql = f"SELECT {name}(v) AS v FROM three"
            grids = Grids(lambda table: data, lambda table: ("i",))
            mine = arrow(Program([LoweredQuery(parse_one(sql).tree["Query"])], grids, {}).step(grids, {}).run(0))
            assert mine["v"][0].as_py() == pytest.approx(ENGINE.sql(sql).to_arrow_table()["v"][0].as_py()), name


def test_what_has_a_derivative():
    known = {*rules.RULES, *rules.AGGREGATES, *rules.DEFINED, *rules.EXTREMES, *rules.SHIFTS, "log"}
    mine = {row.name for row in FUNCTIONS.values() if row.derivative}
    assert mine == known - {"+", "-", "*", "/", "%"}
    assert all(not FUNCTIONS[name].derivative for name in rules.NONE if name in FUNCTIONS)


def kinds(call, types):
    row = FUNCTIONS[call]
    return row.result(types)


@pytest.mark.parametrize("name", sorted(name for name, row in FUNCTIONS.items() if row.kind != "window"))
def test_types_are_those_that_the_engine_gives(name):
    for count in (1, 2):
        for value in VALUES:
            arguments = [value] * count
            try:
                kind = str(ENGINE.sql(f"SELECT {name}({', '.join(arguments)}) AS v").schema().field(0).type)
            except Exception:  # not a call that the engine knows
                continue
            types = [str(ENGINE.sql(f"SELECT {value} AS v").schema().field(0).type)] * count
            mine = kinds(name, types)
            assert mine is None or mine == kind, (name, types)


def test_a_name_is_found_in_any_case():
    assert is_aggregate("Avg")
    assert not is_aggregate("exp")
    assert not is_aggregate("no_such_function")
