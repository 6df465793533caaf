"""Tables as they were looked at and found good, in text and HTML; a change shows up as a difference of files.

After a change that is meant, ``GOLDEN=write pytest tests/display/test_golden.py`` writes the files anew: look at them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow as pa
import pytest

from sqlmagic_xr.display.table import DrawnTable

GOLDEN = Path(__file__).parent / "golden"


def values() -> pa.Table:
    """Everything that must be told apart, in one table."""
    return pa.table({
        "id": pa.array([1, 2, None], pa.int64()),
        "ratio": [0.1 + 0.2, float("nan"), None],
        "single": pa.array([0.1, 1e30, float("inf")], pa.float32()),
        "price": pa.array([150, 25, None], pa.decimal128(10, 2)),
        "name": ["", "NULL", None],
        "markup": ["<b>&amp;</b>", "line\nbreak", "\x1b[31m"],
        "seen": pa.array([0, 86_400, None], pa.timestamp("s")),
        "exact": pa.array([1, 86_400_000_000_000, None], pa.timestamp("ns")),
        "flag": [True, False, None],
        "list": [[1, 2], [], None],
        "record": [{"a": 1, "b": "x"}, {"a": None, "b": ""}, None],
        "raw": [b"\x00\xff", b"", None],
    })  # fmt: skip


TABLES = {
    "values": DrawnTable(values(), 3),
    "part": DrawnTable(values().select(["id", "name"]).slice(0, 2), 10_000_000),
    "empty": DrawnTable(values().select(["id", "name"]).slice(0, 0), 0),
    "wide": DrawnTable(pa.table({f"column_{i}": [i] for i in range(300)}), 1),
    "ascii": DrawnTable(values().select(["id", "name"]), 3, style="ascii"),
    "markdown": DrawnTable(values().select(["id", "name"]), 3, style="markdown"),
    "noted": DrawnTable(values().select(["id", "name"]), 3, note="scratch table, version 3", null=""),
}


DRAWN = [f"{name}.txt" for name in TABLES] + ["values.html", "part.html", "empty.html", "noted.html"]


@pytest.mark.parametrize("name", DRAWN)
def test_a_table_looks_as_it_was_found_good(name):
    path = GOLDEN / name
    html = re.sub(r"<style>.*</style>", "", TABLES[path.stem].html(), flags=re.DOTALL).replace("<tr>", "\n<tr>")
    drawn = TABLES[path.stem].text(160) if path.suffix == ".txt" else html
    if os.environ.get("GOLDEN") == "write":
        path.write_text(drawn + "\n", encoding="utf-8")
    assert drawn + "\n" == path.read_text(encoding="utf-8")


def test_every_golden_file_has_its_table():
    assert {p.name for p in GOLDEN.iterdir()} == set(DRAWN)
