"""Scripts are split where statements end, spans count in the whole script, and errors point at the word."""

import pytest
from datafusion import SessionContext
from hypothesis import given
from hypothesis import strategies as st

from sqlmagic_xr.errors import ParseError
from sqlmagic_xr.sql.lexer import tokens
from sqlmagic_xr.sql.syntax import name_columns, parse_one, span_of, split, tables_named, to_sql, walk

FRAGMENTS = [
    "SELECT 1",
    "';'",
    '"a;b"',
    "`c;d`",
    "$$;$$",
    "$t$;'$t$",
    "E'\\';'",
    "-- ;\n",
    "/* ; /* ; */ ; */",
    ";",
    "\n",
]


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' AS \"a;b\"; -- no; \nSELECT $$;$$", ["SELECT ';' AS \"a;b\"", "SELECT $$;$$"]),
        ("/* a; /* b; */ c; */ SELECT E'\\';'", ["SELECT E'\\';'"]),
        ("SELECT 'it''s;' ;;; ", ["SELECT 'it''s;'"]),
        ("-- only a comment", []),
        ("", []),
    ],
)
def test_a_script_is_split_where_statements_end(script, statements):
    assert [s.text for s in split(script)] == statements


@given(st.lists(st.sampled_from(FRAGMENTS)).map(" ".join))
def test_tokens_are_the_text_again(text):
    assert "".join(t.text for t in tokens(text)) == text


@given(st.text())
def test_tokens_of_anything_are_the_text_again(text):
    assert "".join(t.text for t in tokens(text, strict=False)) == text


@pytest.mark.parametrize(("text", "what"), [("SELECT 'a", "string"), ('SELECT "a', "quoted name"), ("/* a", "comment")])
def test_what_is_never_closed_is_pointed_at(text, what):
    with pytest.raises(ParseError, match=f"a {what} is opened here and never closed"):
        split(text)


def test_the_comment_above_a_statement_is_its_title():
    assert [s.title for s in split("-- first\n-- Loss\nSELECT 1; SELECT 2; /* b */ SELECT 3")] == ["Loss", "", "b"]


def test_spans_count_in_the_whole_script():
    _, second = split("SELECT 1;\n  SELECT x IN :ids AND é = zz FROM t")
    (name,) = [n for n in walk(second.tree) if n.get("value") == "zz"]
    assert (span_of(name).line, span_of(name).column) == (2, 28)


@pytest.mark.parametrize(
    ("text", "keyword"),
    [("SELECT x FORM d", "FROM"), ("SELEC 1", "SELECT"), ("SELECT x FROM t\nWHER x > 1", "WHERE"),
     ("CREATE TABEL t (a INT)", "TABLE"), ("SELECT x FROM t GROPU BY x", "GROUP")],
)  # fmt: skip
def test_a_slip_in_a_keyword_is_recognised(text, keyword):
    with pytest.raises(ParseError, match=rf"Did you mean {keyword}\?"):
        _ = parse_one(text).tree


def test_other_parser_errors_keep_the_parsers_words():
    with pytest.raises(ParseError) as caught:
        _ = parse_one("SELECT a,, b FROM t").tree
    assert str(caught.value).splitlines() == [
        "expected an expression, found ,", "line 1: SELECT a,, b FROM t", " " * 17 + "^",
    ]  # fmt: skip


@given(st.text(alphabet=st.sampled_from("ab'\"\\$ \n-;"), max_size=12))
def test_a_string_survives_being_read_and_written(text):
    quoted = "'" + text.replace("'", "''") + "'"
    written = to_sql(parse_one(f"SELECT {quoted} AS v").tree)
    assert SessionContext().sql(written).to_pylist() == [{"v": text}]


@given(st.text(alphabet=st.sampled_from("aB'\"\\ "), min_size=1, max_size=8))
def test_a_quoted_name_survives_being_read_and_written(name):
    quoted = '"' + name.replace('"', '""') + '"'
    written = to_sql(parse_one(f"SELECT 1 AS {quoted}").tree)
    assert SessionContext().sql(written).to_pylist() == [{name: 1}]


def test_an_unnamed_column_is_named_by_its_text_where_it_will_be_rewritten():
    tree = parse_one("SELECT a - :lr, b, c + 1 AS d FROM t").tree
    named = name_columns(tree, lambda column: "Placeholder" in str(column))
    assert to_sql(named) == 'SELECT a - :lr AS "a - :lr", b, c + 1 AS d FROM t'


def test_equal_columns_get_names_that_differ():
    named = name_columns(parse_one("SELECT :k, :lr, :lr FROM (SELECT :lr) AS t").tree, lambda column: True)
    assert to_sql(named) == 'SELECT :k AS ":k", :lr AS ":lr", :lr AS ":lr (2)" FROM (SELECT :lr AS ":lr") AS t'


