"""What the reads of a step find: looked up by key, without the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...grids.lookup import extreme, rows_where
from ...storage.schema import provider
from .fold import Found, KeyedRead
from .template import stored_text

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...storage.scratch import Version


class Lookup:
    """The reads of one step: looked up once each, in order, since a later key may stand on an earlier value."""

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        self._entries = context.store.entries()
        self._environment = dict(values)
        self._rows: dict[int, tuple[Version, list[pa.RecordBatch]]] = {}
        self.texts: dict[str, str] = {}

    def find(self, read: KeyedRead, columns: Sequence[str]) -> Found | None:
        """What a read finds now; None where its key cannot be looked up.

        Args:
            read: the read.
            columns: those of its columns whose texts are asked for.
        """
        version: Any = self._entries.get(read.table)
        if getattr(version, "chunks", None) is None:
            return None
        if read.alone:
            assert read.extreme is not None
            best = extreme(version, read.extreme[1], read.extreme[0])
            self._note(read, read.extreme[1], best, pa.int64())
            return "one"
        keys = []
        for name, constant in read.keys:
            value = constant.value(self._environment)
            if value is None or name not in version.definition.names:
                return None
            keys.append((name, value))
        if read.extreme is not None:
            if keys:
                return None
            best = extreme(version, read.extreme[1], read.extreme[0])
            if best is not None:
                keys.append((read.extreme[1], best))
        rows = rows_where(version, keys)
        self._rows[read.number] = (version, rows)
        count = sum(batch.num_rows for batch in rows)
        if count <= 1:
            schema = version.definition.schema
            for field in schema if not columns else [schema.field(c) for c in columns]:
                self._note(read, field.name, rows[0].column(field.name)[0].as_py() if count else None, field.type)
        return "none" if count == 0 else "one" if count == 1 else "many"

    def relation(self, read: KeyedRead) -> Any:
        """The rows that a read has found, as a table of the engine's."""
        version, rows = self._rows[read.number]
        return provider(rows, version.definition.schema)

    def _note(self, read: KeyedRead, column: str, value: Any, kind: pa.DataType) -> None:
        name = f"{read.number}.{column}"
        self._environment[name] = value
        try:
            self.texts[name] = stored_text(value, kind)
        except KeyError:
            return  # a type without literals; the fold has seen that and does not ask for it
