"""How deep a statement is, counted on its text before anything reads it: what is too deep ends the process.

The parsers and the engine follow a tree by calling themselves, and a chain leans to the left: ``a + b + c`` is as
deep as it has operators. Beyond some depth their stack is full, which no ``except`` catches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ParseError, SqlError, UnsupportedError

OPERATORS = 4000
"""So many operators in a row are read and planned in the stack of a thread; some ten thousand overflow it."""

QUERIES = 1000
"""So many queries put together by UNION ALL, INTERSECT or EXCEPT; two to three thousand overflow the engine's stack."""

READ = 3
"""So many times as much can be read as can be planned, by the parser alone."""

NESTED = 47
"""The parser gives up behind so many parentheses, and of some it reads each level twice before it does."""

_SHORT = 4000  # characters; no shorter text has so many operators or queries
_SHALLOW = 4 * NESTED  # nor a shorter one than this so many parentheses with something in them
_MARKS = "+-*/%|&^<>=:[~"
_SET = r"\b(?:UNION|INTERSECT|EXCEPT|MINUS)\b"
_WORD = r"\b(?:AND|OR|XOR|IS|IN|LIKE|ILIKE|SIMILAR|BETWEEN|COLLATE|AT)\b"
_WORDS = re.compile(f"{_SET}|{_WORD}", re.IGNORECASE)
_PARTS = re.compile(
    rf"""
      (?P<skipped>[eE]'(?:[^'\\]|''|\\.)*+' | '[^']*+' | "[^"]*+" | `[^`]*+` | --[^\n]*+ | /\*.*?\*/
                | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<opening>[(\[] | \bCASE\b)
    | (?P<closing>[)\]] | \bEND\b)
    | (?P<set>{_SET})
    | (?P<operator>::|[-+*/%|&^~<>=!@\#]+ | {_WORD})
    | (?P<cut>[,;] | \b(?:SELECT|FROM|WHERE|GROUP|HAVING|ORDER|ON|JOIN|WHEN|THEN|ELSE|AS|SET|VALUES|LIMIT|QUALIFY)\b)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class Excess:
    """What there is too much of.

    Attributes:
        what: says so.
        at: the offset of the first character that is too much.
        hint: what to do.
        kind: what such an error is.
    """

    what: str
    at: int
    hint: str
    kind: type[SqlError] = UnsupportedError


def excess(text: str, scale: int = 1) -> Excess | None:
    """What in a statement's text is deeper than can be planned; None where nothing is.

    Args:
        text: the statement, or a query.
        scale: so many times the limits are allowed.

    >>> excess("SELECT " + "+".join(["v"] * 5000)).what
    'a chain of more than 4000 operators is too long to be planned'
    """
    if len(text) < _SHALLOW or not (_long(text) or text.count("(") + text.count("[") > NESTED):
        return None
    operators, unions = OPERATORS * scale, QUERIES * scale
    chains, queries, brackets = [[0] * _LEVELS], [0], 0
    for part in _PARTS.finditer(text):
        kind = part.lastgroup
        if kind == "operator":
            _link(chains[-1], _level(part.group()))
            if sum(map(max, chains)) > operators:
                return Excess(_CHAIN, part.start(), _TERMS)
        elif kind == "cut":
            chains[-1] = [0] * _LEVELS
        elif kind == "opening":
            brackets += part.group() in "(["
            if brackets > NESTED:
                return Excess(_NEST, part.start(), _NAMES, ParseError)
            chains.append([0] * _LEVELS)
            queries.append(0)
        elif kind == "closing" and len(chains) > 1:
            brackets -= part.group() in ")]"
            chains.pop()
            queries.pop()
        elif kind == "set":
            chains[-1] = [0] * _LEVELS
            queries[-1] += 1
            if sum(queries) >= unions:
                return Excess(_UNION, part.start(), _ROWS)
    return None


def _link(depths: list[int], level: int) -> None:
    """Count an operator: what stands before it, and binds no less, is its left side. ``a = 1 OR b = 2`` is two deep."""
    depths[level] = max(depths[level:]) + 1
    depths[level + 1 :] = [0] * (_LEVELS - level - 1)


def _level(operator: str) -> int:
    return _BINDING.get(operator.upper(), _BINDING.get(operator[0], 2))


_BINDING = {"OR": 0, "XOR": 0, "AND": 1, **dict.fromkeys("+-|&^", 3), **dict.fromkeys("*/%:", 4)}
_LEVELS = 5


def nested(text: str) -> int:
    """How many parentheses, brackets and CASE stand in one another."""
    depth = deepest = 0
    for part in _PARTS.finditer(text):
        if part.lastgroup == "opening":
            depth += 1
            deepest = max(deepest, depth)
        elif part.lastgroup == "closing":
            depth -= 1
    return deepest


def _long(text: str) -> bool:
    """Whether a text may hold a chain that is too long: counted at a glance, also what is in quotes."""
    if len(text) < _SHORT:
        return False
    words = sum(1 for _ in _WORDS.finditer(text))
    return words >= QUERIES or words + sum(map(text.count, _MARKS)) > OPERATORS


_CHAIN = f"a chain of more than {OPERATORS} operators is too long to be planned"
_TERMS = "Put the terms into a table and aggregate them, or test membership with IN (...) or a join."
_UNION = f"more than {QUERIES} queries put together are too many to be planned"
_ROWS = "Give the rows as one VALUES list, or INSERT them into a table in several statements."
_NEST = f"this is nested too deeply to be read: more than {NESTED} parentheses in one another"
_NAMES = "Give what is inside a name: WITH q AS (SELECT ...)."
