"""What PostgreSQL's and DuckDB's users write, and the parser or the engine does not take as it stands."""

from __future__ import annotations

import pytest

from sqlmagic_xr.errors import ParseError, SqlError, UnsupportedError, UsageError
from sqlmagic_xr.sql.syntax import parse_one, to_sql, walk
from tests.engine.conftest import Db
from tests.engine.test_order import MIXED

SETUP = """
CREATE OR REPLACE TABLE t (a BIGINT PRIMARY KEY, b BIGINT DEFAULT 7, s VARCHAR);
INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y');
CREATE OR REPLACE TABLE s AS SELECT * FROM (VALUES (2, 200, 'Y'), (3, 300, 'Z')) q (k, w, u)
"""
BEFORE = [(1, 10, "x"), (2, 20, "y")]


@pytest.fixture(params=["", MIXED], ids=["as it is", "batches of two"])
def t(request: pytest.FixtureRequest) -> Db:
    db = Db()
    if request.param:
        db.run(request.param)
    db.run(SETUP)
    return db


@pytest.mark.parametrize(
    ("statement", "after"),
    [
        ("INSERT INTO t VALUES ((SELECT max(a) + 1 FROM t), 5, 'z')", [*BEFORE, (3, 5, "z")]),
        (
            "INSERT INTO t (a, b) VALUES (8, DEFAULT), ((SELECT max(k) FROM s), (SELECT min(w) FROM s) + 1), (9, 1)",
            [*BEFORE, (3, 201, None), (8, 7, None), (9, 1, None)],
        ),
        ("WITH q AS (SELECT 4 AS n) INSERT INTO t (a) VALUES ((SELECT n FROM q)), (5)",
         [*BEFORE, (4, 7, None), (5, 7, None)]),
        ("INSERT INTO t VALUES (3, coalesce((SELECT w FROM s WHERE false), 1), 'z')", [*BEFORE, (3, 1, "z")]),
        ("INSERT INTO t SELECT 1, 2, 'n' ON CONFLICT DO NOTHING", BEFORE),
        ("INSERT INTO t SELECT 1, 2, 'n' UNION ALL SELECT 5, 5, 'm' ON CONFLICT (a) DO UPDATE SET b = excluded.b",
         [(1, 2, "x"), (2, 20, "y"), (5, 5, "m")]),
        ("WITH q AS (SELECT 1) INSERT INTO t SELECT (SELECT 6 FROM s WHERE k = 2), 5, 'm' ON CONFLICT (a) DO NOTHING",
         [*BEFORE, (6, 5, "m")]),
        ("INSERT INTO t SELECT k, w, u FROM s ON CONFLICT DO NOTHING", [*BEFORE, (3, 300, "Z")]),
        ("INSERT INTO t AS x VALUES (1, 2, 'n') ON CONFLICT (a) DO UPDATE SET b = x.b + excluded.b",
         [(1, 12, "x"), (2, 20, "y")]),
        ('INSERT INTO public.t AS "X" (a) SELECT 1 ON CONFLICT (a) DO UPDATE SET b = "X".b + 1 WHERE "X".a = 1',
         [(1, 11, "x"), (2, 20, "y")]),
        ("WITH q AS (SELECT 5 AS a) INSERT INTO t AS x (a) SELECT a FROM q", [*BEFORE, (5, 7, None)]),
        ("UPDATE t SET (b, s) = (SELECT w, u FROM s WHERE s.k = t.a)", [(1, None, None), (2, 200, "Y")]),
        ("UPDATE t SET (b, s) = (SELECT max(w), min(u) FROM s) WHERE a = 1", [(1, 300, "Y"), (2, 20, "y")]),
        ("UPDATE t SET (s, b) = (SELECT u, w FROM s ORDER BY w DESC LIMIT 1), a = a + 10",
         [(11, 300, "Z"), (12, 300, "Z")]),
        ("UPDATE t SET (b, s) = (SELECT w, u FROM s WHERE false)", [(1, None, None), (2, None, None)]),
        ("INSERT INTO t VALUES (1, 5, 'n') ON CONFLICT (a) DO UPDATE SET (b, s) = (SELECT max(w), 'm' FROM s)",
         [(1, 300, "m"), (2, 20, "y")]),
        (
            "MERGE INTO t USING s ON t.a = s.k "
            "WHEN MATCHED AND CASE WHEN t.a = 2 THEN true ELSE false END THEN DO NOTHING WHEN MATCHED THEN DELETE "
            "WHEN NOT MATCHED THEN DO\nNOTHING "
            "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET (b, s) = (SELECT w, u FROM s WHERE k = 3)",
            [(1, 300, "Z"), (2, 20, "y")],
        ),
        ("MERGE INTO t USING s ON t.a = s.k WHEN NOT MATCHED BY SOURCE THEN DO NOTHING WHEN MATCHED THEN DELETE",
         [(1, 10, "x")]),
    ],
)  # fmt: skip
def test_it_does_what_postgresql_does(t, statement, after):
    t.run(statement)
    assert t.rows("SELECT * FROM t ORDER BY a") == after


