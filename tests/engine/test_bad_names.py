"""Names that mean nothing, or two things: SQL's error at the user's word, in whatever statement they stand."""

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, UnknownNameError, UsageError

TABLES = """
CREATE TABLE t (step BIGINT PRIMARY KEY, n BIGINT, x DOUBLE); INSERT INTO t VALUES (0, 1, 2.0), (1, 2, 3.0);
CREATE TABLE u (step BIGINT, n BIGINT, y DOUBLE); INSERT INTO u VALUES (0, 1, 5.0), (1, 7, 6.0);
CREATE VIEW v AS SELECT n, x FROM t
"""
STATEMENTS = {
    "query": "SELECT {0} FROM t JOIN u ON t.step = u.step",
    "condition": "SELECT 1 FROM t JOIN u ON t.step = u.step WHERE {0} > 0",
    "insert": "INSERT INTO u SELECT 7, 7, {0} FROM t JOIN u ON t.step = u.step",
    "update": "UPDATE t SET x = {0} FROM u WHERE t.step = u.step",
    "merge": "MERGE INTO t USING u ON t.step = u.step WHEN MATCHED THEN UPDATE SET x = {0}",
    "delete": "DELETE FROM u WHERE y IN (SELECT {0} FROM t JOIN u AS r ON t.step = r.step)",
    "view": "CREATE VIEW w AS SELECT {0} FROM t JOIN u ON t.step = u.step",
    "table": "CREATE TABLE w AS SELECT {0} FROM t JOIN u ON t.step = u.step",
    "derivative": "SELECT grad({0} * {0}, {0}) FROM t JOIN u ON t.step = u.step",
}
READING = (
    "SELECT x FROM {0}", "INSERT INTO {0} VALUES (1, 2, 3)", "UPDATE {0} SET x = 1", "DELETE FROM {0}",
    "CREATE TABLE w AS SELECT x FROM {0}", "CREATE VIEW w AS SELECT x FROM {0}", "SELECT grad(x * x, x) FROM {0}",
    "MERGE INTO u USING {0} AS s ON true WHEN MATCHED THEN DELETE",
)  # fmt: skip
NAMES = ("n", "zz", "q.x", "nowhere.t.x", "other.public.t.x", '"X"')


def word(sql, error):
    """The text from where an error points to, up to the next space."""
    return sql[error.span.column - 1 :].split(" ")[0]


@pytest.fixture(scope="module")
def context():
    ctx = Context()
    ctx.script(TABLES)
    return ctx


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_column_that_means_nothing_or_two_things_is_refused_at_the_word(context, statement):
    for name in NAMES:
        sql = STATEMENTS[statement].format(name)
        with pytest.raises(UnknownNameError) as caught:
            context.script(sql)
        assert word(sql, caught.value).startswith(name), f"{sql}: {caught.value}"
        assert "__row__" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.t", "other.public.t", '"T"'])
def test_a_table_that_is_not_there_is_refused_at_the_word(context, name):
    for text in READING:
        sql = text.format(name)
        with pytest.raises(UnknownNameError) as caught:
            context.script(sql)
        assert word(sql, caught.value).startswith(name), f"{sql}: {caught.value}"


@pytest.mark.parametrize("name", ["t.x", "public.t.x", "datafusion.public.t.x", "PUBLIC.T.X", '"public"."t"."x"'])
def test_a_column_may_be_named_with_all_that_its_table_is_called(context, name):
    assert context.query(f"SELECT {name} AS x FROM t ORDER BY {name}")["x"].to_pylist() == [2.0, 3.0]
    (result,) = context.script(
        f"SELECT grad({name} * x * u.y, {name}) AS g FROM t JOIN u ON t.step = u.step ORDER BY 1"
    )
    assert result.to_pandas()["g"].tolist() == [20.0, 36.0]


def test_fields_of_structs_are_no_schemas(context):
    query = "SELECT q.s.a AS a, s.b.c AS c FROM (SELECT named_struct('a', x, 'b', named_struct('c', n)) AS s FROM t) q"
    assert context.query(f"{query} ORDER BY 1").to_pydict() == {"a": [2.0, 3.0], "c": [1, 2]}


def test_an_output_may_have_the_name_that_two_relations_have(context):
    inside = "SELECT u.step FROM u WHERE u.step IN (SELECT {} FROM t JOIN u AS r USING (step) ORDER BY {})"
    for what, order in (("t.n", "n"), ("r.n AS n", "n")):
        context.query(inside.format(what, order))


def test_a_view_that_would_read_itself_is_refused_and_a_cte_of_its_name_is_none():
    ctx = Context()
    ctx.script(TABLES)
    for sql in ("CREATE VIEW w AS SELECT * FROM w", "CREATE VIEW w AS SELECT * FROM datafusion.public.w",
                "CREATE OR REPLACE VIEW v AS SELECT n FROM t WHERE n IN (SELECT n FROM v)"):  # fmt: skip
        with pytest.raises(UsageError, match="would read itself") as caught:
            ctx.script(sql)
        assert word(sql, caught.value) in ("w", "datafusion.public.w", "v)")
    ctx.script("CREATE VIEW above AS SELECT * FROM v")
    with pytest.raises(UsageError, match="would read itself"):
        ctx.script("CREATE OR REPLACE VIEW v AS SELECT * FROM above")
    ctx.script("CREATE VIEW w AS WITH w AS (SELECT 1 AS a) SELECT a FROM w")
    assert ctx.query("SELECT a FROM w").to_pydict() == {"a": [1]}
    ctx.script("CREATE VIEW hiding AS WITH t AS (SELECT 7 AS a) SELECT a FROM t; DROP VIEW above; DROP VIEW v")
    ctx.script("DROP TABLE t")
    assert ctx.query("SELECT a FROM hiding").to_pydict() == {"a": [7]}


@pytest.mark.parametrize("source", ["u, u", "t AS u, u", "u JOIN U ON true"])
def test_two_relations_of_one_name_are_refused_at_the_word(context, source):
    sql = f"SELECT 1 FROM {source}"
    with pytest.raises(SqlError, match="two relations in FROM are named u") as caught:
        context.script(sql)
    assert word(sql, caught.value)[0].lower() in "tu"
