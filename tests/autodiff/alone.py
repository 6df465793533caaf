"""Runs what a derivative has become by DataFusion alone, with nothing of ours: what several read is evaluated once."""

from dataclasses import dataclass, field

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from sqlmagic_xr.sql.ctes import shared
from sqlmagic_xr.sql.syntax import to_sql


@dataclass(frozen=True)
class Alone:
    """A session of DataFusion with some tables.

    Attributes:
        tables: name -> rows; their batches are dealt out to the partitions.
        partitions: how many threads share a query.
        batch: how many rows a batch has at most.
    """

    tables: dict[str, pa.Table]
    partitions: int = 1
    batch: int = 8192
    session: SessionContext = field(init=False)

    def __post_init__(self):
        # One pass of the optimizer finds what there is in queries this small; the others cost half of the planning.
        config = SessionConfig().with_target_partitions(self.partitions).with_batch_size(self.batch)
        config = config.set("datafusion.optimizer.max_passes", "1")
        object.__setattr__(self, "session", SessionContext(config))
        for name, rows in self.tables.items():
            self._register(name, rows)

    def _register(self, name, rows):
        batches = rows.to_batches(self.batch) or [pa.RecordBatch.from_pylist([], schema=rows.schema)]
        parts = [batches[first :: self.partitions] for first in range(min(self.partitions, len(batches)))]
        self.session.register_record_batches(name, parts)

    def rows(self, tree):
        """The rows of a statement's tree."""
        pieces = shared(tree)
        if pieces is None:
            return self.answer(to_sql(tree))
        try:
            for name, query in pieces.steps:
                self._register(name, self.answer(to_sql({"Query": query})))
            return self.answer(to_sql(pieces.rest))
        finally:
            for name, _ in pieces.steps:
                self.session.deregister_table(name)

    def answer(self, text):
        """The rows of a query's text; any column may hold NULL: a plan and its batches differ in what they say."""
        frame = self.session.sql(text)
        schema = pa.schema([pa.field(f.name, f.type) for f in frame.schema()])
        found = [pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in frame.collect()]
        return pa.Table.from_batches(found, schema)
