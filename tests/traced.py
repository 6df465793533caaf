"""Which training programs of the tests and of the notebooks XLA can have, and why not where it cannot.

``python -m tests.traced`` prints a line for each: nothing is compiled, and four steps of each are made; the notebooks
are run from top to bottom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
from IPython.core.interactiveshell import InteractiveShell

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.xla import devices
from sqlmagic_xr.dense.xla.loop import XlaLoop
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.magics.shared import get_context
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
FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = [path for number in ("01", "04", "05") for path in FOLDER.glob(f"{number}_*.ipynb")]

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
    for cells in (test_updated_tables.TOGETHER, test_updated_tables.ONE_BY_ONE):
        for name, cell in cells.items():
            yield f"updated: {name}", lambda cell=cell: test_updated_tables.context(cell), cell, {}
    for cells in (test_trimmed_tables.MANY, test_trimmed_tables.ONE_BY_ONE):
        for name, cell in cells.items():
            yield f"trimmed: {name}", lambda cell=cell: test_trimmed_tables.begun(cell), cell, {}


def of_notebook(path: Path) -> Iterator[tuple[str, str]]:
    """The training cells of a notebook: (name, TRACED or why it is not)."""
    begun: list[Training] = []
    plain = Training.__iter__
    Training.__iter__ = lambda self: begun.append(self) or plain(self)  # type: ignore[func-returns-value, method-assign]
    get_context.cache_clear()
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.run_line_magic("autoawait", "off")
    try:
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "code":
                head, _, rest = cell.source.partition("\n")
                _reached.clear()
                begun.clear()
                with redirect_stdout(StringIO()):
                    text = f"{head} --device cpu\n{rest}" if head.startswith("%%xsql_train") else cell.source
                    shell.run_cell(text).raise_error()
                yield from ((f"{path.stem} [{number}]", reason_of(training)) for training in begun)
    finally:
        Training.__iter__ = plain  # type: ignore[method-assign]


def main() -> None:
    """Print the list."""
    mpl.use("Agg")
    XlaLoop._compile = _traced  # type: ignore[method-assign]
    devices.find("cpu")
    found = [(name, of_program(make, cell, **options)) for name, make, cell, options in programs()]
    for path in NOTEBOOKS:
        found += of_notebook(path)
    for name, reason in found:
        print(f"{'yes' if reason == TRACED else 'no '}  {name}{'' if reason == TRACED else f': {reason}'}")
    counts = Counter(reason == TRACED for _, reason in found)
    print(f"{counts[True]} of {len(found)} are XLA's")


if __name__ == "__main__":
    main()
