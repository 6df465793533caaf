"""An interrupt at any moment of a commit leaves the version before or the version after: tried at every line."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import sqlmagic_xr
from sqlmagic_xr.storage.draft import Draft
from tests.engine.conftest import Db

PACKAGE = Path(sqlmagic_xr.__file__).parent
FOLDERS = {PACKAGE / "storage", PACKAGE / "statements"}
ROOMS = {"store", "commits", "scratch", "transaction", "chunk", "draft", "keys", "constraints", "rows", "change",
         "schema", "pruning"}  # fmt: skip


@cache
def with_lines(path: Path) -> frozenset[int]:
    tree = ast.parse(path.read_text())
    return frozenset(node.lineno for node in ast.walk(tree) if isinstance(node, ast.With))


class Injector:
    """Raises KeyboardInterrupt at the n-th line that runs in the engine's rooms; counts the lines otherwise.

    A ``with`` line is reported once more when its block is left. Nothing is raised there: between the last instruction
    of the block and the call of ``__exit__`` the interpreter looks for no signal.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.count = 0
        self.entered: set[tuple[int, int]] = set()
        self.frames: list[FrameType] = []

    def __enter__(self) -> Injector:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        path = Path(frame.f_code.co_filename)
        return self._line if path.parent in FOLDERS and path.stem in ROOMS else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        place = (id(frame), frame.f_lineno)
        if event == "line" and place not in self.entered:
            if frame.f_lineno in with_lines(Path(frame.f_code.co_filename)):
                self.entered.add(place)
                self.frames.append(frame)  # kept, so that its id is not given to another
            self.count += 1
            if self.count == self.at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._line


def start() -> Db:
    db = Db()
    db.run("CREATE TABLE t (k BIGINT PRIMARY KEY, v DOUBLE); CREATE TABLE log (n BIGINT)")
    table = db.store.scratch("t")
    for k in range(7):  # the next commit merges chunks
        table.append({"k": [k], "v": [0.0]})
    return db


def state(db: Db) -> Any:
    """All that a user can see of the tables, the times left out."""
    out = {}
    for name in sorted(db.store.entries()):
        table = db.store.scratch(name)
        history = [(c.version, c.statement, c.added, c.removed) for c in table.history()]
        old = [table.at(n).to_pydict() for n in range(table.version + 1)]
        out[name] = (table.version, history, old)
    return out


def append(db: Db) -> None:
    db.store.scratch("t").append({"k": [7], "v": [1.0]})


def drafts(db: Db) -> None:
    schema = db.store.table("t").definition.schema
    rows = [Draft(1, (np.int64(k), np.float64(1.0)), schema, 16) for k in (7, 9)]
    with db.store.transaction():
        for row in rows:
            db.store.append_drafts("t", [row], "INSERT", apart=frozenset())


def insert(db: Db) -> None:
    db.run("INSERT INTO t VALUES (7, 1.0), (9, 1.0)")


def update(db: Db) -> None:
    db.run("UPDATE t SET v = 5 WHERE k >= 3")


def both_tables(db: Db) -> None:
    with db.store.transaction():
        db.store.scratch("t").append({"k": [7], "v": [1.0]})
        db.store.scratch("log").append({"n": [7]})


def script(db: Db) -> None:
    db.run("BEGIN; DELETE FROM t WHERE k = 2; INSERT INTO log VALUES (1); COMMIT")


def restore(db: Db) -> None:
    db.store.scratch("t").restore(3)


@pytest.mark.parametrize(
    ("change", "every"),
    [(append, 1), (drafts, 1), (both_tables, 5), (restore, 1), (insert, 17), (update, 37), (script, 41)],
)
def test_an_interrupt_at_any_line_leaves_before_or_after(change: Callable[[Db], None], every: int):
    db = start()
    before = state(db)
    with Injector() as lines:
        change(db)
    after = state(db)
    assert before != after
    assert lines.count > 100
    seen = set()
    # All lines where ``every`` is 1; else a sample of those that work out the rows, and all of those that commit.
    for at in sorted({*range(1, lines.count + 1, every), *range(lines.count - 60, lines.count + 1)}):
        db = start()
        try:
            with Injector(at):
                change(db)
        except BaseException:
            # An interrupt inside DataFusion's question for a table comes back as DataFusion's error.
            if db.store.in_transaction:
                db.store.rollback()
        now = state(db)
        assert now in (before, after), f"line {at}"
        seen.add(now == after)
        # The next writer, in another thread, is not held up, and the table is whole.
        other = threading.Thread(target=db.store.scratch("t").append, args=({"k": [100], "v": [0.0]},))
        other.start()
        other.join(2)
        assert not other.is_alive()
        assert db.rows("SELECT count(*), count(DISTINCT k) FROM t") == [(len(now["t"][2][-1]["k"]) + 1,) * 2]
    assert seen == {True, False}
