"""Completion inside ``%%xsql`` and ``%%xsql_train`` cells and on ``%xsql`` lines; nothing anywhere else.

:func:`complete` is pure: text, cursor and vocabulary in, completions out. :func:`matcher` makes it one of IPython's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..sql.lexer import TokenKind, tokens
from ..sql.unfinished import Columns, CursorContext, read
from .options import Option, options_of, parse

if TYPE_CHECKING:
    from ..engine.functions import DescribedFunction

MAX_TABLES_WITHOUT_FROM = 20
"""Before FROM is written, the columns of all tables are offered, as long as there are no more tables than that."""

KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "DISTINCT", "AS", "AND", "OR",
    "NOT", "IN", "IS NULL", "IS NOT NULL", "BETWEEN", "LIKE", "ILIKE", "EXISTS", "CASE", "WHEN", "THEN", "ELSE", "END",
    "JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "ON", "USING", "UNION", "UNION ALL",
    "EXCEPT", "INTERSECT", "WITH", "WITH RECURSIVE", "OVER", "PARTITION BY", "WINDOW", "ROWS BETWEEN",
    "UNBOUNDED PRECEDING", "CURRENT ROW", "FILTER", "QUALIFY", "ASC", "DESC", "NULLS FIRST", "NULLS LAST", "CAST",
    "TRY_CAST", "EXTRACT", "INTERVAL", "NULL", "TRUE", "FALSE", "CREATE TABLE", "CREATE OR REPLACE TABLE",
    "CREATE VIEW", "IF NOT EXISTS", "PRIMARY KEY", "UNIQUE", "NOT NULL", "DEFAULT", "CHECK", "INSERT INTO", "VALUES",
    "UPDATE", "SET", "DELETE FROM", "MERGE INTO", "TRUNCATE", "RETURNING", "ON CONFLICT", "DO NOTHING", "DO UPDATE SET",
    "DROP TABLE", "DROP VIEW", "ALTER TABLE", "BEGIN", "COMMIT", "ROLLBACK", "EXPLAIN", "EXPLAIN ANALYZE", "DESCRIBE",
    "SHOW TABLES", "SHOW COLUMNS FROM", "SHOW FUNCTIONS", "COPY", "TO", "LATERAL", "UNNEST", "MINIMIZE", "MAXIMIZE",
    "PER", "BATCH",
)  # fmt: skip
TYPES = (
    "BIGINT", "INT", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT", "BOOLEAN", "VARCHAR", "TEXT", "DATE", "TIME",
    "TIMESTAMP", "INTERVAL", "DECIMAL", "BYTEA",
)  # fmt: skip


class Vocabulary(Protocol):
    """The names that can stand in SQL, as completion asks for them."""

    def tables(self) -> Sequence[str]:
        """Tables and views, qualified where they stand in a schema, and variables that are tables."""

    def columns(self, name: tuple[str, ...]) -> Columns | None:
        """The columns of a table, with their types; None where there is none of that name."""

    def functions(self) -> Mapping[str, DescribedFunction]:
        """The functions by name."""

    def parameters(self) -> Sequence[str]:
        """The variables that can be parameters."""


@dataclass(frozen=True)
class Completion:
    """One thing that could be typed: its text, and what is shown beside it (a type or a signature)."""

    text: str
    meaning: str


@dataclass(frozen=True)
class Completions:
    """What could be typed, and the fragment that it replaces."""

    fragment: str
    items: Sequence[Completion]


@dataclass(frozen=True)
class _Cell:
    """The SQL of a cell or line: ``text[start:]`` of what the editor holds, behind the magic's name."""

    start: int
    end: int
    options: type[Any]
    is_cell: bool


_CELL_MAGIC = re.compile(r"\s*%%(\w+)(?!\w)")
_LINE_MAGIC = re.compile(r"(?:^|=|\()\s*%(\w+)(?!\w)", re.MULTILINE)
_CAPTURE = re.compile(r"\s*\w+\s*=?\s*<<")


