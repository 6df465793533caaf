"""PostgreSQL's spellings that sqlparser's generic dialect does not read: what it reads instead, and what they mean.

A text that the parser has refused is looked at here, word by word. Words are exchanged for others of the same length,
so that every place in the text stays what it is, and the tree is told what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from .lexer import Token, TokenKind, tokens
from .pivot_statements import Read, exchange, marked, read, statements
from .sample_clause import SAMPLED, Sample, read_sample
from .traversal import Tree, walk

SUMMARIZE = "summarize"
"""The key, in a DESCRIBE, that tells a SUMMARIZE."""

MENDED = "mended"
"""The key, in a clause of a MERGE, of what it does and the parser has no word for."""

NOTHING, DEFAULTS = "do nothing", "insert default values"


@dataclass
class Mended:
    """A text that the parser reads.

    Attributes:
        text: it.
        inserted: the offset of what was put in, and how many characters that are.
        means: change the tree, which nobody has seen yet, to what was meant.
    """

    text: str
    inserted: tuple[int, int] = (0, 0)
    means: list[Callable[[Tree], None]] = field(default_factory=list)

    def blank(self, start: int, end: int, by: str = "") -> None:
        """Put ``by`` and blanks in the place of some characters."""
        gap = "".join(c if c == "\n" else " " for c in self.text[start:end])
        room = (at for at in range(len(gap) - len(by) + 1) if "\n" not in gap[at : at + len(by)])
        at = next(room, 0)  # on one line, so that all lines behind it stay what they are
        self.text = self.text[:start] + gap[:at] + by + gap[at + len(by) :] + self.text[end:]


def mended(text: str, read_query: Read) -> Mended | None:
    """What to read in the place of a text that was refused; None where nothing is known.

    Args:
        text: it.
        read_query: reads a piece of it.

    Raises:
        ValueError: the parser's words about a piece.
    """
    words = [t for t in tokens(text, strict=False) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
    found = Mended(text)
    outer = list(_outer(words))
    if any(_is(w, "MERGE") for w in outer[:1]) or (outer and _is(outer[0], "WITH")):
        _merge(outer, found)
    _summary(outer, found)
    _sample(words, found)
    _pivots(words, found, read_query)
    _alias(outer, found)
    _from_first(outer, found)  # what puts something in comes last: the places of the words are those of the text
    _conflict(outer, found)
    return found if found.text != text else None


def _outer(words: list[Token]) -> Iterator[Token]:
    """The tokens outside of parentheses and CASE ... END."""
    depth = 0
    for word in words:
        if word.text in ("(", "[") or _is(word, "CASE"):
            depth += 1
        elif word.text in (")", "]") or (depth and _is(word, "END")):
            depth -= 1
        elif depth == 0:
            yield word


def _is(word: Token, *texts: str) -> bool:
    return word.kind is TokenKind.WORD and word.text.upper() in texts


def _merge(words: list[Token], found: Mended) -> None:
    """``DO NOTHING`` and ``INSERT DEFAULT VALUES`` of a MERGE's clauses."""
    place, kind = -1, ""
    for at, word in enumerate(words):
        if _is(word, "WHEN"):
            place += 1
            kind = " ".join(w.text.upper() for w in words[at + 1 : at + 5])
        if not _is(word, "THEN"):
            continue
        what = words[at + 1 : at + 4]
        inserts = kind.startswith("NOT MATCHED") and not kind.startswith("NOT MATCHED BY SOURCE")
        if [w.text.upper() for w in what[:2]] == ["DO", "NOTHING"]:
            found.blank(what[0].start, what[1].end, "INSERT ROW" if inserts else "DELETE")
            found.means.append(_clause(place, NOTHING))
        elif [w.text.upper() for w in what] == ["INSERT", "DEFAULT", "VALUES"] and inserts:
            found.blank(what[0].start, what[2].end, "INSERT ROW")
            found.means.append(_clause(place, DEFAULTS))


def _clause(place: int, meaning: str) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        _body(tree, "Merge")["clauses"][place][MENDED] = meaning

    return change


def _from_first(words: list[Token], found: Mended) -> None:
    """``FROM t WHERE ...`` of everything, alone or behind CREATE ... AS, INSERT INTO, EXPLAIN and WITH."""
    at = next((n for n, word in enumerate(words) if _is(word, "FROM")), None)
    if at is None or any(_is(w, "SELECT") for w in words) or (at and not _is(words[0], *_BEFORE_FROM)):
        return
    place, extra = words[at].start, "SELECT * "
    found.text = found.text[:place] + extra + found.text[place:]
    found.inserted = place, len(extra)

    def change(tree: Tree) -> None:  # the text is not what the engine reads; any of them tells so
        for node in walk(tree):
            if node.get("flavor") == "Standard":
                node["flavor"] = "FromFirst"

    found.means.append(change)


_BEFORE_FROM = ("CREATE", "INSERT", "EXPLAIN", "WITH")


