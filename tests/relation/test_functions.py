"""The one table of functions agrees with the engine, with array code and with the calculus."""

import pytest
from datafusion import SessionContext

from sqlmagic_xr.autodiff import rules
from sqlmagic_xr.dense.arrays import UNARY
from sqlmagic_xr.dense.lowering.grouping import _AGGREGATES as ARRAY_AGGREGATES
from sqlmagic_xr.relation.functions import FUNCTIONS, SAME, is_aggregate, varies

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
    assert set(rules.VOLATILE) == {name for name in FUNCTIONS if varies(name) == "call"}


def test_what_has_array_code():
    assert {name for name in UNARY if not FUNCTIONS[name].arrays} == set()
    assert {name for name in ARRAY_AGGREGATES if not FUNCTIONS[name].arrays} == set()
    assert {n for n, row in FUNCTIONS.items() if row.kind == "aggregate" and row.arrays} <= {*ARRAY_AGGREGATES, *SAME}


def test_what_has_a_derivative():
    known = {*rules.RULES, *rules.AGGREGATES, *rules.DEFINED, *rules.EXTREMES, *rules.SHIFTS, "log"}
    mine = {row.name for row in FUNCTIONS.values() if row.derivative}
    assert mine == known - {"+", "-", "*", "/", "%"}
    assert all(not FUNCTIONS[name].derivative for name in rules.NONE if name in FUNCTIONS)
    assert {name: SAME[name] for name in rules.SAME} == dict(rules.SAME)


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
