"""Each test that draws its cases at random draws some over MANY rows that are PACKED, or says here why not.

What holds of a few rows in one batch has been wrong of many in several partitions, and such tests compared few.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
RANDOM = re.compile(r"^\s*@given\(|\bRandom\(|parametrize\(\(?\"seed\"|\bfor seed in\b", re.MULTILINE)
"""What a test has that draws: cases by Hypothesis, or by a seed."""
BOTH = re.compile(r"^from tests\.dealt import .*\bMANY\b.*\bPACKED\b", re.MULTILINE)
OTHERWISE = {
    "autodiff/reverse/queries.py": "writes queries; test_random.py runs them over the rows of conftest.py",
    "autodiff/reverse/test_random.py": "conftest.py deals out its rows, and alone.py what is calculated of them",
    "autodiff/reverse/test_many_columns.py": "the queries of test_random.py, which are written otherwise",
    "dense/running/test_columns.py": "array code alone: there are no batches",
    "dense/xla/test_trace.py": "array code alone: there are no batches",
    "engine/faults/test_moving.py": "its own tables, in 4,286 batches, which settings of its own deal out",
    "engine/faults/test_overflow.py": "its own tables, in 10,000 batches, which settings of its own deal out",
    "engine/faults/test_random.py": "its own engine, of which one configuration deals many rows out by 64",
    "engine/faults/test_signs.py": "texts: there are no rows",
    "engine/test_drafts.py": "its example that is PACKED appends 30,000 rows at once, and as many before",
    "engine/test_random_datasets.py": "datasets.py has a dataset of 30,000 cells, which is dealt out",
    "train/test_random_datasets.py": "datasets.py has a dataset of 30,000 cells, which is dealt out",
    "queries/test_missing.py": "what is missing is the same for each cell; test_random_queries.py has many of them",
    "relation/test_bound_queries.py": "its own engine, which deals many rows out by 64",
    "sql/test_literals.py": "texts: there are no rows",
    "sql/test_parameters.py": "texts: there are no rows",
    "sql/test_printing.py": "texts: there are no rows",
    "sql/test_syntax.py": "texts: there are no rows",
    "storage/test_kill.py": "when a process is killed is drawn, and not what it does",
    "storage/test_kinds.py": "columns of 30,000 values are written to a file by no engine",
    "test_errors.py": "texts: there are no rows",
    "train/test_pace.py": "durations are drawn: there are no rows",
}
FOLDERS_APART = ("bench", "browser")


def drawing():
    """The modules that draw, by their paths below this folder."""
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        if not name.startswith(FOLDERS_APART) and path != Path(__file__) and RANDOM.search(path.read_text("utf-8")):
            yield name


@pytest.mark.parametrize("name", [*drawing()])
def test_what_is_drawn_is_drawn_over_many_rows_too(name):
    dealt = BOTH.search((TESTS / name).read_text("utf-8")) is not None
    assert dealt != (name in OTHERWISE), f"{name}: import MANY and PACKED, or say in OTHERWISE why it needs neither"


def test_no_reason_is_left_without_its_test():
    assert sorted(OTHERWISE.keys() - set(drawing())) == []
