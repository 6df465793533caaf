"""Types of numbers, as DataFusion brings them together and as a cast names them."""

from __future__ import annotations

from collections.abc import Mapping

from ...sql.expression import Cast
from ..node import INTEGERS, NARROW, Refused, Type

_CASTS: Mapping[str, Type] = {
    "BigInt": "int64", "Int": "int32", "Integer": "int32", "Int8": "int64", "Double": "float64",
    "DoublePrecision": "float64", "Float8": "float64", "Real": "float32", "Float4": "float32", "Boolean": "boolean",
    "Bool": "boolean",
}  # fmt: skip
_RANK: tuple[Type, ...] = ("int32", "int64", "float32", "float64")


def cast_type(cast: Cast) -> Type | None:
    """The type that a cast names, if arrays hold it."""
    tree = cast.type.tree
    if isinstance(tree, str):
        return _CASTS.get(tree)
    ((name, detail),) = tree.items()
    if name == "Float" and detail in (None, "None"):
        return "float32"
    return _CASTS.get(name) if detail in (None, "None") else None


def common(left: Type, right: Type) -> Type:
    """The type of an operation on two numbers, as DataFusion coerces them.

    Raises:
        Refused: of narrow whole numbers and what is neither int64 nor float64.
    """
    for one, other in ((left, right), (right, left)):
        if one in NARROW:
            if other not in ("int64", "float64"):
                raise Refused(f"an operation on {left} and {right}")
            return other
    if left == "uint64" or right == "uint64":
        return "int64" if {left, right} <= INTEGERS else max(left, right, key=_RANK.index)
    return max(left, right, key=_RANK.index)
