"""MINIMIZE as it is written: its clauses, with their places.

The parser does not know the statement, so it is split here. The pieces are SQL, and the parser reads each of them where
it stands, so that an error points at the user's own word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import ParseError, Span, SqlError, UsageError
from ...sql.lexer import Token, TokenKind, span_at
from ...sql.syntax import Statement, Tree
from .query import depth_of, folded, split

WORDS = ("MINIMIZE", "MAXIMIZE")
CLAUSES = ("OVER", "PER", "USING", "WHERE", "BATCH")
"""The clauses, in the order in which they are written."""

USAGE = (
    "MINIMIZE loss OVER table.column [, ...] [PER key, ...] [USING optimizer(option => value, ...)] [WHERE condition] "
    "[BATCH condition]"
)

# A word behind one of these, or in front of one of those, is a name and not the beginning of a clause.
_OPEN = {"AND", "OR", "NOT", "IN", "IS", "LIKE", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "SELECT", "BY", "WITH"}
_OPERATORS = frozenset("=<>+-*/%,.|&^~!:")


@dataclass(frozen=True)
class Excerpt:
    """A stretch of the user's text: ``script[start:start + len(text)]``."""

    text: str
    start: int
    script: str = field(repr=False, compare=False)

    @property
    def span(self) -> Span:
        """Where it stands in its script."""
        return span_at(self.script, self.start, self.start + len(self.text))


@dataclass(frozen=True)
class Target:
    """What stands behind OVER: a table and one of its columns, or a table alone."""

    parts: tuple[str, ...]
    piece: Excerpt


@dataclass(frozen=True)
class Minimize:
    """A MINIMIZE statement, taken apart.

    Attributes:
        statement: the whole of it.
        maximize: whether it is MAXIMIZE.
        ctes: what stands between WITH and MINIMIZE, or None.
        loss: the query in parentheses, without them; or the name of a CTE or view.
        named: whether ``loss`` is a name.
        over: what is optimized.
        per: the keys; each of their combinations has a loss and parameters of its own.
        optimizer: its name, or None.
        options: option -> value, an expression.
        where: which rows are optimized, or None for all.
        batch: which rows of the loss's query a step looks at, or None for all.
    """

    statement: Statement
    maximize: bool
    ctes: Excerpt | None
    loss: Excerpt
    named: bool
    over: tuple[Target, ...]
    per: tuple[Target, ...]
    optimizer: Excerpt | None
    options: dict[str, Excerpt]
    where: Excerpt | None
    batch: Excerpt | None

    @property
    def verb(self) -> str:
        """The word that it begins with."""
        return "MAXIMIZE" if self.maximize else "MINIMIZE"

    def refused(self, what: str, hint: str, where: Excerpt | None = None) -> SqlError:
        """An error about the statement, or about a piece of it."""
        return self.statement.place(UsageError(what, hint=hint), where.span if where is not None else self.word)

    @property
    def word(self) -> Span:
        """Where its verb stands."""
        start = _verb(self.statement.tokens)
        assert start is not None
        token = self.statement.tokens[start]
        return span_at(self.statement.script, self.statement.start + token.start, self.statement.start + token.end)


def is_minimize(statement: Statement) -> bool:
    """Whether a statement is MINIMIZE or MAXIMIZE, with CTEs before it or without."""
    if statement.text[:8].upper() not in WORDS and statement.text[:4].upper() != "WITH":
        return False  # without a look at all of it, which may be a million rows
    return _verb(statement.tokens) is not None


def read(statement: Statement) -> Minimize:
    """Take a MINIMIZE apart.

    Raises:
        ParseError: a clause is missing, stands twice or in another place, or cannot be read.
    """
    return _MinimizeReader(statement).read()


def _verb(words: Sequence[Token]) -> int | None:
    """The place of MINIMIZE among the tokens of a statement; None where it is another one."""
    if not words or words[0].kind is not TokenKind.WORD:
        return None
    first = words[0].text.upper()
    if first in WORDS:
        return 0
    if first != "WITH":
        return None
    depth = 0
    for place, token in enumerate(words):
        depth += depth_of(token)
        if depth == 0 and token.kind is TokenKind.WORD and token.text.upper() in WORDS and words[place - 1].text == ")":
            return place
    return None


