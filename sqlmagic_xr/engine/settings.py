"""Settings of DataFusion's that a session cannot have here: what hangs or ends the process, what is not followed."""

from __future__ import annotations

import re
from typing import Any

from ..errors import UnsupportedError, UsageError
from ..sql.syntax import Tree, name_of, span_of

_POSITIVE = {
    "datafusion.execution.batch_size",
    "datafusion.execution.max_buffered_batches_per_output_file",
    "datafusion.execution.meta_fetch_concurrency",
    "datafusion.execution.minimum_parallel_output_files",
    "datafusion.execution.objectstore_writer_buffer_size",
    "datafusion.execution.parquet.column_index_truncate_length",
    "datafusion.execution.parquet.max_row_group_size",
    "datafusion.execution.parquet.maximum_buffered_record_batches_per_stream",
    "datafusion.execution.parquet.maximum_parallel_row_group_writers",
    "datafusion.execution.parquet.statistics_truncate_length",
    "datafusion.execution.parquet.write_batch_size",
    "datafusion.sql_parser.recursion_limit",
}
"""With 0 the engine takes all memory, never ends, panics, or reads no statement any more."""

_ONLY = {
    "datafusion.sql_parser.dialect": ("generic", "SQL is read in DataFusion's own dialect here, `generic`."),
    "datafusion.sql_parser.enable_ident_normalization": ("true", "Names fold to lower case here; quote them."),
    "datafusion.catalog.default_catalog": ("datafusion", "Write the catalog's name: other.schema.table."),
    "datafusion.catalog.default_schema": ("public", "Write the schema's name before the table: other.table."),
    "datafusion.optimizer.enable_unions_to_filter": ("false", "It cannot plan a UNION over scratch tables and views."),
}
"""Settings that only have the one value here: scratch tables and the reading of SQL go by it."""


def check(tree: Tree) -> None:
    """Refuse a SET that would harm.

    Args:
        tree: any statement.

    Raises:
        UsageError: a number that the engine cannot work with.
        UnsupportedError: a setting that is not followed here.
    """
    body = tree.get("Set") if isinstance(tree, dict) else None
    assignment = body.get("SingleAssignment") if isinstance(body, dict) else None
    if assignment is None:
        return
    name = ".".join(name_of(assignment["variable"])).lower()
    values = [_text(value) for value in assignment["values"]]
    if name in _POSITIVE and values and not _is_positive(values[0]):
        error = UsageError(f"{name} is a number from 1 on, not {values[0]}")
        error.span = span_of(assignment["values"])
        raise error
    only, hint = _ONLY.get(name, ("", ""))
    if only and values and values[0].lower() != only:
        refusal = UnsupportedError(f"{name} stays {only!r}", hint=hint)
        refusal.span = span_of(assignment["values"])
        raise refusal


def _is_positive(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", text) is None or int(text) > 0  # what is no number the engine refuses itself


def _text(node: Any) -> str:
    """A value as its text: ``4``, ``'4'``, ``true``, ``mysql``."""
    kind, body = next(iter(node.items()))
    if kind == "Identifier":
        return str(body["value"])
    if kind == "UnaryOp":
        return ("-" if body["op"] == "Minus" else "") + _text(body["expr"])
    value = body.get("value") if kind == "Value" else None
    if isinstance(value, dict):
        inner = next(iter(value.values()))
        return str(inner[0] if isinstance(inner, (list, tuple)) else inner).strip().lower()
    return ""
