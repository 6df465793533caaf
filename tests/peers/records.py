"""A reader of sqllogictest files: the statements of a file, those that it includes among them, with their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ENGINE = "datafusion"


@dataclass(frozen=True)
class Record:
    """One statement of a file.

    Attributes:
        place: the file and the line that it stands in.
        sql: its text.
        sorted: whether the file itself says that the order of its rows means nothing.
    """

    place: str
    sql: str
    sorted: bool = False


def records(path: Path, name: str = "") -> Iterator[Record]:
    """The statements of a file in their order.

    Args:
        path: the file.
        name: what places call it; by default its own name.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.slt")
    ...     _ = file.write_text("query I rowsort\\nSELECT 1\\n----\\n1\\n\\nstatement ok\\nSELECT\\n2\\n")
    ...     [(r.place, r.sql, r.sorted) for r in records(file)]
    [('a.slt:1', 'SELECT 1', True), ('a.slt:6', 'SELECT\\n2', False)]
    """
    name = name or path.name
    lines = path.read_text(encoding="utf-8").split("\n")
    wanted, number = True, 0
    while number < len(lines):
        words = lines[number].split()
        number += 1
        match words:
            case ["halt", *_]:
                return
            case ["skipif", engine]:
                wanted = wanted and engine.lower() != _ENGINE
            case ["onlyif", engine]:
                wanted = wanted and engine.lower() == _ENGINE
            case ["include", other]:
                for found in sorted(path.parent.glob(other)):
                    yield from records(found, f"{name} ({found.name})")
            case ["statement" | "query", *options]:
                start, sql = number, []
                while number < len(lines) and lines[number].strip() not in ("", "----"):
                    sql.append(lines[number])
                    number += 1
                number = _after_answer(lines, number)
                if wanted:
                    yield Record(f"{name}:{start}", "\n".join(sql), "rowsort" in options or "valuesort" in options)
                wanted = True


def _after_answer(lines: list[str], number: int) -> int:
    """The line behind what a statement is to answer: it ends with an empty line, a message with two."""
    if number >= len(lines) or lines[number].strip() != "----":
        return number
    while number < len(lines) and lines[number].strip():
        number += 1
    return number
