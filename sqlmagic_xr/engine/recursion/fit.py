"""What a term gives as the columns of its anchor: which types fit at all, and the values that do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ...storage.casting import MisfitError, cast

Test = Callable[[pa.DataType], bool]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind) or pt.is_fixed_size_binary(kind)
    )


def _is_real(kind: pa.DataType) -> bool:
    return bool(pt.is_floating(kind) or pt.is_integer(kind) or pt.is_decimal(kind))


def _is_exact(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_decimal(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pt.is_timestamp(kind) or pt.is_date(kind))


_FITTING: tuple[tuple[Test, Test], ...] = (
    (pt.is_floating, _is_real),
    (pt.is_decimal, _is_exact),
    (pt.is_integer, pt.is_integer),
    (_is_text, _is_text),
    (_is_bytes, _is_bytes),
    (pt.is_timestamp, _is_moment),
    (pt.is_date, pt.is_date),
    (pt.is_time, pt.is_time),
    (pt.is_duration, pt.is_duration),
    (pt.is_nested, pt.is_nested),
)
"""The type of an anchor's column, and those of a term whose values it may take, each value being looked at."""


def plain(kind: pa.DataType) -> pa.DataType:
    """The type in which a recursion keeps values: one of which Arrow can take some and leave others."""
    if pt.is_string_view(kind):
        return pa.string()
    if pt.is_binary_view(kind):
        return pa.binary()
    return plain(kind.value_type) if pt.is_dictionary(kind) else kind


def fits(kind: pa.DataType, given: pa.DataType) -> bool:
    """Whether values of one type may be kept in a column of another, as far as the types tell.

    >>> fits(pa.float64(), pa.int64()), fits(pa.int64(), pa.float64()), fits(pa.int32(), pa.int64())
    (True, False, True)
    """
    given = plain(given)
    if kind == given or pt.is_null(given):
        return True
    zone = given.tz if pt.is_timestamp(given) else None
    if pt.is_timestamp(kind) and kind.tz != zone:
        return False
    return any(one(kind) and other(given) for one, other in _FITTING)


class MisfitInColumnError(ValueError):
    """A value that a column cannot hold.

    Args:
        place: the column's.
        value: as text.
    """

    def __init__(self, place: int, value: str) -> None:
        super().__init__(value)
        self.place, self.value = place, value


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows in the names and types of a recursion.

    Raises:
        MisfitInColumnError: a value does not fit.
    """
    if rows.schema.types == schema.types:
        return pa.table(rows.columns, schema=schema)
    columns = [_column(rows.column(place), field.type, place) for place, field in enumerate(schema)]
    return pa.table(columns, schema=schema)


def _column(values: pa.ChunkedArray, kind: pa.DataType, place: int) -> pa.ChunkedArray | pa.Array:
    if values.type == kind:
        return values
    whole = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    try:
        found = cast(whole, kind)
    except MisfitError as misfit:
        raise MisfitInColumnError(place, _shown(whole, misfit.place)) from None
    if pt.is_decimal(kind) or (pt.is_date(kind) and whole.type != kind):
        _refuse_rounded(whole, found, place)
    return found


def _refuse_rounded(before: pa.Array, after: pa.Array, place: int) -> None:
    """A decimal takes the values of another type only as they are."""
    same = pc.fill_null(pc.equal(before, after), True)
    wrong: Sequence[int] = pc.indices_nonzero(pc.invert(same)).to_pylist()
    if wrong:
        raise MisfitInColumnError(place, _shown(before, wrong[0]))


def _shown(values: pa.Array, place: int) -> str:
    return str(values[place].as_py())
