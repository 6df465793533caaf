"""A column as another Arrow type, value by value and in place: what a value means in SQL, however deep it lies.

Types are handed over as Arrow's own, never as SQL text, which has no word for many of them. Lists, structs and maps
are taken apart, so that a number in a list is held to what holds of a number.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datafusion import SessionConfig, SessionContext, col

from .order import in_order

_LISTS = (
    pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view,
    pa.types.is_large_list_view,
)  # fmt: skip


class MisfitError(ValueError):
    """A value that the type cannot hold.

    Args:
        place: where it stands.
    """

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values as another type.

    A number becomes a whole number only if it is one: 3.0 does, 3.7 does not. As a smaller float or a decimal it is
    rounded, if it is not too large. Everything else is cast as DataFusion casts.

    >>> cast(pa.array([[3.0], None]), pa.large_list(pa.int64())).to_pylist()
    [[3], None]

    Raises:
        MisfitError: the first value that does not fit.
    """
    try:
        return _cast(values, kind)
    except Exception as error:
        place = _first_misfit(values, kind)
        if place is None:
            raise
        raise MisfitError(place) from error


def _first_misfit(values: pa.Array, kind: pa.DataType) -> int | None:
    """The place of the first value that cannot be cast alone, by halves; None if each one can."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(values.slice(low, middle - low), kind):
            low = middle
        else:
            high = middle
    return None if not len(values) or _fits(values.slice(low, 1), kind) else low


def _fits(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        _cast(values, kind)
    except Exception:  # the engine raises what it likes
        return False
    return True


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    source = values.type
    if source == kind:
        return values
    if values.null_count == len(values):
        return pa.nulls(len(values), kind)
    if pa.types.is_dictionary(source):
        return _cast(values.dictionary_decode(), kind)
    if pa.types.is_run_end_encoded(source):
        return _cast(pc.run_end_decode(values), kind)
    if _is_list(source) and _is_list(kind):
        return _cast_lists(values, kind)
    if pa.types.is_struct(source) and pa.types.is_struct(kind):
        return _cast_structs(values, kind)
    if pa.types.is_map(source) and pa.types.is_map(kind):
        return _cast_maps(values, kind)
    if _is_number(source) and _is_number(kind) and not pa.types.is_decimal(kind):
        return _cast_numbers(values, kind)
    if _is_text(source) and _is_text(kind):
        return values.cast(kind)  # which are but ways to store the same
    if pa.types.is_nested(kind) or (pa.types.is_nested(source) and not _is_text(kind)):
        # The engine makes [3] of 3, and 3 of [3].
        raise pa.ArrowInvalid(f"{source} for {kind}")
    return _cast_by_engine(values, kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    """Whether a type is one of numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _LISTS)


def _cast_lists(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """The elements cast, and put together again; Arrow knows how one kind of list becomes another."""
    elements = _cast(pc.list_flatten(values), kind.value_type)
    # The element's field is the target's, whose name and nullability are part of the type.
    whole = pa.large_list(kind.value_field)
    return pa.LargeListArray.from_arrays(_offsets(values), elements, type=whole, mask=_missing(values)).cast(kind)


def _offsets(lists: pa.Array) -> pa.Array:
    """Where the elements of each list begin among those of all, a NULL being a list of none."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())


def _missing(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None


def _cast_structs(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Field by field: by name, or by place where the names are not the target's."""
    source = values.type
    if source.num_fields != kind.num_fields:
        raise pa.ArrowInvalid(f"{source.num_fields} fields for {kind.num_fields}")
    names = [field.name for field in kind]
    given = [field.name for field in source]
    if set(given) == set(names):
        places = [given.index(name) for name in names]
    elif given == [f"c{place}" for place in range(len(given))]:  # those of struct(1, 2), which names none
        places = list(range(len(given)))
    else:
        raise pa.ArrowInvalid(f"fields {given} for {names}")
    fields = values.flatten()
    arrays = [_cast(fields[place], field.type) for place, field in zip(places, kind, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(kind), mask=_missing(values))


def _cast_maps(values: pa.Array, kind: pa.DataType) -> pa.Array:
    source = values.type
    lists = values.cast(pa.list_(pa.struct([pa.field("key", source.key_type, False), ("value", source.item_type)])))
    keys, items = pc.list_flatten(lists).flatten()
    offsets = _offsets(lists).cast(pa.int32())
    found = _cast(keys, kind.key_type), _cast(items, kind.item_type)
    return pa.MapArray.from_arrays(offsets, *found, type=kind, mask=_missing(values))


def _cast_numbers(values: pa.Array, kind: pa.DataType) -> pa.Array:
    to_float = pa.types.is_floating(kind)
    if pa.types.is_decimal(values.type) and kind == pa.float16():
        values = values.cast(pa.float64())  # from which alone Arrow has a way
    found = pc.cast(values, kind, safe=not to_float)
    shorter = to_float and pa.types.is_floating(values.type) and kind.bit_width < values.type.bit_width
    # A finite number that became infinite was too large.
    if shorter and pc.any(pc.and_(pc.is_inf(found), pc.is_finite(values))).as_py():
        raise pa.ArrowInvalid("a number too large")
    return found


def _cast_by_engine(values: pa.Array, kind: pa.DataType) -> pa.Array:
    places = pa.array(np.arange(len(values), dtype=np.int64))
    rows = pa.RecordBatch.from_arrays([places, values], names=["n", "v"])
    asked = _engine().read_batches([rows]).select(col("n"), col("v").cast(kind))
    found = in_order(asked.to_arrow_table()).column(1)
    return found if found.type == kind else found.cast(kind)


@cache
def _engine() -> Any:
    """A session that only casts: no setting of the user's session is its business."""
    return SessionContext(SessionConfig().with_target_partitions(1))
