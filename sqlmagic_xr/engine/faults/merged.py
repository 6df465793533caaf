"""``a JOIN b USING (k)`` makes one column of two: the engine knows that in a SELECT's list, and takes the one of a.

Of a RIGHT or FULL JOIN that is NULL where only b has a row; a star takes the one whose table comes first in the
alphabet. In WHERE it is an error to the engine, in a subquery it is the k of the row around. So k is written as the
column that it is: ``a.k``, ``b.k`` or ``coalesce(a.k, b.k)``. All this holds of NATURAL joins, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...errors import UnsupportedError
from ...relation.layers import Item, Scope
from ...sql.build import call, column, item
from ...sql.clauses import is_star, sort_keys
from ...sql.expression import Column
from ...sql.joins import (
    condition_of,
    every_join,
    joined_inside,
    joins_of,
    kept_side,
    merged_names,
    relations_of,
    using_of,
)
from ...sql.pieces import path_of
from ...sql.places import COLUMNS
from ...sql.printing import expression_sql
from ...sql.selects import alias_of, elements, from_of, having_of, qualify_of, value_of, where_of, with_elements
from ...sql.syntax import Tree, span_of, walk
from .reading import QUERY, SELECT, Reading

SIGNS = r"\bUSING\s*\(|\bNATURAL\b"


@dataclass
class _Side:
    """What stands on one side of a join.

    Attributes:
        first: of each name the first column of that name.
        means: what the name alone is; None where it is ambiguous.
        merged: the names that are one column of several, and how often they have been joined.
        outer: whether the column of a merged name depends on the relation that it is read from.
    """

    first: dict[str, Tree]
    means: dict[str, Tree | None]
    merged: dict[str, int] = field(default_factory=dict)
    outer: bool = False


def written_out(reading: Reading) -> Tree:
    """The tree in which the one column of a USING or NATURAL join is written as the column that it is.

    Raises:
        UnsupportedError: a join goes by a column that an outer join has made of two, or what it is, is not known.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"a": {"k": None, "x": None}, "b": {"k": None, "y": None}})
    >>> def show(sql):
    ...     return to_sql(written_out(Reading(parse_one(sql).tree, tables)))
    >>> show("SELECT k, y FROM a JOIN b USING (k) WHERE k > 1")
    'SELECT k, y FROM a JOIN b USING(k) WHERE a.k > 1'
    >>> show("SELECT * FROM a FULL JOIN b USING (k)")
    'SELECT coalesce(a.k, b.k) AS k, a.x, b.y FROM a FULL JOIN b USING(k)'
    """
    ordered = {id(node) for place in reading.of_kind(QUERY) for key in sort_keys(place.node) for node in walk(key)}

    def refer(node: dict[str, Any], scope: Scope) -> Tree | None:
        path = path_of(node)
        side = _side(scope) if len(path) == 1 else None
        means = side.means.get(path[0]) if side is not None and path[0] in side.merged else None
        if side is None or means is None or id(node) in _named_only(scope):
            return None
        if id(node) in ordered and _puts_out(scope, path[0]):
            return None
        sure = means is side.first[path[0]] and side.merged[path[0]] == 1 and scope.outer is None
        return None if sure and id(node) not in _filters(scope) else means

    return reading.rewritten({**dict.fromkeys(COLUMNS, refer), SELECT: _select})


def _select(node: dict[str, Any], scope: Scope) -> Tree | None:
    """The SELECT whose stars are spelled where they show a column of an outer join; its columns keep their names."""
    side = _side(scope)
    if side is None:
        return None
    new: list[Tree] = []
    for after, before in zip(elements(node), elements(scope.select), strict=True):
        if is_star(before) and side.outer:
            new += _spelled(before, scope, side)
        elif after is not before and alias_of(before) is None and len(path := path_of(value_of(before))) == 1:
            new.append(item(value_of(after), path[0]))
        else:
            new.append(after)
    return with_elements(node, new) if any(a is not b for a, b in zip(new, elements(node), strict=False)) else None


def _spelled(star: Tree, scope: Scope, side: _Side) -> list[Tree]:
    found = scope.wildcard(star)
    if found is None:
        raise UnsupportedError(
            "a star over an outer join with USING needs columns that are known, and no REPLACE or RENAME",
            hint="Name the columns.",
            span=span_of(star),
        )
    shown = [(o.expression.name, o.expression.path) for o in found if isinstance(o.expression, Column)]
    means = {name: tree for name in side.merged if (tree := side.means[name]) is not None}
    return [item(means[name], name) if name in means else item(column(*path)) for name, path in shown]


def _side(scope: Scope) -> _Side | None:
    """What the names of a SELECT's FROM mean; None where no join merges, or columns are not known."""
    if scope.select is None:
        return None
    known = ("merged columns", None)
    if known not in scope.facts:
        scope.facts[known] = _read(scope)
    found: _Side | None = scope.facts[known]
    return found