def complete(text: str, cursor: int, magics: Mapping[str, type[Any]], vocabulary: Vocabulary) -> Completions | None:
    """The completions at ``cursor`` in what an editor holds.

    Args:
        text: a whole cell.
        cursor: an offset into it.
        magics: the magics that hold SQL, by name, with the dataclass of their options.
        vocabulary: the names there are.

    Returns:
        None where the cursor is not in SQL, or in a place where other completions are welcome (a file's name).
    """
    cell = _find(text, cursor, magics)
    if cell is None:
        return None
    head_end = text.find("\n", cell.start, cell.end)
    in_head = cursor <= (head_end if head_end >= 0 else cell.end)
    if in_head and (found := _complete_options(text[cell.start : cursor], cell.options)) is not NOT_AN_OPTION:
        return found
    start = _sql_start(text, cell)
    if cursor < start:
        return None
    return complete_sql(text[start : cell.end], cursor - start, vocabulary)


def complete_sql(sql: str, cursor: int, vocabulary: Vocabulary) -> Completions:
    """The completions at ``cursor`` in a text that is all SQL, in the order to offer them."""
    special = _of_minimize(sql, cursor)
    if special is not None:
        return special
    draft = read(sql, cursor, vocabulary.columns)
    wanted = draft.fragment.strip('"`').lower()
    found = dict.fromkeys(c for c in _candidates(draft, vocabulary) if c.text.strip('"$:').lower().startswith(
        wanted.lstrip("$:")))  # fmt: skip
    return Completions(draft.fragment, list(found))


def _of_minimize(sql: str, cursor: int) -> Completions | None:
    """The optimizers behind the USING of a MINIMIZE, and their options within its parentheses; None elsewhere."""
    from ..train.minimize.optimizers import OPTIMIZERS, options_of

    words = [t for t in tokens(sql[:cursor], strict=False) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT)]
    ends = [i for i, t in enumerate(words) if t.text == ";"]
    words = words[ends[-1] + 1 :] if ends else words
    capitals = [t.text.upper() for t in words]
    if "USING" not in capitals or not {"MINIMIZE", "MAXIMIZE"} & set(capitals):
        return None
    fragment = words.pop().text if words[-1].end == cursor and words[-1].kind is TokenKind.WORD else ""
    using = len(capitals) - 1 - capitals[::-1].index("USING")
    behind = words[using + 1 :]
    if not behind:
        items = [Completion(name, "optimizer") for name in OPTIMIZERS if name.startswith(fragment.lower())]
        return Completions(fragment, items)
    name, rest = behind[0].text.lower(), [t.text for t in behind[1:]]
    if name not in OPTIMIZERS or not rest or rest.count("(") - rest.count(")") != 1 or rest[-1] not in ("(", ","):
        return None
    found = [option for option in options_of(name) if option.startswith(fragment.lower())]
    return Completions(fragment, [Completion(f"{option} =>", f"option of {name}") for option in found])


def _find(text: str, cursor: int, magics: Mapping[str, type[Any]]) -> _Cell | None:
    cell = _CELL_MAGIC.match(text)
    if cell is not None:
        inside = cell[1] in magics and cursor > cell.end()
        return _Cell(cell.end(), len(text), magics[cell[1]], True) if inside else None
    line_start = text.rfind("\n", 0, cursor) + 1
    line_end = text.find("\n", cursor)
    line_end = len(text) if line_end < 0 else line_end
    line = _LINE_MAGIC.search(text, line_start, line_end)
    if line is None or line[1] not in magics or cursor <= line.end():
        return None
    return _Cell(line.end(), line_end, magics[line[1]], False)


NOT_AN_OPTION = Completions("", ())


def _complete_options(head: str, options: type[Any]) -> Completions | None:
    """Completions of the magic's own options, None where Python's or a file's belong, else NOT_AN_OPTION."""
    words = re.split(r"\s+", head)
    fragment = words[-1]
    previous = _option(options, words[-2]) if len(words) > 1 else None
    if previous is not None and previous.convert is not None and _still_options(words[:-2], options):
        if not previous.choices:
            return None
        return Completions(fragment, [Completion(c, "value") for c in previous.choices if c.startswith(fragment)])
    if not fragment.startswith("-") or not _still_options(words[:-1], options):
        return NOT_AN_OPTION
    names = [(name, o) for o in options_of(options) for name in o.names if name.startswith(fragment)]
    items = [Completion(name, o.help) for name, o in names if name.startswith("--") or fragment == name]
    return Completions(fragment, items)


def _still_options(words: Sequence[str], options: type[Any]) -> bool:
    """Whether nothing but options comes before."""
    expects_value = False
    for word in filter(None, words):
        if expects_value:
            expects_value = False
            continue
        known = _option(options, word.partition("=")[0])
        if known is None:
            return False
        expects_value = known.convert is not None and "=" not in word
    return True


