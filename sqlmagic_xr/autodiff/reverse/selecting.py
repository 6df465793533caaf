"""One SELECT as blocks: its rows, its groups, its windows, what it shows, and which of its rows an order chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...relation import columns as bound
from ...relation import nodes
from ...relation.conditions import conjunction, conjuncts
from ...relation.functions import SAME
from ...sql.expression import Call, Cast, Column, Expression, Literal, Verbatim
from .blocks import Block, BlockUnion, FromLeaf, Node, labels, names, substituted
from .blocks import label as new_label
from .grouping import MOMENTS, Group
from .over import Over
from .refusing import refused, require_free
from .rows import as_leaf, free, is_total, keyed
from .windows import windowed

if TYPE_CHECKING:
    from .reading import BlockReader


def selected(reader: BlockReader, select: nodes.Select, name: str) -> Node:
    """The block that a SELECT is.

    Args:
        reader: says what its columns mean.
        select: without its ORDER BY.
        name: what it may be called.
    """
    where: list[Expression] = []
    source, window, group = select.source, None, None
    if isinstance(source, nodes.Window):
        window, source = source, source.source
    if isinstance(source, nodes.Aggregate):
        group, source = source, source.source
    condition = group.condition if group is not None else window.condition if window is not None else (
        select.condition)  # fmt: skip
    read = reader.source(source, where)
    block = Block(name, read, tuple(where), {})
    block = reader.taken(replace(block, where=(*block.where, *reader.conditions(condition))))
    if group is not None:
        block = _grouped(reader, group, block, select)
        above = window.condition if window is not None else select.condition
        block = reader.taken(replace(block, where=tuple(reader.conditions(above))))
    if window is not None:
        block = windowed(reader, window, block, select)
        reader.require_none_beside(select)
        block = replace(block, where=(*block.where, *reader.conditions(select.condition)))
    return _shown(reader, select, block, computed=group is not None)


def _shown(reader: BlockReader, select: nodes.Select, block: Block, *, computed: bool) -> Node:
    outputs = {output.name or f"column_{n}": reader.expression(output.expression)
               for n, output in enumerate(select.outputs)}  # fmt: skip
    if len(outputs) < len(select.outputs):
        raise refused("two columns of a query have one name", "Give one of them another name.", select)
    found = reader.taken(replace(block, outputs=outputs))
    if select.distinct is True:
        raise refused("no derivative goes through SELECT DISTINCT",
                      "Use GROUP BY with aggregates, or derive inside it.", select)  # fmt: skip
    if isinstance(select.distinct, tuple):
        return found
    return merged(found) if computed else found


# ------------------------------------------------------------------------------------------------------------- groups


def _grouped(reader: BlockReader, group: nodes.Aggregate, block: Block, select: nodes.Select) -> Block:
    """The block above a group, which reads its keys and aggregates."""
    keys = {_word(str(k.name)): reader.expression(k.expression) for k in group.keys}
    calls = {m.name: reader.expression(_of_rows(m)) for m in group.measures}
    block = reader.taken(block)
    require_free(replace(block, outputs=keys), "GROUP BY", select)
    if any(isinstance(e, Call) and SAME.get(e.name, e.name) in MOMENTS for e in calls.values()):
        rows, new = as_leaf(block, (*keys.values(), *calls.values()))
        reader.rename(new)
        block = Block(block.name, (rows,), (), {})
        keys = {k: substituted(e, new) for k, e in keys.items()}
        calls = {m: substituted(e, new) for m, e in calls.items()}
    wanted = {o.expression.name: o.name for o in select.outputs if isinstance(o.expression, bound.Field)}
    base = {m.name: _word(wanted.get(m.name) or f"{m.call.name}_{n}") for n, m in enumerate(group.measures)}
    if group.sets:
        return _sets(reader, group, block, keys, calls, base)
    one = Group(block, keys, grouped=group.grouped)
    values = {m: one.measure(_call(e), base[m]) for m, e in calls.items()}
    leaf = one.made()
    shown = {str(k.name): leaf.column(_word(str(k.name))) for k in group.keys} | values
    reader.columns[group] = lambda n: shown[n]
    return Block(block.name, (leaf,), (), {})


def _sets(
    reader: BlockReader, group: nodes.Aggregate, block: Block, keys: dict[str, Expression],
    calls: dict[str, Expression], base: dict[str, str],
) -> Block:  # fmt: skip
    """GROUPING SETS: one GROUP BY for each, one under the other, with NULL for the keys that it has not."""
    if not group.grouping:
        raise refused("no derivative goes through GROUPING SETS here", "Write one GROUP BY for each.", group)
    parts = []
    every = list(keys)
    for places in group.grouping:
        mine = {every[p]: keys[every[p]] for p in places}
        one = Group(block, mine, grouped=bool(mine))
        values: dict[str, Expression] = {}
        for name, e in calls.items():
            call = _call(e)
            if call.name == "grouping":
                bits = ["0" if any(keys[k] == arg for k in mine) else "1" for arg in call.args]
                values[base[name]] = Literal(int("".join(bits), 2))
            else:
                values[base[name]] = one.measure(call, base[name])
        leaf = one.made()
        outputs = {k: leaf.column(k) if k in mine else _nothing(keys[k]) for k in every}
        parts.append(Block(block.name, (leaf,), (), {**outputs, **values}))
    whole = FromLeaf(new_label(block.name), BlockUnion(block.name, tuple(parts)))
    shown = {str(k.name): whole.column(_word(str(k.name))) for k in group.keys}
    shown |= {name: whole.column(base[name]) for name in calls}
    reader.columns[group] = lambda n: shown[n]
    return Block(block.name, (whole,), (), {})


def _nothing(key: Expression) -> Expression:
    """NULL, where a set has not a key: of the type of the others, which the UNION gives it."""
    return Cast(Literal(None), key.type) if isinstance(key, Cast) else Literal(None)


def _of_rows(measure: bound.Measure) -> Call:
    """An aggregate over rows in whatever order."""
    if not measure.order:
        return measure.call
    if SAME.get(measure.call.name, measure.call.name) in ("sum", "avg", "count", "min", "max", *MOMENTS):
        return measure.call
    raise refused(f"{measure.call.name} with an ORDER BY has no derivative through a whole query",
                  "Use MIN or MAX, or a join.", measure.call)  # fmt: skip


def _call(expression: Expression) -> Call:
    assert isinstance(expression, Call)
    return expression


def merged(block: Block) -> Node:
    """A group whose columns are shown as they are, as one block."""
    (leaf,) = block.source if len(block.source) == 1 else (None,)
    if not isinstance(leaf, FromLeaf) or not isinstance(leaf.node, Block) or block.where or not leaf.node.groups:
        return block
    shown = [e.path[1] for e in block.outputs.values() if isinstance(e, Column)]
    if len(shown) < len(block.outputs) or len(set(shown)) < len(shown):
        return block
    outputs = {name: leaf.node.outputs[inner] for name, inner in zip(block.outputs, shown, strict=True)}
    called = dict(zip(shown, block.outputs, strict=True))
    for key_name in leaf.node.keys or ():
        if key_name not in called:
            name = key_name
            while name in outputs:
                name += "_1"
            called[key_name], outputs[name] = name, leaf.node.outputs[key_name]
    return replace(leaf.node, outputs=outputs, keys=tuple(called[k] for k in leaf.node.keys or ()))


def _word(name: str) -> str:
    return name.replace(" ", "_")


# -------------------------------------------------------------------------------------------------- rows by an order


def first_of_each(reader: BlockReader, select: nodes.Select, keys: Sequence[bound.SortKey], block: Node) -> Block:
    """DISTINCT ON: of each group of rows the first by an order.

    Args:
        reader: says what columns mean.
        select: the SELECT.
        keys: its ORDER BY.
        block: what it shows.
    """
    assert isinstance(select.distinct, tuple)
    assert isinstance(block, Block)
    on = [_shown_as(reader, select, block, e) for e in select.distinct]
    require_free(replace(block, outputs={str(n): e for n, e in enumerate(on)}), "DISTINCT ON", select)
    order = [replace(key, expression=_shown_as(reader, select, block, key.expression)) for key in keys]
    return _chosen(block, on, [k for k in order if k.expression not in on], None, Literal(1), select)


def limited(reader: BlockReader, limit: nodes.Limit, block: Node) -> Block:
    """LIMIT and OFFSET behind an ORDER BY.

    Args:
        reader: says what columns mean.
        limit: the clause.
        block: the rows.
    """
    sort = limit.source
    hint = "Choose the rows by a condition, or order them by what names each."
    if not isinstance(sort, nodes.Sort) or not isinstance(block, Block):
        raise refused("no derivative goes through LIMIT without an ORDER BY", hint, limit)
    if block.groups:
        leaf = FromLeaf(new_label(block.name), block)
        block = Block(block.name, (leaf,), (), {n: leaf.column(n) for n in block.outputs})
        own = Reselected(block, leaf)
        order = [replace(k, expression=own.shown(sort, k.expression)) for k in sort.keys]
    else:
        order = [replace(k, expression=_shown_as(reader, sort.source, block, k.expression)) for k in sort.keys]
    return _chosen(block, [], order, limit.skip, limit.count, limit)


class Reselected:
    """A group's rows as they are shown once more, so that its columns can be sorted by."""

    def __init__(self, block: Block, leaf: FromLeaf) -> None:
        self.block, self.leaf = block, leaf

    def shown(self, sort: nodes.Sort, expression: Expression) -> Expression:
        """A key of ORDER BY that is one of the columns."""
        if isinstance(expression, bound.Field) and expression.relation is sort.source:
            return self.leaf.column(expression.name)
        raise refused("a group is ordered by what it does not show", "Put that among its columns.", sort)


