"""Columns' names that the engine reads as others: it overlooks a schema or a catalog in front of them that is another,
and where two relations of a subquery have a column it takes that of the row around.

SQL has an error for either. Nothing is written anew here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import UnknownNameError
from ...relation.layers import Scope
from ...relation.names import DEFAULT
from ...sql.expression import Column
from ...sql.pieces import path_of
from ...sql.places import COLUMNS
from ...sql.syntax import Tree, span_of
from .reading import Reading

SIGNS = r"\(\s*(SELECT|WITH)\b|[\w\"]\s*\.\s*(\w+|\"[^\"]*\")\s*\.\s*[\w\"]"


def checked(reading: Reading) -> Tree:
    """The tree itself.

    Raises:
        UnknownNameError: a column's name that means nothing, or more than one column.
    """
    return reading.rewritten(dict.fromkeys(COLUMNS, _check))


def _check(node: dict[str, Any], scope: Scope) -> None:
    path = path_of(node)
    if len(path) > 2:
        _check_qualifier(node, path, scope)
    elif len(path) == 1 and scope.outer is not None:
        _check_alone(node, path[0], scope)


def _check_qualifier(node: dict[str, Any], path: tuple[str, ...], scope: Scope) -> None:
    """Refuse a schema or catalog that is not the relation's; a struct's fields are written with points as well."""
    *before, relation, name = path
    if tuple(before) == DEFAULT[-len(before) :]:
        return
    items = [item for each in _around(scope) for item in each.items]
    if any(path[0] in (*item.path, *(item.names or ())) for item in items):
        return
    if any(item.path[-1:] == (relation,) and item.has(name) for item in items):
        what, hint = f"there is no column {'.'.join(path)}", f"Write {relation}.{name}."
        raise UnknownNameError(what, hint=hint, span=span_of(node))


def _check_alone(node: dict[str, Any], name: str, scope: Scope) -> None:
    """Refuse a name in a subquery that two of its relations have; an output may have it, for ORDER BY."""
    having = [item for item in scope.items if item.has(name)]
    if len(having) < 2 or scope.merges(name) or not any(item.has(name) for item in _outer_items(scope)):
        return
    outputs = scope.outputs or ()
    if not any(output.name == name and output.expression != Column((name,)) for output in outputs):
        hint = f"Write {' or '.join(f'{item.path[-1]}.{name}' for item in having if item.path)}."
        raise UnknownNameError(f"the column {name} is ambiguous", hint=hint, span=span_of(node))


def _around(scope: Scope | None) -> Iterator[Scope]:
    while scope is not None:
        yield scope
        scope = scope.outer


def _outer_items(scope: Scope) -> list[Any]:
    return [item for each in _around(scope.outer) for item in each.items]