def test_the_tables_that_a_statement_names():
    script = "WITH q AS (SELECT 1 FROM a) SELECT * FROM q, s.b WHERE x IN (SELECT y FROM c);"
    script += "DESCRIBE d; INSERT INTO e VALUES (1)"
    names = [[".".join(p["value"] for p in name) for name in tables_named(s.tree)] for s in split(script)]
    assert [sorted(n) for n in names] == [["a", "c", "q", "s.b"], ["d"], ["e"]]


IN = "(SELECT x FROM hidden)"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT {IN} AS a FROM t", f"SELECT f(a, {IN}) FROM t", f"SELECT CAST({IN} AS INT) FROM t",
        f"SELECT CASE WHEN a = {IN} THEN 1 END FROM t", f"SELECT [{IN}][1] FROM t", f"SELECT a[{IN}] FROM t",
        f"SELECT EXTRACT(year FROM {IN}) FROM t", f"SELECT a LIKE {IN} FROM t", f"SELECT a BETWEEN {IN} AND 1 FROM t",
        f"SELECT sum(a) FILTER (WHERE {IN} > 1) FROM t", f"SELECT sum(a) OVER (ORDER BY {IN}) FROM t",
        f"SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY {IN})", f"SELECT array_agg(a ORDER BY {IN}) FROM t",
        f"SELECT * FROM t JOIN u ON {IN} = 1", f"SELECT * FROM {IN} AS d(a, b)", f"SELECT * FROM unnest({IN}) AS d",
        f"SELECT * FROM t WHERE EXISTS {IN}", f"SELECT a FROM t GROUP BY {IN} HAVING {IN} > 1",
        f"SELECT a FROM t ORDER BY {IN}", f"SELECT a FROM t LIMIT {IN} OFFSET {IN}", f"VALUES ({IN}, 1)",
        f"SELECT DISTINCT ON ({IN}) a FROM t", f"SELECT INTERVAL '1' DAY * {IN} FROM t", f"WITH c(a) AS {IN} SELECT 1",
        f"SELECT * EXCLUDE (a) REPLACE ({IN} AS b) FROM t", f"SELECT 1 UNION ALL {IN}", f"SELECT {{'a': {IN}}} FROM t",
        f"INSERT INTO t {IN}", f"UPDATE t SET a = {IN}", f"DELETE FROM t WHERE a = {IN} RETURNING a",
        f"MERGE INTO t USING {IN} AS s ON t.a = s.x WHEN MATCHED THEN UPDATE SET a = {IN}", f"EXPLAIN SELECT {IN}",
        f"CREATE TABLE n AS {IN}", f"CREATE VIEW n AS {IN}", f"COPY {IN} TO 'a.csv'",
    ],
)  # fmt: skip
def test_no_place_of_a_query_hides_a_table_that_is_named(sql):
    tree = parse_one(sql).tree
    everywhere = [n["Table"]["name"] for n in walk(tree) if isinstance(n.get("Table"), dict) and "name" in n["Table"]]
    assert sql.count("hidden") == sum(name[0]["Identifier"]["value"] == "hidden" for name in everywhere)
    assert sql.count("hidden") == sum(name[0]["value"] == "hidden" for name in tables_named(tree))


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("SELECT 1", False), ("WITH q AS (SELECT 1) SELECT * FROM q", False), ("EXPLAIN DELETE FROM t", False),
        ("SHOW TABLES", False), ("DESCRIBE t", False), ("VALUES (1)", False), ("INSERT INTO t VALUES (1)", True),
        ("WITH q AS (SELECT 1) INSERT INTO t SELECT * FROM q", True), ("COPY t TO 'x' STORED AS CSV", True),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x'", True), ("SET a.b = 1", True), ("DROP TABLE t", True),
    ],
)  # fmt: skip
def test_what_can_change_something_is_known(text, effects):
    assert parse_one(text).has_effects is effects


def test_a_byte_order_mark_before_a_script_is_no_part_of_it():
    first, second = split("\ufeffSELECT 1; SELECT '\ufeff'")
    assert (first.text, first.tree["Query"]["body"]["Select"]["projection"][0] is not None) == ("SELECT 1", True)
    assert second.text == "SELECT '\ufeff'"


@pytest.mark.parametrize(("sql", "hint"), [
    ("PIVOT t", "As in: PIVOT t ON year"), ("SELECT 1; UNPIVOT t", "As in: UNPIVOT t ON jan"),
    ("SELECT * FROM t PIVOT (SUM(n) FOR m IN (1) GROUP BY c)", "the statement does: PIVOT t ON year"),
])  # fmt: skip
def test_a_pivot_that_cannot_be_read_is_shown_one(sql, hint):
    with pytest.raises(ParseError) as caught:
        [statement.tree for statement in split(sql)]
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["MINIMIZE (SELECT 1) OVER p", "WITH l AS (SELECT 1)\nMAXIMIZE l OVER p"])
def test_what_trains_is_sent_to_a_training_cell(text):
    with pytest.raises(ParseError, match="IMIZE trains, so it stands in a training cell") as caught:
        _ = parse_one(text).tree
    assert "%%xsql_train" in str(caught.value)
    assert caught.value.span.column == 1
