"""Queries whose CTEs are evaluated once: the engine writes a CTE out wherever it is read, and one within another again.

A gradient reads what the forward pass has computed in many places; written out, planning alone would take minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from ..sql.ctes import EvaluatedOnce
from ..sql.reads import tables_read
from ..sql.syntax import Tree, analyzes, identifier, name_of, tables_named, to_sql
from ..storage.fetch import coerced, fetch_brief
from ..storage.schema import provider
from .admission import framed
from .frame import Frame
from .recursion.failing import failing
from .recursion.frame import LateFrame

if TYPE_CHECKING:
    from .context import Context


def once(context: Context, tree: Tree, shared: EvaluatedOnce, **options: Any) -> Frame:
    """The lazy frame of a query, within a block in which the tables are pinned.

    Args:
        context: where it runs.
        tree: the query.
        shared: the same in pieces.
        options: of the frame.
    """
    schema, entries = context.store.schema, context.store.entries()
    tables = schema.tables_now(_tables_named(tree))

    shown: dict[str, Any] = {}
    parts: list[tuple[str, Any]] = []
    texts: list[tuple[str, str]] = []

    def seeing(relations: dict[str, Any]) -> AbstractContextManager[None]:
        return schema.pinned(entries, {**tables, **relations})

    for name, query in (*((name, {"Query": query}) for name, query in shared.steps), ("", shared.rest)):
        with seeing(shown):
            texts.append((name, context.mended_text(query, to_sql(query), at_once=True)))
            plan = framed(context, texts[-1][1])
        if name:
            shown[name] = failing(_columns(context, query, texts[-1][1], plan, shown))
            parts.append((f"once, as {name}:", plan))

    if "Explain" in tree and not analyzes(tree):
        return Frame(plan, **options)

    def settle() -> Any:
        relations: dict[str, Any] = {}
        for name, text in texts[:-1]:
            with seeing(relations):
                rows = fetch_brief(framed(context, text))
            relations[name] = provider(rows.to_batches(), rows.schema)
        with seeing(relations):
            return framed(context, texts[-1][1])

    return LateFrame(plan, settle, parts, **options)


_COLUMNS: WeakKeyDictionary[Any, dict[Any, tuple[Mapping[tuple[str, ...], Any], pa.Schema]]] = WeakKeyDictionary()
_REMEMBERED = 256  # queries of a context, each of which would be optimized to know the types of its rows


def _columns(context: Context, query: Tree, text: str, plan: Any, shown: Mapping[str, Any]) -> pa.Schema:
    """The columns of a piece's rows; those of a text are known as long as the tables that it reads have theirs."""
    known = _COLUMNS.setdefault(context, {})
    names = set(map(name_of, tables_read(query)))
    pieces = {name[0]: name for name in names if name[0] in shown}
    standing = {**context.rows_identities(names), **{whole: shown[name] for name, whole in pieces.items()}}
    key = text, context.alterations
    if key in known and known[key][0].keys() == standing.keys():
        before, schema = known[key]
        if all(before[name] is now for name, now in standing.items()):
            return schema
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = standing, coerced(plan)
    return known[key][1]


def _tables_named(tree: Tree) -> set[str]:
    """The names without a schema of the tables that a query reads."""
    return {identifier(parts[-1]) for parts in tables_named(tree) if len(parts) == 1}
