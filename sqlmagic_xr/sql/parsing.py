"""The text of one statement -> its tree, whose spans count in the whole script that the text stands in."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

import sqloxide

from .depth import READ, Excess, excess
from .inside_out import read_inside_out
from .lexer import Token, TokenKind, span_at, tokens
from .literals import Literals, read_literals
from .mending import mended
from .stack import with_stack
from .traversal import Tree, walk

DIALECT = "generic"
"""The dialect of sqlparser that DataFusion itself parses with."""

LITERALS = "literals"
"""Beside the first row of a VALUES of literals, the key of all rows (see :class:`.literals.Literals`)."""

_END = re.compile(r"\bEND\b", re.IGNORECASE)
_BEHIND = "\n;SELECT 0"
_UNREAD = "sql parser error: Expected: end of statement, found: END at Line: {line}, Column: {column}"
_LONG = 10_000  # characters; a shorter text has no chain that leaves the stack of any platform
_STACK = 256 * 1024 * 1024  # bytes that are taken only as far as they are used
_PADDING = 400  # so many blanks are parsed in the time that it takes to move the spans of a short statement


class TooDeepError(ValueError):
    """A text that neither the parser nor the engine would survive."""

    def __init__(self, found: Excess) -> None:
        super().__init__(found.what)
        self.found = found


@lru_cache(maxsize=256)
def parse(text: str, line: int, column: int) -> Tree:
    """The tree of one statement whose text begins at ``line``, ``column`` of its script.

    Raises:
        TooDeepError: what is too deep.
        ValueError: the parser's own words.
    """
    found = read_literals(text)
    if found is not None:
        rows, shorter = found
        tree = _parse(shorter, line, column)
        if _attach(tree, rows):
            return tree
    return _parse(text, line, column)


def _parse(text: str, line: int, column: int) -> Tree:
    deep = excess(text, READ)
    if deep is not None:
        raise TooDeepError(deep)
    try:
        read_inside_out(text, lambda piece: _read(piece, line, column))
        return _read(text, line, column)
    except ValueError as error:
        found = mended(text, lambda piece, at, extra: _read(piece, line, column, at, extra))
        if found is None:
            raise
        try:
            tree = _read(found.text, line, column, *found.inserted)
        except ValueError as other:
            # Where nothing was put in, the places are those of the user's own text, and the rest of it is at fault.
            raise (error if found.inserted[1] else other) from None
    for change in found.means:
        change(tree)
    return tree


def _read(text: str, line: int, column: int, at: int = 0, extra: int = 0) -> Tree:
    """The tree of a text in which so many characters are not the user's, from ``at`` on."""
    plain = _without_lambdas(text)
    source, edits = _parenthesise_in(plain)
    if max(line, column) <= max(_PADDING, len(text)):
        # Blank lines and spaces in front make the parser count where the user does.
        padding, line, column = "\n" * (line - 1) + " " * (column - 1), 1, 1
    else:
        padding = ""
    try:
        (tree,) = _trees(padding + source)
    except ValueError:
        if line > 1 or column > 1:  # again, for a place that counts in the script
            _trees("\n" * (line - 1) + " " * (column - 1) + source)
        raise
    if plain is not text:
        _with_arrows(tree, "AtArrow" if _instead(text) == "@>" else "ArrowAt")
    _move(tree, _before(padding + source, [len(padding) + e for e in edits]))
    _move(tree, _before(padding + text, [len(padding) + at + e for e in range(extra)]))
    if line > 1 or column > 1:
        _move(tree, lambda place: (place[0] + line - 1, place[1] + (column - 1 if place[0] == 1 else 0)))
    return tree


def _trees(text: str) -> list[Tree]:
    """What the parser makes of a text, all of which it has read.

    It takes an END that belongs to nothing for the end of all, and does not look at what follows: ``DELETE FROM t END
    WHERE a = 1`` would delete every row.

    Raises:
        ValueError: its own words, also where it gives up with a panic, which is no Exception to Python.
    """
    if _END.search(text) is None:
        return _parsed(text)
    try:
        *found, _ = _parsed(text + _BEHIND)
    except ValueError:
        return _parsed(text)  # which says what is wrong without what we have put behind it
    if not found:
        end = _unmatched(text)
        place = span_at(text, end.start, end.end)
        raise ValueError(_UNREAD.format(line=place.line, column=place.column))
    return found


def _unmatched(text: str) -> Token:
    """The first END that closes nothing; the last one where each closes something, and is too deep within."""
    depth, last = 0, None
    for token in tokens(text, strict=False):
        word = token.text.upper() if token.kind is TokenKind.WORD else ""
        depth += {"CASE": 1, "END": -1}.get(word, 0)
        last = token if word == "END" else last
        if depth < 0:
            break
    assert last is not None
    return last


