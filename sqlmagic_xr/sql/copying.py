"""COPY ... TO, taken apart: the query, the file, and what is asked of it, each with its place in the script.

The parser does not read what DataFusion allows behind the file's name (STORED AS, OPTIONS). So that is read off the
tokens, and the rest is a statement of its own, in the same script.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import ParseError, Span, SqlError, UnsupportedError, UsageError, suggest
from .lexer import Token, TokenKind, span_at
from .syntax import Statement, Tree, parse_one

Form = Literal["", "zarr", "netcdf"]

FORMS: Mapping[str, Form] = {"zarr": "zarr", "netcdf": "netcdf", "netcdf4": "netcdf", "nc": "netcdf"}
"""What STORED AS says, or the file's ending -> what we write."""

OPTIONS = ("dims", "overwrite", "template")


@dataclass(frozen=True)
class CopyOption:
    """A value in OPTIONS, and where it stands."""

    value: str
    span: Span


@dataclass(frozen=True)
class Copy:
    """A COPY statement.

    Attributes:
        statement: all of it.
        query: what gives the rows, with its places in the same script; of ``COPY t TO`` it reads FROM t.
        of_table: whether it is a table that is copied.
        target, place: the file's name, and where it stands.
        tail: the text from TO on.
        form: what we write, "zarr" or "netcdf"; "" for what the engine writes.
        options: OPTIONS, if it is we who write.
        short: whether its options were written as ``(HEADER, DELIMITER ';')``, which the engine does not read.
    """

    statement: Statement
    query: Statement
    of_table: bool
    target: str
    place: Span
    tail: str
    form: Form
    options: Mapping[str, CopyOption]
    short: bool = False

    @property
    def tree(self) -> Tree:
        """The tree of the query."""
        if not self.of_table:
            return self.query.tree
        query = self.query.tree["Query"]
        everything = parse_one("SELECT * FROM t").tree["Query"]["body"]["Select"]
        select = {**everything, "from": query["body"]["Select"]["from"]}
        return {"Query": {**query, "body": {"Select": select}}}

    @property
    def dims(self) -> list[str] | None:
        """The columns that are to be dimensions; None where nothing is said."""
        if "dims" not in self.options:
            return None
        return [name for part in self.options["dims"].value.split(",") if (name := part.strip())]

    @property
    def template(self) -> str | None:
        """The table of the dataset whose attributes and calendars are taken; None where nothing is said."""
        return self.options["template"].value if "template" in self.options else None

    @property
    def overwrite(self) -> bool:
        """Whether a file of that name may be replaced."""
        return "overwrite" in self.options and self.options["overwrite"].value.lower() == "true"


def copy_of(statement: Statement) -> Copy | None:
    """A COPY ... TO; None for any other statement, and for one that only the engine can say something of.

    Raises:
        SqlError: it is one of ours, and something in it is wrong.

    >>> copy = copy_of(parse_one("COPY (SELECT 1 AS a) TO 'x.zarr' OPTIONS ('dims' '')"))
    >>> copy.query.text, copy.target, copy.form, copy.dims
    ('SELECT 1 AS a', 'x.zarr', 'zarr', [])
    """
    if statement.text[:4].upper() != "COPY":
        return None
    tokens = statement.tokens
    to = _to(tokens)
    if to is None or to < 2 or len(tokens) <= to + 1 or tokens[to + 1].kind is not TokenKind.STRING:
        return None
    if tokens[1].text == "(" and tokens[to - 1].text != ")":
        return None
    target = _unquoted(tokens[to + 1])
    behind = tokens[to + 2 :]
    is_ours = bool(_form((), target)[0]) and bool(behind) and behind[0].text.upper() == "WITH"
    short = None if is_ours else _short(statement, behind)
    form, rest = _form(behind if short is None else short.stored, target)
    of_table = tokens[1].text != "("
    query = _of_table(statement, tokens[to - 1].end) if of_table else _inside(statement, tokens[1:to])
    if form:
        _ = query.tree  # which says what is wrong with it
    elif query.parsed[0] is None:
        return None
    tail = statement.text[tokens[to].start :]
    place = _span(statement, tokens[to + 1])
    if short is None:
        options = _options(statement, rest) if form else {}
        return Copy(statement, query, of_table, target, place, tail, form, options)
    if not form:
        tail = statement.text[tokens[to].start : tokens[to + 1].end] + short.written(statement, target)
    return Copy(statement, query, of_table, target, place, tail, form, short.ours(statement) if form else {}, True)


