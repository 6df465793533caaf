"""The rows that attain the extreme value of their group, and how many they are."""

from __future__ import annotations

from ...sql.expression import Call, Cast, Expression, Literal, Star
from ...sql.expression import columns as paths
from ...sql.remembered import once_a_column
from ..doubles import REAL
from ..simplify import ZERO, multiply
from .blocks import Block, BlockUnion, FromLeaf, Given, Node, label, names
from .keys import may_be_null
from .over import RANKS, Over
from .shares import same
from .slopes import kind_of_expression

NEAR = 1e-10
"""How near, as a part of it, a value calculated from a sum is to an extreme that it attains."""


def tied(block: Block, column: str, call: Call) -> tuple[FromLeaf, FromLeaf]:
    """The extreme value of each group, and how many of its rows attain it.

    Args:
        block: the group.
        column: its column.
        call: what that is: MIN or MAX.
    """
    inner = FromLeaf(label(block.name), block)
    on = [same(block.outputs[k], inner.column(k), may_be_null(block, block.outputs[k])) for k in block.keys or ()]
    met = attains(block, call, inner.column(column))
    met = met if call.filter is None else Call("and", (call.filter, met))
    where = (*block.where, *on)
    keys = {k: block.outputs[k] for k in block.keys or ()}
    counted = Call("count", (Star(),), filter=met)  # a group in which all is NULL has other aggregates all the same
    grouped = Block(f"ties_{block.name}", (*block.source, inner), where, {**keys, "n": counted}, tuple(keys))
    leaf = FromLeaf(label(grouped.name), grouped)
    shown = {**{k: leaf.column(k) for k in keys}, "ties": Cast(leaf.column("n"), REAL)}
    found = Block(f"ties_{block.name}", (leaf,), (), shown)
    return FromLeaf(label(block.name), block), FromLeaf(label(found.name), found)


def attains(block: Block, call: Call, best: Expression) -> Expression:
    """Whether a row has the extreme value of its group: beyond it there is none, also where one is a negative zero.

    Written with =, DataFusion takes it for a key of a hash join, and has lost it there. A sum is evaluated once for the
    extreme and once for the rows, unless what several read is evaluated once, and has other last digits then.

    Args:
        block: what is grouped.
        call: MIN or MAX.
        best: its value in the row's group.
    """
    value, least = Call("+", (call.args[0], ZERO)), call.name == "min"
    if is_summed(block, call.args[0]):
        edges = tuple(multiply(Literal(factor), best) for factor in (1 - NEAR, 1 + NEAR))
        best = Call("greatest" if least else "least", edges)
    return Call("<=" if least else ">=", (value, Call("+", (best, ZERO))))


def is_summed(block: Block, expression: Expression) -> bool:
    """Whether an expression over a block's FROM is calculated from a sum of reals, in whatever relation below."""
    return any(_column_summed(block.leaf(path[0]).node, path[1]) for path in paths(expression))


@once_a_column
def _column_summed(node: Node, name: str) -> bool:
    if isinstance(node, Given):
        return node.summed and node.kinds.get(name) not in ("integer", "decimal", "text", "time")
    if isinstance(node, BlockUnion):
        place = names(node).index(name)
        return any(_column_summed(part, names(part)[place]) for part in node.parts)
    return _output_summed(node, node.outputs[name])


def _output_summed(block: Block, output: Expression) -> bool:
    call = output.call if isinstance(output, Over) else output
    if isinstance(call, Call) and (block.groups or isinstance(output, Over)) and call.name not in _CHOOSING:
        return call.name != "count" and kind_of_expression(block, output) not in ("integer", "decimal")
    return is_summed(block, call)


_CHOOSING = frozenset({"min", "max", "lag", "lead", *RANKS})
