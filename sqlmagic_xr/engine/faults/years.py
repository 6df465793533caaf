"""``date_part('year', t) < 9999``: the engine compares t with that year's first moment, which t may not reach."""

from __future__ import annotations

from typing import Any

from ...sql.clauses import operation, with_operands
from ...sql.pieces import arguments, bare, filled, function_name, number, text_of
from ...sql.places import OPERATION
from ...sql.syntax import Tree
from .reading import Reading, plain

SIGNS = r"\b(date_?part|extract)\b"

YEARS = range(1678, 2262)
"""The whole years that nanoseconds since 1970 reach; every other unit reaches further."""

_COMPARISONS = ("Eq", "NotEq", "Lt", "LtEq", "Gt", "GtEq", "Spaceship")
_DISTINCT = ("IsDistinctFrom", "IsNotDistinctFrom")


def kept_as_numbers(reading: Reading) -> Tree:
    """The tree with years compared as numbers, unless with a year that every unit of time reaches.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> def show(sql):
    ...     return to_sql(kept_as_numbers(Reading(parse_one(sql).tree)))
    >>> show("SELECT t FROM d WHERE date_part('year', t) < 9999")
    "SELECT t FROM d WHERE (date_part('year', t) + 0) < 9999"
    >>> show("SELECT t FROM d WHERE date_part('year', t) < 2000")
    "SELECT t FROM d WHERE date_part('year', t) < 2000"
    """
    return reading.rewritten(plain(_rewritten, OPERATION, "Between", "InList", *_DISTINCT), named=False)


def _rewritten(node: dict[str, Any]) -> Tree | None:
    found = operation(node)
    if found is not None:
        return _compared(node, *found) if found[0] in _COMPARISONS else None
    if "Between" in node:
        return _changed(node, "Between", node["Between"], ("expr", "low", "high"))
    if "InList" in node and _is_year(node["InList"]["expr"]) and _far(node["InList"]["list"]):
        return {"InList": {**node["InList"], "expr": _number(node["InList"]["expr"])}}
    for kind in _DISTINCT:
        if kind in node and _far(node[kind]):
            return {kind: [_number(side) if _is_year(side) else side for side in node[kind]]}
    return None


def _compared(node: Tree, operator: str, *sides: Tree) -> Tree | None:
    if not any(map(_is_year, sides)) or not _far(sides):
        return None
    return with_operands(node, *(_number(side) if _is_year(side) else side for side in sides))


def _changed(node: Tree, kind: str, body: Tree, sides: tuple[str, ...]) -> Tree | None:
    values = [body[side] for side in sides]
    if not any(map(_is_year, values)) or not _far(values):
        return None
    return {kind: {**body, **{side: _number(v) for side, v in zip(sides, values, strict=True) if _is_year(v)}}}


def _far(values: Any) -> bool:
    """Whether a year may be compared with one that not every unit of time reaches."""
    return any(number(value) is None or int(number(value) or 0) not in YEARS for value in values if not _is_year(value))


def _is_year(tree: Tree) -> bool:
    tree = bare(tree)
    if "Extract" in tree:
        return bool(tree["Extract"]["field"] == "Year")
    if function_name(tree) not in ("date_part", "datepart"):
        return False
    part = arguments(tree)[:1]
    text = text_of(part[0]) if part else None
    return text is None or text.lower() in ("year", "years")


def _number(year: Tree) -> Tree:
    # The engine looks through parentheses and casts, and not through a sum.
    return filled("(X + 0)", X=bare(year))
