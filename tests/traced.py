"""Which training programs of the tests XLA can have, and why not where it cannot.

``python -m tests.traced`` prints a line for each: nothing is compiled, and three steps of each are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.xla import devices
from sqlmagic_xr.dense.xla.loop import XlaLoop
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.train.loop import Training
from sqlmagic_xr.train.start import train
from tests.train import (
    test_many_steps,
    test_refilled_tables,
    test_remade_tables,
    test_spellings,
    test_trimmed_tables,
    test_updated_tables,
)

TRACED = "traced"
STEPS = 4


_reached: list[XlaLoop] = []  # that could have been compiled, since a run has begun


def _traced(self: XlaLoop) -> None:
    _reached.append(self)
    raise Refused(TRACED)


def reason_of(training: Training) -> str:
    """TRACED, or why a run that has ended was not XLA's."""
    if _reached:
        return TRACED
    told = training.explain()
    for explained in told:
        if explained.executor != "dense":
            found = next((n for n in explained.notes if n.kind in ("not dense", "verbatim")), None)
            return f"{explained.executor}: {found.detail if found else ''}"
    notes = [note for explained in told for note in explained.notes if note.kind == "a call"]
    detail = notes[-1].detail if notes else "no call of many steps"
    return TRACED if detail.endswith(f": {TRACED}") else detail


def of_program(make: Callable[[], Any], cell: str, **options: Any) -> str:
    """TRACED, or why a training cell is not."""
    _reached.clear()
    training = train(make(), cell, steps=STEPS, stream=True, each_step=False, device="cpu", **options)
    try:
        for _ in training:
            pass
    except SqlError:
        pass
    return reason_of(training)


def programs() -> Iterator[tuple[str, Callable[[], Any], str, dict[str, Any]]]:
    """The programs of the tests: (name, context, cell, options)."""
    many = test_many_steps
    for name, (make, cell, _) in many.PROGRAMS.items():
        yield name, make, cell, many.options_of(cell)
    for number, cell in enumerate(test_spellings.STEPS):
        yield f"spelling {number}", many.spelled, cell, {}
    for name, cell in test_refilled_tables.CELLS.items():
        yield f"filled again: {name}", test_refilled_tables.context, cell, {}
    for name, query in test_remade_tables.MADE.items():
        cell = f"CREATE OR REPLACE TABLE t AS {query}; {test_remade_tables.STEP}"
        yield f"made anew: {name}", test_remade_tables.context, cell, {}
    for cells in (test_updated_tables.MANY, test_updated_tables.ONE_BY_ONE):
        for name, cell in cells.items():
            yield f"updated: {name}", lambda cell=cell: test_updated_tables.context(cell), cell, {}
    for cells in (test_trimmed_tables.MANY, test_trimmed_tables.ONE_BY_ONE):
        for name, cell in cells.items():
            yield f"trimmed: {name}", lambda cell=cell: test_trimmed_tables.begun(cell), cell, {}


def main() -> None:
    """Print the list."""
    XlaLoop._compile = _traced  # type: ignore[method-assign]
    devices.find("cpu")
    found = [(name, of_program(make, cell, **options)) for name, make, cell, options in programs()]
    for name, reason in found:
        print(f"{'yes' if reason == TRACED else 'no '}  {name}{'' if reason == TRACED else f': {reason}'}")
    counts = Counter(reason == TRACED for _, reason in found)
    print(f"{counts[True]} of {len(found)} are XLA's")


if __name__ == "__main__":
    main()
