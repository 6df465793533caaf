"""sqloxide's tree behind a small typed view: statements with their text, kind and place, and how to walk a tree.

A tree is sqlparser's syntax tree as nested dictionaries and lists, as sqloxide hands it over. Only ``sql/`` and the
rooms that rewrite whole statements look into it; calculations on expressions use :mod:`.expression`.

Spans in a tree count in the whole script, not in the statement, so that an error can point into the user's cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import ParseError, Span, SqlError
from ..properties import kept_property
from .complaint import parse_error
from .lexer import Token, TokenKind, filler, is_whole, span_at, token_at, tokens
from .parsing import TooDeepError, parse
from .printing import expression_sql, to_sql
from .traversal import Tree, replace, replace_branches, transform, walk, walk_clauses

# What other rooms find here, too.
__all__ = ["Tree", "expression_sql", "replace", "replace_branches", "to_sql", "transform", "walk"]

NOWHERE = {"start": {"line": 0, "column": 0}, "end": {"line": 0, "column": 0}}
"""The span of a node that stands nowhere in the user's text."""


# What changes nothing. Whatever is not listed counts as having effects, so that read_only errs on the safe side.
_READING_KINDS = {"ExplainTable", "ShowTables", "ShowColumns", "ShowVariable", "ShowVariables"}
_READING_KINDS |= {"ShowFunctions", "ShowViews", "ShowSchemas", "ShowDatabases", "ShowCreate", "ShowCatalogs"}
_READING_BODIES = frozenset({"Select", "Query", "SetOperation", "Values", "Table"})
_READING_WORDS = {"SELECT", "WITH", "VALUES", "FROM", "TABLE", "EXPLAIN", "DESCRIBE", "DESC", "SHOW", "("}


