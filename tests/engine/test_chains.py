"""Chains of hundreds of terms in any place of a query: what we read of them takes no longer than the engine does."""

import time

import pytest

from sqlmagic_xr.errors import UnknownNameError
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


def test_the_types_of_a_chain_are_worked_out_once(db: Db) -> None:
    db.run("CREATE TABLE t (s SMALLINT)")
    began = time.perf_counter()
    sql = db.run("SELECT " + " + ".join(["s"] * TERMS) + " AS y FROM t").sql
    assert time.perf_counter() - began < 20  # of the engine's own; it was minutes
    assert sql.count("s") >= TERMS


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