def explained_copy(statement: Statement) -> Statement | None:
    """EXPLAIN of a COPY of ours as the EXPLAIN of its query; None for any other statement."""
    if statement.text[:7].upper() != "EXPLAIN":
        return None
    words = statement.tokens
    if len(words) < 2 or words[1].text.upper() != "COPY":
        return None
    copy = copy_of(_part(statement, words[1].start, len(statement.text)))
    if copy is None or not copy.form:
        return None
    start = copy.query.start - statement.start
    between = "".join(c if c == "\n" else " " for c in statement.text[words[0].end : start])
    return Statement(statement.text[: words[0].end] + between + copy.query.text, statement.script, statement.start,
                     statement.index, statement.count, statement.title)  # fmt: skip


def _to(tokens: tuple[Token, ...]) -> int | None:
    """The number of the word TO that stands in no parentheses."""
    depth = 0
    for number, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.kind is TokenKind.WORD and token.text.upper() == "TO":
            return number
    return None


def _form(rest: tuple[Token, ...], target: str) -> tuple[Form, tuple[Token, ...]]:
    """What we are to write, "" for nothing; and the tokens behind STORED AS."""
    words = [token.text.upper() for token in rest[:3]]
    if words[:2] == ["STORED", "AS"] and len(words) == 3:
        return FORMS.get(rest[2].text.strip("'\"").lower(), ""), rest[3:]
    name, dot, ending = target.rstrip("/").rpartition(".")
    return FORMS.get(ending.lower(), "") if dot and name else "", rest


def _inside(statement: Statement, tokens: tuple[Token, ...]) -> Statement:
    """What stands in parentheses."""
    return _part(statement, tokens[0].end, tokens[-1].start)


def _of_table(statement: Statement, end: int) -> Statement:
    """COPY t is as long as FROM t: every place in it is the user's."""
    text = "FROM" + statement.text[4:end]
    return Statement(text, statement.script, statement.start, statement.index, statement.count, statement.title)


def _part(statement: Statement, start: int, end: int) -> Statement:
    return Statement(statement.text[start:end], statement.script, statement.start + start, statement.index,
                     statement.count, statement.title)  # fmt: skip


def _options(statement: Statement, rest: tuple[Token, ...]) -> dict[str, CopyOption]:
    """OPTIONS ('name' 'value', ...)."""
    if not rest:
        return {}
    if rest[0].text.upper() == "PARTITIONED":
        error: SqlError = UnsupportedError("a Zarr store or a netCDF file is not PARTITIONED BY columns")
        raise statement.place(error, _span(statement, rest[0]))
    found: dict[str, CopyOption] = {}
    inner = rest[2:-1]
    well = [t.text.upper() for t in rest[:2]] == ["OPTIONS", "("] and rest[-1].text == ")" and len(inner) % 3 == 2
    if not well or any(token.text != "," for token in inner[2::3]):
        error = ParseError("only OPTIONS ('name' 'value', ...) may follow here")
        raise statement.place(error, _span(statement, rest[0]))
    for key, value in zip(inner[::3], inner[1::3], strict=True):
        name = _unquoted(key).lower()
        if name not in OPTIONS:
            error = UsageError(f"there is no option `{name}`", hint=suggest(name, OPTIONS))
            raise statement.place(error, _span(statement, key))
        if name == "overwrite" and _unquoted(value).lower() not in ("true", "false"):
            raise statement.place(UsageError("overwrite is 'true' or 'false'"), _span(statement, value))
        found[name] = CopyOption(_unquoted(value), _span(statement, value))
    return found


_ENGINE = {
    "header": "has_header", "delimiter": "delimiter", "delim": "delimiter", "sep": "delimiter", "quote": "quote",
    "escape": "escape", "null": "null_value", "nullstr": "null_value", "compression": "compression",
    "dateformat": "date_format", "date_format": "date_format", "timestampformat": "timestamp_format",
    "timestamp_format": "timestamp_format", "row_group_size": "max_row_group_size",
}  # fmt: skip
"""Options as people write them -> as the engine's writers call them."""

_LEVELS = {"zstd": "zstd(3)", "gzip": "gzip(6)", "brotli": "brotli(4)"}
"""How hard Parquet is compressed where nothing is said of it, which the engine asks for."""


