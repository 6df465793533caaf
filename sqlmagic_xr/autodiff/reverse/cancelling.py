"""Relations on which a query's column does not depend, however they change: what would go back to them cancels.

``ln(SUM(exp(z - m))) + m`` is the same whatever ``m`` is, as long as it is one number in all rows of the sum: the
greatest ``z``, say, which keeps ``exp`` finite. So nothing goes back through MAX to the rows that attain it.

That is proved, or not made use of. Where a column of such a relation grows by ``d``, a value above it grows by
``rate * d`` or by the factor ``exp(rate * d)``; ``exp`` and ``ln`` make one of the other, sums keep either, and a sum
over a group keeps a factor that is the same in all of its rows. A rate of 0 says that it does not change. Like all
derivatives this takes conditions as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

from ...sql.expression import Call, Case, Column, Expression, Literal, bottom_up, descend
from ...sql.expression import columns as paths
from .blocks import Block, BlockUnion, FromLeaf, Given, Node, Path, active, filled
from .keys import key_of
from .removing import equal_paths


class _Growth(NamedTuple):
    """How a value changes where a column grows by ``d``: by ``rate * d``, or by the factor ``exp(rate * d)``."""

    rate: Fraction = Fraction(0)
    scaled: bool = False


_STILL = _Growth()
_UNKNOWN = None
_OF_GROUPS = ("sum", "min", "max")
_Growths = Mapping[str, _Growth | None]
_Row = Mapping[str, str] | None
"""Column of the key of the relation that grows -> the column that says the same; None where that is not known."""


def cancelled(loss: Block, column: str) -> frozenset[Node]:
    """The relations below a query by which a column of it has the derivative 0, whatever they hold."""
    found: set[Node] = set()
    for block in _shifts(loss):
        key = key_of(block)
        if key is not None and all(_Above(block, c, key).of(loss)[0].get(column, _STILL) == _STILL
                                   for c in active(block)):  # fmt: skip
            found.add(block)
    return frozenset(found)


def _shifts(loss: Block) -> list[Block]:
    """The relations below a query of which a column is added to something within an ``exp``."""
    found: dict[Block, None] = {}
    todo: list[tuple[Block, Path]] = []
    for block in _blocks(loss):
        for e in block.outputs.values():
            inside = (part for part in descend(e) if isinstance(part, Call) and part.name == "exp")
            todo += [(block, path) for call in inside for path in sorted(paths(call))]
    seen: set[tuple[Block, Path]] = set()
    while todo:
        reader, path = todo.pop()
        node = next((leaf.node for leaf in reader.leaves if leaf.label == path[0]), None)
        if (reader, path) in seen or not isinstance(node, Block) or path[1] not in active(node):
            continue
        seen.add((reader, path))
        found[node] = None
        todo += [(node, inner) for inner in sorted(paths(node.outputs[path[1]])) if not node.groups]
    return list(found)


def _blocks(loss: Block) -> Iterator[Block]:
    seen: set[Node] = set()
    todo: list[Node] = [loss]
    while todo:
        node = todo.pop()
        if node in seen or not active(node):
            continue
        seen.add(node)
        if isinstance(node, Block):
            yield node
            todo += [leaf.node for leaf in node.leaves]
        elif isinstance(node, BlockUnion):
            todo += node.parts


class _Above:
    """How what stands above a relation changes where one of its columns grows, in each row by a number of its own.

    Args:
        relation: it.
        column: the column.
        key: the columns that name one of its rows.
    """

    def __init__(self, relation: Block, column: str, key: Sequence[str]) -> None:
        self._key = key
        self._done: dict[Node, tuple[_Growths, _Row]] = {
            relation: ({column: _Growth(Fraction(1))}, {k: k for k in key})
        }

    def of(self, node: Node) -> tuple[_Growths, _Row]:
        """The columns of a relation that change, and how; and which row it is that they change with."""
        if node not in self._done:
            self._done[node] = self._of(node)
        return self._done[node]

    def _of(self, node: Node) -> tuple[_Growths, _Row]:
        if isinstance(node, Given) or not active(node):
            return {}, {}
        if isinstance(node, BlockUnion):
            grown = any(self.of(part)[0] for part in node.parts)
            return dict.fromkeys(active(node), _UNKNOWN) if grown else {}, None
        below = [(leaf, *self.of(leaf.node)) for leaf in node.leaves]
        growing: dict[Path, _Growth | None] = {
            (leaf.label, n): growth for leaf, growths, _ in below for n, growth in growths.items()
        }
        if not growing:
            return {}, {}
        row = self._row(node, [(leaf, its) for leaf, growths, its in below if growths])
        if row is None:
            growing = dict.fromkeys(growing, _UNKNOWN)
        shown = None if row is None else self._shown(node, row)
        found = {n: self._output(node, node.outputs[n], growing, shown) for n in active(node)}
        return {n: growth for n, growth in found.items() if growth != _STILL}, shown

    def _row(self, block: Block, grown: Sequence[tuple[FromLeaf, _Row]]) -> Mapping[str, Path] | None:
        """For the key what says it in a block's FROM, where all that grows there grows with one row."""
        if any(its is None or leaf.label in filled(block) for leaf, its in grown):
            return None
        every = [{k: (leaf.label, its[k]) for k in self._key} for leaf, its in grown if its is not None]
        first = every[0]
        alike = all(other[k] in equal_paths(block, first[k]) for other in every[1:] for k in self._key)
        return first if alike else None

    def _shown(self, block: Block, row: Mapping[str, Path]) -> _Row:
        """The outputs of a block that say the key; of a group its own keys."""
        shown = {n: e.path for n, e in block.outputs.items()
                 if isinstance(e, Column) and (block.keys is None or n in block.keys)}  # fmt: skip
        found = {}
        for k, path in row.items():
            name = next((n for n, other in shown.items() if other in equal_paths(block, path)), None)
            if name is None:
                return None
            found[k] = name
        return found

    def _output(
        self, block: Block, output: Expression, growing: Mapping[Path, _Growth | None], shown: _Row
    ) -> _Growth | None:
        call = output if block.groups and isinstance(output, Call) and output.name in _OF_GROUPS else None
        value = output if call is None else call.args[0]
        found: _Growth | None = bottom_up(value, lambda e, parts: _grown(e, parts, growing), _valued)
        if found is None or found == _STILL:
            return found
        of_one_row = shown is not None and (call is not None or not block.groups)
        return found if of_one_row and (call is None or call.name != "sum" or found.scaled) else _UNKNOWN


