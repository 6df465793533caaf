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
        tables: name -> rows; each batch is a partition of its own where there are several threads.
        partitions: how many threads share a query.
    """

    tables: dict[str, pa.Table]
    partitions: int = 1
    session: SessionContext = field(init=False)

    def __post_init__(self):
        # One pass of the optimizer finds what there is in queries this small; the others cost half of the planning.
        config = SessionConfig().with_target_partitions(self.partitions).set("datafusion.optimizer.max_passes", "1")
        object.__setattr__(self, "session", SessionContext(config))
        for name, rows in self.tables.items():
            batches = rows.to_batches()
            parts = [[batch] for batch in batches] if self.partitions > 1 else [batches]
            self.session.register_record_batches(name, parts)

    def rows(self, tree):
        """The rows of a statement's tree."""
        pieces = shared(tree)
        if pieces is None:
            return self.answer(to_sql(tree))
        try:
            for name, query in pieces.steps:
                rows = self.answer(to_sql({"Query": query}))
                batches = rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=rows.schema)]
                self.session.register_record_batches(name, [batches])
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
