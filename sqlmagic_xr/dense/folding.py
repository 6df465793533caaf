"""What a function of constants is, where that is known without calculating anything: which branch a part takes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .node import Node

_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_EXACT = {"int32", "int64", "label", "boolean"}  # of floats, zeros of two signs are equal to some and not to others
_NEUTRAL = {"and": True, "or": False}


def folded(name: str, args: Sequence[Node]) -> Node | bool | None:
    """What a function of truth values or of exact constants comes to.

    Args:
        name: of the function.
        args: what it is of.

    Returns:
        The argument that it is equal to, or a truth value; None where it has to be calculated.
    """
    given = [argument.data[1] if argument.op == "constant" else None for argument in args]
    if name in _COMPARED and all(a.op == "constant" and a.type in _EXACT for a in args):
        ordered = all(a.type in ("int32", "int64") for a in args)
        return _COMPARED[name](*given) if ordered or name in ("=", "<>") else None
    if name == "=" and args[0] is args[1] and args[0].type in _EXACT:
        return True
    if name == ">" and given[1] == 0 and _is_one_mask(args[0]):
        return args[0].args[0]
    if name == "not" and args[0].op == "constant":
        return not given[0]
    if name in _NEUTRAL:
        rest = [a for a, value in zip(args, given, strict=True) if value is not _NEUTRAL[name]]
        return _NEUTRAL[name] if not rest else rest[0] if len(rest) == 1 else None
    return None


def _is_one_mask(node: Node) -> bool:
    """Whether a node counts the cells of a mask that are true, each of them by itself."""
    return node.op == "count" and node.data == 1 == len(node.args) and set(node.dims) == set(node.args[0].dims)
