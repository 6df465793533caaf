"""CASE and CAST in one another are read from the inside out: of a mistake in them the parser reads each level twice.

It tries a piece in one way, fails, and tries it in another, so that a mistake 25 levels deep takes it minutes. Here
each piece is read with those inside it replaced by a number; whatever is wrong is found in one of them, at its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .lexer import Token, TokenKind, tokens

DEEP = 8
"""So many levels the parser reads twice each in no time."""

_TWICE = re.compile(r"\b(?:CASE|CAST|TRY_CAST|SAFE_CAST)\b", re.IGNORECASE)
_CASTS = frozenset(["CAST", "TRY_CAST", "SAFE_CAST"])
_SELECT = "SELECT "


class _Piece(NamedTuple):
    """A CASE ... END or a CAST(...); it stands ``depth`` pieces deep."""

    start: int
    stop: int
    depth: int


def read_inside_out(text: str, read: Callable[[str], object]) -> None:
    """Read the pieces of a text with many of them in one another, the inner ones first; nothing where they are few.

    Args:
        text: a statement.
        read: reads a statement, or raises an error that says where in it something is wrong.

    Raises:
        ValueError: what ``read`` says of a piece, at its place in ``text``; more pieces are left open than can be read.
    """
    if len(text) < 4 * DEEP or sum(1 for _ in _TWICE.finditer(text)) <= DEEP:
        return
    pieces, left_open = _pieces(text)
    if max([left_open, *(piece.depth for piece in pieces)]) <= DEEP:
        return
    if left_open > DEEP:
        raise ValueError("sql parser error: Expected: END, found: EOF")
    for piece in pieces:
        inside = text[piece.start : piece.stop]
        before = _blank(text[: piece.start])
        place = before.find(" " * len(_SELECT))
        if place >= 0:
            read(before[:place] + _SELECT + before[place + len(_SELECT) :] + inside)
        # What follows sees a number in its place, over as many lines and columns.
        text = text[: piece.start] + "0" + _blank(inside[1:]) + text[piece.stop :]
    read(text)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _pieces(text: str) -> tuple[list[_Piece], int]:
    """The pieces in the order in which they end, and how many have no end."""
    found: list[_Piece] = []
    open_: list[tuple[str, int]] = []  # what ends it, and where it begins; "" of parentheses that are no piece
    for token, before in _significant(text):
        word = token.text.upper()
        if word == "CASE" and token.kind is TokenKind.WORD:
            open_.append(("END", token.start))
        elif word == "(":
            cast = before is not None and before.kind is TokenKind.WORD and before.text.upper() in _CASTS
            open_.append((")", before.start) if cast and before is not None else ("", token.start))
        elif open_ and word in ("END", ")") and (open_[-1][0] or ")") == word:
            ending, start = open_.pop()
            if ending:
                found.append(_Piece(start, token.end, 1 + sum(1 for other, _ in open_ if other)))
    return found, sum(1 for ending, _ in open_ if ending)


def _significant(text: str) -> Iterator[tuple[Token, Token | None]]:
    """The tokens that mean something, each with the one before it."""
    before = None
    for token in tokens(text, strict=False):
        if token.kind not in (TokenKind.SPACE, TokenKind.COMMENT):
            yield token, before
            before = token
