"""The algebra of expressions: what is read is written back with the same meaning."""

import pytest

from sqlmagic_xr.errors import ParseError
from sqlmagic_xr.sql.expression import Call, Column, Literal, Verbatim, columns, descend, parse, replace_parts, to_sql

TEXTS = [
    "a-(b-c)",
    "-(-x)",
    "- (a*b)",
    "a - -2",
    "(a<b)=(c<d)",
    "not (a and b) or c",
    "x between 1 and 2+3 and y",
    "case x when 1 then 2 else 3 end + 1",
    "avg(distinct x) filter (where y>0) over (partition by a order by b)",
    "count(*)",
    "(x+1)::double",
    "cast(x as decimal(3,1))",
    "(select 1) + 2",
    "x in (1,2) is null",
    "1e-300*0.1",
    '"Q"."order"+"t x"',
    "(x like 'a') = true",
    "a is distinct from b+1",
    "date '2020-01-01' - interval '1 day'",
    "power(a,b)%c",
    "$1 + :lr",
    "(-2)*x",
    "-x*y",
    "not x is null",
    "not (not x)",
    "-(x::int)",
    "(-x)::int",
    "(a||b)||c",
    "a*b/(c*d)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_read_written_and_read_again_is_the_same_expression(text):
    expression = parse(text)
    again = parse(to_sql(expression))
    assert again == expression
    assert hash(again) == hash(expression)


@pytest.mark.parametrize(
    ("text", "written"),
    [("(a+b)+c", "a + b + c"), ("a-(b-c)", "a - (b - c)"), ("a*(b+c)", "a * (b + c)"), ("(a*b)/c", "a * b / c"),
     ("- (a*b)", "-(a * b)"), ("not (a and b)", "NOT (a AND b)"), ("(a)", "a"), ("-(-x)", "-(-x)")],
)  # fmt: skip
def test_parentheses_stand_where_they_are_needed_and_nowhere_else(text, written):
    assert to_sql(parse(text)) == written


def test_equality_is_of_meaning_not_of_spelling_or_place():
    assert parse("EXP( X )+1") == parse("exp(x) + 1")
    assert parse('"X"') != parse("x")
    assert parse("1") != parse("1.0")
    assert parse("true") != parse("1")
    assert parse("x LIKE 'a'") == parse("x  like 'a'")


def test_spans_point_into_the_text_that_was_read():
    inner = parse("1 + exp(x)").args[1]
    assert isinstance(inner, Call)
    assert (inner.span.column, inner.span.end_column) == (12, 17)  # in "SELECT 1 + exp(x)", up to the argument


def test_what_calculations_have_no_use_for_stays_as_it_came():
    like = parse("name LIKE 'a%'")
    assert isinstance(like, Verbatim)
    assert columns(like) == {("name",)}
    assert to_sql(Call("and", (like, Column(("t", "order"))))) == "(name LIKE 'a%') AND t.\"order\""


def test_columns_are_found_everywhere():
    assert columns(parse("sum(a) FILTER (WHERE b > 0) OVER (PARTITION BY c) + CASE d WHEN e THEN t.f END")) == {
        ("a",), ("b",), ("c",), ("d",), ("e",), ("t", "f"),
    }  # fmt: skip


def test_replacing_visits_shared_parts_once_and_keeps_what_is_not_changed():
    x = parse("exp(x)")
    visits = []

    def change(node):
        visits.append(node)
        return Literal(2) if node == Column(("x",)) else None

    doubled = replace_parts(Call("+", (x, x)), change)
    assert to_sql(doubled) == "exp(2) + exp(2)"
    assert len(visits) == 3
    untouched = parse("a + b")
    assert replace_parts(untouched, lambda node: None) is untouched


def test_the_outer_node_comes_first():
    assert [to_sql(e) for e in descend(parse("a + b * c"))] == ["a + b * c", "a", "b * c", "b", "c"]


@pytest.mark.parametrize("text", ["1, 2", "x AS y", "*", "x FROM t", "x; y", ""])
def test_only_one_expression_is_read(text):
    with pytest.raises(ParseError):
        parse(text)


def test_numbers_keep_their_value_and_type():
    assert [to_sql(Literal(v)) for v in (1, 1.0, -2, -0.5, 1e-300, True, None, "it's")] == [
        "1", "1.0", "-2", "-0.5", "1e-300", "true", "NULL", "'it''s'",
    ]  # fmt: skip
    assert parse("12345678901234567890123").value == 12345678901234567890123
