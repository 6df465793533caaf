"""Frames of RANGE and GROUPS as calls of ours that find where they begin and end in the keys of the order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...sql.pieces import filled, number, order_of, whole_number
from ...sql.syntax import Tree
from ..framing import FrameShape
from ..moving import KEYS

_REALS = {pa.float32(): "Float32", pa.float64(): "Float64"}


@dataclass(frozen=True)
class _PartitionKey:
    """The one key that a partition is ordered by.

    Attributes:
        key: an expression.
        kind: its type.
        groups: whether a frame counts groups of equal keys.
        descending: the order.
    """

    key: Tree
    kind: pa.DataType
    groups: bool
    descending: bool

    @property
    def keyed(self) -> bool:
        """Whether a bound is told by its key: reals and times are counted by the engine, whole numbers by us."""
        return not self.groups and not pt.is_integer(self.kind)


def called(name: str, spec: Tree, reals: list[Tree], kind_of: Callable[[Tree], pa.DataType | None]) -> Tree | None:
    """A moment over a frame of RANGE or GROUPS as a call over the partition; None where that is not to be had.

    Args:
        name: of the moment.
        spec: what stands behind OVER.
        reals: what it is taken of.
        kind_of: the type of a key.
    """
    frame, keys = spec["window_frame"], order_of(spec)
    kind = kind_of(keys[0]["expr"]) if len(keys) == 1 and frame["units"] != "Rows" else None
    if kind is None or not (kind in _REALS or _is_whole(kind)):
        return None
    order = _PartitionKey(keys[0]["expr"], kind, frame["units"] == "Groups", keys[0]["options"]["asc"] is False)
    ends = frame["start_bound"], frame["end_bound"] or "CurrentRow"
    bounds = [_bound(end, order) for end in ends]
    if None in bounds:
        return None
    told = FrameShape(order.groups, order.descending, order.keyed, *(not _is_open(end) for end in ends))
    target = "Float64" if kind in _REALS else "Int64"
    key = filled(f"arrow_cast(K, '{target}')", K=order.key)
    blanks = {"X": reals[0], "Y": reals[-1], "K": key, "L": bounds[0], "H": bounds[1]}
    function = KEYS + ("real" if kind in _REALS else "int")
    return filled(f"{function}('{name}', X, Y, '{told.written()}', K, L, H)", **blanks)


def _is_whole(kind: pa.DataType) -> bool:
    """Whether keys are whole numbers of 64 bits with a sign, or times that are."""
    return bool((pt.is_integer(kind) and kind != pa.uint64()) or pt.is_timestamp(kind) or pt.is_date32(kind))


def _is_open(end: Any) -> bool:
    return isinstance(end, dict) and None in end.values()


def _bound(end: Any, order: _PartitionKey) -> Tree | None:
    """What tells where a frame ends or begins; None where we cannot tell."""
    if _is_open(end):
        return filled("NULL")
    if end == "CurrentRow":
        return _shifted("K", order) if order.keyed else filled("0")
    ((side, by),) = end.items()
    if not order.keyed:
        count = _whole(by)
        return None if count is None else filled(str(count if side == "Following" else -count))
    if order.kind in _REALS:
        if number(by) is None:
            return None
        by = filled(f"arrow_cast(X, '{_REALS[order.kind]}')", X=by)
    elif "Interval" not in by:
        return None
    return _shifted("K + I" if (side == "Following") != order.descending else "K - I", order, by)


def _shifted(text: str, order: _PartitionKey, by: Tree | None = None) -> Tree:
    target = "Float64" if order.kind in _REALS else "Int64"
    return filled(f"arrow_cast({text}, '{target}')", K=order.key, **({} if by is None else {"I": by}))


def _whole(tree: Tree) -> int | None:
    """A number without a point, as far as BIGINT reaches."""
    value = whole_number(tree)
    return value if value is not None and 0 <= value < 2**63 else None
