"""What the parser complains of -> an error that points at the word, and guesses which word was meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import ParseError, Span
from .depth import NESTED, nested
from .endings import unquoted_at
from .lexer import Token, TokenKind, span_at, tokens

# The words that a misspelt word is most likely to have been.
_WORDS = """
SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET DISTINCT JOIN LEFT RIGHT INNER OUTER FULL CROSS USING UNION EXCEPT
INTERSECT WITH RECURSIVE VALUES CASE WHEN THEN ELSE END BETWEEN INSERT INTO UPDATE DELETE MERGE MATCHED TRUNCATE CREATE
REPLACE TABLE VIEW ALTER DROP COLUMN RENAME PRIMARY UNIQUE DEFAULT CHECK EXISTS RETURNING CONFLICT BEGIN COMMIT ROLLBACK
EXPLAIN DESCRIBE PARTITION FILTER DESC
"""
KEYWORDS = tuple(_WORDS.split())


@dataclass(frozen=True)
class Complaint:
    """A parser's message, taken apart: ``Expected: x, found: y at Line: 1, Column: 9``."""

    what: str
    line: int | None = None
    column: int | None = None
    found: str = ""


_PLACE = re.compile(r"\s*at Line: (\d+), Column: (\d+)")
_FOUND = re.compile(r"found: (.*)$")


def read(message: str) -> Complaint:
    """What a parser (sqloxide's or DataFusion's, they are one) says is wrong, and where."""
    what = re.sub(r"(?s)^.*?sql parser error:\s*|^.*?ParserError\(\"|\"\)$", "", message.strip())
    place = _PLACE.search(what)
    what = _PLACE.sub("", what).strip()
    found = _FOUND.search(what)
    word = found.group(1).strip() if found else ""
    if place is None:
        return Complaint(what, found=word)
    return Complaint(what, int(place.group(1)), int(place.group(2)), word)


def parse_error(message: str, script: str, start: int, text: str) -> ParseError:
    """The parser's message about a statement as an error that points at the word it stumbled over.

    Args:
        message: the parser's own; its place counts in ``script``.
        script: the whole text.
        start: where in ``script`` the statement begins.
        text: the statement.
    """
    complaint = read(message)
    end = start + len(text)
    if (
        complaint.found.upper() in ("MINIMIZE", "MAXIMIZE")
        and complaint.line is not None
        and complaint.column is not None
    ):
        span = Span(complaint.line, complaint.column, complaint.line, complaint.column + len(complaint.found))
        return ParseError(f"{complaint.found.upper()} trains, so it stands in a training cell", text=script, span=span,
                          hint="Write %%xsql_train above it instead of %%xsql; in Python, ctx.train(...).")  # fmt: skip
    if complaint.line is None or complaint.column is None:  # it came to the end of the statement
        span = span_at(script, max(end - 1, start), end)
    else:
        width = len(complaint.found) if complaint.found and complaint.found != "EOF" else 1
        span = Span(complaint.line, complaint.column, complaint.line, complaint.column + width)
    what = complaint.what.replace("Expected: ", "expected ")
    what = what.replace(", found: EOF", ", found the end of the statement").replace(", found: ", ", found ")
    if what.startswith("expected end of") and complaint.found.upper() == "NOT" and _NOTS.search(text):
        hint = "NOT NOT x is x."
        return ParseError("this is nested too deeply to be read: a NOT in a NOT in a NOT ...", text=script, span=span,
                          hint=hint)  # fmt: skip
    if what == "recursion limit exceeded" or (what.startswith("expected end of") and nested(text) > NESTED // 2):
        # Of a CASE that is nested too deeply, the parser says that CASE is a name.
        hint = "Give what is inside a name: WITH q AS (SELECT ...)."
        return ParseError("this is nested too deeply to be read", text=script, span=span, hint=hint)
    line = script.split("\n")[span.line - 1]
    if complaint.found == "*" and line[: span.column - 1].endswith("*"):
        stars = Span(span.line, span.column - 1, span.line, span.column + 1)
        hint = "x to the power of 2 is power(x, 2)."
        return ParseError("** is no operator of DataFusion's SQL", text=script, span=stars, hint=hint)
    said = (
        statement_hint(text) or unquoted_at(line, span.column) or _braces(script, span) or _SIGNS.get(complaint.found)
    )
    meant = None if said else _meant(script, start, text, span)
    if meant is not None:
        token, keyword = meant
        span = span_at(script, start + token.start, start + token.end)
        return ParseError(f"`{token.text}` stands where a keyword is expected", text=script, span=span,
                          hint=f"Did you mean {keyword}?")  # fmt: skip
    instead = said or _instead(complaint, text.upper())
    return ParseError(what[:1].lower() + what[1:], text=script, span=span, hint=instead)


_NOTS = re.compile(rf"\bNOT(?:\s+NOT\b){{{NESTED // 2},}}", re.IGNORECASE)
"""So many that the parser may have given up and taken the first one for a name."""

_STATEMENTS = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (r"ATTACH\b|USE\b|DETACH\b", "%xsql --open FILE.duckdb keeps the scratch tables in a file."),
        (r"(?:INSTALL|LOAD)\b", "Nothing is to be installed: FROM 'f.parquet', 'f.csv', 'x.nc', 'x.zarr' are read."),
        (r"PRAGMA\s+(?:TABLE_INFO|SHOW)\b", "DESCRIBE t lists the columns of a table."),
        (r"PRAGMA\b", "SET name = value changes a setting, SHOW ALL lists them."),
        (r"SHOW\s+DATABASES\b", "SHOW TABLES lists the tables."),
        (r"INSERT\s+INTO\s+\S+\s+BY\s+NAME\b", "Name the columns: INSERT INTO t (b, a) SELECT ..."),
        (r"INSERT\s+OR\s+REPLACE\b", "Write INSERT ... ON CONFLICT (key) DO UPDATE SET a = excluded.a."),
        (r"INSERT\s+OR\s+IGNORE\b", "Write INSERT ... ON CONFLICT DO NOTHING."),
        (r"COPY\s+\S+\s+FROM\b", "INSERT INTO t SELECT * FROM 'f.csv' reads a file into a table."),
        (r"DECLARE\b", "A variable is assigned in Python, and written :name or $name here."),
        (r"EXPORT\b", "COPY t TO 'f.parquet' writes a table."),
        (r"IMPORT\b", "CREATE TABLE t AS FROM 'f.parquet' reads one."),
    )
)
"""How a statement begins that other databases have -> what does it here."""


