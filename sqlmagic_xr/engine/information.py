"""information_schema tells of scratch tables as of base tables, and of views as they were made.

The engine reads both as views, and those as it was told to make them.
"""

from __future__ import annotations

from typing import Any

from ..sql.build import derived, quoted
from ..sql.syntax import Tree, identifier, name_of, parse_one, transform
from ..storage.scratch import Version
from ..storage.transaction import Entries, View

_TABLES = """
SELECT table_catalog, table_schema, table_name,
    CASE WHEN table_schema = 'public' AND table_name IN ({names}) THEN 'BASE TABLE' ELSE table_type END AS table_type
FROM information_schema.tables
"""

_VIEWS = """
SELECT table_catalog, table_schema, table_name,
    CASE WHEN table_schema = 'public' THEN CASE table_name {made} ELSE definition END ELSE definition END AS definition
FROM information_schema.views WHERE NOT (table_schema = 'public' AND table_name IN ({names}))
"""


def with_base_tables(tree: Tree, entries: Entries) -> Tree:
    """A query that reads ``information_schema`` with the true types of scratch tables, and the views' own texts."""
    if not entries:
        return tree
    names = ", ".join([_text(name) for name, entry in entries.items() if isinstance(entry, Version)] or ["NULL"])
    views = {name: entry for name, entry in entries.items() if isinstance(entry, View)}
    made = " ".join(f"WHEN {_text(n)} THEN {_text(f'CREATE VIEW {quoted(n)} AS {v.text}')}" for n, v in views.items())
    texts = {"tables": _TABLES.format(names=names), "views": _VIEWS.format(names=names, made=made or "WHEN '' THEN ''")}

    def change(node: dict[str, Any]) -> Tree | None:
        if _is_qualified(node):  # what stands in FROM has no schema
            return {"CompoundIdentifier": node["CompoundIdentifier"][-2:]}
        table = node.get("Table")
        if not isinstance(table, dict):
            return None
        name = name_of(table.get("name") or [])
        if name[-2:-1] != ("information_schema",) or name[-1] not in texts:
            return None
        made = derived(parse_one(texts[name[-1]]).tree["Query"], name[-1])["relation"]["Derived"]
        return {"Derived": {**made, "alias": table["alias"] or made["alias"]}}

    return transform(tree, change)


def _is_qualified(node: dict[str, Any]) -> bool:
    """Whether a column is named with its table and the table's schema."""
    parts = tuple(identifier(part) for part in node.get("CompoundIdentifier") or ())
    return parts[-3:-1] in (("information_schema", "tables"), ("information_schema", "views"))


def _text(value: str) -> str:
    """SQL's literal of a text."""
    return "'" + value.replace("'", "''") + "'"
