"""What a bound query reads, and whether it may give other rows at another time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ..sql.expression import Call, Expression, Parameter, descend
from ..sql.parameters import parameters_of
from ..sql.remembered import once_a_node
from ..sql.syntax import Tree, local_name, name_of, walk
from .catalog import Catalog
from .columns import Field, Output, Piece, fields
from .facts import function_varies, using_pairs
from .functions import SUMS, names_of_functions
from .functions import varies as varies_by_name
from .names import Name
from .nodes import Aggregate, Join, Limit, Opaque, Relation, Scan, Select, Shared, Sort, Window, leaves, relations


@once_a_node
def tables_read(relation: Relation) -> frozenset[Name]:
    """The tables that a query reads, also by way of views; those that a part which is not bound names."""
    found: set[Name] = set()
    for node in relations(relation):
        if isinstance(node, Scan):
            found.add(node.table.name)
        elif isinstance(node, Opaque):
            found |= node.reads
    return frozenset(found)


def columns_read(queries: Iterable[Relation]) -> dict[Name, frozenset[str]] | None:
    """Table -> the columns that are used of it; None where a part is not bound, which may use any."""
    found: dict[Name, set[str]] = {}
    for query in queries:
        for node in relations(query):
            if isinstance(node, Opaque):
                return None
            if isinstance(node, Scan):
                found.setdefault(node.table.name, set())
            for column in _columns_of(node):
                if isinstance(column.relation, Scan):
                    found.setdefault(column.relation.table.name, set()).add(column.relation.column(column.name))
    return {name: frozenset(columns) for name, columns in found.items()}


def _columns_of(node: Relation) -> Iterator[Field]:
    for expression in node.expressions:
        yield from fields(expression)
    if isinstance(node, Join):
        for pair in using_pairs(node):
            yield from pair


def parameters(relation: Relation) -> frozenset[str]:
    """The parameters in a query, without their sign; not those of a part that is not bound."""
    found: set[str] = set()
    for node in relations(relation):
        for expression in node.expressions:
            found |= parameters_in(expression)
        for measure in node.measures if isinstance(node, Window) else ():
            found |= set(parameters_of(measure.frame))
    return frozenset(found)


def parameters_in(expression: Expression) -> set[str]:
    """The parameters in an expression, without their sign; not those of queries in it."""
    found: set[str] = set()
    for part in descend(expression):
        if isinstance(part, Parameter):
            found.add(part.name.lstrip(":$@"))
        elif isinstance(part, Piece):
            found |= set(parameters_of(part.piece))
    return found


@once_a_node
def volatile(relation: Relation) -> bool:
    """Whether a query may give other rows from the same tables and parameters; in doubt, it may."""
    for node in relations(relation):
        if isinstance(node, Opaque) or (isinstance(node, Limit) and not isinstance(node.source, Sort)):
            return True
        if any(differs(expression) for expression in node.expressions):
            return True
    return False


def differs(expression: Expression) -> bool:
    """Whether an expression calls a function that gives another value at another time; not in queries in it."""
    for part in descend(expression):
        if isinstance(part, Call) and function_varies(part) != "never":
            return True
        if isinstance(part, Piece) and any(varies_by_name(name) != "never" for name in names_of_functions(part.piece)):
            return True
    return False


def varies(relation: Relation, changing: Collection[Name], parameter: Collection[str]) -> bool:
    """Whether a query may give other rows at another step.

    Args:
        relation: the query.
        changing: the tables that a step changes.
        parameter: the parameters whose value changes.
    """
    return volatile(relation) or not tables_read(relation).isdisjoint(changing) or not parameters(relation).isdisjoint(
        parameter)  # fmt: skip


def origin(column: Field) -> Field | None:
    """The column of a table that a column is, passed on as it is; None for one that is computed."""
    while True:
        relation = column.relation
        match relation:
            case Scan():
                return column
            case Shared(kind=kind) if kind != "working":
                inside = relation.query.names or ()
                name = inside[relation.inner(column.name)]
                if name is None or not relation.query.has(name):
                    return None
                column = Field(relation.query, name)
            case Sort() | Limit():
                column = Field(relation.source, column.name)
            case Select() | Aggregate():
                outputs: tuple[Output, ...] = relation.outputs if isinstance(relation, Select) else relation.keys
                found = next((o.expression for o in outputs if o.name == column.name), None)
                if not isinstance(found, Field):
                    return None
                column = found
            case _:
                return None


def sums_over_join(relation: Relation) -> bool:
    """Whether a query has a sum, a mean or a count of what a join gives: what arrays have as a product of matrices."""
    return any(
        isinstance(node, Aggregate) and len(leaves(node.source)) > 1 and any(m.call.name in SUMS for m in node.measures)
        for node in relations(relation)
    )


def may_join(query: Tree) -> bool:
    """Whether a query joins relations, at a glance at the tree: whoever gets False need not bind it for its joins.

    >>> from ..sql.syntax import parse_one
    >>> may_join(parse_one("SELECT SUM(a.x * b.y) AS s FROM a CROSS JOIN b").tree)
    True
    """
    return any(
        sum(1 + len(table["joins"]) for table in node["Select"]["from"]) > 1
        for node in walk(query)
        if "from" in (node.get("Select") or ())  # a step of a pipe (|> SELECT ...) has none
    )


def may_compute_columns(tree: Tree, catalog: Catalog) -> bool:
    """Whether a statement may read a column that a query in it computes, at a glance: a subquery's, a CTE's, a view's.

    >>> from ..sql.syntax import parse_one
    >>> may_compute_columns(parse_one("SELECT a.x FROM (SELECT y * 2 AS x FROM t) AS a").tree, ...)
    True
    """
    tables = set()
    for node in walk(tree):
        if "Derived" in node or node.get("with"):
            return True
        if "Table" in node and isinstance(node["Table"], dict):
            tables.add(local_name(name_of(node["Table"]["name"])))
    return any((table := catalog.table(name)) is not None and table.definition is not None for name in tables)
