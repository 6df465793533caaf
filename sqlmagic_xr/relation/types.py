"""The types of expressions, as DataFusion gives them; None where we are not sure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from ..sql.expression import Call, Case, Cast, Expression, Literal, Star, bottom_up
from .catalog import Type
from .columns import Field, Nested
from .functions import INTEGERS, function

TypeOf = Callable[[Field], Type | None]
"""The type of a column."""

_TRUTHS = frozenset({
    "=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "between", "not between", "in", "not in", "is null",
    "is not null", "is true", "is not true", "is false", "is not false", "is unknown", "is not unknown",
    "is distinct from", "is not distinct from",
})  # fmt: skip
CASTS = {
    "BigInt": "int64", "Int8": "int64", "Int": "int32", "Integer": "int32", "SmallInt": "int16", "TinyInt": "int8",
    "Double": "double", "DoublePrecision": "double", "Float8": "double", "Real": "float", "Float4": "float",
    "Boolean": "bool", "Bool": "bool", "Date": "date32[day]",
}  # fmt: skip


def type_of(expression: Expression, of_column: TypeOf) -> Type | None:
    """The type of an expression, or None.

    Args:
        expression: bound.
        of_column: gives the type of a column.
    """
    found: Type | None = bottom_up(expression, lambda node, parts: _one(node, parts, of_column))
    return found


def _one(node: Expression, parts: list[Type | None], of_column: TypeOf) -> Type | None:
    match node:
        case Field():
            return of_column(node)
        case Literal(value=value):
            return _literal(value)
        case Cast():
            return _cast(node)
        case Case():
            return _common([*node.results(parts), *(["null"] if node.default is None else [])])
        case Nested(kind=kind) if kind != "scalar":
            return "bool"
        case Call():
            return _call(node, parts[: len(node.args)])
    return None


def _literal(value: object) -> Type | None:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**63 else None
    return "double" if isinstance(value, float) else None


def _cast(node: Cast) -> Type | None:
    tree = node.type.tree
    kind, detail = (tree, None) if isinstance(tree, str) else next(iter(tree.items()))
    return CASTS.get(kind) if detail in (None, "None") else None


def _call(node: Call, types: list[Type | None]) -> Type | None:
    if node.name in _TRUTHS:
        return "bool"
    if node.name in ("+", "-", "*", "/", "%"):
        return _arithmetic(types)
    found = function(node.name)
    if found is None or (node.window is not None and found.kind == "scalar"):
        return None
    if any(isinstance(arg, Star) for arg in node.args):
        return "int64" if found.name == "count" else None
    return found.result(types)


def _arithmetic(types: list[Type | None]) -> Type | None:
    """Of one type that type, if it does not widen; of whole numbers and float64 float64."""
    kinds = set(types)
    if len(kinds) == 1:
        (kind,) = kinds
        return kind if kind in ("int64", "int32", "double", "float") else None
    if "double" in kinds and kinds <= INTEGERS | {"double", "float"} - {"uint64"}:
        return "double"
    return "int64" if kinds == {"int64", "int32"} else None


def _common(types: list[Type | None]) -> Type | None:
    kinds = set(types) - {"null"}
    if kinds == {"int64", "double"}:
        return "double"
    return next(chain(kinds)) if len(kinds) == 1 else None
