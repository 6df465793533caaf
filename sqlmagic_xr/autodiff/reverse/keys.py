"""What is known of blocks: which columns name a row, have one value, hold no NULL, and of what kind they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from ...relation.functions import function
from ...relation.layers import ColumnType
from ...sql.expression import Call, Case, Cast, Column, Expression, Literal, Parameter, Star, bottom_up, descend
from ...sql.remembered import once_a_column, once_a_node
from .blocks import Block, BlockUnion, From, FromLeaf, Given, Joined, Node, Path, filled, names
from .over import RANKS, Over

_STRICT = frozenset({"+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">="})


# ------------------------------------------------------------------------------------------------- one value, one row


def equalities(block: Block) -> Iterator[tuple[Expression, Expression]]:
    """What WHERE says is equal, both ways round."""
    for condition in block.where:
        if isinstance(condition, Call) and condition.name == "=":
            left, right = condition.args
            yield left, right
            yield right, left


def is_constant(expression: Expression) -> bool:
    """Whether an expression has one value in all rows: no column, and nothing that is kept as a tree."""
    return all(isinstance(part, (Literal, Parameter, Call, Cast, Case)) for part in descend(expression))


class _Said(NamedTuple):
    """What a block says of which of its columns have one value where others have; asked for many others.

    Attributes:
        fixed: those that have one in any case.
        equal: a column that is another, which comes second.
        keyed: the columns of a reading's key, and all of its columns.
    """

    fixed: frozenset[Path]
    equal: tuple[tuple[Path, Path], ...]
    keyed: tuple[tuple[frozenset[Path], frozenset[Path]], ...]


@once_a_node
def _said(block: Block) -> _Said:
    empty, fixed_, equal, keyed = filled(block), set[Path](), [], []
    for one, other in equalities(block):
        if isinstance(one, Column) and isinstance(other, Column):
            equal.append((one.path, other.path))
        elif isinstance(one, Column) and is_constant(other):
            fixed_.add(one.path)
    for leaf in block.leaves:
        fixed_ |= {(leaf.label, name) for name in (() if leaf.label in empty else fixed(leaf.node))}
        key = key_of(leaf.node)
        if key is not None and not (leaf.label in empty and (not key or _blurred(leaf.node, key))):
            every = frozenset((leaf.label, name) for name in names(leaf.node))
            keyed.append((frozenset((leaf.label, name) for name in key), every))
    return _Said(frozenset(fixed_), tuple(equal), tuple(keyed))


def closure(block: Block, start: Iterable[Path] = ()) -> frozenset[Path]:
    """The columns in a block's FROM that have one value in all rows in which the columns of ``start`` have one."""
    said = _said(block)
    found = {*start, *said.fixed}
    while True:
        before = len(found)
        found.update(one for one, other in said.equal if other in found)
        for key, every in said.keyed:
            if key <= found:
                found |= every
        for part in block.source:
            found |= set(_partners(part, found))
        if len(found) == before:
            return frozenset(found)


def _partners(part: From, known: Collection[Path]) -> Iterator[Path]:
    """The columns of a LEFT JOIN's right side, where the left side and ON leave one partner at most."""
    if not isinstance(part, Joined):
        return
    yield from _partners(part.left, known)
    if part.kind != "left" or not isinstance(part.right, FromLeaf):
        return
    right = part.right
    key = key_of(right.node)
    given = {
        a.path[1]
        for e in part.on if isinstance(e, Call) and e.name in ("=", "is not distinct from")
        for a, b in (e.args, e.args[::-1])
        if isinstance(a, Column) and a.path[0] == right.label
        and (is_constant(b) or (isinstance(b, Column) and b.path in known))
    }  # fmt: skip
    if key is not None and set(key) <= given:
        yield from ((right.label, name) for name in names(right.node))


@once_a_node
def fixed(node: Node) -> frozenset[str]:
    """The columns of a relation that have one value in all its rows."""
    if not isinstance(node, Block):
        return frozenset()
    known = closure(node)
    groups = node.keys if node.keys is not None else names(node)
    return frozenset(n for n in groups if is_constant(node.outputs[n]) or
                     (isinstance(node.outputs[n], Column) and node.outputs[n].path in known))  # type: ignore[attr-defined]  # fmt: skip


def constant_of(node: Node, name: str) -> Expression | None:
    """The expression without columns that a column of a relation equals in all rows, where WHERE says so."""
    if not isinstance(node, Block) or (node.groups and name not in (node.keys or ())):
        return None
    return value_of(node, node.outputs[name])


def value_of(block: Block, expression: Expression) -> Expression | None:
    """The expression without columns that another equals in all rows of a block."""
    if is_constant(expression):
        return expression
    if not isinstance(expression, Column):
        return None
    todo, seen = [expression.path], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for one, other in equalities(block):
            if isinstance(one, Column) and one.path == path:
                if is_constant(other):
                    return other
                if isinstance(other, Column):
                    todo.append(other.path)
        leaf = next((leaf for leaf in block.leaves if leaf.label == path[0]), None)
        if leaf is not None and leaf.label not in filled(block):
            found = constant_of(leaf.node, path[1])
            if found is not None:
                return found
    return None


def row_key(block: Block) -> list[Path] | None:
    """Columns in a block's FROM that together name one of its rows; None where that is not known."""
    found: list[Path] = []
    empty = filled(block)
    for leaf in block.leaves:
        key = key_of(leaf.node)
        if key is None or (leaf.label in empty and _blurred(leaf.node, key)):
            return None
        found += [(leaf.label, name) for name in key]
    if any(isinstance(part, Joined) and _has_full(part) for part in block.source):
        return None
    return least(block, found)