def statement_hint(text: str) -> str | None:
    """What does here what a statement of another database does; None where nothing is known."""
    return next((hint for pattern, hint in _STATEMENTS if pattern.match(text)), None)


_SIGNS = {
    "#": "A comment begins with --.",
    "%": "A variable of the notebook is written $name or :name.",
}
"""What the parser stumbles over that other languages have."""


def _braces(script: str, span: Span) -> str | None:
    """The hint for ``{{name}}``, ``{name}`` or ``[a name]``, at or just before the place."""
    line = script.split("\n")[span.line - 1]
    bracketed = re.search(r"\[([^\W\d]\w* [\w ]+)\]", line)
    if bracketed is not None and bracketed.start() < span.column <= bracketed.end():
        return f'A name with spaces in it stands in double quotes: "{bracketed[1]}".'
    found = re.search(r"\{+\s*(\w+)\s*\}+", line[max(span.column - 3, 0) :])
    return None if found is None else f"A variable of the notebook is written ${found[1]} or :{found[1]}."


def _instead(complaint: Complaint, text: str) -> str | None:
    """What to write for what other databases have and the parser has not, at the word that it stumbled over."""
    found = complaint.found.upper()
    if found in ("PIVOT", "UNPIVOT") and "an SQL statement" in complaint.what:
        return _PIVOTS[found]
    if found == "GROUP" and "PIVOT" in text:
        return f"Behind a table PIVOT takes no GROUP BY; the statement does: {_PIVOTS['PIVOT'].removeprefix('As in: ')}"
    return _UNREAD.get(found) if "RECURSIVE" in text else None


_PIVOTS = {
    "PIVOT": "As in: PIVOT t ON year USING SUM(n) GROUP BY country",
    "UNPIVOT": "As in: UNPIVOT t ON jan, feb INTO NAME month VALUE n",
}
_UNREAD = {
    "RECURSIVE": "Write CREATE VIEW v AS WITH RECURSIVE r(n) AS (...) SELECT * FROM r.",
    "SEARCH": "SEARCH is not read: let the recursion carry its path, array_append(path, id), and ORDER BY path.",
    "CYCLE": "CYCLE is not read: let the recursion carry its path, and end it WHERE NOT array_has(path, id).",
    "MATERIALIZED": "MATERIALIZED is not read: the rows of a recursive CTE are kept while the query runs.",
}
"""What PostgreSQL has beside recursive CTEs -> what says the same."""


def _meant(script: str, start: int, text: str, span: Span) -> tuple[Token, str] | None:
    """The word at the place, or the one before it, that is a keyword but for a slip; and the keyword."""
    words = [t for t in tokens(text, strict=False) if t.kind is TokenKind.WORD]
    places = [span_at(script, start + t.start, start + t.start) for t in words]
    behind = [(span.line, span.column) < (p.line, p.column) for p in places]
    near = words[: behind.index(True)] if True in behind else words
    for token in reversed(near[-2:]):
        match = get_close_matches(token.text.upper(), KEYWORDS, n=1, cutoff=0.75)
        if match and token.text.upper() not in KEYWORDS:
            return token, match[0]
    return None
