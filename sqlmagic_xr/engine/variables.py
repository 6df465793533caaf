"""Notebook variables as tables: ``FROM ds`` reads the variable ``ds``, and follows it when it is rebound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import xarray as xr

from ..errors import UnsupportedError
from ..sql.parameters import can_be_parameter
from ..sql.syntax import identifier, local_name
from ..storage.schema import provider
from .datasets import register

if TYPE_CHECKING:
    from .context import Context

Namespace = Callable[[], Mapping[str, Any]]
"""Gives the variables by name, as they are now."""


_XARRAY = (xr.Dataset, xr.DataArray)


@dataclass(frozen=True, slots=True)
class _Followed:
    """A variable that is a table.

    Attributes:
        written: the variable's name.
        value: the object; held, so that no other can take its identity.
        state: what it is made of; other objects there tell that it has been changed in place.
        is_xarray: whether it is an xarray object, of which arrays can be exchanged.
        tables: the names of its tables, as the engine folds them.
    """

    written: str
    value: Any
    state: Mapping[str, Any]
    is_xarray: bool
    tables: tuple[tuple[str, ...], ...]


class Variables:
    """The notebook variables that a context has met in FROM.

    Attributes:
        read: table -> its rows, of the variables that are in memory and no xarray objects.
    """

    def __init__(self, context: Context, namespace: Namespace | None = None) -> None:
        self._context = context
        self.namespace = namespace
        self._followed: dict[str, _Followed] = {}
        self._hidden: dict[str, str] = {}  # table -> the type of the variable that it hides, untold
        self._told: set[str] = set()
        self.read: dict[str, pa.Table] = {}

    def kind_of(self, table: str) -> str | None:
        """What a table of that name is: a followed variable's type, or None where it is no variable."""
        followed = self._followed.get(table)
        return type(followed.value).__name__ if followed else None

    def rows_in_memory(self, table: str) -> int | None:
        """How many rows a followed variable has that is a table in memory; None for any other name."""
        followed = self._followed.get(table)
        value: Any = None if followed is None else followed.value
        if isinstance(value, (pa.Table, pa.RecordBatch)):
            return int(value.num_rows)
        frame = type(value).__name__ == "DataFrame" and type(value).__module__.partition(".")[0] in _FRAMES
        return len(value) if frame else None

    def arrow(self, table: str) -> pa.Table | None:
        """A followed variable that is an Arrow table; None for any other name."""
        followed = self._followed.get(table)
        return followed.value if followed is not None and isinstance(followed.value, pa.Table) else None

    def names(self) -> list[str]:
        """The variables that could be a table, by name; for hints and completion."""
        return [name for name, value in self._mapping().items() if not name.startswith("_") and _reader(value)]

    def hidden_by(self, table: str) -> str | None:
        """What a table of that name hides: the type of a variable of the same name that could be a table, or None."""
        value = self._mapping().get(table)
        return type(value).__name__ if _reader(value) is not None else None

    def tell_hidden(self, table: str | None = None) -> list[tuple[str, str]]:
        """The tables of which a statement has named one where a variable of its name could be meant, each once.

        Args:
            table: one that has been told of otherwise.

        Returns:
            Each with the type of the variable.
        """
        found, self._hidden = [(name, kind) for name, kind in self._hidden.items() if name != table], {}
        self._told |= {name for name, _ in found} | ({table} if table is not None else set())
        return found

    def parameters(self) -> list[str]:
        """The variables whose values SQL has literals for, by name; for completion."""
        return [n for n, value in self._mapping().items() if not n.startswith("_") and can_be_parameter(value)]

    def follow(self, names: Iterable[list[dict[str, Any]]]) -> None:
        """Bring the tables of these names up to date with the variables of the same names.

        A table that is no variable's is left alone: it always wins over a variable.

        Args:
            names: identifier nodes of the relations that a statement names.

        Raises:
            UnsupportedError: a variable cannot be read as a table.
        """
        namespace = self._mapping()
        for parts in names:
            parts = parts[-len(local_name(tuple(identifier(part) for part in parts))) :]
            self._follow(identifier(parts[0]), str(parts[0]["value"]), namespace)

    def rebound(self, tables: Iterable[str]) -> bool:
        """Whether one of these followed variables is another object by now, or an xarray object of other arrays."""
        namespace = self._mapping()
        for table in tables:
            followed = self._followed.get(table)
            if followed is None:
                return True
            value = namespace.get(followed.written)
            if value is not followed.value:
                return True
            if followed.is_xarray and not _same(followed.state, _state(value)):
                return True
        return False

    def refresh(self) -> None:
        """Let the tables go whose variables have been deleted, or are no tables any more."""
        namespace = self._mapping()
        for table, followed in list(self._followed.items()):
            if _reader(namespace.get(followed.written)) is None:
                self.release(table)

    def release(self, table: str) -> None:
        """Let the name go: a table of another kind takes it."""
        followed = self._followed.pop(table, None)
        self.read.pop(table, None)
        for name in followed.tables if followed else ():
            self._drop(name)

    def _mapping(self) -> Mapping[str, Any]:
        return self.namespace() if self.namespace is not None else {}

    def _follow(self, table: str, written: str, namespace: Mapping[str, Any]) -> None:
        followed = self._followed.get(table)
        if followed is None and self._is_taken(table):
            if table in namespace and table not in self._told and (kind := self.hidden_by(table)) is not None:
                self._hidden[table] = kind
            return
        value = namespace.get(written, namespace.get(table))
        read = _reader(value)
        if read is None:
            self.release(table)
            return
        state = _state(value)
        if followed is None or followed.value is not value or not _same(followed.state, state):
            self.release(table)
            self._followed[table] = _Followed(
                written if written in namespace else table,
                value,
                state,
                isinstance(value, _XARRAY),
                self._read(read, table, value),
            )

    def _read(self, read: _Reader, table: str, value: Any) -> Tables:
        try:
            return read(self._context, table, value)
        except (ValueError, TypeError, pa.ArrowException, NotImplementedError) as error:
            kind = type(value).__name__
            raise UnsupportedError(f"the {kind} `{table}` cannot be read as a table: {error}") from error

    def _is_taken(self, table: str) -> bool:
        return self._context.store.schema.table_exist(table) or table in self._context.catalog().schema_names()

    def _drop(self, name: tuple[str, ...]) -> None:
        self._context._registered_datasets.pop(".".join(name), None)
        self._context.grids.pop(".".join(name), None)
        if len(name) == 1:
            if self._context.store.schema.registered(name[0]):
                self._context.store.schema.deregister_table(name[0])
        elif name[0] in self._context.catalog().schema_names():
            self._context.several.pop(name[0], None)
            self._context.catalog().deregister_schema(name[0])