def _blurred(node: Node, key: Iterable[str]) -> bool:
    """Whether a row whose key is NULL looks as if an outer join had filled it."""
    return any(nullable(node, name) for name in key)


def _has_full(part: From) -> bool:
    return isinstance(part, Joined) and (part.kind == "full" or _has_full(part.left) or _has_full(part.right))


def least(block: Block, key: list[Path]) -> list[Path]:
    """A key without the columns that the others settle."""
    known = list(dict.fromkeys(key))
    for path in reversed(list(known)):
        rest = [other for other in known if other != path]
        if path in closure(block, rest):
            known = rest
    return known


@once_a_node
def key_of(node: Node) -> tuple[str, ...] | None:
    """The columns whose values name a row; () for one row at most, None where that is not known."""
    if isinstance(node, Given):
        return node.key
    if isinstance(node, BlockUnion):
        return None
    if node.keys is not None:
        return tuple(name for name in node.keys if name not in fixed(node))
    wanted = row_key(node)
    if wanted is None:
        return None
    shown = {e.path: name for name, e in reversed(list(node.outputs.items())) if isinstance(e, Column)}
    known = closure(node, shown)
    if not set(wanted) <= known:
        return None
    # As few of the columns that are shown as settle all others.
    chosen = [path for path in shown if path in set(wanted)] + [path for path in shown if path not in set(wanted)]
    kept = list(chosen)
    for path in reversed(chosen):
        rest = [other for other in kept if other != path]
        if set(wanted) <= closure(node, rest):
            kept = rest
    return tuple(shown[path] for path in kept)


def one_row(node: Node) -> bool:
    """Whether there is exactly one row, whatever the tables hold."""
    if isinstance(node, Given):
        return node.one
    if isinstance(node, BlockUnion):
        return False
    if node.keys is not None:
        return node.keys == ()
    return not node.where and all(isinstance(part, FromLeaf) and one_row(part.node) for part in node.source)


def is_unique(block: Block, key: Iterable[Path]) -> bool:
    """Whether the values of some columns name one row of a block at most."""
    wanted = row_key(block)
    return wanted is not None and set(wanted) <= closure(block, key)


# ------------------------------------------------------------------------------------------------------ NULL and kinds


def may_be_null(block: Block, expression: Expression) -> bool:
    """Whether an expression over a block's FROM may be NULL."""
    needed = strict(block, expression)
    return needed is None or bool(needed)


def strict(block: Block, expression: Expression) -> frozenset[Path] | None:
    """The columns that may be NULL and make an expression NULL; None where something else may make it so."""
    found: frozenset[Path] | None = bottom_up(expression, lambda node, parts: _strict(block, node, parts), _telling)
    return found


def _telling(node: Expression) -> Sequence[Expression]:
    """The parts of an expression that tell when it is NULL."""
    match node:
        case Cast() if _hands_on(node):
            return node.parts
        case Call() if _hands_on(node) or node.name == "coalesce":
            return node.args
        case Case() if node.default is not None:
            return node.results(node.parts)
    return ()


def _strict(block: Block, node: Expression, told: Sequence[frozenset[Path] | None]) -> frozenset[Path] | None:
    """What :func:`strict` gives of an expression, its parts having been told."""
    match node:
        case Literal(value=value) if value is not None:
            return frozenset()
        case Parameter() | Star():
            return frozenset()
        case Column():
            return frozenset({node.path}) if column_null(block, node.path) else frozenset()
        case Over(call=Call(name=name)) if name in RANKS or name == "count":
            return frozenset()
        case Case() if node.default is not None:
            return None if any(part is None or part for part in told) else frozenset()
        case Call(name="coalesce"):
            return frozenset() if any(part is not None and not part for part in told) else None
        case Cast() | Call() if _hands_on(node):
            known = [part for part in told if part is not None]
            return frozenset().union(*known) if len(known) == len(told) else None
    return None


def _hands_on(node: Cast | Call) -> bool:
    """Whether it is NULL where one of its arguments is, and nowhere else."""
    if isinstance(node, Cast):
        return node.kind != "TryCast"
    return node.window is None and (node.name in _STRICT or _is_strict(node.name))


def _is_strict(name: str) -> bool:
    row = function(name)
    return row is not None and row.kind == "scalar" and row.strict


def column_null(block: Block, path: Path) -> bool:
    """Whether a column in a block's FROM may be NULL in a row for which WHERE holds."""
    for one, _ in equalities(block):
        if isinstance(one, Column) and one.path == path:
            return False
    if Call("is not null", (Column(path),)) in block.where:
        return False
    return path[0] in filled(block) or nullable(block.leaf(path[0]).node, path[1])


@once_a_column
def nullable(node: Node, name: str) -> bool:
    """Whether a column of a relation may be NULL."""
    if isinstance(node, Given):
        return name not in node.required
    if isinstance(node, BlockUnion):
        place = names(node).index(name)
        return any(nullable(part, names(part)[place]) for part in node.parts)
    return _output_null(node, name)


def _output_null(block: Block, name: str) -> bool:
    expression = block.outputs[name]
    if not block.groups or name in (block.keys or ()):
        return may_be_null(block, expression)
    assert isinstance(expression, Call)
    if expression.name == "count":
        return False
    return block.keys == () or expression.filter is not None or may_be_null(block, expression.args[0])


@once_a_column
def kind_of(node: Node, name: str) -> ColumnType | None:
    """What kind of value a column of a relation holds."""
    from .slopes import kind_of_expression

    if isinstance(node, Given):
        return node.kinds[name]
    if isinstance(node, BlockUnion):
        place = names(node).index(name)
        kinds = {kind_of(part, names(part)[place]) for part in node.parts}
        return kinds.pop() if len(kinds) == 1 else "real"
    return kind_of_expression(node, node.outputs[name])
