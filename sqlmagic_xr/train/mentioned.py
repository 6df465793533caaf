"""The columns that statements mention, so that no others are read of a data table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..sql.expression import tree_columns
from ..sql.syntax import Tree, identifier, name_of, tables_named, walk

ViewOf = Callable[[tuple[str, ...]], "Tree | None"]
"""The inside of the query of a view by its name; None for anything else."""


def mentioned(queries: Iterable[Tree], view_of: ViewOf) -> frozenset[str] | None:
    """The names of all columns that some queries mention, also by way of views; None where a star may mean any."""
    names: set[str] = set()
    seen: set[tuple[str, ...]] = set()
    pending: list[Any] = list(queries)
    while pending:
        query = pending.pop()
        for node in walk(query):
            stars = node.get("projection") or ()
            if "Wildcard" in node or "QualifiedWildcard" in node or (isinstance(stars, list) and "Wildcard" in stars):
                return None
            if isinstance(node.get("Using"), list):
                names |= {name_of(name)[-1] for name in node["Using"]}
        names |= {path[-1] for path in tree_columns(query)}
        for parts in tables_named(query):
            name = tuple(identifier(part) for part in parts)
            view = None if name in seen else view_of(name)
            seen.add(name)
            if view is not None:
                pending.append(view)
    return frozenset(names)
