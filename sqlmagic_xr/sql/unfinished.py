"""A statement that is still being typed: where its cursor stands, and which relations are in sight there.

The parser refuses unfinished text, so this reads tokens and parentheses alone. What it cannot make out it leaves out:
a completion that is missing does less harm than one that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .lexer import Token, TokenKind, tokens

Columns = Mapping[str, str]
"""Column name -> its type, or "" where that is not known."""

Lookup = Callable[[tuple[str, ...]], Columns | None]
"""The columns of a table by the parts of its name; None where there is none."""

Place = Literal["relation", "member", "parameter", "type", "quiet", "expression"]

_BEFORE_RELATION = {"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "DESCRIBE", "DESC", "TRUNCATE", "VIEW"}
_AFTER_RELATION = {
    "ON", "USING", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT", "WINDOW",
    "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "LATERAL", "QUALIFY", "SET", "VALUES", "SELECT",
    "WHEN", "RETURNING", "FETCH", "ANTI", "SEMI", "AS", "DEFAULT", "DO", "FROM", "TABLESAMPLE", "FOR",
}  # fmt: skip
_CLAUSES = {
    "SELECT", "FROM", "ON", "USING", "WHERE", "BY", "HAVING", "SET", "VALUES", "RETURNING", "LIMIT", "WITH", "WINDOW",
}  # fmt: skip
_NAMES = (TokenKind.WORD, TokenKind.QUOTED)


@dataclass(frozen=True)
class CursorContext:
    """What can be said of a cursor's place.

    Attributes:
        place: what belongs there: a relation's name, a member of ``owner`` (what stands before the dot), a parameter,
            a type, nothing ("quiet": in a string, a comment, or where a new name is made up), or an expression.
        fragment: the part of the word that is typed already; what a completion replaces.
        owner: the parts before the dot, folded.
        relations: alias or name -> columns, of every relation in sight, the innermost query's first.
        defined: the names that WITH defines.
    """

    place: Place
    fragment: str
    owner: tuple[str, ...] = ()
    relations: Mapping[str, Columns] = field(default_factory=dict)
    defined: Sequence[str] = ()


@dataclass
class _BetweenParentheses:
    """What stands between a pair of parentheses; the text as a whole is one, too."""

    start: int
    items: list[Token | _BetweenParentheses] = field(default_factory=list)
    end: int | None = None  # None: it is still open


def read(text: str, cursor: int, lookup: Lookup) -> CursorContext:
    """Read the statement around ``cursor`` (an offset into ``text``).

    >>> draft = read("SELECT cur. FROM (SELECT a, 2 * b AS twice FROM t) cur", 11, lambda name: None)
    >>> draft.place, draft.owner, list(draft.relations["cur"])
    ('member', ('cur',), ['a', 'twice'])
    """
    statement, at = _statement(text, cursor)
    before = [t for t in statement if t.start < at]
    last = before[-1] if before else None
    if last is not None and last.kind in (TokenKind.COMMENT, TokenKind.STRING) and _inside(last, at):
        return CursorContext("quiet", "")
    fragment = last.text[: at - last.start] if last is not None and last.end >= at and _is_word(last) else ""
    words = [t for t in before if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
    if fragment:
        words.pop()
    place, owner = _place(words, fragment, touching=_touches(words, at - len(fragment)))
    root = _nest([t for t in statement if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)])
    scope = _RelationFinder(lookup)
    return CursorContext(place, fragment, owner, scope.in_sight(root, at), list(scope.defined))


def _statement(text: str, cursor: int) -> tuple[list[Token], int]:
    """The tokens of the statement that holds the cursor, and the cursor."""
    found: list[Token] = []
    for token in tokens(text, strict=False):
        if token.kind is TokenKind.SYMBOL and token.text == ";":
            if token.start >= cursor:
                break
            found = []
        else:
            found.append(token)
    return found, cursor


def _inside(token: Token, at: int) -> bool:
    """Whether the cursor stands in a comment or string, and not behind its end."""
    if token.kind is TokenKind.COMMENT and token.text.startswith("--"):
        return token.end >= at
    closed = token.text.endswith("*/") if token.kind is TokenKind.COMMENT else _closed(token.text)
    return at < token.end or not closed


def _closed(string: str) -> bool:
    return (len(string) > 1 and string.endswith("'")) or (string.endswith("$") and len(string) > 2)


def _is_word(token: Token) -> bool:
    """Words, quoted names that are still open, parameters, and the signs that begin one."""
    if token.kind is TokenKind.QUOTED:
        return len(token.text) == 1 or not token.text.endswith(token.text[0])
    return token.kind in (TokenKind.WORD, TokenKind.PARAMETER) or token.text in ("$", ":")


def _touches(words: Sequence[Token], at: int) -> bool:
    return bool(words) and words[-1].end == at


def _place(words: Sequence[Token], fragment: str, *, touching: bool) -> tuple[Place, tuple[str, ...]]:
    if fragment[:1] in ("$", ":"):
        if touching and words[-1].text != "(" and words[-1].kind in (*_NAMES, TokenKind.NUMBER):
            return "quiet", ()  # a slice, a[1:k]
        return "parameter", ()
    previous = words[-1] if words else None
    if previous is None:
        return "expression", ()
    if previous.text == "." and touching:
        return "member", _dotted(words[:-1])
    if previous.text == "::":
        return "type", ()
    word = previous.text.upper() if previous.kind is TokenKind.WORD else previous.text
    if word in _BEFORE_RELATION and not _is_function_from(words):
        return "relation", ()
    if word == "AS":
        return ("type", ()) if _in_cast(words) else ("quiet", ())
    if word == "," and _in_from_list(words):
        return "relation", ()
    return "expression", ()


def _is_function_from(words: Sequence[Token]) -> bool:
    """Whether the FROM is that of EXTRACT(x FROM, TRIM(x FROM or IS DISTINCT FROM."""
    if words[-1].text.upper() != "FROM":
        return False
    if len(words) > 1 and words[-2].text.upper() == "DISTINCT":
        return True
    opener = _opener(words)
    return opener is not None and opener > 0 and words[opener - 1].text.upper() in ("EXTRACT", "TRIM", "SUBSTRING")


def _in_cast(words: Sequence[Token]) -> bool:
    opener = _opener(words)
    return opener is not None and opener > 0 and words[opener - 1].text.upper() in ("CAST", "TRY_CAST")


def _in_from_list(words: Sequence[Token]) -> bool:
    """Whether a comma stands between relations: the last clause word before it at its depth is FROM."""
    depth = 0
    for token in reversed(words[:-1]):
        depth += {")": 1, "(": -1}.get(token.text, 0)
        if depth < 0:
            return False
        if depth == 0 and token.kind is TokenKind.WORD and token.text.upper() in _CLAUSES:
            return token.text.upper() == "FROM"
    return False


def _opener(words: Sequence[Token]) -> int | None:
    """The index of the parenthesis that is open at the end of ``words``."""
    depth = 0
    for index in range(len(words) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(words[index].text, 0)
        if depth < 0:
            return index
    return None


def _dotted(words: Sequence[Token]) -> tuple[str, ...]:
    """The name that ends ``words``: ``a . b`` as its parts."""
    parts: list[str] = []
    for token in reversed(words):
        if len(parts) % 2 == 0 and token.kind in _NAMES:
            parts.append(fold(token))
        elif len(parts) % 2 == 1 and token.text == ".":
            parts.append(".")
        else:
            break
    return tuple(p for p in reversed(parts) if p != ".")


def fold(token: Token) -> str:
    """The name that a token means: in lower case unless it is quoted."""
    if token.kind is TokenKind.QUOTED:
        return token.text[1:-1].replace(token.text[0] * 2, token.text[0])
    return token.text.lower()


def _nest(words: Sequence[Token]) -> _BetweenParentheses:
    root = _BetweenParentheses(0)
    stack = [root]
    for token in words:
        if token.text == "(" and token.kind is TokenKind.SYMBOL:
            group = _BetweenParentheses(token.end)
            stack[-1].items.append(group)
            stack.append(group)
        elif token.text == ")" and token.kind is TokenKind.SYMBOL and len(stack) > 1:
            stack.pop().end = token.start
        else:
            stack[-1].items.append(token)
    return root


class _RelationFinder:
    """Finds the relations of groups; knows the names that WITH has defined so far."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self.defined: dict[str, Columns] = {}

    def in_sight(self, group: _BetweenParentheses, cursor: int) -> dict[str, Columns]:
        """The relations of the group that holds the cursor, then those of the groups around it."""
        own = self.relations(group)
        for item in group.items:
            if (
                isinstance(item, _BetweenParentheses)
                and item.start <= cursor
                and (item.end is None or cursor <= item.end)
            ):
                return {**self.in_sight(item, cursor), **own}
        return own

    def relations(self, group: _BetweenParentheses) -> dict[str, Columns]:
        """The relations that a query names in FROM, JOIN, INTO and UPDATE."""
        self._define(group)
        found: dict[str, Columns] = {}
        items = group.items
        for index, item in enumerate(items):
            listed = _symbol(item) == "," and _in_from_list([*_flat(items[: index + 1])])
            if (_keyword(item) in _BEFORE_RELATION and not _is_function_from(_flat(items[: index + 1]))) or listed:
                found.update(self._relation(items, index + 1))
        return found

    def _relation(self, items: Sequence[Token | _BetweenParentheses], index: int) -> dict[str, Columns]:
        """The relation that begins at ``index``, by the name that the query calls it."""
        while _keyword(_at(items, index)) in ("LATERAL", "ONLY", "TABLE"):
            index += 1
        item = _at(items, index)
        if isinstance(item, _BetweenParentheses):
            columns: Columns | None = self.outputs(item)
            name, index = "", index + 1
        elif item is not None and item.kind in _NAMES:
            parts, index = _read_name(items, index)
            columns = self.defined.get(parts[0]) if len(parts) == 1 else None
            columns = self._lookup(parts) if columns is None else columns
            name = parts[-1]
        else:
            return {}
        if _keyword(_at(items, index)) == "AS":
            index += 1
        alias = _at(items, index)
        if isinstance(alias, Token) and alias.kind in _NAMES and _keyword(alias) not in _AFTER_RELATION:
            name = fold(alias)
        return {name: columns} if name and columns is not None else {}

    def _define(self, group: _BetweenParentheses) -> None:
        """Take up ``name [(columns)] AS (query)``, wherever WITH or a comma comes before it."""
        items = group.items
        for index, item in enumerate(items):
            if not isinstance(item, _BetweenParentheses) or _keyword(_at(items, index - 1)) != "AS" or index < 2:
                continue
            named = items[index - 2]
            columns: Columns | None = None
            if isinstance(named, _BetweenParentheses):
                columns = {fold(t): "" for t in named.items if isinstance(t, Token) and t.kind in _NAMES}
                named = items[index - 3] if index > 2 else named
            if isinstance(named, Token) and named.kind in _NAMES:
                self.defined[fold(named)] = {}  # a recursive one names itself
                self.defined[fold(named)] = columns or self.outputs(item)

    def outputs(self, group: _BetweenParentheses) -> Columns:
        """The columns that a query gives, as far as they have names."""
        items = group.items
        start = next((i for i, item in enumerate(items) if _keyword(item) == "SELECT"), None)
        if start is None:
            inner = next((item for item in items if isinstance(item, _BetweenParentheses)), None)
            return self.outputs(inner) if inner is not None and not _keyword(items[0]) else {}
        relations = self.relations(group)
        found: dict[str, str] = {}
        for projected in _projections(items[start + 1 :]):
            found.update(_output(projected, relations))
        return found


def _projections(items: Sequence[Token | _BetweenParentheses]) -> Iterator[list[Token | _BetweenParentheses]]:
    """The items of a select list, which ends at FROM or with the query."""
    current: list[Token | _BetweenParentheses] = []
    for item in items:
        if _keyword(item) in ("FROM", "WHERE", "UNION", "GROUP", "ORDER", "LIMIT", "INTO"):
            break
        if _symbol(item) == ",":
            yield current
            current = []
        elif _keyword(item) not in ("DISTINCT", "ALL") or current:
            current.append(item)
    if current:
        yield current


def _output(items: Sequence[Token | _BetweenParentheses], relations: Mapping[str, Columns]) -> Columns:
    """The columns of one item of a select list."""
    last = items[-1] if items else None
    if _symbol(last) == "*":
        owner = _dotted([t for t in items[:-2] if isinstance(t, Token)]) if len(items) > 1 else ()
        chosen = [relations.get(owner[-1], {})] if owner else list(relations.values())
        return {name: kind for columns in chosen for name, kind in columns.items()}
    if not isinstance(last, Token) or last.kind not in _NAMES or last.text.upper() in ("END", "NULL", "TRUE", "FALSE"):
        return {}
    name = fold(last)
    return {name: next((columns[name] for columns in relations.values() if name in columns), "")}


def _read_name(items: Sequence[Token | _BetweenParentheses], index: int) -> tuple[tuple[str, ...], int]:
    """A dotted name from ``index`` on, and the index behind it."""
    parts: list[str] = []
    while isinstance(item := _at(items, index), Token) and item.kind in _NAMES:
        parts.append(fold(item))
        if _symbol(_at(items, index + 1)) != ".":
            return tuple(parts), index + 1
        index += 2
    return tuple(parts), index


def _at(items: Sequence[Token | _BetweenParentheses], index: int) -> Token | _BetweenParentheses | None:
    return items[index] if 0 <= index < len(items) else None


def _keyword(item: Token | _BetweenParentheses | None) -> str:
    return item.text.upper() if isinstance(item, Token) and item.kind is TokenKind.WORD else ""


def _symbol(item: Token | _BetweenParentheses | None) -> str:
    return item.text if isinstance(item, Token) and item.kind is TokenKind.SYMBOL else ""


def _flat(items: Sequence[Token | _BetweenParentheses]) -> list[Token]:
    """The tokens of a level; what is in parentheses does not count there."""
    return [item for item in items if isinstance(item, Token)]