def _option(options: type[Any], name: str) -> Option | None:
    return next((o for o in options_of(options) if name in o.names), None)


def _sql_start(text: str, cell: _Cell) -> int:
    """Where SQL begins behind the options and ``name <<``."""
    head_end = text.find("\n", cell.start, cell.end)
    head = text[cell.start : head_end if head_end >= 0 else cell.end]
    try:
        start = cell.start + parse(cell.options, head).start
    except ValueError:  # an option that is not finished
        return head_end if cell.is_cell and head_end >= 0 else cell.end
    capture = _CAPTURE.match(text, start, cell.end)
    return capture.end() if capture else start


def _candidates(draft: CursorContext, vocabulary: Vocabulary) -> Iterator[Completion]:
    if draft.place == "quiet":
        return
    if draft.place == "parameter":
        yield from (Completion(draft.fragment[0] + name, "parameter") for name in vocabulary.parameters())
    elif draft.place == "type":
        yield from (Completion(name, "type") for name in TYPES)
    elif draft.place == "member":
        yield from _members(draft, vocabulary)
    elif draft.place == "relation":
        yield from (Completion(_quoted(name), "WITH") for name in draft.defined)
        yield from _tables(vocabulary)
    else:
        yield from _expression(draft, vocabulary)


def _members(draft: CursorContext, vocabulary: Vocabulary) -> Iterator[Completion]:
    """The columns of an alias or table, or the tables of a schema."""
    columns = draft.relations.get(draft.owner[-1]) if len(draft.owner) == 1 else None
    columns = vocabulary.columns(draft.owner) if columns is None else columns
    yield from _columns(columns or {})
    prefix = ".".join(draft.owner) + "."
    tables = (t for t in vocabulary.tables() if t.lower().startswith(prefix))
    yield from (Completion(_quoted(t[len(prefix) :]), "table") for t in tables)


def _expression(draft: CursorContext, vocabulary: Vocabulary) -> Iterator[Completion]:
    for columns in draft.relations.values():
        yield from _columns(columns)
    if not draft.relations:
        yield from _columns_of_all(vocabulary)
    yield from (Completion(_quoted(name), "alias") for name in draft.relations)
    fragment = draft.fragment
    if not fragment.startswith('"'):
        found = vocabulary.functions().items()
        yield from (Completion(n, _call(f)) for n, f in found if n.startswith(fragment.lower()))
        lower = fragment.islower()
        yield from (Completion(k.lower() if lower else k, "keyword") for k in KEYWORDS)
    if not draft.relations:
        yield from _tables(vocabulary)


def _call(function: DescribedFunction) -> str:
    """How a function is called, its name left out; in one line, since JupyterLab's menu draws two over each other."""
    arguments = function.signature[len(function.name) :]
    return (arguments if len(arguments) <= 50 else arguments[:48] + "…)").replace(" ", "\u00a0")


def _columns_of_all(vocabulary: Vocabulary) -> Iterator[Completion]:
    tables = vocabulary.tables()
    for table in tables if len(tables) <= MAX_TABLES_WITHOUT_FROM else ():
        yield from _columns(vocabulary.columns(tuple(table.split("."))) or {})


def _columns(columns: Columns) -> Iterator[Completion]:
    return (Completion(_quoted(name), kind or "column") for name, kind in columns.items())


def _tables(vocabulary: Vocabulary) -> Iterable[Completion]:
    return (Completion(".".join(_quoted(p) for p in t.split(".")), "table") for t in vocabulary.tables())


def _quoted(name: str) -> str:
    """A name as it must be written: in double quotes unless it is a plain lower-case word."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def matcher(magics: Mapping[str, type[Any]], vocabulary: Callable[[], Vocabulary]) -> Any:
    """A completion matcher for IPython's ``Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier="sqlmagic_xr", priority=200)
    def match_sql(context: Any) -> dict[str, Any]:
        lines = context.full_text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position
        try:
            found = complete(context.full_text, offset, magics, vocabulary())
        except Exception:
            # A completion that fails must not disturb typing, and IPython would print a traceback between the keys.
            found = None
        if found is None:
            return {"completions": []}
        return {
            "completions": [SimpleCompletion(text=c.text, type=c.meaning) for c in found.items],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    return match_sql
