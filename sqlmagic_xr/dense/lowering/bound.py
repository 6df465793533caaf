"""The queries of a program bound over its tables."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import UnknownNameError
from ...relation import catalog
from ...relation.bind import bind
from ...relation.names import Name
from ...relation.nodes import Opaque, Scan
from ...relation.nodes import Relation as Query
from ...sql.syntax import Tree
from ..node import Refused, Type
from ..tables import Tables, TableShape
from .relation import LoweredRelation

_ARROW: Mapping[Type | None, str] = {
    None: "unheld", "float64": "double", "float32": "float", "label": "string", "boolean": "bool",
    "date": "date32[day]",
}  # fmt: skip


Bindings = dict[int, tuple[Tree, Mapping[Name, catalog.Table | None], Query]]
"""By the id of a tree: it, the tables that were asked for, and what it is bound to while these are the same."""


class LoweringCatalog:
    """What tables a statement sees (a :class:`...relation.catalog.Catalog`).

    Args:
        tables: those outside.
        made: those that earlier statements of the step have made anew, which hide them.
        bindings: the queries that an earlier lowering of the program has bound; what is bound now is added.
    """

    def __init__(self, tables: Tables, made: Mapping[str, LoweredRelation], bindings: Bindings) -> None:
        self._tables, self._made, self._bindings = tables, made, bindings
        self._known: dict[Name, catalog.Table | None] = {}
        self._grids: dict[Name, TableShape] = {}

    def names(self) -> list[str]:
        """None: nobody reads what is said of a misspelt name here."""
        return []

    def table(self, name: Name) -> catalog.Table | None:
        """See :class:`...relation.catalog.Catalog`."""
        if name not in self._known:
            self._known[name] = self._table(name)
        return self._known[name]

    def _table(self, name: Name) -> catalog.Table | None:
        made = self.made(name)
        if made is not None:
            return catalog.Table(name, {column.name: _arrow(column.value.type) for column in made.columns})
        view = self._tables.view(name)
        if view is not None:
            return catalog.Table(name, {}, definition=view)
        found = self._tables.table(name)
        if found is None:
            return None
        self._grids[name] = found
        return catalog.Table(name, {column: _arrow(kind) for column, kind in found.columns.items()}, found.key or ())

    def made(self, name: Name) -> LoweredRelation | None:
        """The rows of a table that has been made anew."""
        return self._made.get(name[0]) if len(name) == 1 else None

    def falls_apart(self, leaf: Query) -> bool:
        """Whether it reads a table outside whose rows fall into several grids."""
        if not isinstance(leaf, Scan) or self.made(leaf.table.name) is not None:
            return False
        return bool(self._grids[leaf.table.name].parts)

    def grid(self, name: Name) -> TableShape:
        """What arrays know of a table that :meth:`table` has found outside."""
        return self._grids[name]

    def bound(self, query: Tree) -> Query:
        """A query (the inside of a ``Query`` node) bound.

        Raises:
            Refused: a name in it means nothing.
        """
        tree, asked, found = self._bindings.get(id(query), (None, {}, None))
        if tree is query and found is not None and all(self.table(name) == was for name, was in asked.items()):
            return found
        try:
            found = bind(query, self)
        except UnknownNameError as error:
            raise Refused(error.what, error.span) from None
        self._bindings[id(query)] = query, dict(self._known), found
        return found

    def refusal(self, unbound: Opaque) -> Refused:
        """Why there is no array code for what is not bound."""
        for name in sorted(unbound.reads):
            if self.table(name) is None:
                shown = ".".join(name)
                return Refused(f"{shown} is no table that arrays can hold, or is not there yet", unbound.span)
        return Refused(unbound.why, unbound.span)


def _arrow(kind: Type | None) -> str:
    """A type as Arrow writes it."""
    return _ARROW.get(kind, str(kind))
