"""An interrupt at any line of a step and its commit: the run, its events and its table tell the same afterwards.

A run of the tests tries every second to seventh line.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sqlmagic_xr
from sqlmagic_xr import Context
from sqlmagic_xr.train.events import Ended, Stepped

ROOT = Path(sqlmagic_xr.__file__).parent
ROOMS = {
    *(ROOT / "train" / f"{name}.py" for name in ("loop", "course", "holdings", "undo", "run", "inspection")),
    ROOT / "train" / "steps" / "write.py",
    *(ROOT / "storage" / f"{name}.py" for name in ("commits", "store", "scratch", "transaction")),
}
COMMITTING = {ROOT / "storage" / "commits.py", ROOT / "storage" / "transaction.py", ROOT / "train" / "holdings.py"}
"""Where a step becomes true: rooms that a run of the tests has not been in are not tested."""

STEP = "INSERT INTO p SELECT :next_step, a + 1 FROM p WHERE step = :step"
CURVE = "; SELECT step, a AS loss FROM p"
FALLS = "; SELECT step, CASE WHEN step < 2 THEN 1.0 ELSE CAST('nan' AS DOUBLE) END AS loss FROM p"


@cache
def with_lines(path: Path) -> frozenset[int]:
    return frozenset(node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.With))


class Interrupter:
    """Raises KeyboardInterrupt at the n-th line that runs in the rooms of a commit; counts the lines otherwise.

    A ``with`` line that is reported once more when its block is left is no place where the interpreter looks.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at, self.count = at, 0
        self.rooms: set[Path] = set()
        self.entered: set[tuple[int, int]] = set()
        self.frames: list[FrameType] = []

    def __enter__(self) -> Interrupter:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if Path(frame.f_code.co_filename) in ROOMS else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        place = (id(frame), frame.f_lineno)
        self.rooms.add(Path(frame.f_code.co_filename))
        if event == "line" and place not in self.entered:
            if frame.f_lineno in with_lines(Path(frame.f_code.co_filename)):
                self.entered.add(place)
                self.frames.append(frame)
            self.count += 1
            if self.count == self.at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._line


def attempt(cell: str, before: int, at: int | None, **options: Any) -> Interrupter:
    """Run to the step before, interrupt at a line of what follows, and compare all that is told."""
    ctx = Context()
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.0)")
    if options.get("restart"):
        ctx.script("INSERT INTO p VALUES (1, 1.0), (2, 2.0)")
    training = ctx.train(cell, steps=3, stream=True, seed=1, **options)
    events, told = iter(training), []
    try:
        while before and sum(isinstance(e, Stepped) for e in told) < before:
            told.append(next(events))
        with Interrupter(at) as interrupter:
            for event in events:
                told.append(event)
                if len([e for e in told if isinstance(e, Stepped)]) > before:
                    break
        told += events
    except KeyboardInterrupt:
        told += events
    run, table = training.run, ctx.scratch("p").to_arrow().to_pydict()
    assert table["step"] == list(range(len(table["step"])))
    if run.status == "running":  # it had not begun
        assert not told
        assert table["step"] == ([0, 1, 2] if options.get("restart") else [0])
        return interrupter
    if not (options.get("restart") and run.steps == 0):  # what was dropped may be put back
        assert (run.generation, run.steps) == (table["step"][-1], len(table["step"]) - 1)
        for event in told:
            if isinstance(event, Ended):
                assert (event.generation, event.steps) == (run.generation, run.steps)
    else:
        assert table["step"] in ([0], [0, 1, 2])
    assert max([e.generation for e in told if isinstance(e, Stepped)], default=0) <= run.generation or "nan" in cell
    assert run.versions_after == {"p": ctx.scratch("p").version}
    again = ctx.train(STEP, steps=1)
    assert again.generation == table["step"][-1] + 1
    return interrupter


@pytest.mark.parametrize(
    ("cell", "before", "options", "stride"),
    [
        (STEP, 1, {}, 2),
        (STEP + CURVE, 1, {}, 7),
        (STEP + CURVE, 1, {"executor": "relational", "every": 1}, 7),
        (STEP + FALLS, 1, {"every": 1}, 7),
        (STEP, 0, {"restart": True}, 7),
    ],
    ids=["arrays", "with a curve", "relational", "a step is taken back", "restart"],
)
def test_an_interrupt_at_any_line_leaves_the_run_and_its_table_of_one_mind(cell, before, options, stride):
    whole = attempt(cell, before, None, **options)
    assert whole.rooms >= COMMITTING
    for at in range(1, whole.count + 1, stride):
        attempt(cell, before, at, **options)
