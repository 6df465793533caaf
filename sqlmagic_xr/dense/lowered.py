"""Queries as one graph, and what they have been lowered to before: it is the same over tables that look the same.

A graph says nothing of the rows of tables, but for what is looked at while it runs, and nodes are never changed. So a
cell that is run again, in this context or in another, has the graph that it had.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, cast

from ..relation.functions import given_here
from ..relation.recalled import Asked, Question, Recalled
from ..sql.syntax import Tree
from .block import refuse_uneven
from .facts import Facts
from .lowering.bound import Bindings
from .lowering.lower import Lowering
from .lowering.relation import LoweredRelation
from .node import Node, Refused, Type
from .tables import Name, Tables


@dataclass(frozen=True)
class LoweredQuery:
    """A statement of a program.

    Attributes:
        tree: the inside of a ``Query`` node; None for a statement that others run.
        writes: the tables that it may change; () for one that is only looked at, behind those that write.
        replaces: whether the one table consists of nothing but its rows afterwards (CREATE TABLE AS, or an INSERT into
            one that a statement before has emptied).
        empties: whether it does nothing but empty the one table; then there is no query.
        columns: the names under which its columns are written; () for those of SELECT.
        newest: a parameter, a table and a column of it: the parameter is what the statements before have written there.
        trims: the column of the one table below whose least number it deletes rows; the query gives that number.
    """

    tree: Tree | None
    writes: tuple[tuple[str, ...], ...] = ()
    replaces: bool = False
    columns: tuple[str, ...] = ()
    empties: bool = False
    newest: tuple[str, tuple[str, ...], str] | None = None
    trims: str = ""


class Lowered(NamedTuple):
    """What queries have been lowered to.

    Attributes:
        parts: for each query the grids of its rows; () for one that is not lowered.
        refusals: for each query why it is not lowered, or None.
    """

    parts: Sequence[Sequence[LoweredRelation]]
    refusals: Sequence[Refused | None]


def lowered(
    queries: Sequence[LoweredQuery], facts: Facts, parameters: Mapping[str, Type], changing: Collection[Name],
    bindings: Bindings,
) -> Lowered:  # fmt: skip
    """Lower queries into one graph.

    Args:
        queries: the statements, in their order.
        facts: what is known of the tables.
        parameters: the type of each parameter.
        changing: the tables that a step may change.
        bindings: the queries that other programs of the session have bound; what this one binds is added.
    """
    asked = Asked(facts)
    same = list(parameters.items()), frozenset(changing), facts.alike.known, given_here()
    known = _KNOWN.find(tuple(queries), same, partial(_again, asked))
    if known is not None:
        return known
    tables = cast(Tables, asked)
    lowering = Lowering(tables, parameters, changing, facts.alike.kind, bindings=bindings)
    found = _lowered(queries, lowering, parameters, tables)
    # The codes of texts are those of one dictionary; a reason not to lower points into one statement's text.
    if not any(found.refusals) and not lowering.graph.has("label"):
        _KNOWN.keep(tuple(queries), same, asked.answers, found)
    return found


def _again(asked: Asked, question: Question) -> Any:
    """The answer to a question; of a table that cannot be told of, none that equals it."""
    try:
        return asked.again(question)
    except Refused as reason:
        return reason


_KNOWN = Recalled[Lowered](most=32)  # a run of a training cell makes some three


def _lowered(
    queries: Sequence[LoweredQuery], lowering: Lowering, parameters: Mapping[str, Type], tables: Tables
) -> Lowered:  # fmt: skip
    scope: dict[str, LoweredRelation] = {}
    found: list[Sequence[LoweredRelation]] = []
    refusals: list[Refused | None] = []
    for query in queries:
        parts: list[LoweredRelation] = []
        try:
            parts = _parts(query, lowering, parameters, scope)
            if query.newest is not None:  # it is looked at in every step of a call
                refuse_uneven(parts)
            refusals.append(None)
        except Refused as reason:
            refusals.append(reason)
        found.append(parts)
        for table in query.writes:
            appends = query.tree is not None and not (query.replaces or query.trims) and parts
            lowering.writes.setdefault(table, []).append([_scalars(part) for part in parts] if appends else None)
            scope.pop(table[-1], None)
            if query.replaces and len(parts) == 1 and _has_types_of(query, parts[0], tables):
                scope[table[-1]] = parts[0]
    return Lowered(found, refusals)


def _parts(
    query: LoweredQuery, lowering: Lowering, parameters: Mapping[str, Type], scope: Mapping[str, LoweredRelation]
) -> list[LoweredRelation]:  # fmt: skip
    """The grids of a query's rows."""
    if query.empties:
        return []
    if query.tree is None:
        raise Refused("it is not a query")
    lowering.parameters = {**parameters, **_newest(query, lowering)}
    return _named(lowering.parts(query.tree, scope), query.columns)


def _has_types_of(query: LoweredQuery, part: LoweredRelation, tables: Tables) -> bool:
    """Whether rows that fill a table are read from it as they are."""
    if not query.columns:  # the table is made for them
        return True
    table = tables.table(query.writes[0])
    return table is not None and {c.name: c.value.type for c in part.columns} == dict(table.columns)


def _newest(query: LoweredQuery, lowering: Lowering) -> dict[str, Node]:
    """What the parameter of :attr:`LoweredQuery.newest` stands for."""
    if query.newest is None:
        return {}
    name, table, column = query.newest
    written = {part.get(column) for parts in lowering.writes.get(table, ()) for part in parts or ({},)}
    node = written.pop() if len(written) == 1 else None
    if node is None:
        raise Refused(f"the statements do not write one {column} into {'.'.join(table)}")
    return {name: node}


def _scalars(part: LoweredRelation) -> dict[str, Node]:
    """The columns that are one number for all rows."""
    found = {column.name: column.value for column in part.columns}
    return {name: value.cells for name, value in found.items() if not value.dims and value.valid is None}


def _named(parts: Sequence[LoweredRelation], names: tuple[str, ...]) -> list[LoweredRelation]:
    """The parts of a result under one set of names: those given, or those of the first part."""
    names = names or tuple(column.name for column in parts[0].columns)
    types = [column.value.type for column in parts[0].columns]
    if "" in names or len(set(names)) < len(names):
        raise Refused("a column of the result has no name, or that of another: write AS name")
    named = []
    for part in parts:
        if len(part.columns) != len(names):
            raise Refused(f"{len(part.columns)} columns for {len(names)}")
        if [column.value.type for column in part.columns] != types or "null" in types:
            raise Refused("the type of a column is open: it is NULL alone, or differs between the parts of a UNION ALL")
        columns = (replace(c, name=name) for c, name in zip(part.columns, names, strict=True))
        named.append(replace(part, columns=tuple(columns)))
    return named
