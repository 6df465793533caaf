"""Chains of hundreds of terms in any place of a query: what we read of them takes no longer than the engine does."""

import time

import pytest

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