def test_merge_inserts_a_row_of_defaults(t):
    t.run("CREATE TABLE d (n INT DEFAULT 4, c VARCHAR, r DOUBLE DEFAULT 1 + 0.5)")
    t.run("MERGE INTO d USING s ON false WHEN NOT MATCHED AND s.k > 2 THEN INSERT DEFAULT VALUES "
          "WHEN NOT MATCHED THEN DO NOTHING")  # fmt: skip
    assert t.rows("SELECT * FROM d") == [(4, None, 1.5)]


@pytest.mark.parametrize(
    ("returning", "names", "row"),
    [
        ("*, a", ["a", "b", "s", "a (2)"], (3, 4, "z", 3)),
        ("a, a, a", ["a", "a (2)", "a (3)"], (3, 3, 3)),
        ("t.a, *", ["a", "a (2)", "b", "s"], (3, 3, 4, "z")),
        ("*, a + 1 AS next", ["a", "b", "s", "next"], (3, 4, "z", 4)),
        ("* EXCLUDE (s)", ["a", "b"], (3, 4)),
        ("t.* EXCEPT (a), a", ["b", "s", "a"], (4, "z", 3)),
        ("b AS a, t.a", ["a", "t.a"], (4, 3)),
    ],
)
def test_returning_may_name_a_column_again(t, returning, names, row):
    result = t.run(f"INSERT INTO t VALUES (3, 4, 'z') RETURNING {returning}")
    assert result.columns == names
    assert list(result.to_arrow_table().to_pylist()[0].values()) == list(row)


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("UPDATE t SET (b, s) = (SELECT w, u FROM s)", UsageError, "more than one row"),
        ("UPDATE t SET (b, s) = (SELECT w FROM s)", UnsupportedError, "SET of 2 columns needs as many values"),
        ("UPDATE t SET (b, s) = (1, 2, 3)", UnsupportedError, "SET of 2 columns needs as many values"),
        ("UPDATE t SET (b, b) = (SELECT w, w FROM s)", UsageError, "SET gives `b` two values"),
        ("INSERT INTO t VALUES ((SELECT k FROM s), 1, 'n')", SqlError, "more than one row"),
        ("INSERT INTO t VALUES ((SELECT 5), 1, 'n'), (6, 6, 'm') LIMIT 1", UnsupportedError, "LIMIT"),
    ],
)
def test_what_has_no_meaning_is_refused(t, statement, error, says):
    with pytest.raises(error, match=says):
        t.run(statement)
    assert t.rows("SELECT * FROM t ORDER BY a") == BEFORE


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTING", "NOTING"),
        ("INSERT INTO t AS x VALUS (1)", "VALUS"),
        ("MERGE INTO t USING s ON t.a = s.k WHEN MATCHED THEN DO SOMETHING", "DO"),
        ("INSERT INTO t AS x SELECT 1, 2 ON CONFLICT DO NOTING", None),
    ],
)
def test_a_text_that_cannot_be_read_is_shown_as_it_was_written(statement, word):
    with pytest.raises(ParseError) as caught:
        parse_one(f"SELECT 1;\n{statement}".partition("\n")[2]).tree  # noqa: B018
    if word is not None:
        assert statement[caught.value.span.column - 1 :].startswith(word) or word in str(caught.value)
    assert "WHERE true" not in str(caught.value)
    assert "INSERT ROW" not in str(caught.value)


def test_places_are_those_of_the_text():
    tree = parse_one("INSERT INTO t AS xyz\nSELECT 1, nix ON CONFLICT (a) DO UPDATE SET b = gone").tree
    names = {n["Identifier"]["value"]: n["Identifier"]["span"]["start"] for n in walk(tree) if n.get("Identifier")}
    assert names["nix"] == {"line": 2, "column": 11}
    assert names["gone"] == {"line": 2, "column": 49}


def test_an_alias_is_printed_again():
    text = "INSERT INTO t AS x (a) VALUES (1)"
    assert to_sql(parse_one(text).tree) == text


def test_explain_shows_the_query_of_values_with_a_subquery(t):
    found = t.run("EXPLAIN INSERT INTO t VALUES ((SELECT max(a) + 1 FROM t), 5, 'z'), (9, 9, 'y')")
    assert "Union" in found.to_arrow_table()["plan"][0].as_py()
    assert t.rows("SELECT * FROM t ORDER BY a") == BEFORE
