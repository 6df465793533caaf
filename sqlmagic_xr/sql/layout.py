"""SQL text laid out to be read: a line for each clause, subqueries indented; nothing but white space changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .lexer import Token, TokenKind, tokens

WIDTH = 100  # a select list or condition is broken where its line would be longer

_CLAUSES = {
    "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT", "WINDOW",
    "QUALIFY", "VALUES", "SET", "RETURNING", "INSERT", "WITH",
}  # fmt: skip
_JOINS = {"JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL"}
_AFTER_JOIN_WORD = {"JOIN", "OUTER", "INNER", "SEMI", "ANTI", "LEFT", "RIGHT", "FULL"}


def lay_out(sql: str) -> str:
    """The same tokens with line breaks where a reader wants them.

    >>> print(lay_out("SELECT a, b FROM (SELECT a, b FROM t WHERE a > 1) AS s JOIN u ON s.a = u.a ORDER BY a"))
    SELECT a, b
    FROM (
      SELECT a, b
      FROM t
      WHERE a > 1
    ) AS s
    JOIN u ON s.a = u.a
    ORDER BY a
    """
    return "\n".join(line for part in _lines(_significant(sql)) for line in _wrap(part))


def _significant(sql: str) -> list[Token]:
    return [t for t in tokens(sql, strict=False) if t.kind is not TokenKind.SPACE]


def _lines(found: Sequence[Token]) -> Iterator[tuple[int, list[Token]]]:
    """The lines of a text: each with its depth and its tokens."""
    depth = 0
    subqueries: list[bool] = []  # for each open parenthesis, whether it holds a query
    line: list[Token] = []
    for index, token in enumerate(found):
        word = token.text.upper() if token.kind is TokenKind.WORD else token.text
        following = found[index + 1].text.upper() if index + 1 < len(found) else ""
        inside = bool(subqueries) and not subqueries[-1]
        if token.text == ")" and subqueries and subqueries.pop():
            yield depth, line
            depth, line = depth - 1, []
        elif line and not inside and _begins_line(word, line[-1].text.upper()):
            yield depth, line
            line = []
        line.append(token)
        if token.text == "(":
            subqueries.append(following in ("SELECT", "WITH", "VALUES"))
            if subqueries[-1]:
                yield depth, line
                depth, line = depth + 1, []
        elif token.kind is TokenKind.COMMENT and token.text.startswith("--"):
            yield depth, line
            line = []
    yield depth, line


def _begins_line(word: str, previous: str) -> bool:
    if word in _JOINS:
        return previous not in _AFTER_JOIN_WORD and previous != "NATURAL" and previous != "CROSS"
    if word in ("FROM", "SET") and previous in ("DELETE", "DISTINCT", "UPDATE", "DO"):
        return False
    return word in _CLAUSES and previous not in ("INSERT", "WITHIN", "PARTITION")


def _wrap(part: tuple[int, list[Token]]) -> Iterator[str]:
    """A line as text, broken behind commas and before AND and OR where it is too long."""
    depth, line = part
    if not line:
        return
    indent = "  " * depth
    text = indent
    nested = 0
    for index, token in enumerate(line):
        space = " " if index and _spaced(line, index) else ""
        breakable = nested == 0 and index and (line[index - 1].text == "," or token.text.upper() in ("AND", "OR"))
        if breakable and len(text) + len(space + token.text) + _run(line, index) > WIDTH:
            yield text.rstrip()
            text, space = indent + "  ", ""
        text += space + token.text
        nested += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
    yield text.rstrip()


def _run(line: Sequence[Token], index: int) -> int:
    """The characters from a token to the next place where the line may be broken."""
    length = nested = 0
    for token in line[index + 1 :]:
        if nested == 0 and (token.text == "," or token.text.upper() in ("AND", "OR")):
            break
        nested += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        length += len(token.text) + 1
    return length


def _spaced(line: Sequence[Token], index: int) -> bool:
    """Whether a space stands before a token: where the text had one, but for line breaks that are gone."""
    before, token = line[index - 1], line[index]
    return before.end != token.start