@dataclass(frozen=True)
class _Short:
    """``(FORMAT csv, HEADER, DELIMITER ';')``: the words that name options, each with its value or None.

    Attributes:
        pairs: these.
        parted: the columns of ``PARTITION_BY (a, b)``, as written.
    """

    pairs: tuple[tuple[Token, Token | None], ...]
    parted: tuple[str, ...] = ()

    @property
    def stored(self) -> tuple[Token, ...]:
        """STORED AS and the format, as the tokens that say it; () where none is named."""
        found = next((value for name, value in self.pairs if name.text.lower() == "format" and value), None)
        return () if found is None else (found._replace(text="STORED"), found._replace(text="AS"), found)

    def written(self, statement: Statement, target: str) -> str:
        """STORED AS ... PARTITIONED BY ... OPTIONS (...) as the engine reads it."""
        stored = _unquoted(self.stored[2]).upper() if self.stored else ""
        is_parquet = (stored or target.rpartition(".")[2].upper()) in ("PARQUET", "PQ")
        named = []
        for name, value in self.pairs:
            option = name.text.lower()
            if option == "format":
                continue
            if option not in _ENGINE:
                error = UsageError(f"there is no option `{option}`", hint=suggest(option, _ENGINE))
                raise statement.place(error, _span(statement, name))
            text = "true" if value is None else _unquoted(value)
            if option == "compression" and is_parquet:
                text = _LEVELS.get(text.lower(), text)
            named.append(f"'format.{_ENGINE[option]}' '{text.replace(chr(39), chr(39) * 2)}'")
        parted = f" PARTITIONED BY ({', '.join(self.parted)})" if self.parted else ""
        options = f" OPTIONS ({', '.join(named)})" if named else ""
        return (f" STORED AS {stored}" if stored else "") + parted + options

    def ours(self, statement: Statement) -> dict[str, CopyOption]:
        """The options of what we write."""
        found = {}
        if self.parted:
            error: SqlError = UnsupportedError("a Zarr store or a netCDF file is not PARTITIONED BY columns")
            raise statement.place(error, statement.first_word)
        for name, value in self.pairs:
            if name.text.lower() == "format":
                continue
            if name.text.lower() not in OPTIONS:
                error = UsageError(f"there is no option `{name.text.lower()}`", hint=suggest(name.text, OPTIONS))
                raise statement.place(error, _span(statement, name))
            given = "true" if value is None else _unquoted(value)
            found[name.text.lower()] = CopyOption(given, _span(statement, value or name))
        return found


def _short(statement: Statement, rest: tuple[Token, ...]) -> _Short | None:
    """The options behind a file's name where they are written as ``[WITH] (name [value], ...)``."""
    if rest and rest[0].text.upper() == "WITH":
        rest = rest[1:]
    if not rest or rest[0].text != "(" or rest[-1].text != ")":
        return None
    pairs: list[tuple[Token, Token | None]] = []
    parted: tuple[str, ...] = ()
    for item in _items(rest[1:-1]):
        named = item[0].kind is TokenKind.WORD if item else False
        if named and item[0].text.upper() in ("PARTITION_BY", "PARTITIONED_BY") and len(item) > 1:
            parted = tuple(_plain(statement, t) for t in item[1:] if t.text not in ("(", ")", ","))
        elif named and len(item) < 3:
            pairs.append((item[0], item[1] if len(item) > 1 else None))
        else:
            error = ParseError("options are names with a value each", hint="As in: (HEADER, DELIMITER ';')")
            raise statement.place(error, _span(statement, item[0] if item else rest[-1]))
    return _Short(tuple(pairs), parted)


def _plain(statement: Statement, token: Token) -> str:
    """The name of a column as the engine reads it behind PARTITIONED BY, where quotes would be part of it."""
    name = token.text[1:-1] if token.kind is TokenKind.QUOTED else token.text.lower()
    if not name.isidentifier():
        hint = f"Give it a plain name: COPY (SELECT {token.text} AS part, ...) TO ..."
        error = UnsupportedError("PARTITION_BY takes plain names only", hint=hint)
        raise statement.place(error, _span(statement, token))
    return name


def _items(inner: tuple[Token, ...]) -> list[list[Token]]:
    """What commas divide, those in parentheses left out."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in inner:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return found


def _unquoted(token: Token) -> str:
    return token.text[1:-1].replace("''", "'") if token.text[:1] == "'" else token.text.strip('"')


def _span(statement: Statement, token: Token) -> Span:
    return span_at(statement.script, statement.start + token.start, statement.start + token.end)
