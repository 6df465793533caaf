"""How much may be kept in memory, and how a person is told how much something takes."""

from __future__ import annotations

import os


def default_budget() -> int:
    """A quarter of the machine's memory, in bytes."""
    return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES")) // 4


def nbytes_shown(count: int) -> str:
    """A number of bytes as a person says it.

    >>> nbytes_shown(512), nbytes_shown(6_300_000)
    ('512 B', '6.3 MB')
    """
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
