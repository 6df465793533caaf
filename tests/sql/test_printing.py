"""What is printed reads back as the tree that it was printed from, whoever put that together."""

import pytest
import sqloxide
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.sql.printing import expression_sql, to_sql
from sqlmagic_xr.sql.traversal import replace, transform

# Whatever stands for x, y or z is an expression of its own, down to the columns a, b and the values below.
CONSTRUCTS = """
-x | +x | ~x | NOT x | x + y | x - y | x * y | x / y | x % y | x // y | x || y | x & y | x | y | x ^ y | x << y
x >> y | x = y | x <> y | x < y | x <= y | x > y | x >= y | x AND y | x OR y | x XOR y | x ~ y | x ~* y | x !~ y
x !~* y | x ~~ y | x IS NULL | x IS NOT NULL | x IS TRUE | x IS NOT TRUE | x IS FALSE | x IS NOT FALSE
x IS UNKNOWN | x IS NOT UNKNOWN
x IS DISTINCT FROM y | x IS NOT DISTINCT FROM y | x BETWEEN y AND z | x NOT BETWEEN y AND z | x IN (1, y)
x NOT IN (1, y, z) | x LIKE y | x NOT LIKE y ESCAPE '!' | x ILIKE y | x SIMILAR TO y | x NOT SIMILAR TO y ESCAPE '!'
x IN (SELECT y FROM t) | x = ANY (y) | x < ALL (SELECT y) | EXISTS (SELECT x) | (SELECT x FROM t WHERE y)
x::INT | x::DECIMAL(5, 2)[] | CAST(x AS TIMESTAMP) | TRY_CAST(x AS VARCHAR(3)) | arrow_cast(x, 'Int8')
x AT TIME ZONE y | x -> y | x ->> y | x @> y | x <@ y | x[1] | x[y] | x[y:z] | x[1:2:3] | (x).f | [x, y] | ARRAY[x, y]
{f: x} | MAP {x: y} | STRUCT(x, y) | (x, y) | ROW(x) | named_struct('f', x) | array_transform(x, v -> y)
CASE WHEN x THEN y END | CASE x WHEN y THEN z ELSE x END | COALESCE(x, y) | x COLLATE c
EXTRACT(YEAR FROM x) | POSITION(x IN y) | OVERLAY(x PLACING y FROM z) | OVERLAY(x PLACING y FROM z FOR x)
SUBSTRING(x FROM y) | SUBSTRING(x FROM y FOR z) | SUBSTRING(x, y) | TRIM(x) | TRIM(BOTH x FROM y)
CEIL(x) | FLOOR(x) | CEIL(x TO DAY) | INTERVAL '1' DAY | INTERVAL x | INTERVAL x MONTH | x IS NORMALIZED
sum(x) FILTER (WHERE y) | count(DISTINCT x) | count(*) | array_agg(x ORDER BY y DESC NULLS LAST, z)
percentile_cont(0.5) WITHIN GROUP (ORDER BY x) | first_value(x) IGNORE NULLS OVER (ORDER BY y)
sum(x) OVER (PARTITION BY y ORDER BY z ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) | lag(x, 1) OVER w
avg(x) OVER (ORDER BY y RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND UNBOUNDED FOLLOWING) | f(n => x)
"""
VALUES = """
a | b | t.a | "A b" | "a""b" | `c` | 1 | 1.5 | .5 | 5. | 1e-5 | 1E+300 | 0x1F | 'text' | 'it''s' | '\\' | '\\''' | ''''
'' | E'a\\n\\'\\\\' | U&'\\0041\\\\' | X'1f' | B'01' | N'it''s' | $$do'l$$ | $t$$$ $t$ | '--' | '/*'
:p | $1 | TRUE | NULL | DATE '2020-01-01' | TIMESTAMP '2020-01-01 00:00:00' | TIME '00:00:00'
INTERVAL '1 year' | current_date
"select" | DEFAULT
"""
STATEMENTS = """
SELECT x AS "a""b", y AS 'c''d', * FROM t AS u WHERE x GROUP BY y HAVING z ORDER BY x DESC NULLS FIRST LIMIT 3 OFFSET 1
SELECT DISTINCT ON (x) y FROM t JOIN u ON x LEFT JOIN v USING (a) CROSS JOIN LATERAL (SELECT y) AS w, unnest(z)
SELECT x FROM t GROUP BY GROUPING SETS ((a), (a, b), ()) | SELECT x FROM t GROUP BY x, ROLLUP (a, b), CUBE (c)
SELECT x, sum(y) OVER w FROM t WINDOW w AS (PARTITION BY x ORDER BY y GROUPS 2 PRECEDING) QUALIFY z
WITH RECURSIVE c(n) AS (SELECT x UNION ALL SELECT y FROM c WHERE z) SELECT * EXCLUDE (n) FROM c
(SELECT x) EXCEPT (SELECT y INTERSECT SELECT z) UNION SELECT x | VALUES (x, y), (z, x)
INSERT INTO t (a, b) VALUES (x, y) ON CONFLICT (a) DO UPDATE SET b = x WHERE y RETURNING z
UPDATE t SET a = x, b = y FROM u WHERE z RETURNING x | DELETE FROM t WHERE x RETURNING y
MERGE INTO t USING u ON x WHEN MATCHED AND y THEN UPDATE SET a = z WHEN NOT MATCHED THEN INSERT (a) VALUES (x)
CREATE TABLE t (a INT NOT NULL DEFAULT 1, b DECIMAL(5, 2) CHECK (x), PRIMARY KEY (a)) | CREATE TABLE t AS SELECT x
CREATE OR REPLACE VIEW v AS SELECT x | EXPLAIN SELECT x | SELECT TOP 3 x | SELECT x FROM t TABLESAMPLE SYSTEM (3)
SET a = 'it''s' | SHOW ALL | DESCRIBE t | COPY (SELECT x) TO 'a''b.csv'
"""


