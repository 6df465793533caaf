"""What tests of this folder share: a query by array code over chunks, and the same by DataFusion."""

import numpy as np
import pyarrow as pa

from sqlmagic_xr.queries.answer import typed
from sqlmagic_xr.queries.gridded.plan import GridQuery
from sqlmagic_xr.sql.syntax import parse_one


def by_arrays(ctx, sql):
    """The rows by array code, whatever the size; what is refused is an error."""
    return by_both(ctx, sql)[0]


def by_both(ctx, sql):
    """The rows by array code, and what gives those of DataFusion; the query is planned once."""
    prepared = ctx.prepare(parse_one(sql))
    frame = ctx.plan(sql, prepared.tree)
    rows = GridQuery(ctx, ctx.tables.bound(prepared.tree["Query"]), least=1).rows()
    return typed(rows, frame.schema()), frame.to_arrow_table


def assert_same(ctx, sql, *, ordered=False, rtol=1e-9, atol=1e-9):
    """Assert that both give the same rows, in values, NULLs and types."""
    mine, by_engine = by_both(ctx, sql)
    other = by_engine()
    assert mine.schema.types == other.schema.types, sql
    assert mine.num_rows == other.num_rows, (sql, mine.num_rows, other.num_rows)
    if not ordered:
        mine, other = arranged(mine), arranged(other)
    for name in mine.column_names:
        one, two = mine[name].combine_chunks(), other[name].combine_chunks()
        assert one.is_valid().equals(two.is_valid()), (sql, name, one, two)
        if pa.types.is_floating(one.type):
            rtol_ = max(rtol, 2e-6) if one.type != pa.float64() else rtol
            np.testing.assert_allclose(
                one.drop_null().to_numpy(), two.drop_null().to_numpy(), rtol_, atol, err_msg=f"{sql}: {name}"
            )
        else:
            assert one.equals(two), (sql, name, one, two)
    return mine


def arranged(rows):
    """Rows in an order of their own: by their columns, whole numbers and texts first, floats to some digits."""
    keys = []
    for column in sorted(rows.columns, key=lambda column: pa.types.is_floating(column.type)):
        values = column.to_pylist()
        keys.append([(v is None, f"{v:.6g}" if isinstance(v, float) else str(v)) for v in values])
    order = sorted(range(rows.num_rows), key=lambda row: tuple(key[row] for key in keys))
    return rows.take(pa.array(order, pa.int64()))