def _shown_as(reader: BlockReader, select: nodes.Relation, block: Block, expression: Expression) -> Expression:
    """A key of ORDER BY, or of DISTINCT ON, over what a block's FROM reads."""

    def change(part: Expression) -> Expression | None:
        of_outputs = isinstance(part, bound.Field) and part.relation is select
        return block.outputs[part.name] if of_outputs else None  # type: ignore[attr-defined]

    found = reader.over(expression, change)
    if not labels(found) <= {leaf.label for leaf in block.leaves}:
        raise refused("rows are ordered by what is out of sight", "Put that among their columns.", expression, select)
    return found


def _chosen(
    block: Block, partition: Sequence[Expression], order: Sequence[bound.SortKey], skip: Expression | None,
    count: Expression | None, where: nodes.Relation,
) -> Block:  # fmt: skip
    """The rows of a block whose number within their partition is beyond ``skip`` and among ``count``."""
    shown = list(block.outputs)
    outputs = dict(block.outputs)
    names_of: dict[Expression, str] = {e: n for n, e in block.outputs.items()}
    for e in (*partition, *(k.expression for k in order)):
        if e not in names_of:
            names_of[e] = free("order", outputs)
            outputs[names_of[e]] = e
    rows = keyed(replace(block, name=f"{block.name}_rows", outputs=outputs))
    leaf = FromLeaf(new_label(block.name), rows)
    by = tuple(leaf.column(names_of[e]) for e in partition)
    keys = tuple(leaf.column(names_of[k.expression]) for k in order)
    over = Over(Call("row_number", ()), by, keys, tuple((k.descending, k.nulls_first) for k in order))
    if not is_total(leaf, over):
        raise refused("rows that tie in an ORDER BY may be taken or left: it is not known that these do not",
                      "Add columns that name a row.", where)  # fmt: skip
    place = free("place", names(rows))
    numbered = Block(f"{block.name}_placed", (leaf,), (), {**{n: leaf.column(n) for n in names(rows)}, place: over})
    top = FromLeaf(new_label(block.name), numbered)
    number = Cast(top.column(place), _BIGINT)
    conditions: list[Expression] = [] if skip is None else [Call(">", (number, skip))]
    if count is not None:
        last = count if skip is None else Call("+", (skip, count))
        conditions.append(Call("<=", (number, last)))
    held = list(conjuncts(conjunction(conditions)))
    return Block(block.name, (top,), tuple(held), {n: top.column(n) for n in shown})


_BIGINT = Verbatim({"BigInt": None})
