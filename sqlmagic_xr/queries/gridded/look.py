"""Whether a query has an aggregate or a window over a large dataset, so that array code is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...relation.functions import FUNCTIONS
from ...relation.nodes import Aggregate, Relation, relations
from ...relation.reads import tables_read
from ...sql.syntax import Tree
from ...storage.transaction import View
from .cellwise import over_windows
from .grid import cells_of
from .plan import CELLS, is_large

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...relation.names import Name

_AGGREGATES = re.compile(
    rf"\b({'|'.join(name for name, row in FUNCTIONS.items() if row.kind != 'scalar')})\s*\(", re.IGNORECASE
)


def look(context: Context, text: str, tree: Tree, least: int = CELLS) -> tuple[Relation, list[Name]] | None:
    """A query, bound, and the tables that it reads, where array code may take its aggregates over datasets.

    Args:
        context: whose tables it reads.
        text: it, as it was written.
        tree: it, parameters bound.
        least: how many cells are large.
    """
    if not context.grids:
        return None
    lower = text.lower()
    views = (name for name, entry in context.store.entries().items() if isinstance(entry, View))
    seen = any(name.lower() in lower for name in views)  # one may have an aggregate in it, and a dataset
    if not seen and ("(" not in text or not _AGGREGATES.search(text)):
        return None
    grids = context.grids.items()
    if not any(cells_of(table) >= least for name, table in grids if seen or _named(name.split(".")[0].lower(), lower)):
        return None
    query = context.tables.bound(tree["Query"])
    taken = any(
        is_large(context, below, least)
        for node in relations(query)
        if isinstance(node, Aggregate) or over_windows(node)
        for below in relations(node)
    )
    return (query, sorted(tables_read(query))) if taken else None


def _named(name: str, text: str) -> bool:
    """Whether a text has a name in it that is no part of another word: a short one is in most texts."""
    place = text.find(name)
    while place >= 0:
        end = place + len(name)
        if not (_is_word(text[place - 1 : place]) or _is_word(text[end : end + 1])):
            return True
        place = text.find(name, place + 1)
    return False


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"
