"""A read-only context: what would change anything is refused before anything runs, and everything else is answered."""

import pandas as pd
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ImmutableError

FRAME = pd.DataFrame({"a": [1.0, 2.0]})
STEP = "INSERT INTO p SELECT :next_step, a + 1 FROM p WHERE step = :k"


@pytest.fixture
def context():
    context = Context(namespace=lambda: {"d": FRAME})
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.0)")
    context.read_only = True
    return context


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.script("SELECT 1; UPDATE p SET a = 1"),
        lambda c: c.sql("DELETE FROM p"),
        lambda c: c.script("CREATE TABLE q AS SELECT * FROM d"),
        lambda c: c.script("DROP TABLE p"),
        lambda c: c.script("COPY d TO 'never.csv'"),
        lambda c: c.script("EXPLAIN ANALYZE INSERT INTO p VALUES (1, 1.0)"),
        lambda c: c.train(STEP, steps=3),
        lambda c: c.train(
            "MINIMIZE (SELECT power(a - 1, 2) FROM p WHERE step = :k) OVER p USING adam(lr => 1)", steps=3
        ),
        lambda c: c.scratch("p").append({"step": [1], "a": [1.0]}),
        lambda c: c.scratch("p").restore(1),
    ],
)
def test_what_would_change_something_is_refused(context, change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImmutableError, match="this context is read-only"):
        change(context)
    assert context.sql("SELECT step, a FROM p").to_arrow_table().to_pylist() == [{"step": 0, "a": 0.0}]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT SUM(a) AS n FROM d",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT MAX(n) AS n FROM r",
        "SELECT COUNT(*) + 2 AS n FROM p",
    ],
)
def test_queries_are_answered(context, query):
    assert context.script(query)[0].to_arrow_table()["n"].to_pylist() == [3]
    assert context.script("EXPLAIN " + query)[0].plan


def test_it_is_said_when_a_context_is_made_and_can_be_taken_back():
    context = Context(read_only=True)
    assert context.read_only
    with pytest.raises(ImmutableError, match="CREATE is refused") as raised:
        context.script("CREATE TABLE t (a INT)")
    assert "read_only = False" in raised.value.hint
    context.read_only = False
    context.script("CREATE TABLE t (a INT)")
