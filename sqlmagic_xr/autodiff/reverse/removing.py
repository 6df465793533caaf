"""A reading of which nothing but its key is left is read no more, where other columns equal that key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...sql.expression import Call, Column, Expression
from ...sql.expression import columns as paths
from .blocks import Block, FromLeaf, Path, mapped
from .keys import column_null, constant_of, equalities, is_constant, kind_of, value_of


def equal_paths(block: Block, path: Path) -> frozenset[Path]:
    """The columns that WHERE says equal a column, itself among them."""
    found: set[Path] = set()
    todo = [path]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += [b.path for a, b in equalities(block)
                     if isinstance(a, Column) and isinstance(b, Column) and a.path == one]  # fmt: skip
    return frozenset(found)


def without(work: Block, leaf: FromLeaf, key: Sequence[str]) -> Block:
    """The rows without a reading, where each of its columns that is used equals another; else the rows as they are.

    There may be more rows then, of keys that the reading has not; whoever joins them with it does not see those.

    Args:
        work: rows and outputs.
        leaf: the reading.
        key: the columns that name one row of it.
    """
    if leaf not in work.source or len(work.source) == 1:
        return work
    used = {path for e in (*work.where, *work.outputs.values()) for path in paths(e) if path[0] == leaf.label}
    used |= {(leaf.label, name) for name in key}
    if any(path[0] == leaf.label for part in work.source if part is not leaf for path in _on_paths(part)):
        return work
    new: dict[Path, Expression] = {}
    for path in sorted(used):
        other = _other(work, leaf, path)
        if other is None:
            return work
        new[path] = other
    known = [Call("is not null", (e,)) for e in dict.fromkeys(new.values())
             if isinstance(e, Column) and column_null(replace(work, where=()), e.path)]  # fmt: skip
    made = mapped(work, new, tuple(part for part in work.source if part is not leaf))
    where = [e for e in made.where if not _says_nothing(made, e)]
    return replace(made, where=tuple(dict.fromkeys([*where, *known])))


def _other(work: Block, leaf: FromLeaf, path: Path) -> Expression | None:
    """What equals a column of a reading: an expression without columns, or a column of another reading."""
    value = value_of(work, Column(path))
    if value is not None:
        return value
    for other in sorted(equal_paths(work, path)):
        if other[0] != leaf.label:
            kinds = {kind_of(work.leaf(p[0]).node, p[1]) for p in (path, other)}
            if kinds == {"integer"}:
                return Column(other)
    return None


def _on_paths(part: object) -> set[Path]:
    from .blocks import Joined

    if not isinstance(part, Joined):
        return set()
    return {p for e in part.on for p in paths(e)} | _on_paths(part.left) | _on_paths(part.right)


def _says_nothing(work: Block, condition: Expression) -> bool:
    """Whether a condition holds in all rows: ``x = x`` of what was put in, or what a relation says of its column."""
    if not isinstance(condition, Call) or condition.name != "=":
        return False
    for one, other in (condition.args, condition.args[::-1]):
        if one == other and (is_constant(one) or isinstance(one, Column)):
            return True
        known = isinstance(one, Column) and is_constant(other)
        if known and constant_of(work.leaf(one.path[0]).node, one.path[1]) == other:  # type: ignore[attr-defined]
            return True
    return False
