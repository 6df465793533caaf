"""The queries that programs over a context's tables have bound: a cell that is run again binds none of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..dense.lowering.bound import Bindings

if TYPE_CHECKING:
    from ..engine.context import Context

_REMEMBERED = 64  # queries; a notebook's training cells have fewer

_KNOWN: WeakKeyDictionary[Context, tuple[int, Bindings]] = WeakKeyDictionary()


def bindings_of(context: Context) -> Bindings:
    """What has been bound while the session had the functions that it has now; the tables are looked at by who asks."""
    alterations, found = _KNOWN.get(context, (-1, {}))
    if alterations != context.alterations or len(found) >= _REMEMBERED:
        found = {}
        _KNOWN[context] = context.alterations, found
    return found
