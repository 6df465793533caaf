"""How the names of files end that are read as tables, and what such a file is."""

from __future__ import annotations

import re

ENDINGS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json",
    ".ndjson": "json", ".jsonl": "json", ".arrow": "arrow", ".feather": "arrow", ".zarr": "zarr", ".nc": "netcdf",
    ".nc4": "netcdf", ".cdf": "netcdf", ".h5": "netcdf", ".grib": "netcdf", ".grb": "netcdf",
}  # fmt: skip

_BARE = re.compile(
    rf"\b(?:FROM|JOIN|DESCRIBE|SUMMARIZE)\s+(?P<path>[^\s'\"();,]*(?:{'|'.join(map(re.escape, ENDINGS))}))(?![\w.])",
    re.IGNORECASE,
)


def unquoted(name: str) -> str | None:
    """What to do about a table's name that is a file's; None of any other name.

    >>> unquoted("f.csv")
    "A file stands in quotes: FROM 'f.csv'."
    """
    is_file = any(name.lower().endswith(ending) for ending in ENDINGS)
    return f"A file stands in quotes: FROM '{name}'." if is_file else None


def unquoted_at(line: str, column: int) -> str | None:
    """The same of a path without quotes that is at some place of a line, counted from 1.

    >>> unquoted_at("SELECT * FROM data/f.csv", 19)
    "A file stands in quotes: FROM 'data/f.csv'."
    """
    paths = (found for found in _BARE.finditer(line) if found.start("path") < column <= found.end("path"))
    return next((unquoted(found["path"]) for found in paths), None)
