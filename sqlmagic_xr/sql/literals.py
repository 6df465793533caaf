"""VALUES of literals, read off the text: thousands of rows are no tree of a hundred thousand nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..properties import kept_property

_NAME = r'(?:[^\W\d]\w*|"[^"]*")'
_WORD = r"\b(?:[nN][uU][lL]{2}|[tT][rR][uU][eE]|[fF][aA][lL][sS][eE])\b"
_LITERAL = rf"(?:'[^']*(?:''[^']*)*+'|-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|{_WORD})"
_ROW = rf"\(\s*{_LITERAL}(?:\s*,\s*{_LITERAL})*+\s*\)"
_HEAD = re.compile(
    rf"INSERT\s+INTO\s+{_NAME}(?:\.{_NAME})*\s*(?:\(\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\)\s*)?\bVALUES\s*", re.IGNORECASE
)
_FIRST = re.compile(_ROW)
_ROWS = re.compile(rf"{_ROW}(?:\s*,\s*{_ROW})*+")
_MORE = re.compile(r"\s*,")
_TOKENS = re.compile(rf"{_LITERAL}|\)")


@dataclass(frozen=True, eq=False)
class Literals:
    """The rows of ``INSERT INTO name (columns) VALUES (1, 'a', NULL), ...``, nothing but literals.

    Attributes:
        text: the rows, as they are written.
    """

    text: str

    @kept_property
    def columns(self) -> list[list[str]] | None:
        """The literals column by column; None where the rows are not of one width."""
        found = _TOKENS.findall(self.text)
        width = found.index(")")
        ends = found[width :: width + 1]
        if len(ends) != found.count(")") or len(found) != len(ends) * (width + 1) or set(ends) != {")"}:
            return None
        return [found[place :: width + 1] for place in range(width)]


def read_literals(text: str) -> tuple[Literals, str] | None:
    """The rows of an INSERT, and its text with the first of them only; None where some row is more than literals.

    What stood behind the first row is blank, so that the rest keeps its place.

    >>> rows, text = read_literals("INSERT INTO t VALUES (1, 'a'), (2, NULL) RETURNING *")
    >>> rows.columns, text
    ([['1', '2'], ["'a'", 'NULL']], "INSERT INTO t VALUES (1, 'a')            RETURNING *")
    """
    head = _HEAD.match(text)
    rows = head and _ROWS.match(text, head.end())
    first = head and _FIRST.match(text, head.end())
    if rows is None or first is None or _MORE.match(text, rows.end()):
        return None
    rest = text[rows.end() :]
    gap = re.sub(r"[^\n]", " ", text[first.end() : rows.end()]) if rest else ""
    return Literals(rows.group()), text[: first.end()] + gap + rest


def values_of_literals(column: Sequence[str]) -> tuple[str, list[Any]] | None:
    """The values of literals as the engine types them, and what they are: "int", "float", "str", "bool" or "null".

    None where it would give them a type of its own: numbers beyond BIGINT, text beside numbers.

    >>> values_of_literals(["1", "NULL", "-2"]), values_of_literals(["1", "2.5"]), values_of_literals(["'it''s'"])
    (('int', [1, None, -2]), ('float', [1.0, 2.5]), ('str', ["it's"]))
    """
    heads = {text[0] for text in column}
    known = heads - _NULL
    if not known:
        return "null", [None] * len(column)
    nulls = heads & _NULL
    if known == {"'"}:
        return "str", [None if text[0] in _NULL else text[1:-1].replace("''", "'") for text in column]
    if known <= _TRUE | _FALSE:
        return "bool", [None if text[0] in _NULL else text[0] in _TRUE for text in column]
    if not known <= _DIGITS:
        return None
    if not nulls:
        return _numbers(column)
    found = _numbers([text for text in column if text[0] not in _NULL])
    if found is None:
        return None
    rest = iter(found[1])
    return found[0], [None if text[0] in _NULL else next(rest) for text in column]


_NULL, _TRUE, _FALSE, _DIGITS = frozenset("nN"), frozenset("tT"), frozenset("fF"), frozenset("-.0123456789")
_LARGEST = 2**63
_EXACT = 2**53  # up to which a float has a place for each whole number


def _numbers(column: Sequence[str]) -> tuple[str, list[Any]] | None:
    if _FRACTION.isdisjoint("".join(column)):
        whole = [int(text) for text in column]
        return ("int", whole) if min(whole) > -_LARGEST and max(whole) < _LARGEST else None
    if any(len(text) > 15 and _FRACTION.isdisjoint(text) and abs(int(text)) > _EXACT for text in column):
        return None
    return "float", [float(text) for text in column]


_FRACTION = frozenset(".eE")
