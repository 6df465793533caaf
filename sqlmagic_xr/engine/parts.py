"""Several files as one table: their columns by name, and the name of a row's file beside them.

The engine takes the columns of CSV files by their places, whatever their headers say, and Arrow those of the first
Parquet file. Where files differ, each is read with its own header here, and their rows are put together by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from datafusion import DataFrame, lit
from datafusion.options import CsvReadOptions

from ..errors import UsageError

if TYPE_CHECKING:
    from .context import Context

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
"""The endings of files that are compressed, and what the engine calls that."""
_DELIMITERS = ";\t|"


def csv_options(paths: Sequence[str], options: Mapping[str, Any]) -> CsvReadOptions:
    """The engine's options; a delimiter that is not given is a semicolon, tab or bar where the header has no comma."""
    chosen = CsvReadOptions().with_file_extension(suffix(paths[0]))
    given = {**compressed(paths[0]), **options}
    if "delimiter" not in given and (delimiter := _delimiter(paths[0])):
        given["delimiter"] = delimiter
    for name, value in given.items():
        chosen = getattr(chosen, f"with_{name}")(value)
    return chosen


def suffix(path: str) -> str:
    """The ending of a path, that of a compression if there is one."""
    return os.path.splitext(path)[1]


def compressed(path: str) -> dict[str, str]:
    """The option of the engine's readers for a file that is compressed, as its ending says; none of another."""
    kind = COMPRESSIONS.get(suffix(path))
    return {} if kind is None else {"file_compression_type": kind}


def files_in(path: str) -> list[str]:
    """The files of a folder and of those in it, hidden and empty ones left out; of any other path itself."""
    if not os.path.isdir(path):
        return [path]
    found = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names
             if not name.startswith((".", "_")))  # fmt: skip
    return sorted(file for file in found if os.path.getsize(file)) or [path]


def _delimiter(path: str) -> str | None:
    """What stands between the names of a header that has no comma; None where it is no other than the engine's."""
    if suffix(path) == ".tsv":
        return "\t"
    if "://" in path or suffix(path) not in (".csv", ".txt"):
        return None
    with open(path, "rb") as file:
        header = file.readline(65_536)
    counts = {sign: header.count(sign.encode()) for sign in _DELIMITERS}
    most = max(counts, key=lambda sign: counts[sign])
    return most if counts[most] and b"," not in header else None


def csv_together(
    context: Context, paths: Sequence[str], chosen: CsvReadOptions, *, header: bool, by_name: bool, filename: str
) -> DataFrame | None:
    """CSV files as one frame; None where the engine's own reader does it, since all have the same columns.

    Args:
        context: reads them.
        paths: the files.
        chosen: how each is read.
        header: whether their first lines are names.
        by_name: whether a file may lack columns, which are NULL then.
        filename: the name of the column that has the path; "" for none.

    Raises:
        UsageError: files have other columns than the first, and nothing says that they may.
    """
    several = header and len(paths) > 1
    heads = {path: _names(context, path, chosen) for path in paths} if several else {}
    alike = len(set(map(tuple, heads.values()))) < 2
    if alike and not filename:
        return None
    if not alike and not by_name:
        _refuse_others(heads)
    if alike:
        chosen = chosen.with_schema(context.read_csv(list(paths), options=chosen).schema())
    return stacked({path: context.read_csv(path, options=chosen) for path in paths}, filename)


def _names(context: Context, path: str, chosen: CsvReadOptions) -> list[str]:
    names: list[str] = context.read_csv(path, options=chosen).schema().names
    return names


def _refuse_others(heads: Mapping[str, Sequence[str]]) -> None:
    (first, names), *others = heads.items()
    for path, found in others:
        odd = sorted(set(names) ^ set(found))
        if odd:
            raise UsageError(
                f"{path} has other columns than {first}: {', '.join(odd[:5])}",
                hint="union_by_name => true puts them together by name, as in read_csv('*.csv', union_by_name => true);"
                " what a file lacks is NULL.",
            )


def parquet_dataset(paths: Sequence[str], form: str, *, hive: bool, by_name: bool) -> Any:
    """Parquet or Arrow files as a dataset of Arrow.

    Args:
        paths: the files, or a folder.
        form: "parquet" or "feather".
        hive: whether ``key=value`` in a path is a column.
        by_name: whether it has the columns of all files, and not of the first.
    """
    import pyarrow.dataset

    one = paths[0] if len(paths) == 1 else list(paths)
    partitioning = "hive" if hive else None
    found = pyarrow.dataset.dataset(one, format=form, partitioning=partitioning)
    if not by_name:
        return found
    schema = pa.unify_schemas(
        [found.schema, *(fragment.physical_schema for fragment in found.get_fragments())], promote_options="permissive"
    )
    return pyarrow.dataset.dataset(one, format=form, partitioning=partitioning, schema=schema)


def each_fragment(context: Context, dataset: Any, filename: str) -> DataFrame:
    """The rows of a dataset's files with the path of each beside them."""
    import pyarrow.dataset

    found = {
        fragment.path: context.read_table(
            pyarrow.dataset.FileSystemDataset([fragment], dataset.schema, dataset.format, fragment.filesystem)
        )
        for fragment in dataset.get_fragments()
    }
    return stacked(found, filename)


def stacked(frames: Mapping[str, DataFrame], filename: str) -> DataFrame:
    """Frames one after another, their columns by name.

    Raises:
        UsageError: a file has a column of the name that the path is to have.
    """
    if not filename:
        return reduce(DataFrame.union_by_name, frames.values())
    for path, frame in frames.items():
        if filename in frame.schema().names:
            raise UsageError(
                f"{path} has a column {filename} itself", hint="Give the path another name: filename => 'path'."
            )
    return reduce(DataFrame.union_by_name, (f.with_column(filename, lit(p)) for p, f in frames.items()))
