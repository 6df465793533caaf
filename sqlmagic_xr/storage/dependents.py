"""Which queries ask for what a primary key determines, so that DataFusion has to be told the keys to plan them.

``SELECT id, name, count(*) FROM t GROUP BY id`` and ``(SELECT name FROM t WHERE t.id = u.id)`` are good where ``id`` is
the key of ``t``: there is one name for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..sql.build import relations
from ..sql.syntax import Tree, identifier, name_of, walk
from ..storage.scratch import Version
from ..storage.transaction import Entries

_NOT_GROUPED = "must appear in the GROUP BY clause"
_INNER = re.compile(r"\(\s*SELECT\b", re.IGNORECASE)


def misses_a_key(error: Exception) -> bool:
    """Whether DataFusion refuses a column that a key in GROUP BY may determine."""
    return _NOT_GROUPED in str(error)


def asks_for_keys(tree: Tree | None, entries: Entries, text: str = "(SELECT") -> bool:
    """Whether a query has a subquery in the place of a value that a key may show to give one row at most.

    DataFusion finds such a subquery wrong only when it runs, so that this has to be known before.

    Args:
        tree: the query, or None where it is not known.
        entries: the scratch tables.
        text: the query's text, which is looked at first: most have no subquery at all.
    """
    if tree is None or _INNER.search(text) is None:
        return False
    return any(_may_depend(node["Subquery"], entries) for node in walk(tree) if isinstance(node.get("Subquery"), dict))


def _may_depend(query: Tree, entries: Entries) -> bool:
    """Whether a subquery reads a table with a key, and its WHERE a column from outside."""
    body = query.get("body")
    select = body.get("Select") if isinstance(body, dict) else None
    if select is None or not select.get("selection"):
        return False
    tables = list(relations({"from": select["from"]}))
    versions = [entries.get(name_of(t["name"])[-1]) for t in tables]
    if not any(isinstance(v, Version) and v.definition.key for v in versions):
        return False
    labels = {identifier(t["alias"]["name"]) if t["alias"] else name_of(t["name"])[-1] for t in tables}
    known = {name for v in versions if isinstance(v, Version) for name in v.definition.names}
    return any(_outer(node, labels, known) for node in _names(select["selection"]))


def _names(condition: Tree) -> Iterator[dict[str, Any]]:
    return (node for node in walk(condition) if "Identifier" in node or "CompoundIdentifier" in node)


def _outer(node: dict[str, Any], labels: set[str], known: set[str]) -> bool:
    parts = node.get("CompoundIdentifier")
    if parts is not None:
        return len(parts) < 2 or identifier(parts[-2]) not in labels
    return identifier(node["Identifier"]) not in known
