"""A dataset of variables of several shapes under one name: a query reads the table of the variables that it names.

Such a dataset is several tables, ``ds.time_lat_lon`` and ``ds.lat_lon``. Where a query says ``FROM ds`` and names
variables of one of them, that one is meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import SqlError, UnknownNameError, suggest
from ..sql.build import quoted
from ..sql.clauses import aliases, has_star
from ..sql.syntax import Tree, identifier, local_name, make_identifier, name_of, replace, span_of, tables_named
from ..sql.traversal import is_query

if TYPE_CHECKING:
    from .context import Context
    from .gridtable import GridTable

Shapes = Mapping[str, "GridTable"]
"""The tables of a dataset by their names."""


@dataclass(frozen=True)
class _SelectAround:
    """The SELECT in whose FROM a table stands.

    Attributes:
        select: it.
        query: the query that it is the whole of, whose ORDER BY may name its columns; None for part of a UNION.
    """

    select: Tree
    query: Tree | None


def with_tables_chosen(tree: Tree, context: Context) -> Tree:
    """A statement in which every name of a dataset of several tables is that of one of them; ``tree`` where none is.

    Args:
        tree: the statement.
        context: knows the datasets.

    Raises:
        UnknownNameError: it cannot be told which table is meant.
    """
    several = context.several
    if not several or not any(_name(parts) in several for parts in tables_named(tree)):
        return tree
    chosen = {}
    for node, scope in _tables(tree, several):
        table = node["Table"]
        name = name_of(table["name"])[-1]
        alias = table["alias"] or {"explicit": True, "name": table["name"][-1]["Identifier"], "columns": []}
        one = _one(name, identifier(alias["name"]), _shapes(context, name), scope, node)
        parts = [table["name"][-1], {"Identifier": make_identifier(one)}]
        chosen[id(node)] = {"Table": {**table, "name": parts, "alias": alias}}
    return replace(tree, lambda node: chosen.get(id(node)))


def _name(parts: Sequence[dict[str, Any]]) -> str:
    """The name of a relation that stands in no schema of its own, or ""."""
    name = local_name(tuple(identifier(part) for part in parts))
    return name[0] if len(name) == 1 else ""


def _shapes(context: Context, name: str) -> Shapes:
    return {table: context.grids[f"{name}.{table}"] for table in context.several[name]}


def _tables(tree: Tree, several: Collection[str]) -> Iterator[tuple[dict[str, Any], _SelectAround]]:
    """The relations of these names, none of which is a CTE, with the SELECT that they stand in."""
    nowhere = _SelectAround({}, None)
    todo: list[tuple[Tree, frozenset[str], _SelectAround]] = [(tree, frozenset(), nowhere)]
    while todo:
        node, hidden, scope = todo.pop()
        if isinstance(node, list):
            todo += [(item, hidden, scope) for item in node]
        elif not isinstance(node, dict):
            continue
        elif is_query(node):
            inner = hidden
            for cte in (node["with"] or {}).get("cte_tables", ()):
                own = {identifier(cte["alias"]["name"])}
                todo.append((cte["query"], inner | own if node["with"]["recursive"] else inner, nowhere))
                inner = inner | own
            whole = _SelectAround(node["body"]["Select"], node) if "Select" in node["body"] else nowhere
            todo += [(value, inner, whole) for key, value in node.items() if key != "with"]
        elif "Select" in node:
            own_scope = scope if scope.select is node["Select"] else _SelectAround(node["Select"], None)
            todo.append((list(node["Select"].values()), hidden, own_scope))
        elif _is_table(node):
            name = _name([p["Identifier"] for p in node["Table"]["name"] if "Identifier" in p])
            if name in several and name not in hidden:
                yield node, scope
        else:
            todo += [(value, hidden, scope) for key, value in node.items() if key != "span"]


def _is_table(node: dict[str, Any]) -> bool:
    table = node.get("Table")
    return isinstance(table, dict) and "name" in table and table.get("args") is None


def _one(name: str, alias: str, shapes: Shapes, scope: _SelectAround, node: Tree) -> str:
    """The table that has the columns which a query names of a relation."""
    candidates, first = list(shapes), ""
    direct = list(_columns(scope.select, nested=False))
    alone = sum(1 for other, _ in _tables({"Select": scope.select}, {name})) == 1 and not _joins(scope.select)
    own = [parts[-1] for parts in direct if parts[-2:-1] == (alias,)]
    plain = [parts[-1] for parts in direct if len(parts) == 1]
    further = [
        p[-1] for tree in (scope.select, (scope.query or {}).get("order_by")) for p in _columns(tree, nested=True)
    ]
    for names, certain in ((own, True), (plain, alone), (further, False)):
        for column in names:
            if not any(column in table.columns for table in shapes.values()):
                continue
            having = [table for table in candidates if column in shapes[table].columns]
            if not having and certain:
                raise _placed(_two(name, shapes, first, column), node)
            if having and len(having) < len(candidates):
                candidates, first = having, column
    if len(candidates) == 1:
        return candidates[0]
    if alone:
        _refuse_unknown(plain, shapes, scope)
    found = _over(shapes, candidates, [*own, *(plain if alone else ())], scope)
    if len(found) == 1:
        return found[0]
    hint = f"Name one of them: {', '.join(f'{quoted(name)}.{table}' for table in shapes)}"
    what = f"the variables of `{name}` have different dimensions, so it is several tables"
    raise _placed(UnknownNameError(what, hint=hint), node)


def _over(shapes: Shapes, candidates: Sequence[str], named: Sequence[str], scope: _SelectAround) -> list[str]:
    """Of tables that all have the columns, those over just the dimensions along which these vary.

    None where a star asks for more than these columns, or counts the rows of nobody knows which table.
    """
    having = shapes[candidates[0]]
    known = [having.dataset[name].dims for name in named if name in having.columns]
    dims = {dim for found in known for dim in found}
    if has_star(scope.select):
        return []
    return [table for table in candidates if dims and dims == set(shapes[table].dims)]


def _refuse_unknown(plain: Sequence[str], shapes: Shapes, scope: _SelectAround) -> None:
    """Refuse a column that none of the tables has, which may be why none is meant.

    Raises:
        UnknownNameError: for the first.
    """
    columns = {column for table in shapes.values() for column in table.columns}
    other = next((name for name in plain if name not in columns | set(aliases(scope.select))), None)
    if other is not None:
        raise UnknownNameError(f"there is no column {other}", hint=suggest(other, columns))


def _two(name: str, shapes: Shapes, one: str, other: str) -> SqlError:
    """The error of a query that names variables of two tables."""
    first, second = (next(t for t, table in shapes.items() if v in table.columns) for v in (one, other))
    common = ", ".join(key for key in shapes[first].key if key in shapes[second].key)
    written = quoted(name)
    how = f"JOIN {written}.{second} USING ({common})" if common else f"CROSS JOIN {written}.{second}"
    return UnknownNameError(
        f"{one} and {other} have different dimensions, so they are in two tables of `{name}`",
        hint=f"Join them: FROM {written}.{first} {how}",
    )


def _placed(error: SqlError, node: Tree) -> SqlError:
    error.span = span_of(node["Table"]["name"])
    return error


def _joins(select: Tree) -> bool:
    tables = select.get("from") or []
    return len(tables) > 1 or any(table["joins"] for table in tables)


def _columns(tree: Tree, *, nested: bool) -> Iterator[tuple[str, ...]]:
    """The names of columns in a piece of a query, those of queries inside it only where they are asked for."""
    todo: list[Tree] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += reversed(node)
        elif not isinstance(node, dict) or (not nested and is_query(node)) or _is_table(node):
            continue
        elif "Identifier" in node:
            yield (identifier(node["Identifier"]),)
        elif "CompoundIdentifier" in node:
            yield tuple(identifier(part) for part in node["CompoundIdentifier"])
        else:
            inner = {**node["Function"], "name": None} if "Function" in node else node
            todo += [value for key, value in reversed(inner.items()) if key not in ("span", "alias")]
