"""Shared subexpressions get a name, so that the text of a derivative grows with its distinct parts, not with its tree.

SQL has no ``let`` inside an expression. What is used more than once is therefore computed in a CTE below the SELECT::

    SELECT f(u) * g(u) FROM t        WITH shared_1 AS (SELECT *, u AS s1 FROM t)
    WHERE x > 0                  ->  SELECT f(s1) * g(s1) FROM shared_1 AS t     -- and the WHERE goes along

This module chooses what is shared; :mod:`.rewrite` writes it. Short derivatives are left as they are: the engine
finds common subexpressions by itself, and they read better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..sql.expression import OPERATORS, Call, Case, Cast, Column, Expression, Opaque, Parameter, Star, unique
from ..sql.scope import is_aggregate

WORTH = 400
"""Derivatives of together fewer characters are left as they are."""

GROWTH = 4
"""So are those of fewer than this many times the characters of what is derived."""

_SHORTEST = 12  # characters of a subexpression that gets a name
_NAME = 4  # characters of the name


@dataclass(frozen=True)
class Shared:
    """Expressions with names in them, and what the names stand for.

    Attributes:
        expressions: the same as were given, in their order.
        levels: what is computed first, second, ...: pairs (name, expression); each level reads the ones before it.
    """

    expressions: list[Expression]
    levels: list[list[tuple[str, Expression]]]


def share(
    expressions: list[Expression], *, within: list[bool], name: Callable[[int], str], safe: Callable[[Expression], bool]
) -> Shared:
    """Name the subexpressions that are used more than once.

    Args:
        expressions: what stands in one SELECT.
        within: for each, whether its parts may be computed below the SELECT; if not, only the arguments of its
            aggregates may.
        name: the n-th name, a column's.
        safe: whether an expression may be computed also where a CASE would not have asked for it.
    """
    one: dict[Expression, Expression] = {}
    done: dict[int, Expression] = {}
    roots = [unique(expression, one, done) for expression in expressions]
    movable = _movable(roots, within, safe)
    uses: dict[int, int] = {}
    for node in one.values():
        for part in node.parts:
            uses[id(part)] = uses.get(id(part), 0) + 1
    for root in roots:
        uses[id(root)] = uses.get(id(root), 0) + 1
    return _named(roots, {key for key in movable if uses.get(key, 0) > 1}, name)


def size(expression: Expression, known: dict[int, int] | None = None) -> int:
    """About how many characters the text of an expression has, shared parts counted each time."""
    known = {} if known is None else known
    if id(expression) not in known:
        known[id(expression)] = _own_size(expression) + sum(size(part, known) for part in expression.parts)
    return known[id(expression)]


def _own_size(node: Expression) -> int:
    match node:
        case Column():
            return sum(len(part) + 1 for part in node.path) - 1
        case Call():
            return (3 if node.name in OPERATORS else len(node.name) + 2 * len(node.args)) + 4 * (
                node.window is not None
            )
        case Case():
            return 9 + 11 * len(node.branches)
        case Cast():
            return 16
        case Opaque():
            return 10
        case Parameter():
            return len(node.name)
        case Star():
            return 1
    return len(str(getattr(node, "value", "")))


def _movable(roots: list[Expression], within: list[bool], safe: Callable[[Expression], bool]) -> set[int]:
    """The ids of the parts that may be computed below the SELECT."""
    fixed: dict[int, bool] = {}

    def is_fixed(node: Expression) -> bool:
        """Whether something in it belongs where it stands: an aggregate, a window, a piece kept opaque."""
        if id(node) not in fixed:
            own = isinstance(node, (Opaque, Star)) or (
                isinstance(node, Call)
                and (node.window is not None or is_aggregate(node.name) or node.name in _VOLATILE)
            )
            fixed[id(node)] = own or any(is_fixed(part) for part in node.parts)
        return fixed[id(node)]

    found: set[int] = set()
    seen: set[tuple[int, bool, bool]] = set()
    todo = [(root, inside, False) for root, inside in zip(roots, within, strict=True)]
    while todo:
        node, inside, asked = todo.pop()
        if (id(node), inside, asked) in seen:
            continue
        seen.add((id(node), inside, asked))
        if inside and not is_fixed(node) and isinstance(node, (Call, Case, Cast)) and (not asked or safe(node)):
            found.add(id(node))
        inner = inside or (isinstance(node, Call) and is_aggregate(node.name))
        todo += [(part, inner, asked or isinstance(node, Case)) for part in node.parts]
    return found


_VOLATILE = frozenset({"random", "rand", "uuid"})


def _named(roots: list[Expression], candidates: set[int], name: Callable[[int], str]) -> Shared:
    done: dict[int, Expression] = {}
    sizes: dict[int, int] = {}
    level: dict[int, int] = {}
    levels: list[list[tuple[str, Expression]]] = []

    def visit(node: Expression) -> Expression:
        if id(node) in done:
            return done[id(node)]
        parts = [visit(part) for part in node.parts]
        sizes[id(node)] = _own_size(node) + sum(sizes[id(part)] for part in node.parts)
        level[id(node)] = max((level[id(part)] for part in node.parts), default=0)
        same = all(a is b for a, b in zip(parts, node.parts, strict=True))
        new = node if same else node.rebuilt(parts)
        if id(node) in candidates and sizes[id(node)] >= _SHORTEST:
            height = level[id(node)]
            if height == len(levels):
                levels.append([])
            label = name(sum(map(len, levels)) + 1)
            levels[height].append((label, new))
            new = Column((label,))
            sizes[id(node)], level[id(node)] = _NAME, height + 1
        done[id(node)] = new
        return new

    return Shared([visit(root) for root in roots], levels)
