"""Errors that point into the user's own text: what is wrong, where, and what to do.

One base class, few leaves. Each leaf is also the built-in error that Python code would expect, so that
``except KeyError`` catches an unknown table as it catches an unknown key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the user's text: 1-based lines and columns, the end exclusive.

    Columns count characters, as a person does, not bytes.
    """

    line: int
    column: int
    end_line: int
    end_column: int


class SqlError(Exception):
    """The base of every error that sqlmagic_xr raises on purpose.

    Args:
        what: one line that says what is wrong and names the thing.
        hint: one line that says what to do, or None.
        text: the user's text that ``span`` counts in (a whole cell), or None.
        span: where in ``text`` the fault lies, or None.

    The statement's place in its script (``statement = (2, 3)`` for the second of three) is set by whoever runs the
    script, since the one who raises does not know it.
    """

    def __init__(
        self, what: str, *, hint: str | None = None, text: str | None = None, span: Span | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.text = text
        self.span = span
        self.statement: tuple[int, int] | None = None
        self.before: tuple[str, ...] = ()

    def locate(self, text: str, span: Span | None) -> SqlError:
        """Say where the error lies, unless whoever raised it knew better; returns self."""
        self.text = text if self.text is None else self.text
        self.span = span if self.span is None else self.span
        return self

    def lines(self) -> list[str]:
        """The error as a person reads it: what, the line with a caret, what to do; what was done before it."""
        index, count = self.statement or (1, 1)
        out = [escape_controls((f"statement {index} of {count}: " if count > 1 else "") + self.what, keep="\n")]
        if self.text is not None and self.span is not None:
            out += point(self.text, self.span)
        out += [escape_controls(line, keep="\n") for line in ([self.hint] if self.hint else []) + list(self.before)]
        return out

    def __str__(self) -> str:
        return "\n".join(self.lines())


class ParseError(SqlError, ValueError):
    """The text is not SQL that can be read."""


class UnknownNameError(SqlError, KeyError):
    """A table, column, function or statement's other name that nothing has, or that more than one has."""


class ParameterError(SqlError, KeyError):
    """A parameter that has no value, or a value that SQL has no literal for."""


class TypeMismatchError(SqlError, TypeError):
    """A value or an expression of a type that does not fit."""


class ConstraintError(SqlError, ValueError):
    """Rows that NOT NULL, PRIMARY KEY, UNIQUE or CHECK forbids."""


class DerivativeError(SqlError, TypeError):
    """Something that has no derivative, or none that we know."""


class ImmutableError(SqlError, TypeError):
    """A statement that would change what never changes: an xarray table, a variable, a read-only context."""


WRITABLE = "context.read_only = False allows it."
"""What lets a read-only context be changed."""


class UnsupportedError(SqlError, NotImplementedError):
    """A statement that is understood and not offered."""


class UsageError(SqlError, ValueError):
    """Options or arguments that do not fit."""


class ExecutionError(SqlError, RuntimeError):
    """The engine failed while it ran a statement that it had accepted."""


class ClusterError(SqlError, RuntimeError):
    """A dask cluster is gone, lacks something, or could not read or calculate a chunk."""


class ClusterWarning(UserWarning):
    """A statement whose chunks a dask cluster was to go through runs here."""


class FitWarning(UserWarning):
    """A fit has ended, but not where it was to."""


class CalendarWarning(UserWarning):
    """Numbers in a dataset may be times of a calendar of their own, and nothing tells that they are."""


class StorageError(SqlError, OSError):
    """A file that tables are kept in cannot be opened, read or written."""


def suggest(name: str, names: Iterable[str]) -> str | None:
    """The hint for a name that was not found: the nearest one, or what there is.

    >>> suggest("parms", ["params", "ds"])
    'Did you mean `params`?'
    >>> suggest("zzz", ["params", "ds"])
    'There are: ds, params'
    >>> suggest("zzz", []) is None
    True
    """
    names = sorted(set(names))
    folded = {n.lower(): n for n in names}
    near = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{folded[near[0]]}`?"
    if not names:
        return None
    shown = ", ".join(names[:12])
    return f"There are: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def point(text: str, span: Span) -> list[str]:
    """The line of ``text`` that holds ``span``, and a line of carets under it; of a long line the part around it.

    >>> print(*point("SELECT " + "a, " * 100 + "b" * 300, Span(1, 308, 1, 310)), sep="\\n")
    line 1: … a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
                                                           ^^
    """
    lines = text.split("\n")
    number = min(max(span.line, 1), len(lines))
    line = lines[number - 1].removesuffix("\r")
    start = min(max(span.column, 1), len(line) + 1)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    end = max(start, min(end, len(line) + 1))
    if len(line) > _WIDEST:
        line, start, end = _around(line, start, end)
    # A tab is kept as a tab, so that the caret stands under the word whatever the width of a tab is.
    before, word, after = (
        escape_controls(part, keep="\t") for part in (line[: start - 1], line[start - 1 : end - 1], line[end - 1 :])
    )
    label = f"line {number}: "
    pad = "".join("\t" if c == "\t" else " " for c in label + before)
    return [label + before + word + after, pad + "^" * max(1, len(word))]


_WIDEST = 80  # characters of a line that an error shows: in one that a notebook wraps the carets are elsewhere
_LONGEST = 60  # of these, for the word itself


def _around(line: str, start: int, end: int) -> tuple[str, int, int]:
    """The part of a long line around a word, and where the word stands in it; a long word loses its end."""
    end = min(end, start + _LONGEST)
    room, behind = _WIDEST - (end - start), len(line) - (end - 1)
    first = start - 1 - min(start - 1, max(room * 3 // 5, room - behind))
    last = first + _WIDEST
    shown = ("…" if first else "") + line[first:last] + ("…" if last < len(line) else "")
    shift = first - bool(first)
    return shown, start - shift, end - shift


def escape_controls(text: str, *, keep: str = "") -> str:
    r"""Text without line breaks, terminal escapes and characters that turn the writing direction.

    Args:
        text: any text, data for example.
        keep: characters to leave as they are.

    >>> escape_controls("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else _ESCAPES.get(c) or c.encode("unicode_escape").decode() for c in text
    )


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\u00a0": "\u00a0", "\u3000": "\u3000"}
