"""Text -> tokens: just enough to split a script and to find what stands outside quotes and comments.

The parser (sqloxide) reads statements; it does not say where one ends in the text, and it refuses a text of which one
statement is wrong. So the text is split here, by the lexical rules of sqlparser's generic dialect, the one that
DataFusion uses: nested block comments, doubled quotes, ``E'..'`` with backslashes, backticks and dollar quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from ..errors import ParseError, Span


class TokenKind(Enum):
    """What a token is; SYMBOL is any single character that is nothing else."""

    SPACE = "space"
    COMMENT = "comment"
    STRING = "string"
    QUOTED = "quoted"
    PARAMETER = "parameter"
    NUMBER = "number"
    WORD = "word"
    SYMBOL = "symbol"


class Token(NamedTuple):
    """A token of ``text[start:end]``."""

    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset behind the last character."""
        return self.start + len(self.text)


_NAME = r"[^\W\d]\w*"
_TOKEN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*)
    | (?P<string>[eE]'(?:[^'\\]|''|\\.)*' | (?:[nNxXbBrR]|[uU]&)?'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>(?:{_NAME})?)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*" | `(?:[^`]|``)*`)
    | (?P<cast>::)
    | (?P<parameter>[$:](?:{_NAME}) | \$\d+)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>{_NAME})
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KIND = {kind.value: kind for kind in TokenKind}
_KIND |= {"dollar": TokenKind.STRING, "tag": TokenKind.STRING, "cast": TokenKind.SYMBOL}
_OPENING = {"'": "string", '"': "quoted name", "`": "quoted name"}


def tokens(text: str, *, strict: bool = True) -> Iterator[Token]:
    """Every token of ``text``, none left out: joined they are the text again.

    Args:
        text: any SQL text, also unfinished.
        strict: raise ParseError at a quote or comment that never ends; otherwise it ends where the text does.

    >>> [t.text for t in tokens("SELECT ':a', :b -- :c") if t.kind is TokenKind.PARAMETER]
    [':b']
    """
    place = 0
    while place < len(text):
        token = token_at(text, place, strict=strict)
        yield token
        place = token.end


def token_at(text: str, place: int, *, strict: bool = True) -> Token:
    """The token that begins at an offset of ``text``; see :func:`tokens`."""
    if text.startswith("/*", place):
        end = _block_comment_end(text, place)
        if end is None and strict:
            raise _unfinished(text, place, "comment")
        return Token(TokenKind.COMMENT, text[place:end], place)
    match = _TOKEN.match(text, place)
    assert match is not None  # the last alternative takes any character
    assert match.lastgroup is not None
    found = match.group()
    if match.lastgroup == "symbol" and found in _OPENING:
        if strict:
            raise _unfinished(text, place, _OPENING[found])
        return Token(TokenKind.STRING if found == "'" else TokenKind.QUOTED, text[place:], place)
    return Token(_KIND[match.lastgroup], found, place)


_FILLER = re.compile(r"(?:[\s,().\d]+|-(?!-)|'[^']*')*+")


def filler(text: str, place: int) -> int:
    """How many characters from the beginning of a token on are numbers, text, commas and parentheses, as in VALUES.

    >>> filler("(1, 'a;'), (2, 'b') RETURNING *", 0)
    20
    """
    match = _FILLER.match(text, place)
    return 0 if match is None else match.end() - place


_WHOLE = re.compile(r"""(?:[^;'"`$\\/-]++|'[^'\\]*+'|"[^"]*+"|-(?!-)|/(?!\*))*+""")


def without_comments(text: str) -> str:
    """A text with a blank in the place of each comment; one that is unfinished is one, too.

    >>> without_comments("SELECT '--', /* one */ a -- two")
    "SELECT '--',   a  "
    """
    if "--" not in text and "/*" not in text:
        return text
    pieces, place = [], 0
    while place < len(text):
        if (skipped := filler(text, place)) == 0:
            token = token_at(text, place, strict=False)
            pieces.append(" " if token.kind is TokenKind.COMMENT else token.text)
            place = token.end
        else:
            pieces.append(text[place : place + skipped])
            place += skipped
    return "".join(pieces)


def is_whole(text: str) -> bool:
    """Whether it is plain at a glance that no statement ends within a text, no comment is in it, and quotes are closed.

    >>> is_whole("SELECT a, ';' FROM t"), is_whole("SELECT 1; SELECT 2"), is_whole("SELECT 1 -- one"), is_whole("'a")
    (True, False, False, False)
    """
    return _WHOLE.fullmatch(text) is not None


def span_at(text: str, start: int, end: int) -> Span:
    """The lines and columns of ``text[start:end]``.

    >>> span_at("SELECT 1\\nFROM t", 14, 15)
    Span(line=2, column=6, end_line=2, end_column=7)
    """
    return Span(*_position(text, start), *_position(text, end))


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _block_comment_end(text: str, start: int) -> int | None:
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return None


def _unfinished(text: str, place: int, what: str) -> ParseError:
    return ParseError(
        f"a {what} is opened here and never closed", text=text, span=span_at(text, place, place + 1),
        hint="Close it, or double the quote to write it inside a string ('it''s').",
    )  # fmt: skip
