"""DuckDB's statements ``PIVOT t ON ...`` and ``UNPIVOT t ON ...``: found in a text, and read piece by piece.

What is read is the factor ``t PIVOT (...)`` of the FROM of a SELECT; what a factor has no room for stands beside it,
under :data:`ROWS` and :data:`ON`. :mod:`.pivoting` gives it its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .lexer import Token, TokenKind
from .traversal import Tree, walk

ON, ROWS = "on", "rows"
"""The keys, in a PIVOT, of what has its values as columns, and of the expressions of GROUP BY (None: other columns)."""

Read = Callable[[str, int, int], Tree]
"""Reads a query whose text holds so many characters, from a place on, that the user has not written."""

_WORDS = {"PIVOT": "Pivot", "PIVOT_WIDER": "Pivot", "UNPIVOT": "Unpivot", "PIVOT_LONGER": "Unpivot"}
_BEHIND = ("ORDER", "LIMIT", "OFFSET", "FETCH", "UNION", "INTERSECT", "EXCEPT")
_FIRST = 0xE000  # of Unicode's private characters, of which one stands for a statement until its pieces are read


def statements(words: Sequence[Token]) -> Iterator[tuple[str, list[Token]]]:
    """The kind and the words of each such statement, the inner ones first.

    Args:
        words: the tokens of a text, without spaces and comments.
    """
    for at in reversed(range(len(words))):
        if not _is(words[at], *_WORDS) or not _may_stand_behind(words[max(at - 2, 0) : at]):
            continue
        own = _statement(words[at:])
        if any(_is(word, "ON") for word in own):
            yield _WORDS[words[at].text.upper()], own


def marked(number: int) -> str:
    """What the parser reads in the place of a statement."""
    return f'SELECT "{chr(_FIRST + number)}"'


def exchange(tree: Tree, number: int, select: Tree) -> None:
    """Put the SELECT that a statement is in the place of what stands for it."""
    mark = {"value": chr(_FIRST + number), "quote_style": '"'}
    for node in walk(tree):
        body = node.get("Select")
        items = body.get("projection") if isinstance(body, dict) else None
        if items and (items[0].get("UnnamedExpr") or {}).get("Identifier", {}).items() >= mark.items():
            node["Select"] = select
            return


def read(kind: str, own: Sequence[Token], text: str, read_query: Read) -> Tree:
    """The SELECT that a statement is.

    Args:
        kind: "Pivot" or "Unpivot".
        own: its words.
        text: the text that they stand in.
        read_query: reads the pieces.

    Raises:
        ValueError: the parser's words about a piece.
    """
    pieces = _pieces(own)
    if [word.text.upper() for word in pieces["ON"][:3]] == ["COLUMNS", "(", "*"]:
        pieces["ON"] = pieces["ON"][2:-1]  # COLUMNS(* EXCLUDE (a)) is * EXCLUDE (a)

    def query(prefix: str, piece: Sequence[Token]) -> Any:
        start, end = piece[0].start, piece[-1].end
        before = "".join(c if c == "\n" else " " for c in text[:start])
        found = read_query(before + prefix + text[start:end], start, len(prefix))
        return found["Query"]["body"]["Select"]

    whole = query("SELECT * FROM ", pieces["SOURCE"])
    parts = {
        word: query("SELECT ", piece)["projection"] for word, piece in pieces.items() if word != "SOURCE" and piece
    }
    make = _pivot if kind == "Pivot" else _unpivot
    return {**whole, "from": [{"relation": {kind: make(_one(whole), parts)}, "joins": []}]}


def _pivot(source: Tree, parts: dict[str, list[Tree]]) -> Tree:
    on = [_values(item) for item in parts["ON"]]
    return {
        "table": source, "aggregate_functions": [_named(item) for item in parts.get("USING", ())],
        "value_column": [expression for expression, _ in on], "value_source": {"Any": []}, "default_on_null": None,
        "alias": None, ON: on, ROWS: [_named(item)["expr"] for item in parts["GROUP"]] if "GROUP" in parts else None,
    }  # fmt: skip


def _unpivot(source: Tree, parts: dict[str, list[Tree]]) -> Tree:
    name = _named(parts["INTO"][0])["expr"]["Identifier"] if "INTO" in parts else _word("name")
    values = [_named(item)["expr"] for item in parts["VALUE"]] if "VALUE" in parts else [{"Identifier": _word("value")}]
    return {
        "table": source, "value": values[0] if len(values) == 1 else {"Tuple": values}, "name": name,
        "columns": [item if "Wildcard" in item else _named(item) for item in parts["ON"]],
        "null_inclusion": None, "alias": None,
    }  # fmt: skip


def _word(text: str) -> Tree:
    return {"value": text, "quote_style": None, "span": _NOWHERE}


_NOWHERE = {"start": {"line": 0, "column": 0}, "end": {"line": 0, "column": 0}}


def _values(item: Tree) -> tuple[Tree, Any]:
    """An expression of ON and where its values are from: ``{"List": ...}``, ``{"Subquery": ...}``, or its table."""
    expression = _named(item)["expr"]
    listed, asked = expression.get("InList"), expression.get("InSubquery")
    if listed and not listed["negated"]:
        return listed["expr"], {"List": [{"expr": value, "alias": None} for value in listed["list"]]}
    if asked and not asked["negated"]:
        return asked["expr"], {"Subquery": asked["subquery"]}
    return expression, {"Any": []}


def _named(item: Tree) -> dict[str, Any]:
    if "ExprWithAlias" in item:
        return dict(item["ExprWithAlias"])
    return {"expr": item.get("UnnamedExpr", item), "alias": None}


def _one(select: Tree) -> Tree:
    """What a FROM reads, as one relation."""
    first = select["from"][0]
    if len(select["from"]) == 1 and not first["joins"]:
        return first["relation"]
    query: dict[str, Any] = {
        "with": None, "body": {"Select": select}, "order_by": None, "limit_clause": None, "fetch": None, "locks": [],
        "for_clause": None, "settings": None, "format_clause": None, "pipe_operators": [],
    }  # fmt: skip
    label = {"explicit": True, "name": _word("pivot"), "columns": []}
    return {"Derived": {"lateral": False, "subquery": query, "alias": label, "sample": None}}


# --- The text ---


def _is(word: Token, *texts: str) -> bool:
    return word.kind is TokenKind.WORD and word.text.upper() in texts


def _may_stand_behind(words: Sequence[Token]) -> bool:
    """Whether a statement may begin behind the last words; a factor, ``t PIVOT (...)``, stands behind a relation."""
    if not words:
        return True
    reads = _is(words[-1], "AS", "EXPLAIN", "ANALYZE", "VERBOSE", "SUMMARIZE", "DESCRIBE")
    return reads or words[-1].text in ("(", ")") or (len(words) == 2 and _is(words[0], "INTO"))


def _statement(words: Sequence[Token]) -> list[Token]:
    """The words from the first on that belong to a statement: up to ORDER BY, LIMIT or the parenthesis that ends it.

    It is none where a factor begins, whose parentheses hold a FOR.
    """
    found: list[Token] = []
    depth = 0
    for word in words:  # the parentheses of a factor come before any ON
        depth += {"(": 1, ")": -1}.get(word.text, 0)
        if depth < 0 or (depth == 0 and _is(word, *_BEHIND)):
            break
        if depth == 1 and _is(word, "FOR") and not any(_is(w, "ON") for w in found):
            return []
        found.append(word)
    return found


def _pieces(own: Sequence[Token]) -> dict[str, list[Token]]:
    """The words of a statement by the clause that they stand in; those in front of ON are the source."""
    outer = [at for at, depth in enumerate(_depths(own)) if depth == 0]
    on = max(at for at in outer if _is(own[at], "ON") and not _later(own, outer, at))
    pieces = {"SOURCE": list(own[1:on]), "ON": []}
    clause, at = "ON", on + 1
    while at < len(own):
        word = own[at].text.upper() if at in outer and own[at].kind is TokenKind.WORD else ""
        step = {"USING": 1, "GROUP": 2, "INTO": 2, "VALUE": 1}.get(word, 0)
        if step and (word != "VALUE" or clause == "INTO"):
            clause = word
            pieces[clause] = []
            at += step
            continue
        pieces[clause].append(own[at])
        at += 1
    return pieces


def _later(own: Sequence[Token], outer: Sequence[int], at: int) -> bool:
    """Whether an ON stands behind the clauses that follow that of the statement."""
    return any(_is(own[n], "GROUP", "INTO") for n in outer if n < at)


def _depths(own: Sequence[Token]) -> Iterator[int]:
    depth = 0
    for word in own:
        depth -= word.text == ")"
        yield depth
        depth += word.text == "("
