"""Golden pairs: files that say what is written and what it becomes, part by part."""

import re
from pathlib import Path


def read(path, *headings):
    """The parts of a file: why it is there, what is written, and what stands behind each heading.

    >>> read(Path("missing.sql"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.sql'
    """
    pattern = r"-- why: (.+?)\n(.+)" + "".join(rf"\n-- {heading}\n(.*)" for heading in headings) + r"\n"
    found = re.fullmatch(pattern, path.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{path.name} is not: -- why: ..., SQL, " + ", ".join(f"-- {heading}, ..." for heading in headings)
    return found.groups()[1:]


def files(folder):
    """The files of a folder, by name."""
    found = sorted(Path(folder).glob("*.sql"))
    assert found, f"{folder} has no pairs"
    return found
