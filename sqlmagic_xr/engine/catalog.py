"""What tables exist, their schemas, keys and kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as pt

from ..errors import SqlError
from ..relation.bind import bind
from ..relation.catalog import Table
from ..relation.functions import of_session
from ..relation.layers import ColumnType, KnownTable
from ..relation.names import Name
from ..relation.nodes import Opaque
from ..relation.nodes import Relation as Bound
from ..sql.syntax import Tree, local_name
from ..storage.definition import Definition
from ..storage.scratch import Version
from ..storage.transaction import Entry, View
from .findings import KnownNames
from .messages import explain

if TYPE_CHECKING:
    from .context import Context
    from .gridtable import GridTable

# The first test that a type passes says what kind of value it is.
_TYPES: tuple[tuple[Callable[[pa.DataType], bool], ColumnType], ...] = (
    (pt.is_integer, "integer"),
    (pt.is_floating, "real"),
    (pt.is_decimal, "decimal"),
    (pt.is_boolean, "boolean"),
    (pt.is_string, "text"),
    (pt.is_large_string, "text"),
    (pt.is_string_view, "text"),
    (pt.is_temporal, "time"),
)


def column_type(kind: pa.DataType) -> ColumnType:
    """What kind of value an Arrow type holds."""
    if pt.is_dictionary(kind):
        kind = kind.value_type
    return next((name for test, name in _TYPES if test(kind)), "other")


class EngineCatalog:
    """The tables of a context, as a reader of SQL asks for them (:class:`..relation.layers.LayerCatalog`)."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bound: dict[int, _Binding] = {}
        self._schemas: dict[tuple[str, ...], tuple[tuple[Any, ...], int, pa.Schema]] = {}

    @property
    def session(self) -> Context:
        """Whose tables they are."""
        return self._context

    def names(self) -> list[str]:
        """Every table and view, qualified where it stands in a schema of its own; the engine's internals left out."""
        catalog = self._context.catalog()
        inner = (
            f"{schema}.{table}"
            for schema in catalog.schema_names() - {"public", "information_schema"}
            for table in catalog.schema(schema).names()
        )
        return sorted({*self._context.store.schema.names, *inner})

    def known(self, functions: Sequence[str], read: Sequence[tuple[str, ...]]) -> KnownNames:
        """The names there are, for the errors of a statement.

        Args:
            functions: those there are.
            read: the relations that it names.
        """
        unread: dict[str, str] = {}
        readers: dict[str, str] = {}
        pending = list(read)
        while pending:
            name = local_name(pending.pop())
            unread |= self.unread(name)
            entry = self._entry(name)
            if isinstance(entry, View) and entry.name not in readers.values():
                readers |= {".".join(local_name(below)): entry.name for below in entry.reads}
                pending += entry.reads
        store = self._context.store
        is_new = store.durable.keeper is None and not any(isinstance(e, Version) for e in store.entries().values())
        found = (self.relation(local_name(name)) for name in read)
        columns = [str(column) for relation in found if relation is not None for column in relation.columns]
        files = tuple(self._context.files)
        names = [name for name in self.names() if not name.startswith(files)]  # which are written as they were
        follows = self._context.variables.namespace is not None
        variables = self._context.variables.names() if follows else None
        calendars = sorted(self._context.calendars)
        return KnownNames(names, functions, unread, variables, readers, columns, calendars, is_new)

    def broken(self) -> dict[str, str]:
        """The views that cannot be read any more -> why."""
        found = {}
        for name, entry in self._context.store.entries().items():
            if isinstance(entry, View) and self.schema((name,)) is None:
                found[name] = self.why_broken(name)
        return found

    def why_broken(self, name: str) -> str:
        """Why a view cannot be planned; "" where it can."""
        with self._context.store.reading():
            try:
                self._context.table(f'"{name}"')
            except (KeyError, RuntimeError) as error:
                return explain(_raised(str(error)), KnownNames(self.names())).what
        return ""

    def relation(self, name: tuple[str, ...]) -> KnownTable | None:
        """The table or view of that name (``("params",)`` or ``("era5", "surface")``), or None."""
        entry = self._entry(name)
        if isinstance(entry, Version):
            key = entry.definition.key
            return KnownTable(name, _columns(entry.definition.schema), key, "scratch")
        schema = self.schema(name)
        if schema is None:
            return None
        if isinstance(entry, View):
            return KnownTable(name, _columns(schema), (), "view", entry.query)
        grid = self.grid(name)
        variable = self._context.variables.kind_of(local_name(name)[0]) is not None
        key = grid.key if grid is not None else ()
        kind = "variable" if variable else "xarray" if grid is not None else "table"
        return KnownTable(name, _columns(schema), key, kind)  # type: ignore[arg-type]

    def table(self, name: tuple[str, ...]) -> Table | None:
        """The table or view of that name, as binding asks for it (:class:`..relation.catalog.Catalog`)."""
        name, entry = local_name(name), self._entry(name)
        schema = entry.definition.schema if isinstance(entry, Version) else self.schema(name)
        if schema is None:
            return None
        types = {field.name: str(field.type) for field in schema}
        if isinstance(entry, Version):
            required = frozenset(field.name for field in schema if not field.nullable)
            return Table(name, types, tuple(entry.definition.key), required)
        if isinstance(entry, View):
            return Table(name, types, definition=entry.query)
        grid = self.grid(name)
        if grid is None:
            return Table(name, types)
        whole = frozenset(n for n in grid.key if pt.is_integer(schema.field(n).type))  # these have no NaN or NaT
        return Table(name, types, tuple(grid.key), whole)

    def is_view(self, name: tuple[str, ...]) -> bool:
        """Whether the engine itself has a view of that name."""
        *_, schema, table = ("public", *local_name(name))
        try:
            return str(self._context.catalog().schema(schema).table(table).kind) == "view"
        except (KeyError, RuntimeError):
            return False

    def bound(self, query: Tree) -> Bound:
        """The bound query of a tree (the inside of a ``Query`` node): bound once for a tree and state of the tables.

        What is wrong in it is said by whoever runs it: here it is a query that is not bound, with the reason.
        """
        known = self._bound.get(id(query))
        if known is None or known.tree is not query or not known.stands(self, self._context.alterations):
            if len(self._bound) >= _BINDINGS:
                del self._bound[next(iter(self._bound))]
            known = self._bound[id(query)] = _Binding(query, self, self._context.alterations)
        return known.query

    def shape(self, name: tuple[str, ...]) -> Any:
        """What stands for a table's columns and key: another one as soon as they are others."""
        name, entry = local_name(name), self._entry(name)
        return entry.definition if isinstance(entry, Version) else self.rows_identity(name)

    def dataset(self, name: tuple[str, ...]) -> Any | None:
        """The ``xr.Dataset`` that an xarray table reads, or None where the table is none."""
        return _under(self._context._registered_datasets, name)

    def grid(self, name: tuple[str, ...]) -> GridTable | None:
        """How an xarray table reads its dataset, or None where the table is none."""
        found: GridTable | None = _under(self._context.grids, name)
        return found

    def unread(self, name: tuple[str, ...]) -> Mapping[str, str]:
        """What an xarray table has in its dataset and not as a column -> why."""
        grid = self.grid(name)
        return {} if grid is None else grid.unread

    def rows_in_memory(self, name: tuple[str, ...]) -> int | None:
        """How many rows a table has that is in memory; 0 for a view, None for what has to be read from elsewhere."""
        name, entry = local_name(name), self._entry(name)
        if entry is not None:
            return entry.rows if isinstance(entry, Version) else 0
        dataset = self.dataset(name)
        if dataset is None:
            return self._context.variables.rows_in_memory(name[0]) if len(name) == 1 else None
        if not all(getattr(variable, "_in_memory", False) for variable in dataset.variables.values()):
            return None
        return int(math.prod(dataset.sizes.values()))

    def arrow(self, name: tuple[str, ...]) -> pa.Table | None:
        """The rows of a table that lies in memory as Arrow does; None for any other."""
        name, entry = local_name(name), self._entry(name)
        if isinstance(entry, Version):
            return entry.to_arrow()
        return self._context.variables.arrow(name[0]) if len(name) == 1 and entry is None else None

    def is_followed(self, name: tuple[str, ...]) -> bool:
        """Whether it would be known that another table has been registered under a name.

        Of a schema of its own only the xarray tables are known; what its owner does to the others is his affair.
        """
        return len(local_name(name)) == 1 or self.dataset(name) is not None

    def rows_identity(self, name: tuple[str, ...]) -> Any:
        """What stands for the rows of a table as they are now: another object as soon as they are others."""
        name, entry = local_name(name), self._entry(name)
        if len(name) > 1:
            return self.dataset(name)
        return self._context.store.schema.other(name[0]) if entry is None else entry

    def _entry(self, name: tuple[str, ...]) -> Entry | None:
        """The scratch table or view of that name, however it is written."""
        name = local_name(name)
        return self._context.store.entries().get(name[0]) if len(name) == 1 else None

    def schema(self, name: tuple[str, ...]) -> pa.Schema | None:
        """The names and types of a table's or view's columns; None where there is none.

        The engine is asked once as long as all that it looks at are as they were: to plan a view takes 0.2 ms.
        """
        below, alterations, known = self._below(name), self._context.alterations, self._schemas.get(name)
        if known is not None and below is not None and alterations == known[1] and _are(below, known[0]):
            return known[2]
        try:
            with self._context.store.reading():
                found: pa.Schema = self._context.table(".".join(f'"{part}"' for part in name)).schema()
        except (KeyError, RuntimeError):  # no such table; no such schema
            return None
        if below is not None:
            if len(self._schemas) >= _BINDINGS:
                self._schemas.pop(next(iter(self._schemas)), None)
            self._schemas[name] = below, alterations, found
        return found

    def _below(self, name: tuple[str, ...]) -> tuple[Any, ...] | None:
        """The shape of a table, and those of what is below a view; None where one of them cannot be told."""
        found, pending = [], [local_name(name)]
        while pending:
            one = local_name(pending.pop())
            shape = self.shape(one) if len(one) == 1 and self._context.store.schema.shown(one[0]) is None else None
            if shape is None:
                return None
            found.append(shape)
            pending += shape.reads if isinstance(shape, View) else ()
        return tuple(found)


