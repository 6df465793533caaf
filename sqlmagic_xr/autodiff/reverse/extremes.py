"""The rows that attain the extreme value of their group, and how many they are."""

from __future__ import annotations

from ...sql.expression import Call, Cast, Expression, Star
from ..doubles import REAL
from ..simplify import ZERO
from .blocks import Block, Leaf, label
from .keys import may_be_null
from .shares import same


def tied(block: Block, column: str, call: Call) -> tuple[Leaf, Leaf]:
    """The extreme value of each group, and how many of its rows attain it.

    Args:
        block: the group.
        column: its column.
        call: what that is: MIN or MAX.
    """
    inner = Leaf(label(block.name), block)
    on = [same(block.outputs[k], inner.column(k), may_be_null(block, block.outputs[k])) for k in block.keys or ()]
    met = attains(call, inner.column(column))
    met = met if call.filter is None else Call("and", (call.filter, met))
    where = (*block.where, *on)
    keys = {k: block.outputs[k] for k in block.keys or ()}
    counted = Call("count", (Star(),), filter=met)  # a group in which all is NULL has other aggregates all the same
    grouped = Block(f"ties_{block.name}", (*block.source, inner), where, {**keys, "n": counted}, tuple(keys))
    leaf = Leaf(label(grouped.name), grouped)
    shown = {**{k: leaf.column(k) for k in keys}, "ties": Cast(leaf.column("n"), REAL)}
    found = Block(f"ties_{block.name}", (leaf,), (), shown)
    return Leaf(label(block.name), block), Leaf(label(found.name), found)


def attains(call: Call, best: Expression) -> Expression:
    """Whether a row has the extreme value of its group: beyond it there is none, also where one is a negative zero.

    Written with =, DataFusion takes it for a key of a hash join, and has lost it there.
    """
    return Call("<=" if call.name == "min" else ">=", (Call("+", (call.args[0], ZERO)), Call("+", (best, ZERO))))
