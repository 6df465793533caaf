"""With DISTINCT, rows are sorted by what is selected: a key that says so once more is told by its place.

The engine wants the two to be one expression. What is selected may be written anew here, with a name, and then differs.
"""

from __future__ import annotations

from typing import Any

from ...sql.expression import from_tree
from ...sql.syntax import Tree, identifier, walk
from .pieces import filled, path_of
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


def _rewritten(node: dict[str, Any]) -> Tree | None:
    if not node["order_by"] or "Select" not in node["body"]:
        return None
    select, kind = node["body"]["Select"], node["order_by"]["kind"]
    if select["distinct"] != "Distinct" or "Expressions" not in kind:
        return None
    items = [next(iter(item.values())) for item in select["projection"] if isinstance(item, dict)]
    if len(items) < len(select["projection"]) or any("Wildcard" in next(iter(i)) for i in select["projection"]):
        return None
    renamed = {identifier(item["alias"]) for item in items if "alias" in item}
    places = {from_tree(item.get("expr", item)): place for place, item in reversed(list(enumerate(items, start=1)))}
    keys = [{**key, "expr": _placed(key["expr"], places, renamed)} for key in kind["Expressions"]]
    return {**node, "order_by": {**node["order_by"], "kind": {"Expressions": keys}}}


def _placed(key: Tree, places: dict[Any, int], renamed: set[str]) -> Tree:
    """The key, or its place; a key that names what is selected is the engine's to read."""
    if path_of(key) or "Value" in key or any(path_of(node)[:1] and path_of(node)[0] in renamed for node in walk(key)):
        return key
    place = places.get(from_tree(key))
    return key if place is None else filled(str(place))