@contextmanager
def _uncollected() -> Iterator[None]:
    """While a long tree is made nobody looks for garbage in it, of which there is none: that takes half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _parsed(text: str) -> list[Tree]:
    try:
        if len(text) < _LONG:
            return list(sqloxide.parse_sql(text, DIALECT))
        with _uncollected():
            return with_stack(_STACK, lambda: list(sqloxide.parse_sql(text, DIALECT)))
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(str(error)) from None


def _parenthesise_in(text: str) -> tuple[str, list[int]]:
    """``IN :ids`` as ``IN (:ids)``, which is what the parser reads; and the offsets of what was put in."""
    if ":" not in text and "$" not in text:
        return text, []
    significant = [t for t in tokens(text) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
    hits = [
        b
        for a, b in pairwise(significant)
        if a.kind is TokenKind.WORD and a.text.upper() == "IN" and b.kind is TokenKind.PARAMETER
    ]
    edits: list[int] = []
    for token in hits:
        at = token.start + len(edits)
        text = f"{text[:at]}({token.text}){text[at + len(token.text) :]}"
        edits += [at, at + len(token.text) + 1]
    return text, edits


def _without_lambdas(text: str) -> str:
    """``s -> 'a'`` as ``s <@ 'a'``, which the parser does not take for a function of ``s``, and binds alike."""
    if "->" not in text:
        return text
    instead = _instead(text)
    significant = [t for t in tokens(text, strict=False) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
    for dash, tip, key in zip(significant, significant[1:], significant[2:], strict=False):
        if dash.text == "-" and tip.text == ">" and tip.start == dash.end and key.kind in _CONSTANTS:
            text = f"{text[: dash.start]}{instead}{text[tip.end :]}"
    return text


def _instead(text: str) -> str:
    """What stands for an arrow: the one of two operators that the text does not have itself."""
    return "@>" if "<@" in text else "<@"


def _with_arrows(tree: Tree, instead: str) -> None:
    """Put the arrows back, in a tree that nobody else has seen yet."""
    for node in walk(tree):
        operation = node.get("BinaryOp")
        if isinstance(operation, dict) and operation["op"] == instead and _begins_with_constant(operation["right"]):
            operation["op"] = "Arrow"


def _begins_with_constant(expression: Tree) -> bool:
    while "Value" not in expression:
        inner = next(iter(expression.values()))
        inner = inner.get("left", inner.get("expr", inner)) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or len(inner) != 1:
            return False
        expression = inner
    return True


_CONSTANTS = (TokenKind.STRING, TokenKind.NUMBER)

_Place = tuple[int, int]  # line, column


def _before(source: str, edits: list[int]) -> Callable[[_Place], _Place] | None:
    """A place as it counts without the characters that were put in at the offsets ``edits``."""
    spans = [span_at(source, e, e) for e in edits]
    return (lambda at: (at[0], at[1] - sum(e.line == at[0] and e.column < at[1] for e in spans))) if spans else None


def _move(tree: Tree, moved: Callable[[_Place], _Place] | None) -> None:
    """Change the places of all spans of a tree that nobody else has seen yet."""
    todo = [tree] if moved is not None else []
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if len(node) == 2 and "line" in node and "column" in node:
                if node["line"]:  # 0 is nowhere
                    node["line"], node["column"] = moved((node["line"], node["column"]))  # type: ignore[misc]
            else:
                todo += [value for value in node.values() if isinstance(value, (dict, list, tuple))]
        else:
            todo += [value for value in node if isinstance(value, (dict, list, tuple))]


def _attach(tree: Tree, rows: Literals) -> bool:
    """Put all rows beside the first one of an INSERT, if its VALUES is all that gives rows."""
    source = tree["Insert"]["source"] if isinstance(tree, dict) and "Insert" in tree else None
    if not source or "Values" not in source["body"] or any(v for k, v in source.items() if k != "body"):
        return False
    source["body"]["Values"][LITERALS] = rows
    return True


def written_out(tree: Tree) -> Tree:
    """A statement or query whose VALUES, if it was read off the text, has all of its rows in the tree."""
    if not isinstance(tree, dict):
        return tree
    if "Insert" in tree and tree["Insert"]["source"]:
        body = tree["Insert"]
        source = written_out({"Query": body["source"]})["Query"]
        return tree if source is body["source"] else {"Insert": {**body, "source": source}}
    values = tree["Query"]["body"].get("Values") if "Query" in tree else None
    if not values or LITERALS not in values:
        return tree
    (whole,) = sqloxide.parse_sql(f"VALUES {values[LITERALS].text}", DIALECT)
    query = {**tree["Query"], "body": {"Values": {**values, "rows": whole["Query"]["body"]["Values"]["rows"]}}}
    del query["body"]["Values"][LITERALS]
    return {"Query": query}