_BINDINGS = 64  # queries that stay bound, and schemas that are known; a session repeats few


class _Binding:
    """A bound query, and the tables that were looked at for it.

    Args:
        tree: the inside of a ``Query`` node.
        catalog: the tables.
        alterations: how often the session had been altered then.
    """

    def __init__(self, tree: Tree, catalog: EngineCatalog, alterations: int) -> None:
        self.tree, self._catalog, self._alterations = tree, catalog, alterations
        self._shapes: dict[Name, Any] = {}
        try:
            with of_session(catalog.session):
                self.query: Bound = bind(tree, self)
        except SqlError as error:
            self.query = Opaque(why=error.what, tree=tree)

    def names(self) -> list[str]:
        """As :meth:`Catalog.names`."""
        return self._catalog.names()

    def table(self, name: Name) -> Table | None:
        """As :meth:`Catalog.table`; from now on it is known that the query depends on it."""
        self._shapes[name] = self._catalog.shape(name)
        return self._catalog.table(name)

    def stands(self, catalog: EngineCatalog, alterations: int) -> bool:
        """Whether the query still means the same."""
        if alterations != self._alterations:
            return False
        shapes = ((known, catalog.shape(name)) for name, known in self._shapes.items())
        return all(now is known or (isinstance(now, Definition) and now == known) for known, now in shapes)


def _are(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two rows are the same objects."""
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))


def _under(known: Mapping[str, Any], name: tuple[str, ...]) -> Any:
    """What is filed under a name as it was written, which the engine folds."""
    wanted = ".".join(local_name(name))
    return known.get(wanted) or next((found for key, found in known.items() if key.lower() == wanted), None)


def _raised(message: str) -> str:
    """What an exception of Python's says that DataFusion hands on as it prints it."""
    found = re.search(r'value: \w+\("(.*?)"\)', message, re.DOTALL)
    return message if found is None else found[1]


def _columns(schema: pa.Schema) -> dict[str, ColumnType]:
    return {field.name: column_type(field.type) for field in schema}
