"""The context: one way in for scripts, with parameters, variables and effects that happen once."""

import pyarrow as pa
import pytest
import xarray_sql
from datafusion import SessionContext

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ImmutableError, ParameterError, ParseError, SqlError, UnsupportedError

STATE = "CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.5);"


@pytest.fixture
def ctx():
    context = Context()
    context.script(STATE)
    return context


def rows(context, query, params=None):
    return context.sql(query, params).to_arrow_table().to_pylist()


def test_it_is_the_context_of_xarray_sql_and_of_datafusion(ctx):
    assert isinstance(ctx, xarray_sql.Context)
    assert isinstance(ctx, SessionContext)
    ctx.register_record_batches("t", [pa.table({"x": [1, 2]}).to_batches()])
    assert ctx.table("t").count() == 2
    assert rows(ctx, "SELECT SUM(x) AS s FROM t") == [{"s": 3}]


def test_a_statement_with_effects_runs_once_however_often_its_frame_is_used(ctx):
    frame = ctx.sql("INSERT INTO p VALUES (1, 2.0)")
    assert frame.to_pandas()["count"].tolist() == [1]
    assert frame.collect()[0].num_rows == 1
    repr(frame)
    assert rows(ctx, "SELECT COUNT(*) AS n FROM p") == [{"n": 2}]


def test_a_query_is_lazy_and_keeps_the_state_that_it_was_planned_over(ctx):
    frame = ctx.sql("SELECT COUNT(*) AS n FROM p")
    ctx.sql("INSERT INTO p VALUES (1, 2.0)")
    assert frame.to_pandas()["n"].tolist() == [1]


def test_a_script_gives_a_result_for_each_statement(ctx):
    first, second, third = ctx.script("-- add\nINSERT INTO p VALUES (1, 0), (2, 0); SELECT * FROM p; DROP TABLE p;")
    assert first.message == "p: 2 rows inserted"
    assert first.rows == 2
    assert second.to_arrow_table().num_rows == 3
    assert third.message == "p: dropped"


@pytest.mark.parametrize("text", ["", "  \n", "-- nothing", "/* nothing; */ ;;"])
def test_a_script_of_comments_does_nothing(ctx, text):
    assert ctx.script(text) == []


def test_a_script_is_read_whole_before_it_runs(ctx):
    with pytest.raises(ParseError, match="statement 2 of 2") as caught:
        ctx.script("INSERT INTO p VALUES (1, 0);\nSELCT 2")
    assert "line 2: SELCT 2" in str(caught.value)
    assert rows(ctx, "SELECT COUNT(*) AS n FROM p") == [{"n": 1}]


def test_an_error_names_the_statement_and_says_what_the_earlier_ones_did(ctx):
    with pytest.raises(SqlError) as caught:
        ctx.script("INSERT INTO p VALUES (1, 0);\nSELECT nope FROM p;\nSELECT 1")
    text = str(caught.value)
    assert text.startswith("statement 2 of 3: ")
    assert "line 2: SELECT nope FROM p" in text
    assert "statement 1 did: p: 1 row inserted" in text


def test_a_script_that_fails_inside_its_own_transaction_changes_nothing(ctx):
    with pytest.raises(SqlError):
        ctx.script("BEGIN; INSERT INTO p VALUES (1, 0); INSERT INTO p VALUES (1, 0); COMMIT")
    assert rows(ctx, "SELECT COUNT(*) AS n FROM p") == [{"n": 1}]
    assert not ctx.store.in_transaction


def test_parameters_are_literals_and_a_column_keeps_the_text_as_its_name(ctx):
    assert rows(ctx, "SELECT a * :by, $by AS x FROM p", {"by": 2}) == [{"a * :by": 3.0, "x": 2}]
    assert rows(ctx, "SELECT $1 AS x", ["'; DROP TABLE p"]) == [{"x": "'; DROP TABLE p"}]
    assert rows(ctx, "SELECT COUNT(*) AS n FROM p WHERE step IN :ids", {"ids": [0, 7]}) == [{"n": 1}]


def test_equal_parameters_may_stand_in_one_statement(ctx):
    ctx.sql("CREATE TABLE q (step BIGINT, a DOUBLE, b DOUBLE)")
    ctx.sql("INSERT INTO q SELECT :k, :x, :x", {"k": 1, "x": 0.5})
    assert rows(ctx, "SELECT * FROM q") == [{"step": 1, "a": 0.5, "b": 0.5}]


def test_what_a_keyword_of_datafusion_pastes_as_text_is_a_literal_here(ctx):
    query = "SELECT COUNT(*) AS n FROM p WHERE 'x' = $name"
    assert ctx.sql(query, name="x' OR 'a' = 'a").to_pandas()["n"].tolist() == [0]
    assert ctx.sql(query, param_values={"name": "x"}).to_pandas()["n"].tolist() == [1]


def test_a_missing_parameter_lists_what_is_there(ctx):
    with pytest.raises(ParameterError, match="Did you mean `rate`"):
        ctx.sql("SELECT :rat", {"rate": 1})


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("PREPARE q AS CREATE TABLE z AS SELECT 1", UnsupportedError),
        ("EXPLAIN FORMAT TREE VERBOSE DELETE FROM p WHERE ???", ParseError),
        ("INSERT INTO p VALUES (5, 5", ParseError),
        ("CREATE TABLE q (x NONSENSE(", ParseError),
    ],
)
def test_no_statement_reaches_the_engines_own_dml(ctx, statement, error):
    with pytest.raises(error):
        ctx.sql(statement)
    assert rows(ctx, "SELECT * FROM p") == [{"step": 0, "a": 1.5}]


def test_a_prepared_insert_is_ours(ctx):
    ctx.sql("PREPARE q AS INSERT INTO p VALUES ($1, $2)")
    assert rows(ctx, "SELECT * FROM p") == [{"step": 0, "a": 1.5}]
    ctx.sql("EXECUTE q(5, 2.5)")
    assert rows(ctx, "SELECT * FROM p ORDER BY step") == [{"step": 0, "a": 1.5}, {"step": 5, "a": 2.5}]


def test_a_statement_that_only_datafusion_reads_reaches_it(ctx, tmp_path):
    path = tmp_path / "p.csv"
    ctx.sql(f"COPY (SELECT * FROM p) TO '{path}' STORED AS CSV")
    ctx.sql(f"CREATE EXTERNAL TABLE q STORED AS CSV LOCATION '{path}' OPTIONS ('format.has_header' 'true')")
    assert rows(ctx, "SELECT * FROM q") == [{"step": 0, "a": 1.5}]
    with pytest.raises(ImmutableError):
        ctx.sql("INSERT INTO q VALUES (1, 1)")


def test_sql_takes_one_statement(ctx):
    with pytest.raises(ParseError, match="one statement was expected, not 2"):
        ctx.sql("SELECT 1; SELECT 2")
    with pytest.raises(ParseError, match="no statement"):
        ctx.sql("-- nothing")


def test_a_statement_is_prepared_once_and_run_with_other_values(ctx):
    from sqlmagic_xr.sql.syntax import parse_one

    prepared = ctx.prepare(parse_one("INSERT INTO p SELECT :step, a + 1 FROM p WHERE step = :step - 1"))
    for step in (1, 2, 3):
        assert prepared.run({"step": step}).rows == 1
    assert rows(ctx, "SELECT MAX(a) AS a FROM p") == [{"a": 4.5}]
