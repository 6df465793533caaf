"""RETURNING: the rows that a statement has changed, and what went with them, in the order in which it changed them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ..sql import build as query
from ..sql.syntax import Tree, identifier, make_identifier
from ..storage.order import ROW, in_order, numbered
from .effect import Engine
from .expressions import refuse_aggregates

Part = tuple[str, pa.RecordBatch]
"""A relation that RETURNING can name: its label, and its row for each row that was changed."""


def returning(
    items: Sequence[Tree] | None, parts: Sequence[Part], engine: Engine, ctes: Tree | None
) -> pa.Table | None:
    """The rows that RETURNING gives; None where the statement has none.

    Args:
        items: the select items behind RETURNING.
        parts: the rows that were changed, then those of FROM or USING that belong to them, row by row.
        engine: who evaluates the items.
        ctes: the statement's WITH clause.
    """
    if items is None:
        return None
    refuse_aggregates(items, engine, "RETURNING")
    names = {f"__returned{i}__": numbered(batch) for i, (_, batch) in enumerate(parts)}
    tables = [query.table(name, label) for name, (label, _) in zip(names, parts, strict=True)]
    numbers = [query.column(label, ROW) for label, _ in parts]
    where = query.all_equal(numbers) if len(numbers) > 1 else None
    projection = [query.item(numbers[0], ROW), *_expanded(items, parts)]
    with engine.store.showing(names):
        found = engine.rows_of(query.select(projection, tables, where, ctes))
    rows = pa.Table.from_batches([in_order(found)])
    return rows.select(range(1, rows.num_columns))


def _expanded(items: Sequence[Tree], parts: Sequence[Part]) -> list[Tree]:
    """The items with ``*`` as what it means; a column whose name came before is called ``label.name``, the same
    column again ``name (2)``, for the engine wants names that differ."""
    seen: set[str] = set()
    out: list[Tree] = []
    for item in items:
        kind, value = next(iter(item.items()))
        if kind == "Wildcard" and not _options(value):
            out += [_column(label, n, seen) for label, batch in parts for n in batch.schema.names]
        elif kind == "QualifiedWildcard" and not _options(value[1]) and (part := _part(value[0], parts)) is not None:
            out += [_column(part[0], n, seen) for n in part[1].schema.names]
        elif kind in ("Wildcard", "QualifiedWildcard"):
            out.append(_without(item))
        else:
            out.append(_named(item, parts, seen))
    return out


def _part(subject: Tree, parts: Sequence[Part]) -> Part | None:
    label = query.name(subject["ObjectName"]) if "ObjectName" in subject else None
    return next((part for part in parts if part[0] == label), None)


def _options(wildcard: Tree) -> bool:
    """Whether EXCEPT, REPLACE or the like stand behind a ``*``."""
    return any(value for key, value in wildcard.items() if key.startswith("opt_"))


def _without(item: Tree) -> Tree:
    """A ``*`` with options, which the engine expands, without the rows' numbers."""
    kind, value = next(iter(item.items()))
    options = value if kind == "Wildcard" else value[1]
    excepted = options["opt_except"]
    excluded = options["opt_exclude"] or {"Multiple": []}
    gone = [excluded["Single"]] if "Single" in excluded else list(excluded["Multiple"])
    if excepted:
        gone += [excepted["first_element"], *excepted["additional_elements"]]
    options = {**options, "opt_except": None, "opt_exclude": {"Multiple": [*gone, make_identifier(ROW)]}}
    return {kind: options if kind == "Wildcard" else [value[0], options]}


def _column(label: str, name: str, seen: set[str]) -> Tree:
    return query.item(query.column(label, name), _free(label, name, seen))


def _named(item: Tree, parts: Sequence[Part], seen: set[str]) -> Tree:
    """An item that is no ``*``; a plain column is named, so that it may stand twice."""
    plain = item.get("UnnamedExpr", {})
    if "Identifier" in plain:
        name = identifier(plain["Identifier"])
        label = next((label for label, batch in parts if name in batch.schema.names), "")
    elif "CompoundIdentifier" in plain and len(plain["CompoundIdentifier"]) == 2:
        label, name = (identifier(part) for part in plain["CompoundIdentifier"])
    else:
        if "ExprWithAlias" in item:
            seen.add(identifier(item["ExprWithAlias"]["alias"]))
        return item
    return query.item(plain, _free(label, name, seen))


def _free(label: str, name: str, seen: set[str]) -> str:
    """The name of a column in the answer; ``seen`` holds those before it, and which columns they are."""
    column = f"\0{label}\0{name}"
    again = column in seen
    found, number = name if again or name not in seen else f"{label}.{name}", 1
    while found in seen:
        number += 1
        found = f"{name} ({number})"
    seen |= {found, column}
    return found
