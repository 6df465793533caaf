"""What goes from rows to one reading in them: a sum by the reading's key, outside of it what is the same for a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce

from ...sql.expression import Call, Case, Column, Expression
from ...sql.expression import columns as paths
from ..simplify import ONE, ZERO, Factors, choose, factors, multiply, product
from .blocks import Block, FromLeaf, Given, Path, label, labels, names, substituted
from .keys import closure, is_unique, nullable, value_of
from .removing import equal_paths, without
from .shares import MINE, Share, same


def contributed(work: Block, leaf: FromLeaf, key: Sequence[str], sums: Mapping[str, Expression]) -> Share:
    """The contribution of one reading, as a relation by the reading's key.

    Args:
        work: the rows; of several rows of the loss, outputs ``by ...`` tell them apart.
        leaf: the reading.
        key: the columns that name one row of it.
        sums: column of the reading -> what is summed for it.
    """
    batch = {n.removeprefix("by "): e for n, e in work.outputs.items() if n.startswith("by ")}
    inside: dict[str, Expression] = dict(sums)
    outside: dict[str, Expression] = dict.fromkeys(sums, ONE)
    one = leaf in work.source and is_unique(work, [(leaf.label, k) for k in key])  # then nothing is summed
    whole = batch or (one and (work.source, work.where) != ((leaf,), ()))
    frame = None if whole else _frame(work, leaf, key, sums.values())
    if frame is not None:
        settled = closure(work, [(leaf.label, k) for k in key])
        for column, expression in sums.items():
            inside[column], outside[column] = _apart(expression, settled)
    elif not whole:
        mine = frozenset((leaf.label, n) for n in names(leaf.node))
        for column, expression in sums.items():
            inside[column], outside[column] = _apart(expression, mine)
    said = {k: v for k in key if isinstance(leaf.node, Given)
            and (v := value_of(work, leaf.column(k))) is not None}  # fmt: skip
    kept = [k for k in key if k not in said]
    own: dict[str, Expression] = {f"key {k}": leaf.column(k) for k in key}
    own |= {f"by {b}": e for b, e in batch.items()} | {f"d {c}": e for c, e in inside.items()}
    work = replace(work, outputs=own)
    alone = work.source == (leaf,) and not work.where and not batch
    if alone and all(e == ONE for e in inside.values()):
        return Share(None, {}, {c: _mine(e, leaf.label) for c, e in outside.items()})
    equal = {b: k for b, e in batch.items() if isinstance(e, Column) for k in kept
             if e.path in equal_paths(work, (leaf.label, k))}  # fmt: skip
    work = without(work, leaf, key)
    outputs: dict[str, Expression] = {k: work.outputs[f"key {k}"] for k in kept}
    by = {b: equal.get(b) or f"by_{b}" for b in batch}
    outputs |= {n: work.outputs[f"by {b}"] for b, n in by.items() if b not in equal}
    keys = tuple(outputs)
    columns = {c: f"d_{c}" if f"d_{c}" not in outputs else f"d_{c}_1" for c in sums}
    by_key = [e.path for e in outputs.values() if isinstance(e, Column)]
    single = is_unique(work, by_key)
    met: list[Expression] = []
    if single and leaf in work.source:
        work, met = _asked_of_each(work, leaf, key, by_key)
    for c, n in columns.items():
        value = work.outputs[f"d {c}"]
        if met:
            value = choose(Case(((reduce(lambda a, b: Call("and", (a, b)), met), value),), ZERO))
        outputs[n] = value if single else Call("sum", (value,))
    made = Block(f"d_{leaf.node.name}", work.source, work.where, outputs, None if single else keys)
    if frame is not None:
        return _framed(frame, leaf, made, kept, {c: (n, outside[c]) for c, n in columns.items()})
    values = {c: multiply(_mine(outside[c], leaf.label), Column(("", n))) for c, n in columns.items()}
    return Share(made, {k: k for k in kept}, values, said, by)


def _asked_of_each(
    work: Block, leaf: FromLeaf, key: Sequence[str], by: Sequence[Path]
) -> tuple[Block, list[Expression]]:
    """Equalities of a reading's key that choose among its rows and no partner for them, asked row by row instead.

    The rows stay those of the reading then, of whose key no column depends on another.
    """
    met: list[Expression] = []
    own = {(leaf.label, k) for k in key}
    for condition in work.where:
        joins = isinstance(condition, Call) and condition.name == "=" and len(labels(condition)) == 2
        if not joins or own.isdisjoint(paths(condition)):
            continue
        fewer = replace(work, where=tuple(e for e in work.where if e is not condition))
        if is_unique(fewer, by):
            work = fewer
            met.append(condition)
    return work, met


def _frame(
    work: Block, leaf: FromLeaf, key: Sequence[str], sums: Iterable[Expression]
) -> Block | None:  # fmt: skip
    """A reading and the others that its key settles, of which a factor of a sum is made; None where there are none."""
    if not isinstance(leaf.node, Block) or leaf not in work.source:
        return None
    own = [(leaf.label, k) for k in key]
    settled = closure(work, own)
    factors_ = [part for e in sums for f in [factors(e)] for part in (*f.over, *f.under)]
    wanted = {label_ for part in factors_ if paths(part) and paths(part) <= settled for label_ in labels(part)}
    if not wanted - {leaf.label} or any(x.label in wanted and x not in work.source for x in work.leaves):
        return None
    near = wanted | {leaf.label}
    source = tuple(part for part in work.source if isinstance(part, FromLeaf) and part.label in near)
    frame = Block(f"d_{leaf.node.name}", source, tuple(e for e in work.where if labels(e) <= near), {})
    return frame if is_unique(frame, own) else None


def _framed(
    frame: Block, leaf: FromLeaf, sums: Block, key: Sequence[str], columns: Mapping[str, tuple[str, Expression]]
) -> Share:  # fmt: skip
    """The sums by a reading's key, each times what is the same in all rows of the key."""
    read = FromLeaf(label(sums.name), sums)
    on = [same(leaf.column(k), read.column(k), nullable(leaf.node, k)) for k in key]
    outputs: dict[str, Expression] = {k: leaf.column(k) for k in key}
    outputs |= {n: multiply(factor, read.column(n)) for n, factor in columns.values()}
    made = replace(frame, source=(*frame.source, read), where=(*frame.where, *on), outputs=outputs)
    return Share(made, {k: k for k in key}, {c: Column(("", n)) for c, (n, _) in columns.items()})


def _apart(expression: Expression, settled: frozenset[Path]) -> tuple[Expression, Expression]:
    """A product as what varies within a reading's key, and what does not."""
    f = factors(expression)

    def own(part: Expression) -> bool:
        return bool(paths(part)) and paths(part) <= settled

    inside = Factors(f.number, tuple(e for e in f.over if not own(e)), tuple(e for e in f.under if not own(e)))
    outside = Factors(1.0, tuple(e for e in f.over if own(e)), tuple(e for e in f.under if own(e)))
    if not outside.over and not outside.under:
        return expression, ONE
    return product(inside), product(outside)


def _mine(expression: Expression, label_: str) -> Expression:
    return substituted(expression, {path: Column((MINE, path[1])) for path in paths(expression) if path[0] == label_})
