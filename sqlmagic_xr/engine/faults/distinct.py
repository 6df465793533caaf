"""With DISTINCT, rows are sorted by what is selected: a key that says so once more is told by its place.

The engine wants the two to be one expression. What is selected may be written anew here, with a name, and then differs.
"""

from __future__ import annotations

from typing import Any

from ...sql.clauses import distinct_items, sort_keys, with_sort_keys
from ...sql.expression import from_tree
from ...sql.pieces import filled, path_of
from ...sql.syntax import Tree, walk
from .reading import QUERY, Reading, plain

SIGNS = r"\bDISTINCT\b(?s:.*)\bORDER\s+BY\b"


def by_place(reading: Reading) -> Tree:
    """The tree with the place of a column for a sort key that is what a SELECT DISTINCT has there.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> text = "SELECT DISTINCT g, sum(x) FROM d GROUP BY g ORDER BY sum(x) DESC, g"
    >>> to_sql(by_place(Reading(parse_one(text).tree)))
    'SELECT DISTINCT g, sum(x) FROM d GROUP BY g ORDER BY 2 DESC, g'
    """
    return reading.rewritten(plain(_rewritten, QUERY), named=False)


def _rewritten(query: dict[str, Any]) -> Tree | None:
    keys, items = sort_keys(query), distinct_items(query)
    if not keys or not items:
        return None
    renamed = {name for _, name in items if name is not None}
    places = {from_tree(item): place for place, (item, _) in reversed(list(enumerate(items, start=1)))}
    return with_sort_keys(query, [_placed(key, places, renamed) for key in keys])


def _placed(key: Tree, places: dict[Any, int], renamed: set[str]) -> Tree:
    """The key, or its place; a key that names what is selected is the engine's to read."""
    if path_of(key) or "Value" in key or any(path_of(node)[:1] and path_of(node)[0] in renamed for node in walk(key)):
        return key
    place = places.get(from_tree(key))
    return key if place is None else filled(str(place))
