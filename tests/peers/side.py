"""One side of the comparison: ``python -m tests.peers.side plain|ours FILE OUT`` runs one file and writes what it saw.

It writes a line for each statement as soon as that has run, so that what ends the process is known by its absence.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from tests.peers.records import records

Run = Callable[[str], tuple[list[pa.RecordBatch], pa.Schema]]
"""Runs a statement; gives its rows, and the types that were planned."""

SHOWN = 8
"""Rows that are kept as they are; all others are in the digests."""

_SETTINGS = {"datafusion.execution.target_partitions": "4", "datafusion.sql_parser.recursion_limit": "200"}


def plain() -> Run:
    """DataFusion as it comes."""
    context = SessionContext(SessionConfig(_SETTINGS).with_information_schema(True))

    def run(sql: str) -> tuple[list[pa.RecordBatch], pa.Schema]:
        frame = context.sql(sql)
        batches = [batch for partition in frame.collect_partitioned() for batch in partition]
        return batches, frame.schema()

    return run


def ours() -> Run:
    """A context of ours, with the same settings."""
    from sqlmagic_xr import Context

    context = Context(SessionConfig(_SETTINGS).with_information_schema(True))

    def run(sql: str) -> tuple[list[pa.RecordBatch], pa.Schema]:
        result = context.script(sql)[-1]
        if result.frame is None and result.rows is not None:
            table = pa.table({"count": pa.array([result.rows], pa.uint64())})
        else:
            table = result.to_arrow_table()
        return table.to_batches(), table.schema

    return run


def outcome(run: Run, sql: str) -> dict[str, Any]:
    """What a statement gave, as JSON has it: columns, types and rows, or an error."""
    try:
        batches, schema = run(sql)
        rows = [row for batch in batches for row in zip(*map(_cells, batch.columns), strict=True)]
        # The types that the batches have, since what was planned is not always what comes.
        types = [str(f.type) for f in (batches[0].schema if batches else schema)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the engine's panics are no Exception
        return {"error": f"{type(error).__name__}: {error}"[:600]}
    texts = ["\t".join(row) for row in rows]
    return {
        "columns": list(schema.names),
        "types": types,
        "count": len(rows),
        "rows": texts[:SHOWN],
        "ordered": _digest(texts),
        "any_order": _digest(sorted(texts)),
    }


def _digest(texts: list[str]) -> str:
    return hashlib.sha1("\n".join(texts).encode("utf-8", "replace")).hexdigest()


def _cells(column: pa.Array) -> list[str]:
    try:
        return [_text(value) for value in column.to_pylist()]
    except (ValueError, OverflowError, ArithmeticError):  # a time that Python has not
        return [str(value) for value in column.cast(pa.string()).to_pylist()]


def _text(value: Any) -> str:
    """A value as text; of a float 12 digits, since a sum over several threads is no more exact than that."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    return repr(value)


def main() -> None:
    """Run the file that the command line names."""
    which, path, out = sys.argv[1:]
    run = {"plain": plain, "ours": ours}[which]()
    with Path(out).open("w", encoding="utf-8") as lines:
        for record in records(Path(path)):
            lines.write(json.dumps(outcome(run, record.sql)) + "\n")
            lines.flush()


if __name__ == "__main__":
    main()
