"""One reading of names: ``p``, ``public.p``, ``datafusion.public.p``, ``P`` and ``"p"`` are one table, ``"P"`` another.

A table's name is held without the default catalog and schema, folded where it was not quoted. Whoever has a name from
somewhere compares it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UnknownNameError
from ..sql.syntax import Tree, local_name, name_of, span_of

Name = tuple[str, ...]
"""A table's name: ``("p",)`` in the default schema, ``("era5", "surface")`` in another."""

DEFAULT = ("datafusion", "public")


def table_name(parts: list[Tree]) -> Name:
    """The table that the parser's name of one means.

    Raises:
        UnknownNameError: it stands in another catalog.
    """
    written = name_of(parts)
    name = local_name(written)
    if len(written) > 2 and written[0] != DEFAULT[0]:
        error = UnknownNameError(f"there is no catalog {written[0]}", hint=f"Write {'.'.join(written[1:])}.")
        error.span = span_of(parts)
        raise error
    return name


def full_name(name: Name) -> Name:
    """A table's name with its catalog and schema, by whose last parts a column may be qualified.

    >>> full_name(("p",)), full_name(("era5", "surface"))
    (('datafusion', 'public', 'p'), ('datafusion', 'era5', 'surface'))
    """
    return (*DEFAULT[: 3 - len(name)], *name) if len(name) < 3 else name


def qualifies(qualifier: Name, path: Name) -> bool:
    """Whether what stands in front of a column's name means the relation of that alias or full name.

    >>> qualifies(("p",), ("datafusion", "public", "p")), qualifies(("public", "p"), ("q",))
    (True, False)
    """
    return path[-len(qualifier) :] == qualifier


def same_table(name: Name, others: Iterable[Name]) -> bool:
    """Whether a table, however its name is written, is one of others.

    >>> same_table(("datafusion", "public", "p"), [("p",), ("q",)])
    True
    """
    return local_name(name) in {local_name(other) for other in others}