def _read(scope: Scope) -> _Side | None:
    natural, using = scope.merging
    if not (natural or using):
        return None
    if any(known.names is None or not known.path for known in scope.items):
        _refuse_either(scope)
        return None
    items = iter(scope.items)
    sides = [_element(element, items) for element in from_of(scope.select)]
    return sides[0] if len(sides) == 1 else _beside(sides)


def _refuse_either(scope: Scope) -> None:
    """Refuse a RIGHT or FULL JOIN of relations whose columns are not known, or that cannot be named."""
    for join in every_join(from_of(scope.select)):
        if kept_side(join) in ("right", "either") and condition_of(join) is None:
            raise UnsupportedError(
                "a RIGHT or FULL JOIN with USING, or NATURAL, needs relations that have names and known columns",
                hint="Give a subquery a name, or join ON a.k = b.k and select coalesce(a.k, b.k).",
                span=span_of(join),
            )


def _element(element: Tree, items: Iterator[Item]) -> _Side:
    first, *others = relations_of(element)
    side = _relation(first, items)
    for relation, join in zip(others, joins_of(element), strict=True):
        side = _joined(side, _relation(relation, items), join)
    return side


def _relation(relation: Tree, items: Iterator[Item]) -> _Side:
    inner = joined_inside(relation)
    if inner is not None:
        return _element(inner, items)
    own = next(items)
    columns = {name: column(*own.path, name) for name in own.names or ()}
    return _Side(columns, dict(columns))


def _beside(sides: list[_Side]) -> _Side:
    """Sides that no condition joins: a name that several have is ambiguous."""
    both = _Side({}, {}, {}, any(side.outer for side in sides))
    for side in sides:
        both.means |= {name: None if name in both.means else tree for name, tree in side.means.items()}
        both.first = {**side.first, **both.first}
        both.merged |= side.merged
    return both


def _joined(left: _Side, right: _Side, join: Tree) -> _Side:
    kept = kept_side(join)
    if kept in ("left only", "right only"):
        return left if kept == "left only" else right
    both = _beside([left, right])
    for name in merged_names(join, left.means, right.means):
        mine, other = left.means.get(name), right.means.get(name)
        if mine is None or other is None:
            continue
        _check_chain(left, right, name, join)
        whole = {"left": mine, "right": other, "both": mine}.get(kept) or call("coalesce", [mine, other])
        both.means[name] = whole
        both.merged[name] = left.merged.get(name, 0) + right.merged.get(name, 0) + 1
        both.outer = both.outer or kept != "both"
    return both


def _check_chain(left: _Side, right: _Side, name: str, join: Tree) -> None:
    """Refuse to join by a column that is of either side of an outer join: the engine takes that of one side."""
    for side in (left, right):
        means = side.means[name]
        if means is not side.first[name]:
            raise UnsupportedError(
                f"a join USING ({name}) behind an outer join that has made {name} of two columns is answered wrongly "
                "by the engine",
                hint=f"Join ON {expression_sql(left.means[name])} = {expression_sql(right.means[name])}.",
                span=span_of(join),
            )


def _named_only(scope: Scope) -> set[int]:
    """The ids of names that are no expressions (those after USING), or that an output has (in HAVING, QUALIFY)."""
    known = ("names only", None)
    if known not in scope.facts:
        scope.facts[known] = {id(n) for join in every_join(from_of(scope.select)) for n in walk(using_of(join))} | {
            id(node) for clause in (having_of(scope.select), qualify_of(scope.select)) for node in walk(clause)
            if path_of(node)[:1] and path_of(node)[0] in scope.aliases
        }  # fmt: skip
    found: set[int] = scope.facts[known]
    return found


def _filters(scope: Scope) -> set[int]:
    """The ids of what stands in WHERE and ON."""
    known = ("filters", None)
    if known not in scope.facts:
        scope.facts[known] = {id(n) for part in (where_of(scope.select), from_of(scope.select)) for n in walk(part)}
    found: set[int] = scope.facts[known]
    return found


def _puts_out(scope: Scope, name: str) -> bool:
    return scope.outputs is None or any(output.name == name for output in scope.outputs)
