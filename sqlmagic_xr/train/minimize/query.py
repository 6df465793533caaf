"""The text of a SELECT, taken apart at its clauses, so that another text can be made of the user's own pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...sql.lexer import Token, TokenKind, tokens

_BEHIND = ("WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET", "FETCH")
_SETS = {"UNION", "EXCEPT", "INTERSECT"}


@dataclass(frozen=True)
class SelectText:
    """One SELECT.

    Attributes:
        ctes: what stands between WITH and SELECT, or "".
        items: the select list, an item each.
        source: what stands behind FROM, or "".
        where: what stands behind WHERE, or "".
        group: what stands behind GROUP BY, or "".
        rest: everything behind it, its words included.
        plain: whether it is nothing but these: no set operation, no DISTINCT, nothing in ``rest``.
    """

    ctes: str
    items: tuple[str, ...]
    source: str
    where: str
    group: str
    rest: str
    plain: bool

    def __str__(self) -> str:
        parts = [f"WITH {self.ctes}"] if self.ctes else []
        parts.append("SELECT " + ", ".join(self.items))
        for word, text in (("FROM", self.source), ("WHERE", self.where), ("GROUP BY", self.group), ("", self.rest)):
            parts += [f"{word} {text}".strip()] if text else []
        return "\n".join(parts)

    def filtered(self, condition: str) -> SelectText:
        """The same of those rows alone for which a condition holds."""
        where = f"({self.where}) AND ({condition})" if self.where else condition
        return replace(self, where=where)


def select_text(text: str) -> SelectText | None:
    """A query's text as a SELECT; None for a set operation, VALUES, and what stands in parentheses as a whole.

    >>> found = select_text("SELECT a, MAX(b, 1) FROM t WHERE c GROUP BY a")
    >>> found.items, found.source, found.where, found.group
    (('a', 'MAX(b, 1)'), 't', 'c', 'a')
    """
    words = [t for t in tokens(text) if t.kind is not TokenKind.SPACE]
    while words and words[-1].kind is TokenKind.COMMENT:
        words.pop()
    words = [t for t in words if t.kind is not TokenKind.COMMENT]
    top = list(_outside(words))
    select = next((i for i, _, word in top if word == "SELECT"), None)
    if select is None or any(word in _SETS for _, _, word in top):
        return None
    marks = [(i, word) for i, before, word in top if i > select and _is_clause(word, before)]
    bounds = [*(i for i, _ in marks), len(words)]
    pieces = {word: words[i + 1 : end] for (i, word), end in zip(marks, bounds[1:], strict=True)}
    listed = words[select + 1 : bounds[0]]
    rest_at = next((i for i, word in marks if word not in ("FROM", "WHERE", "GROUP")), len(words))
    distinct = bool(listed) and listed[0].text.upper() in ("DISTINCT", "ALL")
    return SelectText(
        ctes=_text(text, words[1:select]) if select else "",
        items=tuple(_text(text, item) for item in split(listed)),
        source=_text(text, pieces.get("FROM", ())), where=_text(text, pieces.get("WHERE", ())),
        group=_text(text, pieces.get("GROUP", ())[1:]), rest=_text(text, words[rest_at:]),
        plain=not distinct and rest_at == len(words),
    )  # fmt: skip


def _is_clause(word: str, before: str) -> bool:
    return word in _BEHIND or (word == "FROM" and before != "DISTINCT")


def _outside(words: Sequence[Token]) -> Iterator[tuple[int, str, str]]:
    """The words outside of parentheses: place, the word before, the word; in capitals."""
    depth, before = 0, ""
    for place, token in enumerate(words):
        depth += depth_of(token)
        if depth == 0 and token.kind is TokenKind.WORD and (place == 0 or words[place - 1].text != "."):
            yield place, before, token.text.upper()
        before = token.text.upper()


def depth_of(token: Token) -> int:
    """How a token changes the depth of parentheses."""
    if token.kind is not TokenKind.SYMBOL:
        return 0
    return {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)


def split(words: Sequence[Token]) -> list[list[Token]]:
    """The parts between the commas outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in words:
        depth += depth_of(token)
        if depth == 0 and token.text == "," and token.kind is TokenKind.SYMBOL:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def ctes_of(text: str) -> dict[str, str]:
    """The queries that a WITH defines, by name, from what stands behind the word; one with a column list is left out.

    >>> ctes_of('a AS (SELECT 1), "B" AS (SELECT 2)')
    {'a': 'SELECT 1', 'B': 'SELECT 2'}
    """
    words = [t for t in tokens(text) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
    found = {}
    for part in split(words):
        if len(part) > 3 and part[1].text.upper() == "AS" and part[2].text == "(":
            found[folded(part[0])] = _text(text, part[3:-1])
    return found


def folded(token: Token) -> str:
    """The name that a word means."""
    if token.kind is TokenKind.QUOTED:
        mark = token.text[0]
        return token.text[1:-1].replace(mark * 2, mark)
    return token.text.lower()


def _text(text: str, words: Sequence[Token]) -> str:
    return text[words[0].start : words[-1].end] if words else ""
