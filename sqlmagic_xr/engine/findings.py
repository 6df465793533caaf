"""What a message of the engine's means, and the names that suggestions are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import SqlError
from .suspects import Suspect


@dataclass(frozen=True)
class Finding:
    """What a message means.

    Attributes:
        kind: the error's class.
        what, hint: its two lines.
        suspect: which nodes of the statement it can be about; None where any expression can be.
        word: a word of the statement's text to point at where no node is found, or "".
    """

    kind: type[SqlError]
    what: str
    hint: str | None = None
    suspect: Suspect | None = None
    word: str = ""


@dataclass(frozen=True)
class KnownNames:
    """The names there are, for suggestions.

    Attributes:
        tables, functions: their names.
        unread: what the tables of a statement have in xarray and not as a column -> why.
        variables: the notebook's variables that are, or may be, tables; None where no variable is a table.
        readers: what the views of a statement read -> the view that does.
        columns: those of the tables that a statement names.
        calendars: those whose times are numbers in the tables.
        is_new: whether no scratch table has been made yet, as after a restart of the kernel.
    """

    tables: Sequence[str] = ()
    functions: Sequence[str] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    variables: Sequence[str] | None = ()
    readers: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    calendars: Sequence[str] = ()
    is_new: bool = False
