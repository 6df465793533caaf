"""VALUES that are read off the text, and scripts of thousands of statements: the same as with the parser alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlmagic_xr.errors import ParseError
from sqlmagic_xr.sql.lexer import TokenKind, tokens
from sqlmagic_xr.sql.literals import read_literals
from sqlmagic_xr.sql.parsing import LITERALS
from sqlmagic_xr.sql.syntax import parse_one, split, to_sql, walk

literals = st.sampled_from(
    [
        "1", "-2", "0.5", ".5", "1e3", "-1.5E-2", "NULL", "null", "TRUE", "false", "'a'", "''", "'it''s'", "'),('",
        "'-- x'", "9223372036854775808", "x", "1 + 1", "E'\\''", "DATE '2020-01-01'", "-(1)", "DEFAULT", "1 -- one\n",
        "/* c */ 2",
    ]
)  # fmt: skip
rows = st.lists(st.lists(literals, min_size=2, max_size=3), min_size=1, max_size=4)
spaces = st.sampled_from(["", " ", "\n"])


@given(rows, spaces, st.sampled_from(["", " RETURNING *", " ON CONFLICT (a) DO NOTHING", " LIMIT 1", " -- end"]))
def test_a_statement_has_the_tree_that_the_parser_gives_it(found, space, tail):
    text = "INSERT INTO t (a, b) VALUES" + space
    text += f"{space},{space}".join(f"({f',{space}'.join(row)})" for row in found) + tail
    commented = text.replace("VALUES", "VALUES /* not read off */", 1)
    try:
        expected = parse_one(commented).tree
    except ParseError:
        with pytest.raises(ParseError):
            parse_one(text).tree  # noqa: B018
        return
    tree = parse_one(text).tree
    assert to_sql(tree) == to_sql(expected)
    values = tree["Insert"]["source"]["body"]["Values"]
    if LITERALS in values and values[LITERALS].columns is not None:
        columns = values[LITERALS].columns
        assert list(map(list, zip(*columns, strict=True))) == found


def test_what_is_read_off_is_no_tree():
    text = "INSERT INTO t VALUES " + ", ".join(f"({i}, 'text {i}')" for i in range(20_000))
    tree = parse_one(text).tree
    assert sum(1 for _ in walk(tree)) < 40
    rows, shorter = read_literals(text)
    assert shorter == "INSERT INTO t VALUES (0, 'text 0')"
    assert rows.columns[0][-1] == "19999"


def test_what_stands_behind_many_rows_keeps_its_place():
    rows = ",\n".join(f"({i})" for i in range(300))
    (statement,) = split(f"INSERT INTO t VALUES {rows}\nRETURNING a, nix")
    places = [
        n["Identifier"]["span"]["start"] for n in walk(statement.tree["Insert"]["returning"]) if "Identifier" in n
    ]
    assert places == [{"line": 301, "column": 11}, {"line": 301, "column": 14}]


pieces = st.lists(
    st.sampled_from(
        ["1", ".5", " ", "\n", ",", "(", ")", "'a;'", "''", "'it''s'", "-", "--;\n", "/*;*/", "E'\\';'", "e", "1e",
         "N'x;'", "a", "$$;$$", "$t$;'$t$", '";"', "`;`", ";", ";", ":p", "::", "$1", "/", "ß", "-5", "1.5e-3"]
    ),
    max_size=25,
)  # fmt: skip


@given(pieces)
def test_a_script_is_split_where_its_tokens_say(found):
    script = "".join(found)
    try:
        every = list(tokens(script))
    except ParseError as error:
        with pytest.raises(ParseError, match=re.escape(str(error).splitlines()[0])):
            split(script)
        return
    expected, run = [], []
    for token in [*every, None]:
        if token is None or (token.kind is TokenKind.SYMBOL and token.text == ";"):
            shown = [t for t in run if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
            if shown:
                expected.append((script[shown[0].start : shown[-1].end], shown[0].start))
            run = []
        else:
            run.append(token)
    assert [(s.text, s.start) for s in split(script)] == expected


@pytest.mark.parametrize("between", ["\n", " "])
def test_places_count_in_a_script_of_thousands_of_statements(between):
    script = f";{between}".join(["SELECT 'ä', a FROM t WHERE b IN :ids"] * 3000)
    statement = split(script)[2500]
    select = statement.tree["Query"]["body"]["Select"]
    name = select["from"][0]["relation"]["Table"]["name"][0]["Identifier"]
    column = select["projection"][1]["UnnamedExpr"]["Identifier"]
    ids = select["selection"]["InList"]["list"][0]["Value"]
    length = len("SELECT 'ä', a FROM t WHERE b IN :ids;") + (between == " ")
    first = (2501, 1) if between == "\n" else (1, 2500 * length + 1)
    for node, offset in ((column, 12), (name, 19), (ids, 32)):
        assert node["span"]["start"] == {"line": first[0], "column": first[1] + offset}
    broken = script + f";{between}SELECT 1 FROM t WHERE (b"
    with pytest.raises(ParseError) as caught:
        split(broken)[3000].tree  # noqa: B018
    assert caught.value.span.line == (3001 if between == "\n" else 1)
    assert caught.value.span.column > (3000 * length if between == " " else 0)