def pieces(text):
    """The constructs of a list: a bar between spaces parts them, but for the operator."""
    text = text.replace("x | y |", "x \0 y |").replace("\n", " | ")
    return [piece.strip().replace("\0", "|") for piece in text.split(" | ") if piece.strip()]


def parsed(text):
    (tree,) = sqloxide.parse_sql(text, "generic")
    return tree


def expression(text):
    return parsed(f"SELECT {text}")["Query"]["body"]["Select"]["projection"][0]["UnnamedExpr"]


def meant(tree):
    """A tree without places, keywords' spelling and parentheses."""

    def change(node):
        if "span" in node:
            return {key: value for key, value in node.items() if key != "span"}
        if set(node) == {"Nested"}:
            return node["Nested"]
        if node.get("Exists", {}).get("negated"):  # NOT EXISTS has a kind of its own
            return {"UnaryOp": {"op": "Not", "expr": {"Exists": {**node["Exists"], "negated": False}}}}
        bare = {key: value for key, value in node.items() if not key.endswith("_token")}
        return bare if len(bare) < len(node) else None

    return repr(transform(tree, change)).replace("(", "[").replace(")", "]")


def filled(template, parts):
    """A tree whose x, y and z are other trees."""
    named = dict(zip("xyz", parts, strict=True))

    def change(node):
        column = node.get("Identifier")
        return named.get(column["value"]) if isinstance(column, dict) and "value" in column else None

    return replace(template, change)


TEMPLATES = [expression(piece) for piece in pieces(CONSTRUCTS)]
LEAVES = [expression(piece) for piece in pieces(VALUES)]
WHOLE = [parsed(piece) for piece in pieces(STATEMENTS)]


def built(inner):
    return st.builds(filled, st.sampled_from(TEMPLATES), st.tuples(inner, inner, inner))


TREES = st.recursive(st.sampled_from(LEAVES), built, max_leaves=12)


@settings(max_examples=300)
@given(TREES)
def test_an_expression_reads_back(tree):
    assert meant(expression(expression_sql(tree))) == meant(tree)


@settings(max_examples=100)
@given(st.sampled_from(WHOLE), st.tuples(TREES, TREES, TREES))
def test_a_statement_reads_back(tree, parts):
    tree = filled(tree, parts)
    assert meant(parsed(to_sql(tree))) == meant(tree)


@pytest.mark.parametrize("text", pieces(CONSTRUCTS) + pieces(VALUES))
def test_every_construct_reads_back(text):
    assert meant(expression(expression_sql(expression(text)))) == meant(expression(text))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.sampled_from(["'", '"', "N'"]))
def test_any_text_between_quotes_reads_back(text, quote):
    mark = quote[-1]
    tree = expression(f"{quote}{text.replace(mark, mark * 2)}{mark}")
    assert meant(expression(expression_sql(tree))) == meant(tree)


@pytest.mark.parametrize("value", [-5, -5.5, 5, 0, float("-inf")])
@pytest.mark.parametrize("text", ["- :p", "-(- :p)", "3 - :p", "3 - - :p", "abs(- - :p)", ":p * -:p", "-:p * -:p"])
def test_a_sign_before_a_parameter_is_no_comment(text, value):
    ours = Context().sql(f"SELECT {text} AS a, 7 AS b", {"p": value}).to_pydict()
    assert ours == {"a": [eval(text.replace(":p", f"({float(value)!r})"), {"inf": float("inf")})], "b": [7]}
