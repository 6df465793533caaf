"""Shared subexpressions get a name, so that the text of a derivative grows with its distinct parts, not with its tree.

SQL has no ``let`` inside an expression. What is used more than once is therefore computed in a CTE below the SELECT::

    SELECT f(u) * g(u) FROM t        WITH s1 AS (SELECT *, u AS a FROM t)
    WHERE x > 0                  ->  SELECT f(a) * g(a) FROM s1 AS t     -- and the WHERE goes along

This module chooses what is shared, so that the text is short; :mod:`.rebuild` writes it. Short derivatives are left as
they are: the engine finds common subexpressions by itself, and they read better. Where a SELECT cannot read a CTE
instead of its FROM (it holds a subquery, or is one that reads another's rows, or is recursive), and outside a SELECT's
outputs (WHERE, ON, SET, VALUES), nothing has a name, and a derivative is written in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..relation.functions import is_aggregate, varies
from ..sql.expression import Call, Case, Cast, Column, Expression, Made, Star, Verbatim, bottom_up, descend, unique
from .collect import tidied
from .dissolve import intermediate, joined, plain
from .intermediate import Below, Intermediate
from .size import size

WORTH = 400
"""Derivatives of together fewer characters are left as they are, unless they are LONG."""

GROWTH = 4
"""So are those of fewer than this many times the characters of what is derived."""

LONG = 9
"""Short ones of more than this many times the characters of what is derived are shared too, where that halves them."""

TOO_LONG = 16
"""Of more than this many times the characters, whatever is shorter is better."""

_MUCH = 4000
"""An expression of more characters is not tried without its intermediates: it would be longer, and take long."""

_NAME = 2  # characters of a name, more or less
_NAMING = 6 + _NAME  # characters of ", " and " AS " and the name
_LEVEL = 28  # characters of "s2 AS (SELECT *,  FROM s1), "


@dataclass(frozen=True)
class NamedParts:
    """Expressions with names in them, and what the names stand for.

    Attributes:
        expressions: the same as were given, in their order.
        levels: what is computed first, second, ...: pairs (name, expression); each level reads the ones before it.
    """

    expressions: list[Expression]
    levels: list[list[tuple[str, Expression]]]

    @property
    def size(self) -> int:
        """About how many characters all of it has."""
        named = [(name, expression) for level in self.levels for name, expression in level]
        return (
            sum(size(expression) for expression in self.expressions)
            + sum(size(expression) + len(name) + 6 for name, expression in named)
            + _LEVEL * len(self.levels)
        )


def share(
    expressions: list[Expression], *, within: list[bool], name: Callable[[int], str], safe: Callable[[Expression], bool]
) -> NamedParts:
    """Name the subexpressions that are used more than once, where that makes the text shorter.

    Args:
        expressions: what stands in one SELECT.
        within: for each, whether its parts may be computed below the SELECT; if not, only the arguments of its
            aggregates may.
        name: the n-th name, a column's.
        safe: whether a node may be computed also where a CASE would not have asked for it, if its parts may.
    """
    one: dict[Expression, Expression] = {}
    done = Made()
    given = [unique(expression, one, done) for expression in expressions]
    # What is shorter after sharing cannot be told before it.
    dissolved = Made()
    spread = [plain(root, dissolved) for root in given]
    ways = [] if all(a is b for a, b in zip(spread, given, strict=True)) else [_dissolved(given)]
    if not ways or sum(map(size, spread)) < _MUCH:
        ways.append(spread)
    found = [_shared(roots, within, name, safe) for roots in ways]
    return min(found, key=lambda shared: shared.size)


def _shared(
    roots: list[Expression], within: list[bool], name: Callable[[int], str], safe: Callable[[Expression], bool]
) -> NamedParts:
    one: dict[Expression, Expression] = {}
    done = Made()
    roots = [unique(tidied(root), one, done) for root in roots]
    naming = _Naming(roots, _movable(roots, within, safe))
    return _called(_merged([*naming.levels(), dict(_numbered(naming.roots))]), name)


def _movable(roots: list[Expression], within: list[bool], safe: Callable[[Expression], bool]) -> set[Expression]:
    """The parts that may be computed below the SELECT."""
    fixed, known = Made(), Made()

    def is_fixed(node: Expression) -> bool:
        """Whether something in it belongs where it stands: an aggregate, a window, a piece kept opaque."""
        found: bool = fixed.of(node, belongs, lambda node: () if isinstance(node, Below) else node.parts)
        return found

    def belongs(node: Expression, inside: list[bool]) -> bool:
        own = isinstance(node, Call) and (
            node.window is not None or is_aggregate(node.name) or varies(node.name) == "call"
        )
        return own or isinstance(node, (Verbatim, Star)) or any(inside)

    def is_safe(node: Expression) -> bool:
        sure: bool = known.of(node, lambda node, inside: all(inside) and safe(node))
        return sure

    found: set[Expression] = set()
    seen: set[tuple[Expression, bool, bool]] = set()
    todo = [(root, inside, False) for root, inside in zip(roots, within, strict=True)]
    while todo:
        node, inside, asked = todo.pop()
        if (node, inside, asked) in seen:
            continue
        seen.add((node, inside, asked))
        if inside and not is_fixed(node) and isinstance(node, (Call, Case, Cast)) and (not asked or is_safe(node)):
            found.add(node)
        inner = inside or (isinstance(node, Call) and is_aggregate(node.name))
        todo += [(part, inner, asked or isinstance(node, Case)) for part in node.parts]
    return found


def _whole(node: Expression) -> Expression:
    return node.value if isinstance(node, Intermediate) else node


def _uses(roots: list[Expression]) -> Counter[Expression]:
    """How often each distinct part stands in the text of the others; one object for each is assumed."""
    uses = Counter(map(_whole, roots))
    seen: set[Expression] = set()
    todo = [_whole(root) for root in roots]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            parts = [_whole(part) for part in node.parts]
            uses.update(parts)
            todo += parts
    return uses


def _dissolved(roots: list[Expression]) -> list[Expression]:
    """Expressions whose intermediates that are used once are no longer ones; the others stay whole."""
    uses = _uses(roots)
    done = Made()

    def made(node: Expression, parts: list[Expression]) -> Expression:
        kept = isinstance(node, Intermediate) and uses[node.value] > 1
        return intermediate(parts[0]) if kept else joined(node, parts)

    return [done.of(root, made) for root in roots]


class _Naming:
    """Chooses what gets a name: what is used again and is longer than its name and the naming of it.

    Attributes:
        named: what each name stands for; a Column of that name stands in its place until it is called.
    """

    def __init__(self, roots: list[Expression], movable: set[Expression]) -> None:
        self.movable = movable
        self.uses = _uses(roots)
        self.height: dict[str, int] = {}
        self.named: dict[str, Expression] = {}
        done = Made()
        self.roots: list[Expression] = [done.of(root, self._made) for root in roots]

    def _made(self, node: Expression, parts: list[Expression]) -> Expression:
        if isinstance(node, Intermediate):
            return parts[0]
        new = joined(node, parts)
        length = size(new)
        uses = self.uses[node]
        if isinstance(new, Below):
            return self._name(new)
        if node not in self.movable or uses < 2 or (uses - 1) * length <= uses * _NAME + _NAMING:
            return new
        return self._name(new)

    def _name(self, new: Expression) -> Column:
        label = f"\0{len(self.named)}"
        self.named[label] = new
        self.height[label] = 1 + max((self.height[part] for part in _stand_ins(new)), default=-1)
        return Column((label,))

    def levels(self) -> list[dict[str, Expression]]:
        """What is computed in which level, the first one first."""
        found: list[dict[str, Expression]] = [{} for _ in range(1 + max(self.height.values(), default=-1))]
        for label, expression in self.named.items():
            found[self.height[label]][label] = expression
        return found


def _stand_ins(expression: Expression) -> set[str]:
    columns = (node for node in descend(expression) if isinstance(node, Column))
    return {column.path[0] for column in columns if column.path[0].startswith("\0")}


def _numbered(roots: list[Expression]) -> Iterator[tuple[str, Expression]]:
    return ((f"\1{i}", root) for i, root in enumerate(roots))


def _replaced(expression: Expression, meaning: Mapping[str, Expression]) -> Expression:
    """An expression with names replaced by what they stand for."""
    if not any(label in meaning for label in _stand_ins(expression)):
        return expression

    def made(node: Expression, parts: list[Expression]) -> Expression:
        return meaning.get(node.path[0], node) if isinstance(node, Column) else joined(node, parts)

    found: Expression = bottom_up(expression, made)
    return found


def _merged(levels: list[dict[str, Expression]]) -> list[dict[str, Expression]]:
    """Fewer levels, where writing a value again costs less than one more SELECT. The last level is what is selected."""
    levels = list(levels)
    place = 0
    while place + 1 < len(levels):
        lower, upper = levels[place], levels[place + 1]
        later = set().union(*(_stand_ins(e) for level in levels[place + 2 :] for e in level.values()))
        if any(isinstance(expression, Below) for expression in lower.values()):
            place += 1
            continue
        one = {label: _replaced(expression, lower) for label, expression in upper.items()}
        if place + 2 < len(levels):
            one |= {label: expression for label, expression in lower.items() if label in later}
        if _cost(one) <= _cost(lower) + _cost(upper) + _LEVEL:
            levels[place : place + 2] = [one]
        else:
            place += 1
    return levels


def _cost(level: dict[str, Expression]) -> int:
    return sum(size(e) + _NAMING * label.startswith("\0") for label, e in level.items())


def _inner(expression: Expression) -> Expression:
    return expression.value if isinstance(expression, Below) else expression


def _called(levels: list[dict[str, Expression]], name: Callable[[int], str]) -> NamedParts:
    """The levels with names that a reader can write."""
    labels = [label for level in levels[:-1] for label in level]
    names = {label: name(number) for number, label in enumerate(labels, 1)}
    columns: dict[str, Expression] = {label: Column((called,)) for label, called in names.items()}
    written = [
        [(names.get(label, ""), _inner(_replaced(e, columns))) for label, e in level.items()] for level in levels
    ]
    return NamedParts([expression for _, expression in written[-1]], written[:-1])
