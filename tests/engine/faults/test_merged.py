"""The one column that USING and NATURAL make of two is that one column wherever it is named, as DuckDB has it."""

import duckdb
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UnsupportedError

TABLES = """
CREATE TABLE o (step BIGINT, x DOUBLE);
INSERT INTO o VALUES (0, 1), (1, 2), (5, 9), (7, 3), (9, 4), (NULL, 5);
CREATE TABLE a (step BIGINT, y DOUBLE);
INSERT INTO a VALUES (0, 1), (1, 2), (7, 2), (1, 8), (NULL, 3);
CREATE TABLE b (step BIGINT, z DOUBLE);
INSERT INTO b VALUES (1, 1), (0, 2), (5, 4);
CREATE TABLE two (step BIGINT, y DOUBLE, w DOUBLE);
INSERT INTO two VALUES (1, 8, 3), (0, 7, 6), (7, 2, 5)
"""
ONE_SIDE = (
    "a JOIN b USING (step)", "a LEFT JOIN b USING (step)", "b LEFT JOIN a USING (step)", "b NATURAL RIGHT JOIN a",
    "a JOIN b USING (step) LEFT JOIN o AS p USING (step)", "a SEMI JOIN b USING (step)",
)  # fmt: skip
EITHER_SIDE = (
    "a RIGHT JOIN b USING (step)", "a FULL JOIN b USING (step)", "a NATURAL FULL OUTER JOIN two",
    "a RIGHT JOIN two USING (step, y)", "a FULL JOIN (SELECT step, z AS u FROM b) AS q USING (step)",
)  # fmt: skip
QUERIES = """
SELECT * FROM {}
SELECT step, count(*) FROM {} GROUP BY step HAVING step > 0
SELECT step AS q FROM {} WHERE step > 0 ORDER BY step, y LIMIT 2
SELECT DISTINCT step FROM {} ORDER BY step + 1 LIMIT 2
SELECT step + 1 AS step FROM {} ORDER BY step LIMIT 2
SELECT step, row_number() OVER (ORDER BY step, y) FROM {}
WITH q AS (SELECT * FROM {}) SELECT step, y FROM q
SELECT a.step FROM {} WHERE step IS NULL
SELECT x FROM o WHERE step IN (SELECT step FROM {} WHERE step > 0)
SELECT x FROM o WHERE step NOT IN (SELECT max(step) FROM {} GROUP BY step HAVING step IS NOT NULL)
SELECT x, (SELECT max(step) FROM {}) AS m FROM o
""".strip().split("\n")
CORRELATED = """
SELECT x FROM o WHERE EXISTS (SELECT 1 FROM {} WHERE step = o.step)
SELECT x FROM o WHERE NOT EXISTS (SELECT step FROM {} WHERE step = o.step)
""".strip().split("\n")


@pytest.fixture(scope="module")
def context():
    made = Context()
    made.script(TABLES)
    return made


@pytest.fixture(scope="module")
def duck():
    made = duckdb.connect()
    made.execute(TABLES)
    return made


def rows(table):
    """The rows, sorted: columns of one name too."""
    return sorted(zip(*[column.to_pylist() for column in table.columns], strict=True), key=repr)


@pytest.mark.parametrize("join", [*ONE_SIDE, *EITHER_SIDE])
def test_it_is_one_column_as_in_duckdb(context, duck, join):
    for text in [*QUERIES, *(CORRELATED if join in ONE_SIDE else ())]:
        query = text.format(join)
        right = sorted(duck.execute(query).fetchall(), key=repr)
        assert rows(context.sql(query).to_arrow_table()) == right, query


@pytest.mark.parametrize("join", ["a FULL JOIN b USING (step)", "a RIGHT JOIN b USING (step)"])
def test_in_a_subquery_that_reads_the_row_around_it_one_of_either_side_is_refused(context, join):
    for text in CORRELATED:
        with pytest.raises(UnsupportedError, match="`step` of either side of an outer join"):
            context.sql(text.format(join))


def test_a_join_in_parentheses_is_one_side(context, duck):
    for text in ("SELECT step, x, y FROM {} WHERE step > 0", "SELECT x FROM o WHERE step IN (SELECT step FROM {})"):
        query = text.format("o AS p JOIN (a JOIN b USING (step)) USING (step)")
        assert rows(context.sql(query).to_arrow_table()) == sorted(duck.execute(query).fetchall(), key=repr)


def test_in_other_statements(context, duck):
    join = "a FULL JOIN b USING (step)"
    for statement in ("CREATE VIEW v AS SELECT * FROM {}", "CREATE TABLE made AS SELECT step, z FROM {} WHERE step > 0",
                      "INSERT INTO made SELECT step, z FROM {}", "UPDATE made SET z = (SELECT max(step) FROM {})",
                      "DELETE FROM made WHERE step IN (SELECT step FROM {} WHERE step > 5)"):  # fmt: skip
        context.script(statement.format(join))
        duck.execute(statement.format(join))
    for name in ("v", "made"):
        query = f"SELECT * FROM {name}"
        assert rows(context.sql(query).to_arrow_table()) == sorted(duck.execute(query).fetchall(), key=repr)
    assert context.sql("SELECT * FROM v").schema().names == ["step", "y", "z"]


@pytest.mark.parametrize("first", ["a FULL JOIN b USING (step)", "a NATURAL RIGHT JOIN b"])
def test_a_join_by_a_column_of_either_side_is_refused(context, duck, first):
    query = f"SELECT step, x FROM {first} LEFT JOIN o AS p USING (step)"
    with pytest.raises(UnsupportedError, match="a join USING \\(step\\) behind an outer join") as caught:
        context.sql(query)
    said = caught.value.hint.removeprefix("Join ").removesuffix(".")
    written = query.replace("LEFT JOIN o AS p USING (step)", f"LEFT JOIN o AS p {said}").replace(
        "SELECT step", "SELECT y"
    )
    right = duck.execute(written).fetchall()
    assert rows(context.sql(written).to_arrow_table()) == sorted(right, key=repr)


@pytest.mark.parametrize("source", [
    "(a FULL JOIN b USING (step)) AS q", "a RIGHT JOIN generate_series(1, 2) AS g(step) USING (step)",
    "a NATURAL FULL JOIN (SELECT step FROM b)",
])  # fmt: skip
def test_an_outer_join_of_what_is_not_known_is_refused(context, source):
    with pytest.raises(UnsupportedError, match="needs relations that have names and known columns") as caught:
        context.sql(f"SELECT * FROM {source}")
    assert caught.value.span is not None
    assert context.sql("SELECT x FROM o JOIN generate_series(1, 5) AS g(step) USING (step)").count() == 2