def _summary(words: list[Token], found: Mended) -> None:
    """``SUMMARIZE t`` and ``SUMMARIZE SELECT ...``."""
    if not words or not _is(words[0], "SUMMARIZE"):
        return
    found.blank(words[0].start, words[0].end, "DESCRIBE")

    def change(tree: Tree) -> None:
        next(iter(tree.values()))[SUMMARIZE] = True

    found.means.append(change)


def _sample(words: list[Token], found: Mended) -> None:
    """A sample is marked where it stands: behind its relation, or, behind a WHERE, as a condition of QUALIFY."""
    for at, word in enumerate(words):
        using = _is(word, "SAMPLE") and at > 0 and _is(words[at - 1], "USING")
        clause = read_sample(words[at + 1 :]) if using or _is(word, "TABLESAMPLE") else None
        if clause is None:
            continue
        sample, length = clause
        start, end = words[at - using].start, words[at + length].end
        word_before = "TABLESAMPLE" if not using or _behind_relation(words[: at - 1]) else "QUALIFY "
        mark = chr(_MARK + len(found.means))
        if end - start >= len(word_before) + 3:
            found.blank(start, end, f'{word_before}"{mark}"')
            found.means.append(_marked(mark, sample))
        elif using:  # a number of rows alone
            found.blank(start, words[at].end, "TABLESAMPLE")


_MARK = 0xE800  # of Unicode's private characters


def _behind_relation(words: list[Token]) -> bool:
    """Whether the words end with the one relation of a FROM."""
    depth = 0
    for word in reversed(words):
        depth += {")": 1, "(": -1}.get(word.text, 0)
        if depth < 0 or (depth == 0 and (word.text == "," or _is(word, "JOIN", "WHERE", "HAVING", "QUALIFY", "BY"))):
            return False
        if depth == 0 and _is(word, "FROM"):
            return True
    return False


def _marked(mark: str, sample: Sample) -> Callable[[Tree], None]:
    """Put a sample where its mark is."""

    def is_mark(node: Tree) -> bool:
        name = node.get("Identifier") if isinstance(node, dict) else None
        return isinstance(name, dict) and name["value"] == mark

    def change(tree: Tree) -> None:
        for node in walk(tree):
            if is_mark(node.get("qualify")):
                node["qualify"], node[SAMPLED] = None, sample
            of_table = node.get("sample")
            if isinstance(of_table, dict):
                for clause in of_table.values():
                    if is_mark((clause.get("quantity") or {}).get("value")):
                        node["sample"] = {"BeforeTableAlias": {SAMPLED: sample}}

    return change


def _pivots(words: list[Token], found: Mended, read_query: Read) -> None:
    """``PIVOT t ON ...`` and ``UNPIVOT t ON ...``: each is a word for the SELECT that it is, the inner ones first."""
    for number, (kind, own) in enumerate(statements(words)):
        select = read(kind, own, found.text, read_query)
        found.blank(own[0].start, own[-1].end, marked(number))
        found.means.insert(0, partial(exchange, number=number, select=select))  # in another's source: comes with that


def _alias(words: list[Token], found: Mended) -> None:
    """``INSERT INTO name AS alias``."""
    at = next((n + 1 for n in range(len(words) - 1) if _is(words[n], "INSERT") and _is(words[n + 1], "INTO")), 0)
    if not at:
        return
    at += 1
    while at + 1 < len(words) and words[at + 1].text == ".":
        at += 2
    if at + 2 >= len(words) or not _is(words[at + 1], "AS"):
        return
    alias = words[at + 2]
    if alias.kind not in (TokenKind.WORD, TokenKind.QUOTED):
        return
    found.blank(words[at + 1].start, alias.end)
    style = alias.text[0] if alias.kind is TokenKind.QUOTED else None
    value = alias.text[1:-1].replace(style * 2, style) if style else alias.text

    def change(tree: Tree) -> None:
        _body(tree, "Insert")["table_alias"] = {"value": value, "quote_style": style, "span": _NOWHERE}

    found.means.append(change)


_NOWHERE = {"start": {"line": 0, "column": 0}, "end": {"line": 0, "column": 0}}


def _conflict(words: list[Token], found: Mended) -> None:
    """``SELECT 1, 2 ON CONFLICT``, in which ON is no name of the column."""
    on = next((n for n, (a, b) in enumerate(pairwise(words)) if _is(a, "ON") and _is(b, "CONFLICT")), None)
    if on is None:
        return
    select = max((n for n in range(on) if _is(words[n], "SELECT")), default=None)
    if select is None or any(_is(w, *_CLAUSES) for w in words[select:on]):
        return
    at, extra = words[on].start, "WHERE true "
    found.text = found.text[:at] + extra + found.text[at:]
    found.inserted = at, len(extra)


_CLAUSES = ("FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET", "FETCH")


def _body(tree: Tree, kind: str) -> Any:
    """The statement of a kind behind WITH or EXPLAIN."""
    if "Explain" in tree:
        return _body(tree["Explain"]["statement"], kind)
    return tree[kind] if kind in tree else tree["Query"]["body"][kind][kind]
