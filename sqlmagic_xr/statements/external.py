"""CREATE EXTERNAL TABLE ... STORED AS ZARR: a scratch table over a Zarr store that grows along one dimension."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa

from ..errors import ParseError, UsageError, suggest
from ..sql.syntax import Statement, parse_one
from ..storage.definition import ColumnDefinition, Definition, Unique, sql_name
from ..storage.grid import GridStore
from ..storage.grown import Grown, arrow_type, storable
from ..storage.scratch import Version
from ..storage.transaction import Work
from .ddl import Constraints, declared_column
from .effect import Effect, Engine, counted, free_name

_TEXT = r"'((?:[^']|'')*)'"
_TAIL = re.compile(
    rf"\bSTORED\s+AS\s+ZARR\s+LOCATION\s+{_TEXT}(?:\s+OPTIONS\s*\((?P<options>.*)\))?\s*;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_OPTION = re.compile(rf"\s*{_TEXT}\s+{_TEXT}\s*(?:,|\Z)")
_OPTIONS = ("append_dim", "store")
_EXAMPLE = "CREATE EXTERNAL TABLE runs STORED AS ZARR LOCATION 'runs.zarr' OPTIONS ('append_dim' 'step')"


def is_external(statement: Statement) -> bool:
    """Whether a statement is one of these, which sqloxide cannot read.

    >>> from sqlmagic_xr.sql.syntax import split
    >>> [is_external(s) for s in split(_EXAMPLE + "; CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'zarr'")]
    [True, False]
    """
    words = [token.text.upper() for token in statement.tokens]
    stored = any(words[n : n + 3] == ["STORED", "AS", "ZARR"] for n in range(3, len(words) - 2))
    return words[:3] == ["CREATE", "EXTERNAL", "TABLE"] and stored


def create_external(statement: Statement, engine: Engine) -> Effect:
    """CREATE EXTERNAL TABLE [IF NOT EXISTS] name [(columns)] STORED AS ZARR LOCATION 'x' OPTIONS ('append_dim' 'dim').

    Without columns the store must be there, and its variables are the columns. With columns it is made by the first
    INSERT; their PRIMARY KEY names the dimensions, and the rows of that INSERT their coordinates. The option
    'store' 'icechunk' makes it an Icechunk repository.

    Raises:
        ParseError, UsageError: the statement says too little, or something that the store does not.
        StorageError: the store cannot be opened.
    """
    head, location, options = _read(statement)
    body = parse_one(head).tree["CreateTable"]
    with engine.store.writing(statement.text) as work:
        name = free_name(body["name"], work.entries, engine, Version)
        if name in work.entries:
            if body["if_not_exists"]:
                return Effect(f"{name}: exists already, nothing was done")
            raise UsageError(f"`{name}` exists already", hint=f"DROP TABLE {name} forgets it; the files stay.")
        constraints = Constraints(name)
        columns = [declared_column(c, name, constraints, engine) for c in body["columns"]]
        for constraint in body["constraints"]:
            constraints.add_table_constraint(constraint)
        engine.store.durable.grows = True
        store = GridStore(location, options["append_dim"], transactional=options.get("store") == "icechunk")
        try:
            version = _version(name, store, constraints.complete(columns, engine) if columns else None, work)
        except BaseException:
            store.release()
            raise
        return Effect(f"{name}: table over {store.path.name}, {counted(version.rows, 'there')}")


def _version(name: str, store: GridStore, declared: Definition | None, work: Work) -> Version:
    """The table as the store has it, or as it is declared for one that is to be made."""
    if store.dataset is None:
        definition = _declared(name, store, declared)
    else:
        definition = _found(name, store)
        if declared is not None and declared.schema != definition.schema:
            there = ", ".join(f"{c.name} {c.sql_type}" for c in definition.columns)
            raise UsageError(
                f"{store.path.name} is there already, and its columns are others: {there}",
                hint="Leave the columns out, or take another LOCATION.",
            )
    grown = Grown(store, definition.schema)
    version = work.create(name, replace(definition, grown=grown))
    chunks = grown.chunks()
    return work.fill(name, version.replaced(version.definition, chunks)) if chunks else version


def _found(name: str, store: GridStore) -> Definition:
    dataset = store.dataset
    assert dataset is not None
    columns = []
    for column in (*store.dims, *map(str, dataset.data_vars)):
        kind = arrow_type(dataset[column].dtype, column)
        columns.append(
            ColumnDefinition(
                column, kind, sql_name(kind), nullable=pa.types.is_floating(kind) and column not in store.dims
            )
        )
    return Definition(tuple(columns), (Unique(f"{name}_pkey", "PRIMARY KEY", store.dims),))


def _declared(name: str, store: GridStore, declared: Definition | None) -> Definition:
    if declared is None:
        raise UsageError(
            f"there is no {store.path.name}",
            hint="Give the columns, and it is made by the first INSERT: (step BIGINT, ...)",
        )
    dims = declared.key
    if store.append_dim not in dims:
        raise UsageError(
            f"the dimensions of `{name}` are its PRIMARY KEY, and {store.append_dim} is not in it",
            hint=f"As in: PRIMARY KEY ({store.append_dim}, lat, lon)",
        )
    for column in declared.columns:
        storable(column.type, f"{name}.{column.name}")
    store.dims = (store.append_dim, *(d for d in dims if d != store.append_dim))
    places = {c.name: c for c in declared.columns}
    ordered = [places[d] for d in store.dims] + [c for c in declared.columns if c.name not in dims]
    return replace(declared, columns=tuple(ordered))


def _read(statement: Statement) -> tuple[str, str, dict[str, str]]:
    """The statement as a CREATE TABLE, its LOCATION, and its options."""
    tail = _TAIL.search(statement.text)
    if tail is None:
        raise statement.place(ParseError("the statement cannot be read", hint=_EXAMPLE), statement.first_word)
    text, place = tail["options"] or "", 0
    options: dict[str, str] = {}
    while place < len(text.rstrip()):
        found = _OPTION.match(text, place)
        if found is None:
            raise statement.place(ParseError("OPTIONS holds pairs of texts", hint=_EXAMPLE), statement.first_word)
        options[found[1].replace("''", "'").removeprefix("format.")] = found[2].replace("''", "'")
        place = found.end()
    for option in options:
        if option not in _OPTIONS:
            raise UsageError(f"there is no option '{option}'", hint=suggest(option, _OPTIONS))
    if options.get("store", "zarr") not in ("zarr", "icechunk"):
        raise UsageError(f"'store' is 'zarr' or 'icechunk', not '{options['store']}'")
    if "append_dim" not in options:
        raise UsageError(
            "a Zarr store is a table that grows where 'append_dim' says along which dimension", hint=_EXAMPLE
        )
    head = re.sub(r"\bEXTERNAL\b", " " * len("EXTERNAL"), statement.text[: tail.start()], count=1, flags=re.IGNORECASE)
    return head, tail[1].replace("''", "'"), options
