"""Chains of hundreds of terms in any place of a query: what we read of them takes no longer than the engine does."""

from typing import Any

import pytest

from sqlmagic_xr.engine.faults import integers
from sqlmagic_xr.engine.faults.types import kind_of
from sqlmagic_xr.errors import DerivativeError, ParseError, UnknownNameError
from sqlmagic_xr.sql.printing import to_sql
from sqlmagic_xr.sql.syntax import parse_one
from tests.engine.conftest import Db

TERMS = 1000


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM t WHERE " + " AND ".join(["x < :p"] * TERMS),
        "SELECT count(*) FROM t WHERE " + " OR ".join(["x = :p"] * TERMS),
        "SELECT count(*) FROM t WHERE x + :p > 0 AND " + " + ".join(["i"] * 300) + " = 0",
        "SELECT " + " || ".join(["CAST(:p AS VARCHAR)"] * 300) + " FROM t LIMIT 0",
    ],
)
def test_a_long_chain_runs(db: Db, query: str) -> None:
    db.run("CREATE TABLE t (x DOUBLE, i INT); INSERT INTO t VALUES (1, 2)")
    assert len(db.rows(query, {"p": 2})) <= 1


def test_the_types_of_a_chain_are_worked_out_once(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def counted(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return kind_of(*args)

    monkeypatch.setattr(integers, "kind_of", counted)
    db.run("CREATE TABLE t (s SMALLINT)")
    sql = db.run("SELECT " + " + ".join(["s"] * 300) + " AS y FROM t").sql
    assert sql.count("s") >= 300
    assert asked < 4 * 300  # for each term, not for each two


@pytest.mark.parametrize(("column", "first"), [("CAST(1 AS BIGINT)", 2**20), ("0.5", 2.0**19), ("-0.0", 0.0)])
def test_layers_that_each_read_the_one_below_twice_are_looked_at_once(db: Db, column: str, first: float) -> None:
    query = f"SELECT {column} AS v"
    for _ in range(20):  # asked anew at each reading, a type or a bound takes 2^20 questions
        query = f"SELECT v + v AS v FROM ({query})"
    assert db.rows(query) == [(first,)]


@pytest.mark.parametrize("text", [" UNION ALL ".join(["SELECT 1 AS a"] * 3000), "SELECT " + " + ".join(["a"] * 8000)])
def test_thousands_of_branches_and_terms_are_printed(text: str) -> None:
    assert to_sql(parse_one(text).tree) == text


def test_branches_with_a_parameter_run(db: Db) -> None:
    branches = " UNION ALL ".join(["SELECT :p AS a"] * 300)
    assert db.rows(f"SELECT sum(a) FROM ({branches})", {"p": 2}) == [(600,)]


def test_an_update_and_a_constraint_have_long_chains(db: Db) -> None:
    chain = " + ".join(["x"] * 400)
    db.run(f"CREATE TABLE t (x DOUBLE CHECK ({chain} >= 0)); INSERT INTO t VALUES (1); UPDATE t SET x = {chain}")
    assert db.rows("SELECT x FROM t") == [(400.0,)]


def test_an_unknown_name_is_found_in_a_long_chain(db: Db) -> None:
    db.run("CREATE TABLE t (x DOUBLE)")
    with pytest.raises(UnknownNameError, match="there is no column nope"):
        db.run("SELECT " + " + ".join(["x"] * 600) + " + nope FROM t")


def test_as_many_branches_as_are_allowed_run(db: Db) -> None:
    assert db.rows(" UNION ALL ".join(["SELECT 1 AS a"] * 1000)) == [(1,)] * 1000


CHAINS = {
    "groups": f"SELECT {' + '.join(['x'] * 400)} AS y FROM t GROUP BY {' + '.join(['x'] * 400)}",
    "beside NOT IN": f"SELECT 400.0 AS y FROM t WHERE i NOT IN (SELECT 5) AND {' AND '.join(['x < 5'] * 600)}",
    "OR beside NOT IN": f"SELECT 400.0 AS y FROM t WHERE i NOT IN (SELECT 5) AND ({' OR '.join(['x < 5'] * 600)})",
    "a difference": f"SELECT 549 + grad((x - {' - '.join(['0.5 * x'] * 300)}) * y, x) AS y FROM (SELECT x, 1 y FROM t)",
    "unions": "SELECT 400.0 AS y FROM (" + " UNION ALL ".join(["SELECT (SELECT max(i) FROM t WHERE x < :p)"] * 2
                                                               + ["SELECT :p"] * 798) + ") HAVING count(*) = 800",
}  # fmt: skip


@pytest.mark.parametrize("query", CHAINS.values(), ids=CHAINS)
def test_hundreds_of_terms_stand_anywhere(db: Db, query: str) -> None:
    db.run("CREATE TABLE t (x DOUBLE, i INT); INSERT INTO t VALUES (1, 2)")
    assert db.rows(query, {"p": 9}) == [(400.0,)]


def test_a_gradient_goes_through_hundreds_of_terms(db: Db) -> None:
    db.run("CREATE TABLE t (x DOUBLE); INSERT INTO t VALUES (1); CREATE TABLE d (z DOUBLE); INSERT INTO d VALUES (2)")
    loss = f"SELECT SUM({' + '.join(['t.x * d.z'] * 520)}) AS l FROM t CROSS JOIN d"
    assert db.rows(f"WITH loss AS ({loss}) SELECT grad(loss.l, t.x) AS g FROM loss, t") == [(1040.0,)]
    condition = " AND ".join(["x <> 7"] * 520)
    assert db.rows(f"SELECT grad(CASE WHEN {condition} THEN 3 * x ELSE x END, x) AS g FROM t") == [(3.0,)]


def layers(number: int) -> str:
    each = ["v0 AS (SELECT x AS v FROM t)"] + [
        f"v{n} AS (SELECT v * v + v AS v FROM v{n - 1})" for n in range(1, number)
    ]
    loss = f"loss AS (SELECT SUM(v) AS l FROM v{number - 1})"
    return f"WITH {', '.join(each)}, {loss} SELECT grad(loss.l, t.x) AS g FROM loss, t"


def test_a_gradient_through_layers_that_multiply_is_refused_at_once(db: Db) -> None:
    db.run("CREATE TABLE t (x DOUBLE); INSERT INTO t VALUES (1)")
    assert db.rows(layers(3)) == [(15.0,)]  # (2 * 1 + 1) * (2 * 2 + 1)
    with pytest.raises(DerivativeError, match="a text of more than 200,000 characters"):  # it would be 3^24 terms
        db.run(layers(25))


def nested(levels: int, inside: str) -> str:
    for level in range(levels):
        inside = f"CASE WHEN x > {level} THEN {inside} ELSE 1 END" if level % 2 else f"CAST({inside} AS DOUBLE)"
    return inside


@pytest.mark.parametrize(("inside", "says"), [("x x", "found x"), ("1 + ", "found DOUBLE")])
def test_a_mistake_deep_inside_is_found_at_once(db: Db, inside: str, says: str) -> None:
    """Each level doubles the time of the parser alone: 60 of them are more than there is."""
    db.run("CREATE TABLE t (x DOUBLE); INSERT INTO t VALUES (1)")
    with pytest.raises(ParseError) as caught:
        db.run(f"SELECT x,\n {nested(60, inside)} FROM t")
    assert says in caught.value.what
    assert caught.value.span is not None
    assert caught.value.span.line == 2
    with pytest.raises(ParseError, match="expected END"):
        db.run("SELECT " + "CASE WHEN x > 1 THEN " * 60 + "1 FROM t")
    assert db.rows(f"SELECT {nested(20, 'x')} AS a FROM t") == [(1.0,)]