def _valued(node: Expression) -> Sequence[Expression]:
    """The parts of an expression that its value is computed from; conditions are none."""
    if isinstance(node, Case):
        return [result for _, result in node.branches] + ([] if node.default is None else [node.default])
    return node.parts


def _grown(node: Expression, parts: Sequence[_Growth | None], growing: Mapping[Path, _Growth | None]) -> _Growth | None:
    """How an expression grows, from how its parts do."""
    if isinstance(node, Column):
        return growing.get(node.path, _STILL)
    if not parts:
        return _STILL if paths(node).isdisjoint(growing) else _UNKNOWN
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return _UNKNOWN
    if all(part == _STILL for part in known):
        return _STILL
    if isinstance(node, Case):
        return known[0] if len(set(known)) == 1 else _UNKNOWN
    return _called(node, known) if isinstance(node, Call) else _UNKNOWN


def _called(call: Call, parts: Sequence[_Growth]) -> _Growth | None:
    one, other = parts[0], parts[-1]
    if call.name in ("+", "-") and len(set(parts)) == 1 and (one.scaled or len(parts) == 1):
        return one if one.scaled or call.name == "+" else _Growth(-one.rate)
    if call.name in ("+", "-") and not one.scaled and not other.scaled:
        return _plain(one.rate + (other.rate if call.name == "+" else -other.rate), scaled=False)
    if call.name in ("*", "/") and all(part.scaled or part == _STILL for part in parts):
        return _plain(one.rate + (other.rate if call.name == "*" else -other.rate), scaled=True)
    if call.name == "exp" and not one.scaled:
        return _Growth(one.rate, scaled=True)
    if call.name == "ln" and one.scaled:
        return _Growth(one.rate)
    return _UNKNOWN if call.name not in ("*", "/") else _times(call, parts)


def _times(call: Call, parts: Sequence[_Growth]) -> _Growth | None:
    """A number times what grows, or that divided by one."""
    for place, part in enumerate(call.args):
        number = part.number if isinstance(part, Literal) else None
        grown = parts[1 - place]
        if not number or not isfinite(number) or grown.scaled or (call.name == "/" and place == 0):
            continue
        factor = Fraction(number)
        return _Growth(grown.rate * factor if call.name == "*" else grown.rate / factor)
    return _UNKNOWN


def _plain(rate: Fraction, *, scaled: bool) -> _Growth:
    return _Growth(rate, scaled) if rate else _STILL
