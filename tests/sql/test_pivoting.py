"""PIVOT and UNPIVOT statements give the rows, and the names of columns, that DuckDB gives for the same text."""

import duckdb
import pandas as pd
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, UnsupportedError

CITIES = pd.DataFrame(
    [("NL", "A", 2000, 1005), ("NL", "A", 2010, 1065), ("US", "S", 2000, 564), ("US", "N", None, 8015),
     (None, "N", 2010, 8175)],
    columns=["country", "name", "year", "n"],
).astype({"year": "Int64"})  # fmt: skip
SALES = pd.DataFrame({"e": [1, 2], "d": ["x", "y"], "jan": [1, 5], "feb": [2, 6], "mar": [None, 7]}).astype(
    {"mar": "Int64"}
)


@pytest.fixture(scope="module")
def context():
    return Context(namespace=lambda: {"cities": CITIES, "sales": SALES, "n": 1})


@pytest.fixture(scope="module")
def peer():
    with duckdb.connect() as connection:
        connection.register("cities", CITIES)
        connection.register("sales", SALES)
        yield connection


def ordered(rows):
    return sorted((tuple(None if pd.isna(v) else v for v in row) for row in rows), key=repr)


SAME = """
    PIVOT cities ON year USING sum(n)
    PIVOT cities ON year
    PIVOT cities ON year USING sum(n) GROUP BY country
    PIVOT cities ON country, year USING sum(n) AS s, max(n)
    PIVOT cities ON year IN (2000, 2020) USING sum(n) AS total GROUP BY country
    PIVOT cities ON year IN (SELECT 2000) USING sum(n) GROUP BY country
    PIVOT cities ON country || '_' || name USING sum(n)
    PIVOT cities ON year USING sum(n) FILTER (WHERE n > 1000) GROUP BY country
    PIVOT (SELECT i / 4.0 AS i FROM (VALUES (0), (1), (2)) v(i)) ON i
    PIVOT (SELECT DATE '2000-01-01' AS i, TRUE AS b) ON i, b
    PIVOT (SELECT 'a''b' AS i) ON i USING count(*) AS c, sum(1)
    PIVOT sales ON d, e IN (1, 2) USING sum(jan) GROUP BY feb ORDER BY feb LIMIT 3
    PIVOT sales JOIN (SELECT 1 AS e2, 7 AS z) q ON e = e2 ON d USING sum(z)
    PIVOT (UNPIVOT sales ON jan, feb) ON name USING sum(value) GROUP BY d
    PIVOT_WIDER (FROM sales) ON d USING sum(jan)
    WITH p AS (PIVOT cities ON year USING sum(n)) SELECT * FROM p ORDER BY 1
    WITH p AS (PIVOT cities ON year USING sum(n)) PIVOT p ON name USING sum("2000") GROUP BY country
    SELECT p.d, q.x FROM (PIVOT sales ON d USING sum(jan) GROUP BY e) q JOIN (UNPIVOT sales ON jan) p ON p.e = q.e
    UNPIVOT sales ON jan, feb, mar INTO NAME month VALUE n ORDER BY n DESC LIMIT 2
    UNPIVOT sales ON COLUMNS(* EXCLUDE (e, d))
    UNPIVOT sales ON COLUMNS('^j|m')
    UNPIVOT sales ON * EXCLUDE (d)
    UNPIVOT sales ON jan AS j, feb + 1 AS f
    UNPIVOT sales ON jan::BIGINT, feb
    UNPIVOT sales ON (jan, feb) AS q1, (mar, jan) INTO NAME q VALUE m1, m2
    FROM sales UNPIVOT ((a, b) FOR q IN ((jan, feb) AS h, (feb, mar)))
"""


@pytest.mark.parametrize("sql", [line.strip() for line in SAME.strip().splitlines()])
def test_it_is_what_duckdb_makes_of_it(context, peer, sql):
    found = peer.execute(sql)
    names, rows = [column[0] for column in found.description], found.fetchall()
    result = context.script(sql)[0]
    assert result.columns == names
    assert ordered(row.values() for row in result.to_arrow_table().to_pylist()) == ordered(rows)


def test_it_makes_tables_and_views_and_reads_what_a_script_has_made(context):
    script = """
        CREATE OR REPLACE TABLE wide AS PIVOT sales ON d USING sum(jan) GROUP BY e;
        INSERT INTO wide PIVOT sales
            ON d
            USING sum(feb) GROUP BY e;
        CREATE OR REPLACE VIEW seen AS PIVOT wide ON e IN (1, 2) USING sum(x);
        SELECT "1" FROM seen
        WHERE y IS NULL"""
    assert context.script(script)[-1].to_arrow_table().to_pylist() == [{"1": 3}]


def test_values_are_in_their_order_and_parameters_may_stand_beside_a_list(context):
    tens = "PIVOT (SELECT * FROM (VALUES (9), (10), (100)) v(i)) ON i"
    assert context.script(tens)[0].columns == ["9", "10", "100"]
    listed = "PIVOT (FROM cities SELECT * WHERE n > $n) ON year IN (2000) USING sum(n) GROUP BY country"
    assert context.script(listed)[0].columns == ["country", "2000"]


@pytest.mark.parametrize(
    ("sql", "what", "line", "column"),
    [
        ("PIVOT cities ON nope USING sum(n)", "there is no column nope", 1, 17),
        ("PIVOT cities\nON year\nUSING summ(n)", "there is no function summ", 3, 7),
        ("PIVOT nowhere ON year", "there is no table nowhere", 1, 7),
        ("PIVOT cities ON year USING sum(", "expected an expression", 1, 31),
        ("PIVOT cities\nON year\nORDER BY nope", "there is no column nope", 3, 10),
        ("PIVOT cities ON year USING sum(n) / count(*)", "PIVOT takes one aggregate", 1, 28),
        ("CREATE VIEW v AS PIVOT cities ON year", "the columns of a view must not depend on rows", 1, 34),
        ("PIVOT (SELECT * FROM cities WHERE n > $n) ON year", "must not depend on rows", 1, 46),
        ("UNPIVOT sales ON (jan, feb)", "UNPIVOT gives 2 columns to 1 names", 1, 19),
        ("PIVOT range(2000) ON value", "PIVOT would make more than 1,000 columns", 1, 22),
    ],
)
def test_an_error_points_at_the_word(context, sql, what, line, column):
    with pytest.raises((SqlError, UnsupportedError), match=what) as caught:
        context.script(sql)
    assert (caught.value.span.line, caught.value.span.column) == (line, column)
