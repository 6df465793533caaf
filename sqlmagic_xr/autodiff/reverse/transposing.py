"""The way back through windows along an order: a row gets what the rows owe that see it.

A sum over a frame goes back as a sum over the mirrored frame, LAG as LEAD. Rows to which nothing is owed take part with
0, since frames count rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

from ...sql.expression import Call, Case, Column, Expression
from ..simplify import ZERO, add
from .blocks import Block, From, FromLeaf, Joined, active, label
from .keys import key_of, nullable
from .over import Over, mirrored
from .refusing import refused
from .shares import Share, or_zero, placed, same


def transposed(block: Block, leaf: FromLeaf, cotangent: Share) -> Share:
    """What is owed to the rows that windows look at.

    Args:
        block: the rows with the windows as columns.
        leaf: its reading of the rows.
        cotangent: what is owed to the block.

    Raises:
        DerivativeError: rows that cannot be told apart.
    """
    key = key_of(leaf.node)
    if key is None:
        raise refused(f"the rows that a window of {leaf.node.name} looks at have no key",
                      "Give their tables a PRIMARY KEY, or group them.")  # fmt: skip
    mine = FromLeaf(leaf.label, leaf.node)
    source, owed, batch = _rows(block, mine, cotangent)
    found: dict[str, list[Expression]] = {}
    for column, value in owed.items():
        expression = block.outputs[column]
        if column not in active(block):
            continue
        if isinstance(expression, Column):
            found.setdefault(expression.path[1], []).append(value)
            continue
        assert isinstance(expression, Over)
        argument = expression.call.args[0]
        assert isinstance(argument, Column)
        found.setdefault(argument.path[1], []).append(_back(block, expression, value, batch))
    outputs: dict[str, Expression] = {k: mine.column(k) for k in key}
    by = {b: f"by_{b}" for b in batch}
    outputs |= {by[b]: e for b, e in batch.items()}
    columns = {}
    for column, values in found.items():
        name = f"d_{column}"
        while name in outputs:
            name += "_1"
        outputs[name], columns[column] = reduce(add, values), Column(("", name))
    made = Block(f"d_{leaf.node.name}", source, (), outputs)
    return Share(made, {k: k for k in key}, columns, {}, by)


def _back(block: Block, over: Over, value: Expression, batch: Mapping[str, Expression]) -> Expression:
    """What is owed to the argument of a window function by the rows that see it; nothing to a NULL."""
    argument = over.call.args[0]
    window = replace(over, partition=(*over.partition, *batch.values()))
    if over.call.name == "sum":
        made: Expression = mirrored(window, Call("sum", (value,)))
    else:
        other = "lead" if over.call.name == "lag" else "lag"
        made = or_zero(replace(window, call=Call(other, (value, *over.call.args[1:2]))))
    assert isinstance(argument, Column)
    if nullable(block.leaves[0].node, argument.path[1]):
        made = Case(((Call("is not null", (argument,)), made),), ZERO)
    return made


def _rows(
    block: Block, mine: FromLeaf, cotangent: Share
) -> tuple[tuple[From, ...], dict[str, Expression], dict[str, Expression]]:
    """The rows with what is owed to each, for each row of the loss where it has several."""
    own: dict[str, Expression] = {n: e for n, e in block.outputs.items() if isinstance(e, Column)}
    if cotangent.block is None:
        return (mine,), {c: placed(e, {}, own) for c, e in cotangent.values.items()}, {}
    debts = FromLeaf(label(cotangent.block.name), cotangent.block)
    on = [same(own[k], debts.column(c), nullable(block, k)) for k, c in cotangent.key.items()]
    side: From = mine
    batch: dict[str, Expression] = {}
    if cotangent.batch:
        again = FromLeaf(label(cotangent.block.name), cotangent.block)
        keys = {c: again.column(c) for c in cotangent.batch.values()}
        losses = Block("losses", (again,), (), dict(keys), tuple(keys))
        each = FromLeaf(label("losses"), losses)
        side = Joined(mine, each, "inner")
        batch = {b: each.column(c) for b, c in cotangent.batch.items()}
        on += [same(batch[b], debts.column(c), nullable(cotangent.block, c)) for b, c in cotangent.batch.items()]
    columns = {n: debts.column(n) for n in cotangent.block.outputs}
    return (Joined(side, debts, "left", tuple(on)),), {
        c: or_zero(placed(e, columns, own)) for c, e in cotangent.values.items()
    }, batch  # fmt: skip