_QUERY = "MINIMIZE (SELECT AVG(...) FROM ...) OVER table"


class _MinimizeReader:
    def __init__(self, statement: Statement) -> None:
        self.statement, self.words = statement, statement.tokens
        self.script = statement.script

    def read(self) -> Minimize:
        verb = _verb(self.words)
        assert verb is not None
        for word in self.words[verb + 1 : verb + 2]:
            if word.text.upper() in ("SELECT", "WITH"):
                raise self._wrong("a loss that is a query stands in parentheses", word, f"As in: {_QUERY}")
        clauses = self._clauses(verb + 1)
        if "OVER" not in clauses:
            raise self._wrong(
                f"{self.words[verb].text.upper()} needs OVER: the columns that are optimized", self.words[verb],
                f"As in: {USAGE}",
            )  # fmt: skip
        loss, named = self._loss(clauses["LOSS"], self.words[verb])
        using = clauses.get("USING")
        optimizer, options = (None, {}) if using is None else self._optimizer(using)
        return Minimize(
            statement=self.statement, maximize=self.words[verb].text.upper() == "MAXIMIZE",
            ctes=self._ctes(verb), loss=loss, named=named, over=self._targets(clauses["OVER"]),
            per=self._targets(clauses.get("PER", ())), optimizer=optimizer, options=options,
            where=self._expression(clauses.get("WHERE")), batch=self._expression(clauses.get("BATCH")),
        )  # fmt: skip

    def _clauses(self, begin: int) -> dict[str, Sequence[Token]]:
        """Clause -> its tokens, the word itself left out."""
        found: dict[str, Sequence[Token]] = {}
        name, start, depth = "LOSS", begin, 0
        for place in range(begin, len(self.words)):
            token = self.words[place]
            depth += depth_of(token)
            clause = self._clause_at(place, start) if depth == 0 else None
            if clause is None or (clause == "OVER" and name != "LOSS"):
                continue
            self._close(found, name, start, place)
            if clause in found or (name != "LOSS" and CLAUSES.index(clause) < CLAUSES.index(name)):
                order = "stands twice" if clause in found else f"stands before {name}"
                raise self._wrong(f"{clause} {order}", token, f"As in: {USAGE}")
            name, start = clause, place + 1
        self._close(found, name, start, len(self.words))
        return found

    def _close(self, found: dict[str, Sequence[Token]], name: str, start: int, end: int) -> None:
        if start >= end:
            raise self._wrong(
                "there is nothing to minimize" if name == "LOSS" else f"nothing stands behind {name}",
                self.words[start - 1], f"As in: {USAGE}",
            )  # fmt: skip
        found[name] = self.words[start:end]

    def _clause_at(self, place: int, start: int) -> str | None:
        token = self.words[place]
        word = token.text.upper() if token.kind is TokenKind.WORD else ""
        if word not in CLAUSES:
            return None
        before = self.words[place - 1] if place > start else None
        after = self.words[place + 1] if place + 1 < len(self.words) else None
        if before is None and place != start:
            return None
        if place == start and start > 0 and self.words[start - 1].text.upper() in CLAUSES:
            return None if after is None or _continues(after) else word
        if before is not None and (before.text.upper() in _OPEN or before.text in _OPERATORS):
            return None
        return None if after is not None and _continues(after) else word

    def _ctes(self, verb: int) -> Excerpt | None:
        return self._piece(self.words[1:verb]) if verb else None

    def _loss(self, words: Sequence[Token], verb: Token) -> tuple[Excerpt, bool]:
        if words[0].text == "(" and _closing(words) == len(words) - 1:
            if len(words) == 2:
                raise self._wrong("there is nothing to minimize", words[0], f"As in: {USAGE}")
            inside = self._piece(words[1:-1])
            if words[1].text.upper() not in ("SELECT", "WITH"):
                raise self._wrong(
                    "what stands in parentheses here is a query", words[1], "As in: (SELECT AVG(...) FROM ...)"
                )
            self._parsed(inside)
            return inside, False
        (target, *others) = self._targets(words)
        if others:
            raise self._wrong(f"{verb.text.upper()} takes one loss", words[0], "Add several up to one number.")
        return target.piece, True

    def _targets(self, words: Sequence[Token]) -> tuple[Target, ...]:
        return tuple(self._target(part) for part in split(words)) if words else ()

    def _target(self, words: Sequence[Token]) -> Target:
        names, dots = words[::2], words[1::2]
        whole = all(t.kind in (TokenKind.WORD, TokenKind.QUOTED) for t in names) and len(names) == len(dots) + 1
        if not words or not whole or any(t.text != "." for t in dots):
            where = words[0] if words else self.words[-1]
            raise self._wrong(
                "a name is expected here", where, "As in: OVER weights.val; a query stands in parentheses."
            )
        return Target(tuple(folded(t) for t in names), self._piece(words))

    def _optimizer(self, words: Sequence[Token]) -> tuple[Excerpt, dict[str, Excerpt]]:
        if words[0].kind is not TokenKind.WORD:
            raise self._wrong("the name of an optimizer is expected here", words[0], "As in: USING adam(lr => 0.01)")
        rest = words[1:]
        if rest and (rest[0].text != "(" or _closing(rest) != len(rest) - 1):
            raise self._wrong("options stand in parentheses", rest[0], "As in: USING adam(lr => 0.01, b1 => 0.9)")
        options: dict[str, Excerpt] = {}
        for part in split(rest[1:-1]) if len(rest) > 2 else ():
            if len(part) < 4 or part[0].kind is not TokenKind.WORD or part[1].text + part[2].text != "=>":
                raise self._wrong("write an option as name => value", part[0] if part else rest[0],
                                  "As in: USING adam(lr => 0.01, b1 => 0.9)")  # fmt: skip
            name = part[0].text.lower()
            if name in options:
                raise self._wrong(f"{name} is given twice", part[0], "Leave one of them out.")
            value = self._expression(part[3:])
            assert value is not None
            options[name] = value
        return self._piece(words[:1]), options

    def _expression(self, words: Sequence[Token] | None) -> Excerpt | None:
        if words is None:
            return None
        piece = self._piece(words)
        self._parsed(piece)
        return piece

    def _parsed(self, piece: Excerpt) -> Tree:
        """Let the parser read a piece where it stands; its errors point into the user's text."""
        before = re.sub(r"[^\n]", " ", self.script[: piece.start])
        text = f"SELECT (\n{before}{piece.text}\n)"
        try:
            return Statement(text, text).tree
        except SqlError as error:
            span = error.span
            last = piece.span.end_line
            inside = span is not None and piece.span.line <= span.line - 1 <= last
            error.text, error.statement = self.script, None
            error.span = (
                Span(span.line - 1, span.column, span.end_line - 1, span.end_column)
                if span is not None and inside else piece.span
            )  # fmt: skip
            raise self.statement.place(error, error.span) from None

    def _piece(self, words: Sequence[Token]) -> Excerpt:
        start, end = words[0].start, words[-1].end
        return Excerpt(self.statement.text[start:end], self.statement.start + start, self.script)

    def _wrong(self, what: str, token: Token, hint: str) -> SqlError:
        start = self.statement.start
        return self.statement.place(
            ParseError(what, hint=hint), span_at(self.script, start + token.start, start + token.end)
        )


def _continues(token: Token) -> bool:
    """Whether what stands before a token is a name in an expression."""
    return (
        token.text in _OPERATORS - {":"} or token.text in (")", "::") or token.text.upper() in _OPEN - {"CASE", "NOT"}
    )


def _closing(words: Sequence[Token]) -> int:
    """The place of the parenthesis that closes the first one."""
    depth = 0
    for place, token in enumerate(words):
        depth += depth_of(token)
        if depth == 0:
            return place
    return len(words)