# STORED AS PARQUET would be read as Hive's.
_EXTERNAL = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?(UNBOUNDED\s+)?EXTERNAL\b", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    Attributes:
        text: the user's own characters, comments before it and the closing ``;`` left out.
        script: the whole text it stands in, that every span counts in.
        start: its offset in ``script``.
        index, count: its place, ``2, 3`` for the second of three.
        title: the last comment line directly above it, without its dashes, or "".
    """

    text: str
    script: str
    start: int = 0
    index: int = 1
    count: int = 1
    title: str = ""

    @kept_property
    def parsed(self) -> tuple[Tree | None, SqlError | None]:
        """The tree, or why sqloxide could not or must not read the text; never raises.

        Both are None where DataFusion reads the statement with a parser of its own, which sqlparser's would misread.
        Callers must not change the tree: it is shared (see :func:`transform`, which copies what it changes).
        """
        if _EXTERNAL.match(self.text):
            return None, None
        try:
            read = parse if len(self.text) > _LONG else _parsed
            return read(self.text, *_origin(self.script, self.start)), None
        except TooDeepError as error:
            found = error.found
            place = span_at(self.script, self.start + found.at, self.start + found.at + 1)
            return None, self.place(found.kind(found.what, hint=found.hint), place)
        except ValueError as error:
            problem = parse_error(str(error), self.script, self.start, self.text)
            problem.statement = (self.index, self.count)
            return None, problem

    @property
    def tree(self) -> Tree:
        """The syntax tree; raises a SqlError where sqloxide cannot read the text."""
        tree, error = self.parsed
        if error is not None:
            raise error
        return tree

    @property
    def kind(self) -> str:
        """sqlparser's name of the statement: "Query", "Insert", "CreateTable", ...; "" where it cannot be read."""
        tree = self.parsed[0]
        return "" if tree is None else _kind(tree)

    @kept_property
    def has_effects(self) -> bool:
        """Whether it can change anything: tables, settings, files; whatever is not known to read only, can."""
        tree = self.parsed[0]
        if tree is None:  # sqloxide cannot read it, DataFusion may
            words = [token.text.upper() for token in self.tokens]
            return words[0] not in _READING_WORDS or (words[0] == "EXPLAIN" and "ANALYZE" in words)
        return not _only_reads(tree)

    @kept_property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens of ``text`` without white space and comments."""
        return tuple(t for t in tokens(self.text) if t.kind not in (TokenKind.SPACE, TokenKind.COMMENT))

    @property
    def span(self) -> Span:
        """Where the statement stands in its script."""
        return span_at(self.script, self.start, self.start + len(self.text))

    @property
    def first_word(self) -> Span:
        """Where its first word stands, for errors about the whole of it."""
        word = self.tokens[0]
        return span_at(self.script, self.start + word.start, self.start + word.end)

    def place(self, error: SqlError, span: Span | None = None) -> SqlError:
        """Tell an error which text and which statement it is about; returns the error."""
        error.locate(self.script, span)
        error.statement = error.statement or (self.index, self.count)
        return error


_LONG = 10_000  # characters; a longer text is data, and seldom run twice


@lru_cache(maxsize=128)
def _parsed(text: str, line: int, column: int) -> Tree:
    """The tree of a text; a cell that is run again, and what is written for it, has the tree that it had."""
    return parse(text, line, column)


def _only_reads(tree: Tree) -> bool:
    """Whether a statement is one of those that change nothing; EXPLAIN ANALYZE runs what it explains."""
    kind = _kind(tree)
    if kind == "Explain":
        return not analyzes(tree) or _only_reads(tree["Explain"]["statement"])
    return kind in _READING_KINDS or (kind == "Query" and _body_reads(tree["Query"]["body"]))


def _body_reads(body: Tree) -> bool:
    todo = [body]
    while todo:
        body = todo.pop()
        if "SetOperation" in body:
            todo += [body["SetOperation"][side] for side in ("left", "right")]
        elif "Query" in body:
            todo.append(body["Query"]["body"])
        elif not _READING_BODIES.issuperset(body) or (body.get("Select") or {}).get("into"):
            return False
    return True


def analyzes(explain: Tree) -> bool:
    """Whether an EXPLAIN is one that runs the statement."""
    options = explain["Explain"].get("options") or []
    return bool(explain["Explain"]["analyze"]) or any(identifier(o["name"]) == "analyze" for o in options)


def described(tree: Any) -> Tree | None:
    """The query of a DESCRIBE, which asks for its columns and not for its plan; None for any other statement."""
    node = (tree.get("Explain") if isinstance(tree, dict) else None) or {}
    asks = node.get("describe_alias", "Explain") != "Explain" and "Query" in node["statement"]
    return node["statement"] if asks else None


def split(script: str) -> list[Statement]:
    """The statements of a script; one of only white space, comments and semicolons has none.

    Raises:
        ParseError: a quote or a comment that never ends; the character U+0000.

    >>> [s.text for s in split("SELECT ';' AS a; -- one; two\\n SELECT $$;$$ ;;")]
    ["SELECT ';' AS a", 'SELECT $$;$$']
    """
    nul = script.find("\0")
    if nul >= 0:  # in the name of a column it would end the process, and it may become one
        raise ParseError("U+0000 cannot stand in SQL", text=script, span=span_at(script, nul, nul + 1),
                         hint="Write chr(0), or bind it as a parameter.")  # fmt: skip
    if script.startswith("\ufeff"):  # a mark that some editors begin a text with
        script = " " + script[1:]
    if is_whole(script):  # what most texts are, of which no token has to be looked at
        text = script.strip()
        return [Statement(text, script, script.index(text), 1, 1)] if text else []
    pieces: list[tuple[int, int, str]] = []
    start = end = -1
    title = ""
    place = 0
    while place < len(script):
        plain = filler(script, place) if start >= 0 else 0
        if plain:
            chunk = script[place : place + plain]
            if not chunk.isspace():
                end = place + len(chunk.rstrip())
            place += plain
            continue
        token = token_at(script, place)
        place = token.end
        if token.kind is TokenKind.SYMBOL and token.text == ";":
            if start >= 0:
                pieces.append((start, end, title))
            start, title = -1, ""
        elif token.kind is TokenKind.COMMENT:
            if start < 0:
                title = re.sub(r"^-+\s*|^/\*+\s*|\s*\*+/$", "", token.text).strip()
        elif token.kind is not TokenKind.SPACE:
            start = token.start if start < 0 else start
            end = token.end
    if start >= 0:
        pieces.append((start, end, title))
    return [Statement(script[a:b], script, a, i, len(pieces), title) for i, (a, b, title) in enumerate(pieces, start=1)]


def parse_one(text: str) -> Statement:
    """The one statement of ``text``.

    Raises:
        ParseError: no statement, several, or one that cannot be read.
    """
    statements = split(text)
    if len(statements) != 1:
        raise ParseError(
            "there is no statement to run" if not statements else f"one statement was expected, not {len(statements)}",
            hint="Give one SQL statement; Context.script() runs several.",
        )
    return statements[0]


def name_columns(tree: Tree, rewritten: Callable[[Tree], bool]) -> Tree:
    """The tree in which each unnamed column that will be rewritten has its own text for a name.

    Without it the engine would name ``a - :lr`` after the value of the day, and ``grad(x * x, x)`` after its
    derivative. Equal columns are told apart: ``:lr`` and ``:lr (2)``.
    """

    def change(node: dict[str, Any]) -> Tree | None:
        columns = node.get("projection")
        if not isinstance(columns, list):
            return None
        given: dict[str, int] = {}
        named = [_named(column, given) if _is_unnamed(column, rewritten) else column for column in columns]
        return {**node, "projection": named} if given else None

    return transform(tree, change)


def _is_unnamed(column: Tree, rewritten: Callable[[Tree], bool]) -> bool:
    return isinstance(column, dict) and "UnnamedExpr" in column and rewritten(column["UnnamedExpr"])


def _named(column: Tree, given: dict[str, int]) -> Tree:
    """A column under its own text; a second one of that text is told apart, since the engine refuses equal names."""
    expression = column["UnnamedExpr"]
    text = expression_sql(expression)
    given[text] = given.get(text, 0) + 1
    name = text if given[text] == 1 else f"{text} ({given[text]})"
    return {"ExprWithAlias": {"expr": expression, "alias": make_identifier(name)}}


def span_of(tree: Tree) -> Span | None:
    """The stretch of text from the first to the last span inside a node; None where nothing in it has one."""
    spans = [s for node in walk(tree) for s in _own_spans(node)]
    if not spans:
        return None
    first = min(spans, key=lambda s: (s.line, s.column))
    last = max(spans, key=lambda s: (s.end_line, s.end_column))
    return Span(first.line, first.column, last.end_line, last.end_column)


def tables_named(tree: Tree) -> list[list[dict[str, Any]]]:
    """The names, as lists of identifier nodes, of all relations that a statement reads or writes; CTEs among them."""
    found: list[list[dict[str, Any]]] = []
    for node in walk_clauses(tree):
        if _NAMING.isdisjoint(node):
            continue
        table = node.get("Table")
        if isinstance(table, dict) and "name" in table and table.get("args") is None:
            found.append(_identifiers(table["name"]))
        for changed in (node.get("AlterTable"), *(node.get("Truncate") or {}).get("table_names", ())):
            if isinstance(changed, dict):
                found.append(_identifiers(changed["name"]))
        for key in ("TableName", "table_name", "parent_name"):  # INSERT INTO, DESCRIBE, SHOW COLUMNS FROM
            if isinstance(node.get(key), list):
                found.append(_identifiers(node[key]))
    return [name for name in found if name]


_NAMING = frozenset(("Table", "AlterTable", "Truncate", "TableName", "table_name", "parent_name"))


def _identifiers(parts: list[Tree]) -> list[dict[str, Any]]:
    return [part["Identifier"] for part in parts if "Identifier" in part]


def name_of(parts: list[Tree]) -> tuple[str, ...]:
    """The parts of an object name (``[{"Identifier": ...}, ...]``), folded to lower case where they are not quoted."""
    return tuple(identifier(p.get("Identifier", p)) for p in parts)


def local_name(name: tuple[str, ...]) -> tuple[str, ...]:
    """A table's name without the default catalog and schema: however it is written, one table has one such name.

    >>> local_name(("datafusion", "public", "params")), local_name(("era5", "surface"))
    (('params',), ('era5', 'surface'))
    """
    if len(name) == 3 and name[0] == "datafusion":
        name = name[1:]
    return name[1:] if len(name) == 2 and name[0] == "public" else name


def short_name(name: tuple[str, ...]) -> str:
    """A table's name as text, without the default catalog and schema.

    >>> short_name(("datafusion", "public", "params")), short_name(("era5", "surface"))
    ('params', 'era5.surface')
    """
    return ".".join(local_name(name))


def identifier(node: dict[str, Any]) -> str:
    """The name that an identifier node means: as written where it is quoted, else in lower case, as DataFusion does."""
    return str(node["value"]) if node.get("quote_style") else str(node["value"]).lower()


def make_identifier(name: str) -> dict[str, Any]:
    """An identifier node that means exactly ``name``: quoted unless it is a plain lower-case word."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name not in _RESERVED
    return {"value": name, "quote_style": None if plain else '"', "span": NOWHERE}


# Words that do not stand for a name unless they are quoted.
_WORDS = """
    all and any array as asc between by case cast create cross cube current_date current_time current_timestamp default
    delete desc distinct else end except exists extract false fetch filter for from full function grant group having in
    inner insert intersect interval into is join lateral left like limit natural not null offset on or order outer over
    partition qualify right rollup row rows select set some substring table then to top trim true unbounded union unnest
    update using values when where window with
"""
_RESERVED = frozenset(_WORDS.split())


def _kind(tree: Tree) -> str:
    return tree if isinstance(tree, str) else str(next(iter(tree)))


def _own_spans(node: dict[str, Any]) -> Iterator[Span]:
    span = node.get("span")
    if isinstance(span, dict) and "start" in span and span["start"]["line"] > 0:
        start, end = span["start"], span["end"]
        yield Span(start["line"], start["column"], end["line"], end["column"])


def _origin(script: str, start: int) -> tuple[int, int]:
    span = span_at(script, start, start)
    return span.line, span.column
