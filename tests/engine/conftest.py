"""A context of the smallest kind, for the tests of scratch tables: statements are run as they stand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.engine.dml import Effect, execute, has_effects
from sqlmagic_xr.engine.store import ScratchStore
from sqlmagic_xr.sql.scope import Relation
from sqlmagic_xr.sql.syntax import Tree, split, to_sql


class SmallEngine:
    def __init__(self, **options: Any) -> None:
        self.session = SessionContext()
        self.store = ScratchStore(self.session, **options)
        self.kinds: dict[str, Any] = {}

    def query(self, tree: Tree) -> pa.Table:
        with self.store.reading():
            frame = self.session.sql(to_sql(tree))
        return frame.to_arrow_table()

    def relation(self, name: tuple[str, ...]) -> Relation | None:
        known = self.session.table_exist(name[-1])
        return Relation(name, {}, kind=self.kinds.get(name[-1], "table")) if known else None

    def run(self, script: str) -> Effect | pa.Table | None:
        """The statements of a script; what the last one gives."""
        last: Effect | pa.Table | None = None
        with self.store.script():
            for statement in split(script):
                tree = statement.tree
                last = execute(statement, tree, self) if has_effects(tree) else self.query(tree)
        return last

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        table = self.run(query)
        assert isinstance(table, pa.Table)
        return list(zip(*(c.to_pylist() for c in table.columns), strict=True)) if table.num_columns else []


@pytest.fixture
def db() -> SmallEngine:
    return SmallEngine()
