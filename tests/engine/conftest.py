"""A context, and what is quick to write with it."""

from __future__ import annotations

from typing import Any

import pytest

from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.engine.result import Result


class Db:
    """A context whose scripts give their last statement's result; it may begin with settings."""

    def __init__(self, settings: str | None = None) -> None:
        self.ctx = Context()
        if settings:
            self.ctx.script(settings)
        self.store = self.ctx.store

    def run(self, script: str, params: Any = None) -> Result:
        return self.ctx.script(script, params)[-1]

    def rows(self, query: str, params: Any = None) -> list[tuple[Any, ...]]:
        return rows_of(self.run(query, params))


def rows_of(result: Result) -> list[tuple[Any, ...]]:
    table = result.to_arrow_table()
    return list(zip(*(c.to_pylist() for c in table.columns), strict=True))


@pytest.fixture
def db() -> Db:
    return Db()
