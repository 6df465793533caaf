"""What stands for the rows of a recursion while a statement is planned: it has their types, and cannot be read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyarrow as pa
from datafusion import SessionContext
from datafusion.catalog import Table
from xarray_sql._native import LazyArrowStreamTable

MARK = "random() > -1"
"""Stands in the plan of every query that reads the rows of a recursion."""

_workshop = SessionContext()
"""A session that only makes tables; no statement ever runs in it."""


def failing(schema: pa.Schema) -> Any:
    """A table of DataFusion's that fails when it is read, so that no plan without the rows is ever taken for one with.

    The condition keeps the engine from counting its rows, of which it is told that there are none. Equal schemas have
    one table: what a query has become over it is known when it is asked for again.
    """
    return _failing(schema.serialize().to_pybytes())


@lru_cache(maxsize=256)
def _failing(serialized: bytes) -> Any:
    schema = pa.ipc.read_schema(pa.py_buffer(serialized))

    def read(columns: list[str] | None) -> pa.RecordBatchReader:
        raise RuntimeError("the rows of a recursive query are read by Context.sql and Context.script alone")

    source = Table(LazyArrowStreamTable(iter([(read, {}, 0)]), schema))
    return Table(_workshop.read_table(source).filter(MARK))._inner
