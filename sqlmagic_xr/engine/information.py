"""information_schema tells of scratch tables as of base tables; the engine, which reads them as views, as of views."""

from __future__ import annotations

from typing import Any

from ..sql.build import derived
from ..sql.syntax import Tree, identifier, name_of, parse_one, transform
from ..storage.scratch import Version
from ..storage.transaction import Entries

_TABLES = """
SELECT table_catalog, table_schema, table_name,
    CASE WHEN table_schema = 'public' AND table_name IN ({names}) THEN 'BASE TABLE' ELSE table_type END AS table_type
FROM information_schema.tables
"""


def with_base_tables(tree: Tree, entries: Entries) -> Tree:
    """A query that reads ``information_schema.tables`` with the true types of scratch tables in it."""
    names = [f"'{name.replace(chr(39), chr(39) * 2)}'" for name, entry in entries.items() if isinstance(entry, Version)]
    if not names:
        return tree
    told = parse_one(_TABLES.format(names=", ".join(names))).tree["Query"]

    def change(node: dict[str, Any]) -> Tree | None:
        if _is_qualified(node):  # what stands in FROM has no schema
            return {"CompoundIdentifier": node["CompoundIdentifier"][-2:]}
        table = node.get("Table")
        if not isinstance(table, dict) or name_of(table.get("name") or [])[-2:] != ("information_schema", "tables"):
            return None
        made = derived(told, "tables")["relation"]["Derived"]
        return {"Derived": {**made, "alias": table["alias"] or made["alias"]}}

    return transform(tree, change)


def _is_qualified(node: dict[str, Any]) -> bool:
    """Whether a column is named with its table and the table's schema."""
    parts = tuple(identifier(part) for part in node.get("CompoundIdentifier") or ())
    return parts[-3:-1] == ("information_schema", "tables")
