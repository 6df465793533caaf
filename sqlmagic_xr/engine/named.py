"""PREPARE, EXECUTE and DEALLOCATE: a statement under a name, its ``$1``, ``$2``, ... given when it is run.

It is a statement as any other, so that it may change scratch tables and hold derivatives. Where PREPARE gives types,
a value is cast to its type; where it gives none, a value has the type of its literal. Parameters of the notebook
(``:name``) have the value that they have when it is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import SqlError, UnknownNameError, UnsupportedError, UsageError, suggest
from ..sql.build import cast
from ..sql.lexer import TokenKind
from ..sql.parameters import parameters_of, placeholder
from ..sql.syntax import Statement, Tree, identifier, name_of, span_of, to_sql, transform, walk
from ..sql.syntax import replace as put
from .result import Result

if TYPE_CHECKING:
    from .context import Context
    from .prepared import Executor, Prepared

KINDS = ("Prepare", "Execute", "Deallocate")
"""What sqlparser calls these statements."""

_PREPARABLE = ("Query", "Insert", "Update", "Delete", "Merge")
_NO_CONSTANT = ("Identifier", "CompoundIdentifier", "Subquery", "Exists", "InSubquery")


@dataclass(frozen=True)
class NamedStatement:
    """A statement under a name.

    Attributes:
        statement: what EXECUTE runs, in the text that PREPARE stood in.
        types: the types of ``$1``, ``$2``, ... as trees; () where PREPARE gave none.
        count: how many values it takes.
    """

    statement: Statement
    types: tuple[Tree, ...]
    count: int

    def with_values(self, values: Sequence[Tree], tree: Tree) -> Tree:
        """The tree with ``$1``, ``$2``, ... replaced."""
        typed = [cast(v, t) for v, t in zip(values, self.types, strict=True)] if self.types else values

        def change(node: dict[str, Any]) -> Tree | None:
            name = placeholder(node)
            return {"Nested": typed[int(name) - 1]} if name is not None and name.isdecimal() else None

        return put(tree, change)


def run(prepared: Prepared, values: Mapping[str, Any], executor: Executor) -> Result:
    """Run one of these statements.

    Raises:
        SqlError: there is no statement of that name, or there is one already; values or types do not fit.
    """
    kind = prepared.statement.kind
    if kind == "Execute":
        return _execute(prepared, values, executor)
    return _prepare(prepared) if kind == "Prepare" else _deallocate(prepared)


def _prepare(prepared: Prepared) -> Result:
    statement, context = prepared.statement, prepared.context
    body = statement.tree["Prepare"]
    name = identifier(body["name"])
    if name in context.named:
        error = UsageError(f"there is a prepared statement `{name}` already", hint=f"DEALLOCATE {name} first.")
        raise _at(error, body["name"])
    inner = _inner(statement)
    if inner.kind not in _PREPARABLE:
        raise UnsupportedError("PREPARE takes a query, INSERT, UPDATE, DELETE or MERGE")
    numbers = [int(n) for n in parameters_of(inner.tree) if n.isdecimal()]
    if 0 in numbers:
        raise UsageError("the values of a prepared statement are $1, $2, ...: there is no $0")
    count, types = max(numbers, default=0), tuple(body["data_types"])
    if types and len(types) < count:
        raise UsageError(f"PREPARE gives {len(types)} types, and the statement has {count} values")
    found = NamedStatement(inner, types, len(types) or count)
    _plan(context, found)
    context.named[name] = found
    return Result(statement, statement.text, message=f"{name}: prepared")


def _inner(statement: Statement) -> Statement:
    """The statement behind PREPARE name (types) AS."""
    after = next(t.end for t in statement.tokens if t.kind is TokenKind.WORD and t.text.upper() == "AS")
    start = next(t.start for t in statement.tokens if t.start >= after)
    return replace(statement, text=statement.text[start:], start=statement.start + start)


def _plan(context: Context, found: NamedStatement) -> None:
    """Plan a query whose values all have a type, so that what is wrong with it is said where it is prepared."""
    if found.statement.kind != "Query" or len(found.types) < found.count:
        return
    if any(not name.isdecimal() for name in parameters_of(found.statement.tree)):
        return
    nothing = [_NULL] * found.count
    prepared = context.prepare(found.statement, lambda tree: found.with_values(nothing, tree))
    try:
        context.plan(to_sql(prepared.tree), prepared.tree)
    except Exception as error:
        raise prepared.explain_error(error) from error


def _execute(prepared: Prepared, values: Mapping[str, Any], executor: Executor) -> Result:
    statement, context = prepared.statement, prepared.context
    body = prepared.bind(values)["Execute"]
    found = _named(context, name_of(body["name"])[-1], body["name"])
    given = list(body["parameters"])
    if len(given) != found.count:
        raise UsageError(f"the statement takes {found.count} values, not {len(given)}")
    for value in given:
        if any(key in node for node in walk(transform(value, _without_name)) for key in _NO_CONSTANT):
            raise _at(UsageError("EXECUTE takes constants"), value)
    inner = context.prepare(found.statement, lambda tree: found.with_values(given, tree))
    return replace(inner.run(values, executor), statement=statement)


def _without_name(node: dict[str, Any]) -> Tree | None:
    """A call without the function's name, which is built like a column's."""
    return {"Tuple": [node["Function"]["args"]]} if "Function" in node else None


def _deallocate(prepared: Prepared) -> Result:
    statement, context = prepared.statement, prepared.context
    node = statement.tree["Deallocate"]["name"]
    name = identifier(node)
    if name == "all" and not node["quote_style"]:
        context.named.clear()
        return Result(statement, statement.text, message="all prepared statements deallocated")
    _named(context, name, node)
    del context.named[name]
    return Result(statement, statement.text, message=f"{name}: deallocated")


def _named(context: Context, name: str, node: Tree) -> NamedStatement:
    found = context.named.get(name)
    if found is None:
        raise _at(UnknownNameError(f"there is no prepared statement `{name}`", hint=suggest(name, context.named)), node)
    return found


def _at(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error


_NULL: Tree = {"Value": {"value": "Null", "span": {"start": {"line": 0, "column": 0}, "end": {"line": 0, "column": 0}}}}
