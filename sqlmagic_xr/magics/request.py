"""What a cell or line of ``%xsql`` asks for: its options, where its result goes, and its SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import UsageError
from ..sql.lexer import span_at
from .options import assignment, count, identifier, option, parse

TYPES = ("frame", "pandas", "polars", "arrow", "xarray")


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them.

    >>> names("time, lat")
    ('time', 'lat')
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise ValueError("write it as a,b,c")
    return found


@dataclass(frozen=True)
class XSqlOptions:
    """The options of ``%xsql`` and ``%%xsql``."""

    output: str | None = option(
        "-o", "--output", help="Keep the last result as a variable, and show it.", convert=identifier, metavar="NAME"
    )
    type: str | None = option(
        "-t", "--type", help=f"What a kept result is: {', '.join(TYPES)}.", convert=str, choices=TYPES, metavar="TYPE"
    )
    dims: tuple[str, ...] | None = option(
        "--dims", help="With -t xarray: the columns that are dimensions.", convert=names, metavar="A,B"
    )
    limit: int | None = option(
        "-l", "--limit", help="Show at most N rows. What is kept is never cut.", convert=count, metavar="N"
    )
    params: tuple[tuple[str, Any], ...] = option(
        "-p", "--param", help="Give $NAME (or :NAME) a value; else it is the variable's.", convert=assignment,
        metavar="NAME=VALUE", many=True,
    )  # fmt: skip
    file: str | None = option("-f", "--file", help="Run the SQL of a file.", convert=str, metavar="PATH")
    explain: bool = option("-e", "--explain", help="Show the plans of queries, and do not run them.")
    executor: Literal["auto", "dense", "relational"] = option(
        "--executor", help="Who runs queries: auto, dense (array code) or relational (DataFusion).", convert=str,
        metavar="NAME", choices=("auto", "dense", "relational"), default="auto",
    )  # fmt: skip
    client: str | None = option(
        "--client", help="Go through chunks on the cluster of this dask client, of none, or of the active one (auto).",
        convert=identifier, metavar="NAME",
    )  # fmt: skip
    show_sql: bool = option("--show-sql", help="Show what really runs, derivatives and parameters worked out.")
    time: bool = option("--time", help="Say how long each statement took.")
    quiet: bool = option("-q", "--quiet", help="Do not say what statements did.")
    no_display: bool = option("--no-display", help="Show no tables.")
    plot: bool = option("--plot", help="Draw what queries give: a map, lines or bars by the kinds of their columns.")
    profile: bool = option("--profile", help="Show of queries what their columns hold, as SUMMARIZE does.")
    yes: bool = option("--yes", help="Fetch a huge grid into memory all the same.")
    tables: bool = option("--tables", help="Show the tables there are.")
    schema: str | None = option("--schema", help="Show the columns of a table.", convert=str, metavar="TABLE")
    open: str | None = option(
        "--open", help="Keep the scratch tables in a DuckDB file from now on; what is in it is there.", convert=str,
        metavar="FILE",
    )  # fmt: skip
    save: str | None = option(
        "--save", help="Write the scratch tables to a new DuckDB file.", convert=str, metavar="FILE"
    )
    close: bool = option("--close", help="Let go of the file that was opened; its tables go with it.")
    help: bool = option("--help", help="Show this.")

    @property
    def asks_beside_sql(self) -> bool:
        """Whether it asks for something that needs no SQL."""
        given = (self.schema, self.open, self.save, self.client)
        return self.tables or self.close or any(each is not None for each in given)


@dataclass(frozen=True)
class Request:
    """A cell or line, read.

    Attributes:
        options: the options.
        script: the SQL, with blanks in the place of what stands before it, so that its lines and columns are those of
            ``source``.
        source: what the user sees: the whole cell, the line, or the file.
        keep: the variable that takes the last result, or None.
        silent: whether nothing is shown, as ``name <<`` asks.
    """

    options: XSqlOptions
    script: str
    source: str
    keep: str | None = None
    silent: bool = False

    @property
    def has_sql(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.script.strip())


_CAPTURE = re.compile(r"\s*(\w+)\s*(=?)\s*<<")


def read(
    line: str, cell: str | None, name: str = "xsql", variables: Mapping[str, Any] | None = None
) -> Request:  # fmt: skip
    """Read the line behind the magic's name, and the cell under it (None for a line magic).

    Args:
        line, cell: these.
        name: the magic's.
        variables: what ``$name`` stands for as the value of an option.

    Raises:
        UsageError: an option is unknown or wrong, or a file cannot be read.

    >>> request = read("-q total <<", "SELECT 1")
    >>> request.keep, request.silent, request.options.quiet, request.script.strip()
    ('total', True, True, 'SELECT 1')
    """
    start = f"%{name} " if cell is None else f"%%{name} "
    head = start + line
    source = head if cell is None else f"{head}\n{cell}"
    try:
        options, place, keep, silent = _read_head(head, len(start), source, variables)
    except UsageError as error:
        error.text = source
        raise
    if options.file is not None:
        if source[place:].strip():
            raise UsageError("--file and SQL in the cell do not go together", hint="Leave one of them out.")
        source, place = _read_file(options.file), 0
    script = re.sub(r"[^\n]", " ", source[:place]) + source[place:]
    return Request(options, script, source, keep or options.output, silent)


def _read_head(
    head: str, start: int, source: str, variables: Mapping[str, Any] | None
) -> tuple[XSqlOptions, int, str | None, bool]:
    """The options, where SQL begins, and the capture, which stands between options or on the first line of SQL."""
    options, place = _options(head, start, variables)
    capture = _CAPTURE.match(source, place)
    if capture is None:
        return options, place, None, False
    if not capture[1].isidentifier():
        raise UsageError(
            f"{capture[1]} cannot be the name of a variable", text=source, span=span_at(source, *capture.span(1))
        )
    if capture.end() <= len(head):
        more, place = _options(head, capture.end(), variables)
        options = _merged(options, more)
    else:
        place = capture.end()
    return options, place, capture[1], not capture[2]


def _options(head: str, start: int, variables: Mapping[str, Any] | None) -> tuple[XSqlOptions, int]:
    # What comes before is blanked, not cut, so that errors point into the whole line.
    parsed = parse(XSqlOptions, " " * start + head[start:], variables)
    return parsed.options, parsed.start


def _merged(first: XSqlOptions, second: XSqlOptions) -> XSqlOptions:
    given = {f.name: getattr(second, f.name) for f in fields(second) if getattr(second, f.name) != f.default}
    given["params"] = (*first.params, *second.params)
    return replace(first, **given)


def _read_file(name: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} cannot be read: it is not UTF-8", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
