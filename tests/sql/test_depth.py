"""What would end the process, or keep it busy for ever, is refused on sight."""

import time

import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ParseError, UnsupportedError
from sqlmagic_xr.sql.depth import NESTED, OPERATORS, QUERIES, excess, nested
from sqlmagic_xr.sql.syntax import parse_one, to_sql

TOO_DEEP = {
    "sum": "SELECT " + "+".join(["v"] * 12_000) + " FROM t",
    "or": "SELECT v FROM t WHERE " + " OR ".join(f"v = {n}" for n in range(12_000)),
    "casts": "SELECT v" + "::int" * 12_000 + " FROM t",
    "text": "SELECT " + " || ".join(["'a'"] * 12_000),
    "in parentheses": "SELECT " + "(1+" * 30 + "+".join(["v"] * 4000) + ")" * 30 + " FROM t",
    "union": " UNION ALL ".join(["SELECT 1 AS v"] * 3000),
    "except in a subquery": "SELECT v FROM (" + " EXCEPT ".join(["SELECT 1 AS v"] * 3000) + ")",
    "nested casts": "SELECT " + "CAST(" * 200 + "1" + " AS INT)" * 200,
    "brackets": "SELECT " + "[" * 200 + "1" + "]" * 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def context():
    return Context()


@pytest.mark.parametrize("name", TOO_DEEP)
def test_what_is_too_deep_is_refused_at_once_with_the_limit_and_what_to_do(context, name):
    begun = time.process_time()
    with pytest.raises((UnsupportedError, ParseError), match=rf"{OPERATORS}|{QUERIES}|{NESTED}") as caught:
        context.sql(TOO_DEEP[name])
    assert time.process_time() - begun < 1
    assert caught.value.hint
    assert caught.value.span is not None


def test_explain_and_a_generated_query_are_refused_too(context):
    with pytest.raises(UnsupportedError, match="operators"):
        context.sql("EXPLAIN " + TOO_DEEP["sum"])
    with pytest.raises(UnsupportedError, match="operators"):
        context.query(TOO_DEEP["sum"])


def test_what_is_only_long_is_read():
    columns = ", ".join(f"v + {n} * 2 - 1 AS c{n}" for n in range(3000))
    values = "INSERT INTO t VALUES " + ", ".join(f"(-{n}, 'a + b', 1 - {n})" for n in range(3000))
    quoted = "SELECT '" + " UNION a + b" * 5000 + "' AS a -- " + "+" * 5000
    branches = "SELECT CASE " + " ".join(f"WHEN v = {n} AND w > 0 THEN {n} + 1" for n in range(2500)) + " END FROM t"
    shallow = "SELECT v FROM t WHERE " + " OR ".join(f"v * 2 + 1 = {n} AND v > {n}" for n in range(3000))
    for text in (f"SELECT {columns} FROM t", values, quoted, branches, shallow):
        assert excess(text) is None
        assert parse_one(text).tree


def test_what_binds_more_is_inside_what_binds_less():
    products = " * ".join(["v"] * 2500)
    assert excess(f"SELECT {products} = {products} OR {products} > 1 FROM t") is None
    assert excess(f"SELECT {products} + {' + '.join(['v'] * 2500)} FROM t") is not None


def test_as_much_as_the_limit_is_read():
    assert parse_one("SELECT " + "+".join(["v"] * (OPERATORS + 1))).tree
    assert parse_one(" UNION ALL ".join(["SELECT 1 AS v"] * QUERIES)).tree
    assert parse_one("SELECT " + "(" * NESTED + "1" + ")" * NESTED).tree


def test_a_case_that_is_nested_too_deeply_is_said_to_be():
    text = "SELECT " + "CASE WHEN v > 0 THEN 1 ELSE " * 200 + "2" + " END" * 200 + " FROM t"
    assert nested(text) == 200
    with pytest.raises(ParseError, match="nested too deeply"):
        _ = parse_one(text).tree


@pytest.mark.parametrize("text", ["SELECT {} v FROM t", "DELETE FROM t WHERE {}\n v", "SELECT {} v END FROM t"])
def test_a_not_before_so_many_is_said_to_be_nested_too_deeply(text):
    with pytest.raises(ParseError, match="nested too deeply") as caught:
        _ = parse_one(text.format("not NOT\n" * 250)).tree
    assert caught.value.hint == "NOT NOT x is x."
    assert parse_one("SELECT " + "NOT " * 30 + "v FROM t").tree
    with pytest.raises(ParseError, match="expected end of statement, found END"):
        _ = parse_one("SELECT " + "NOT " * 30 + "v END FROM t").tree


@pytest.mark.parametrize("levels", [46, 47, 60, 200])
def test_a_case_in_a_case_is_read_whole_or_refused(levels):
    """Where the parser is too deep it takes an END for the end of all, and leaves off what follows."""
    text = "SELECT " + "CASE WHEN v > 0 THEN " * levels + "2" + " END" * levels + " + 5 AS a FROM t"
    if levels < 47:
        assert to_sql(parse_one(text).tree) == text
    else:
        with pytest.raises(ParseError, match="nested too deeply"):
            _ = parse_one(text).tree


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM t END WHERE v = 1", "SELECT v AS b END FROM t", "DELETE FROM t WHERE v = 1 END AND w = 2",
        "UPDATE t SET v = CASE WHEN v > 1 THEN 9 ELSE v END END WHERE k = 3", "SELECT v FROM t end -- and no more",
        "INSERT INTO t SELECT CASE v WHEN 1 THEN 2 END FROM t END WHERE v = 1",
    ],
)  # fmt: skip
def test_nothing_behind_an_end_too_many_is_left_out(text):
    with pytest.raises(ParseError, match=r"expected end of statement, found (END|end)") as caught:
        _ = parse_one(text).tree
    assert text.upper().split()[text[: caught.value.span.column - 1].count(" ")] == "END"


@pytest.mark.parametrize(
    "text", ["END", "SELECT 'END' AS a", 'SELECT 1 AS "END"', "SELECT CASE WHEN v THEN 1 END -- END"]
)
def test_an_end_that_has_its_place_is_read(text):
    assert parse_one(text).tree


def test_a_panic_of_the_parser_is_an_error_of_the_text():
    with pytest.raises(ParseError, match=r"(?i)authorization must have a scope"):
        _ = parse_one("SET AUTHORIZATION x").tree