_FRAMES = ("pandas", "polars")
Tables = tuple[tuple[str, ...], ...]
_Reader = Callable[["Context", str, Any], Tables]


def _dataset(context: Context, table: str, value: xr.Dataset) -> Tables:
    if not value.data_vars:
        raise ValueError("it has no data variable")
    made = register(context, table, value, folds=False)
    return tuple((table, *filter(None, [key[len(table) + 1 :]])) for key in made)


def _data_array(context: Context, table: str, value: xr.DataArray) -> Tables:
    return _dataset(context, table, value.to_dataset(name=value.name if value.name is not None else table))


def _arrow(context: Context, table: str, value: pa.Table) -> Tables:
    context.store.schema.register_table(table, provider(value.to_batches(), value.schema))
    context.variables.read[table] = value
    return ((table,),)


def _arrow_dataset(context: Context, table: str, value: Any) -> Tables:
    context.register_dataset(f'"{table}"', value)
    return ((table,),)


_READERS: dict[str, _Reader] = {
    "xarray.Dataset": _dataset,
    "xarray.DataArray": _data_array,
    "pandas.DataFrame": lambda c, t, v: _arrow(c, t, pa.Table.from_pandas(v)),
    "polars.DataFrame": lambda c, t, v: _arrow(c, t, v.to_arrow()),
    "polars.LazyFrame": lambda c, t, v: _arrow(c, t, v.collect().to_arrow()),
    "pyarrow.Table": _arrow,
    "pyarrow.RecordBatch": lambda c, t, v: _arrow(c, t, pa.Table.from_batches([v])),
    "pyarrow.RecordBatchReader": lambda c, t, v: _arrow(c, t, v.read_all()),  # can be read once, so it is kept
    "pyarrow.Dataset": _arrow_dataset,
    "sqlmagic_xr.Result": lambda c, t, v: _arrow(c, t, v.to_arrow_table()),
    "datafusion.DataFrame": lambda c, t, v: _arrow(c, t, v.to_arrow_table()),
    "sqlmagic_xr.Frame": lambda c, t, v: _arrow(c, t, v.to_arrow_table()),
}
"""Library and class -> how to register it. Classes are told by name: importing polars to ask takes seconds."""


def _reader(value: Any) -> _Reader | None:
    for kind in type(value).__mro__:
        reader = _READERS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
        if reader is not None:
            return reader
    return None


def _state(value: Any) -> dict[str, Any]:
    """What a mutable value is made of, by name.

    An xarray object is read lazily, so only exchanged arrays matter. A data frame is copied, and there is no cheap way
    to see that its cells have changed, so it is read anew for each statement (the copy shares most buffers).
    """
    if isinstance(value, (xr.Dataset, xr.DataArray)):
        parts = value.variables if isinstance(value, xr.Dataset) else {"": value.variable, **value.coords.variables}
        return {str(name): variable._data for name, variable in parts.items()}
    if type(value).__module__.partition(".")[0] in ("pandas", "polars"):
        return {"": object()}
    return {}


def _same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return before.keys() == after.keys() and all(before[name] is after[name] for name in before)
