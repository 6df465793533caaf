"""Files as tables: ``FROM 'x.parquet'``, ``'*.csv'``, ``'x.zarr'``, ``'x.nc'``, ``read_csv('x', delim = ';')``.

A file is a table under its own name, read anew when it has changed. Nothing is copied: Parquet, CSV and JSON are
streamed, Zarr and netCDF are opened as datasets, lazily.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from ..errors import SqlError, StorageError, UnsupportedError, UsageError, suggest
from ..sql.endings import ENDINGS
from ..sql.lexer import TokenKind, span_at
from ..sql.syntax import Statement, Tree, identifier, make_identifier, name_of, span_of, transform, walk
from .datasets import register
from .parts import COMPRESSIONS, compressed, csv_options, csv_together, each_fragment, files_in, parquet_dataset, suffix

if TYPE_CHECKING:
    from .context import Context

_FUNCTIONS = {
    "read_parquet": "parquet", "read_csv": "csv", "read_csv_auto": "csv", "read_json": "json", "read_json_auto": "json",
    "read_ndjson": "json", "read_zarr": "zarr", "read_netcdf": "netcdf", "parquet_scan": "parquet",
}  # fmt: skip
_CSV = {
    "header": "has_header", "has_header": "has_header", "delim": "delimiter", "delimiter": "delimiter",
    "sep": "delimiter", "quote": "quote", "escape": "escape", "compression": "file_compression_type",
    "sample_size": "schema_infer_max_records", "schema_infer_max_records": "schema_infer_max_records",
    "nullstr": "null_regex", "newlines_in_values": "newlines_in_values", "separator": "delimiter",
    "filename": "filename", "union_by_name": "union_by_name",
}  # fmt: skip
_PARQUET = {name: name for name in ("filename", "hive_partitioning", "union_by_name")}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "csv": _CSV, "json": {"sample_size": "schema_infer_max_records", "compression": "file_compression_type"},
    "parquet": _PARQUET, "arrow": _PARQUET,
    "zarr": {"group": "group"}, "netcdf": {"group": "group", "engine": "engine"},
}  # fmt: skip


_TEXTS = "sample_size => 0 reads every column as text"
_SAID: Mapping[str, str] = {
    **dict.fromkeys(("all_varchar", "normalize_names", "auto_detect"), f"{_TEXTS}."),
    **dict.fromkeys(("columns", "types", "dtypes", "column_types"), f"{_TEXTS}; CAST(a AS DOUBLE) gives one its type."),
    **dict.fromkeys(("dateformat", "timestampformat"), f"{_TEXTS}; to_date(a, '%d/%m/%Y') reads such a date."),
    "ignore_errors": f"{_TEXTS}; TRY_CAST(a AS DOUBLE) is NULL where a text is no number.",
    **dict.fromkeys(
        ("skip", "comment", "encoding", "names", "decimal_separator", "thousands", "null_padding", "strict_mode"),
        "pandas reads such a file: df = pandas.read_csv(...), and then FROM df.",
    ),
    "hive_partitioning": "filename => true gives each row the path of its file: split_part(filename, '=', 2).",
}
"""Options of other engines' readers -> what does it here."""
_SIGNS = re.compile(
    rf"(?:{'|'.join(map(re.escape, ENDINGS))})|\b(?:{'|'.join(_FUNCTIONS)})\s*\("
    r"|\b(?:FROM|JOIN|DESCRIBE|SUMMARIZE)\s+'",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FileSource:
    """A file, or several, as a statement names them.

    Attributes:
        paths: as written; patterns are looked up when it is opened.
        form: how it is read.
        options: the reader's.
    """

    paths: tuple[str, ...]
    form: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The table's."""
        shown = ", ".join(self.paths)
        return shown + (f" ({', '.join(f'{k} = {v}' for k, v in self.options)})" if self.options else "")

    @property
    def label(self) -> str:
        """What its columns are qualified with where the statement gives no alias."""
        return Path(self.paths[0].rstrip("/")).name.split(".")[0].replace("*", "") or "file"


def opened(tree: Tree, sql: str, context: Context) -> Tree:
    """A statement in which every file is a table of its own name, which is registered; ``tree`` where there is none.

    Args:
        tree: the statement.
        sql: its text, which tells at a glance.
        context: where the tables are registered.

    Raises:
        StorageError: there is no such file, or it cannot be read.
        UsageError, UnsupportedError: an option that its reader has not.
    """
    if not _SIGNS.search(sql) or not any(_of(node, context) for node in walk(tree)):
        return tree

    def change(node: dict[str, Any]) -> Tree | None:
        source = _of(node, context)
        if source is None:
            return None
        try:
            _register(context, source)
        except SqlError as error:
            error.span = error.span or span_of(node)
            raise
        parts = [{"Identifier": make_identifier(source.name)}]
        if "ExplainTable" in node:
            return {"ExplainTable": {**node["ExplainTable"], "table_name": parts}}
        table = node["Table"]
        alias = table["alias"] or {"explicit": True, "name": make_identifier(source.label), "columns": []}
        return {"Table": {**table, "name": parts, "args": None, "alias": alias}}

    return transform(tree, change)


def reopened(names: Iterable[list[dict[str, Any]]], context: Context) -> None:
    """Bring the tables of files that a statement and the views in it name up to date with the files."""
    for parts in names:
        path = str(parts[0]["value"])
        if not parts[0].get("quote_style"):
            continue
        known, form = context.files.get(path), ENDINGS.get(_ending(path))
        if len(parts) > 1 and form not in ("zarr", "netcdf"):  # of these, one of several tables may be named
            continue
        if known is not None:
            _register(context, known[0])
        elif form is not None and not context.store.schema.table_exist(path):
            _register(context, FileSource((path,), form))


def placed(error: SqlError, statement: Statement) -> SqlError:
    """An error about a file, which points at the file's name: in a tree that stands nowhere."""
    names = (t for t in statement.tokens if t.kind is TokenKind.STRING and len(t.text) > 2)
    token = next((t for t in names if t.text[1:-1] in error.what), None) if error.span is None else None
    if token is None:
        return statement.place(error)
    place = span_at(statement.script, statement.start + token.start, statement.start + token.end)
    return statement.place(error, place)


def _of(node: dict[str, Any], context: Context) -> FileSource | None:
    """The file that a node of a tree names."""
    table = node.get("Table")
    if isinstance(table, dict) and table.get("args") and isinstance(table.get("name"), list):
        form = _FUNCTIONS.get(name_of(table["name"])[-1])
        return None if form is None else _called(form, table)
    parts = table.get("name") if isinstance(table, dict) else (node.get("ExplainTable") or {}).get("table_name")
    if not parts or len(parts) != 1 or not (parts[0].get("Identifier") or {}).get("quote_style"):
        return None
    path = str(parts[0]["Identifier"]["value"])
    form = ENDINGS.get(_ending(path))
    quoted = parts[0]["Identifier"]["quote_style"] == "'"
    if form is None and quoted and context.tables.relation((path,)) is None:
        near = _near(path) or ""
        hint = near if near.startswith("Did") else f"Endings that are known: {', '.join(sorted(ENDINGS))}"
        if os.path.isdir(path):
            hint = f"It is a folder. What is in it is named by a pattern: '{path.rstrip('/')}/*.parquet'"
        raise UnsupportedError(f"'{path}' is no file that can be read", hint=hint)
    known = context.files.get(path)
    if form is None or (known is None and context.store.schema.table_exist(path)):
        return None
    return known[0] if known is not None else FileSource((path,), form)


def _ending(path: str) -> str:
    """The ending of a file's name, that of a compression left out."""
    name = path.rstrip("/").lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return os.path.splitext(name)[1]


def _called(form: str, table: Tree) -> FileSource:
    """``read_csv('a.csv', delim = ';')``."""
    paths: list[str] = []
    options: dict[str, Any] = {}
    for argument in table["args"]["args"]:
        name, value = _argument(argument)
        if name is None and not paths:
            paths = [str(v) for v in value] if isinstance(value, list) else [str(value)]
        elif name is not None and name in _OPTIONS[form]:
            options[_OPTIONS[form][name]] = value
        else:
            hint = _SAID.get(str(name)) or suggest(str(name), _OPTIONS[form]) or "It has no options."
            raise _at(UsageError(f"the reader has no option `{name}`", hint=hint), argument)
    if not paths:
        raise _at(UsageError("a reader needs a file", hint="As in: read_csv('data.csv')"), table)
    return FileSource(tuple(paths), form, tuple(sorted(options.items())))


def _argument(argument: Tree) -> tuple[str | None, Any]:
    if "Named" in argument:
        return identifier(argument["Named"]["name"]), _literal(argument["Named"]["arg"]["Expr"])
    expression = argument["Unnamed"]["Expr"]
    operation = expression.get("BinaryOp") or {}
    if operation.get("op") == "Eq" and "Identifier" in operation["left"]:
        return identifier(operation["left"]["Identifier"]), _literal(operation["right"])
    return None, _literal(expression)


def _literal(expression: Tree) -> Any:
    if "Array" in expression:
        return [_literal(item) for item in expression["Array"]["elem"]]
    value = (expression.get("Value") or {}).get("value")
    if isinstance(value, dict):
        kind, found = next(iter(value.items()))
        if kind in ("SingleQuotedString", "Boolean"):
            return found
        if kind == "Number":
            return int(found[0]) if found[0].isdecimal() else float(found[0])
    raise _at(UnsupportedError("a reader takes texts, numbers, true and false"), expression)


def _at(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error


def _register(context: Context, source: FileSource) -> None:
    """Make the table of a file, unless it is there and the file is as it was."""
    paths = [path for pattern in source.paths for path in _matching(pattern)]
    stamp = tuple((path, *_stamp(path)) for path in paths)
    known = context.files.get(source.name)
    if known is not None and known[1] == stamp:
        return
    try:
        _READERS[source.form](context, source, paths)
    except ImportError as error:
        raise UnsupportedError(str(error)) from error
    except SqlError:
        raise
    except Exception as error:
        what = f"{source.name} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise StorageError(what) from error
    context.files[source.name] = (source, stamp)


def _matching(pattern: str) -> list[str]:
    if "://" in pattern:
        return [pattern]
    path = os.path.expanduser(pattern)
    found = sorted(glob.glob(path, recursive=True)) if any(c in path for c in "*?[") else [path]
    if not found or not os.path.exists(found[0]):
        raise StorageError(f"there is no file {pattern}", hint=_near(path))
    return found


def _near(path: str) -> str | None:
    """The hint for a file that is not there: one of a similar name beside it, or those of its kind."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return None if any(c in folder for c in "*?[") else f"There is no folder {folder} in {os.getcwd()}."
    names = os.listdir(folder)
    near = suggest(os.path.basename(path), names)
    if near and near.startswith("Did"):
        return near
    alike = [name for name in names if _ending(name) == _ending(path)]
    return suggest("", alike) or f"No {_ending(path) or 'such'} file is in {os.path.abspath(folder)}."


def _stamp(path: str) -> tuple[int, int]:
    """What tells that a file has changed; of a folder, that something was put in or taken out."""
    if "://" in path:
        return (0, 0)
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def _parquet(context: Context, source: FileSource, paths: Sequence[str]) -> None:
    form = "feather" if source.form == "arrow" else source.form
    options = dict(source.options)
    filename, by_name = _filename(options), _flag(options, "union_by_name")
    found = parquet_dataset(paths, form, hive=_flag(options, "hive_partitioning", given=True), by_name=by_name)
    frame = each_fragment(context, found, filename) if filename else None
    _forget(context, source.name)
    if frame is None:
        # DataFusion's own reader does not keep to the memory that a context has.
        context.register_dataset(f'"{source.name}"', found)
    else:
        context.register_table(f'"{source.name}"', frame.into_view())


def _csv(context: Context, source: FileSource, paths: Sequence[str]) -> None:
    options = dict(source.options)
    filename, by_name = _filename(options), _flag(options, "union_by_name")
    paths = [file for path in paths for file in files_in(path)]
    chosen = csv_options(paths, options)
    header = bool(options.get("has_header", True))
    frame = csv_together(context, paths, chosen, header=header, by_name=by_name, filename=filename)
    _forget(context, source.name)
    if frame is None:
        context.register_csv(source.name, list(paths), options=chosen)
    else:
        context.register_table(f'"{source.name}"', frame.into_view())


def _filename(options: dict[str, Any]) -> str:
    """The column that has the path: ``filename => true``, or its name; "" for none."""
    value = options.pop("filename", False)
    return value if isinstance(value, str) else "filename" if value else ""


def _flag(options: dict[str, Any], name: str, *, given: bool = False) -> bool:
    value = options.pop(name, given)
    if not isinstance(value, bool):
        raise UsageError(f"{name} is true or false, not {value!r}")
    return value


def _json(context: Context, source: FileSource, paths: Sequence[str]) -> None:
    if len(paths) > 1:
        raise UnsupportedError("JSON files are read one at a time", hint="UNION ALL puts their rows together.")
    options = {**compressed(paths[0]), **dict(source.options)}
    _forget(context, source.name)
    context.register_json(f'"{source.name}"', paths[0], file_extension=suffix(paths[0]), **options)


def _dataset(context: Context, source: FileSource, paths: Sequence[str]) -> None:
    options = dict(source.options)
    if source.form == "zarr":
        options["engine"] = "zarr"
    found = xr.open_dataset(paths[0], **options) if len(paths) == 1 else xr.open_mfdataset(list(paths), **options)
    _forget(context, source.name)
    register(context, source.name, found, folds=False)


def _forget(context: Context, name: str) -> None:
    """Let a table go that a file was before."""
    for key in [k for k in context.grids if k == name or k.startswith(f"{name}.")]:
        context.grids.pop(key)
        context._registered_datasets.pop(key, None)
    if context.store.schema.registered(name):
        context.store.schema.deregister_table(name)
    if name in context.several:
        context.catalog().deregister_schema(name)
        del context.several[name]


_READERS: Mapping[str, Callable[[Context, FileSource, Sequence[str]], None]] = {
    "parquet": _parquet, "arrow": _parquet, "csv": _csv, "json": _json, "zarr": _dataset, "netcdf": _dataset,
}  # fmt: skip
