"""How DataFusion finds scratch tables: a schema that is asked for a table whenever a statement is planned.

Nothing is registered at a commit, so a commit costs the same however many chunks a table has; the first plan that
reads a version pays for handing its chunks over (15 us and 4 us a chunk), and the version keeps what was made.
A plan keeps the version that it was made with: a DataFrame that is run later shows what was there when it was planned.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pyarrow as pa
from datafusion import SessionConfig, SessionContext
from datafusion.catalog import SchemaProvider, Table
from xarray_sql._native import LazyArrowStreamTable

from ..errors import UsageError
from ..sql.build import quoted
from .chunk import Chunk
from .dependents import asks_for_keys, misses_a_key
from .pins import Pinning, Pins
from .pruning import Stretch, batches
from .reserved import refuse_reserved
from .scratch import Version
from .transaction import Entries, Entry, View


class ScratchSchema(SchemaProvider):
    """The session's default schema, with the scratch tables in it before all others.

    Args:
        session: its default schema is replaced by this one, which takes over the tables that are registered there.
        entries: the scratch tables and views as the asking thread sees them.

    Attributes:
        unlisted: the views of which information_schema shall not tell.
    """

    def __init__(self, session: SessionContext, entries: Callable[[], Entries]) -> None:
        self._session = session
        self._entries = entries
        self._others: dict[str, Any] = {}
        self._local = Pins()
        self.unlisted: frozenset[str] = frozenset()
        self.mended: Callable[[Any, str], str] = lambda tree, text: (
            text
        )  # a query (its tree, if there is one) as it is planned
        # A view's text as it is planned, and what it reads besides.
        self.viewed: Callable[[View], tuple[str, Mapping[str, Any]]] = lambda view: (view.text, {})
        catalog = session.catalog()
        default = catalog.schema("public")
        for name in default.names():
            self._others[name] = default.table(name)._inner
        catalog.register_schema("public", self)

    def pinned(
        self, entries: Entries, names: Mapping[str, Any], *, keyed: bool | None = None
    ) -> AbstractContextManager[None]:
        """Within this block this thread plans with ``entries``, and with the relations ``names`` before them.

        Args:
            entries: the scratch tables and views.
            names: relations besides.
            keyed: as ``told`` of :meth:`with_keys`; None where that stays as it is.
        """
        return Pinning(self._local, entries, names, keyed=keyed)

    @contextmanager
    def planned(self, entries: Entries, views: Iterable[str]) -> Iterator[None]:
        """Within this block these views read ``entries`` too.

        A view is planned here and not when DataFusion asks for it, since it cannot plan while it plans.
        """
        plans = {}
        for name in views:
            entry = entries.get(name)
            if isinstance(entry, View):
                # One that cannot be planned fails when it is asked for; the others are not its hostages.
                with contextlib.suppress(Exception):
                    plans[name] = self._plan(entry, entries)
        with self.pinned(entries, plans):
            yield

    @contextmanager
    def with_keys(self, *, told: bool = True) -> Iterator[None]:
        """Within this block the views that this thread plans are told the tables' keys; see :func:`with_key`."""
        before, self._local.keyed = self._local.keyed, told
        try:
            yield
        finally:
            self._local.keyed = before

    def registered(self, name: str) -> bool:
        """Whether something that is no scratch table has that name."""
        return name in self._others

    def other(self, name: str) -> Any:
        """What has that name and is no scratch table; another object when it is registered anew, None for nothing."""
        return self._others.get(name)

    def tables_now(self, names: Iterable[str]) -> dict[str, Any]:
        """The tables of some names as they are now; what cannot be planned is left out, and refused when it is read."""
        found = {}
        for name in names:
            with contextlib.suppress(Exception):
                found[name] = self.table(name)
        return {name: table for name, table in found.items() if table is not None}

    def shown(self, name: str) -> Any:
        """The relation that this thread's plans see under a name before all tables; None for nothing."""
        return self._local.names.get(name)

    # What DataFusion asks

    @property
    def owner_name(self) -> str | None:  # type: ignore[override]
        """Nobody: DataFusion prints what it finds under this name, None and methods too."""
        raise AttributeError

    @property
    def names(self) -> list[str]:
        """Every table's and view's name."""
        return sorted({*self._others, *self.visible()})

    @property
    def table_names(self) -> list[str]:  # type: ignore[override]
        """The names that information_schema tells of; DataFusion reads it as an attribute.

        It asks for each of the tables, and a view that cannot be planned would be the end of the list.
        """
        return [name for name in self.names if name not in self.unlisted]

    def table(self, name: str) -> Any:
        """The table of that name, or None."""
        pinned = self._local.names.get(name)
        if pinned is not None:
            return pinned
        entry = self.visible().get(name)
        if isinstance(entry, Version):
            return provider_of(entry)
        if isinstance(entry, View):
            return self._plan_aside(entry)
        return self._others.get(name)

    def table_exist(self, name: str) -> bool:
        """Whether there is a table of that name."""
        return name in self._local.names or name in self.visible() or name in self._others

    def register_table(self, name: str, table: Any) -> None:
        """Take a table that is no scratch table: an xarray dataset, a view of DataFusion's, an Arrow table."""
        if name == _MADE:
            self._local.made = table
            return
        refuse_reserved(name, "a table")
        if name in self.visible():
            raise UsageError(f"`{name}` is a scratch table", hint=f"DROP TABLE {name} first, or take another name.")
        self._others[name] = table

    def deregister_table(self, name: str, cascade: bool = True) -> None:
        """Forget a table that is no scratch table."""
        if name in self.visible():
            raise UsageError(f"`{name}` is a scratch table", hint=f"Use DROP TABLE {name}.")
        self._others.pop(name, None)

    def visible(self) -> Entries:
        """The scratch tables and views as this thread's plans see them."""
        pinned = self._local.entries
        return pinned if pinned is not None else self._entries()

    def _plan(self, view: View, entries: Entries) -> Any:
        """The view's plan over what it reads now; what it reads is planned first."""
        with self.with_keys(told=self._local.keyed or asks_for_keys(view.query, entries, view.text)):
            try:
                return self._plan_once(view, entries)
            except Exception as error:
                if not misses_a_key(error):
                    raise
        with self.with_keys():
            return self._plan_once(view, entries)

    def _plan_once(self, view: View, entries: Entries) -> Any:
        sources = [self._source(name, entries) for name in view.reads]
        known, plan = view.plan
        if known is None or len(known) != len(sources) or any(a is not b for a, b in zip(known, sources, strict=True)):
            views = {name[0]: s for name, s in zip(view.reads, sources, strict=True) if name[0] in entries}
            with Pinning(self._local, entries, views, alone=True):
                text, beside = self.viewed(view)
                with self.pinned(entries, beside):
                    plan = self._as_view(text)
            view.plan = (sources, plan)
        return plan

    def _as_view(self, text: str) -> Any:
        """A query as a table; DataFusion's CREATE VIEW gives it the types that its rows have, a frame's view others."""
        SessionContext.sql(self._session, f"CREATE VIEW datafusion.public.{_MADE} AS {text}")
        made, self._local.made = self._local.made, None
        return made

    def _plan_aside(self, view: View) -> Any:
        """The plan of a view that nobody planned before: made by another thread, for want of a second planner."""
        made: list[Any] = []
        entries = self.visible()
        failed: list[Exception] = []

        def plan() -> None:
            try:
                made.append(self._plan(view, entries))
            except Exception as error:
                failed.append(error)

        worker = threading.Thread(target=plan)
        worker.start()
        worker.join()
        if failed:
            raise failed[0]
        return made[0]

    def _source(self, name: tuple[str, ...], entries: Entries) -> Any:
        entry: Entry | None = entries.get(name[-1])
        if isinstance(entry, Version):
            return with_key(entry) if self._local.keyed else provider_of(entry)
        if isinstance(entry, View):
            return self._plan(entry, entries)
        # A table of another schema may be another one at any time.
        return self._others.get(name[0]) if len(name) == 1 else object()


_MADE = "__view__"
"""The name under which a view is made; nothing is ever registered under it."""


def provider_of(version: Version) -> Any:
    """The whole of a version as a table of DataFusion's."""
    found = version.providers.get("whole")
    if found is None:
        if _is_streamed(version):
            found = _streamed(version)
        else:
            found = provider([c.batch for c in version.chunks], version.definition.schema)
        version.providers["whole"] = found
    return found


def part_of(version: Version, stretches: list[Stretch]) -> Any:
    """Some stretches of a version's rows as a table of DataFusion's; the table of none of them is made once."""
    if stretches:
        return provider(batches(version, stretches), version.definition.schema)
    found = version.providers.get("empty")
    if found is None:
        found = version.providers["empty"] = provider([], version.definition.schema)
    return found


STREAMED = 64 * 2**20
"""Bytes of rows that only a file has, from which on a query reads them a chunk at a time; fewer come whole."""


def _is_streamed(version: Version) -> bool:
    return sum(chunk.nbytes for chunk in version.chunks if not chunk.resident) > STREAMED


def _streamed(version: Version) -> Any:
    """A version as a table of DataFusion's that reads it a chunk at a time.

    It has a few partitions of chunks that follow each other: all of them are read at once, each a chunk at a time, and
    there are as many as there are threads, so that DataFusion does not deal the rows out anew and they keep an order.
    """
    chunks = version.chunks
    parts = min(len(chunks), max(8, os.cpu_count() or 1))
    ends = [len(chunks) * number // parts for number in range(parts + 1)]
    groups = [chunks[start:stop] for start, stop in itertools.pairwise(ends)]
    schema = version.definition.schema
    found: list[tuple[Any, dict[str, Any], int]] = [(_reading(g, schema), {}, sum(c.rows for c in g)) for g in groups]
    return LazyArrowStreamTable(iter(found), schema)


def _reading(chunks: Sequence[Chunk], schema: pa.Schema) -> Callable[[list[str] | None], pa.RecordBatchReader]:
    def read(names: list[str] | None) -> pa.RecordBatchReader:
        places = [schema.get_field_index(name) for name in (schema.names if names is None else names)]
        fields = pa.schema([schema.field(place) for place in places])

        def batches() -> Iterator[pa.RecordBatch]:
            for chunk in chunks:
                rows = chunk.columns(places)
                for start in range(0, chunk.rows, _BATCH):
                    yield pa.RecordBatch.from_arrays(rows.slice(start, _BATCH).columns, schema=fields)

        return pa.RecordBatchReader.from_batches(fields, batches())

    return read


_BATCH = 8192
"""Rows that DataFusion is given at a time, as it takes them itself."""


def with_key(version: Version) -> Any:
    """As :func:`provider_of`, of a table whose keys DataFusion is told, so that it knows what they determine.

    It takes a statement of DataFusion's to tell it (a millisecond), so that only what needs it is planned so. It is
    still a view: behind it stands a table in a session of its own, which no statement of a user's reaches. Of a table
    that is read a chunk at a time it is not told, since that would read the whole of it.
    """
    found = version.providers.get("keyed")
    if found is None:
        told = version.definition.key and not _is_streamed(version)
        found = version.providers["keyed"] = _with_keys(version) if told else provider_of(version)
    return found


def as_table(version: Version) -> Any:
    """As :func:`provider_of`, and no view: of a view in a LATERAL within a LATERAL DataFusion loses the columns.

    Only queries may see it: DataFusion's own DELETE would empty it. A table that is read a chunk at a time stays so.
    """
    found = version.providers.get("table")
    if found is None and _is_streamed(version):
        found = provider_of(version)
    elif found is None:
        name, batches = f"table_{uuid4().hex}", [c.batch for c in version.chunks]
        _workshop.register_record_batches(name, [batches or [_none(version.definition.schema)]])
        try:
            found = _workshop.catalog().schema("public").table(name)._inner
        finally:
            _workshop.deregister_table(name)
    version.providers["table"] = found
    return found


def _with_keys(version: Version) -> Any:
    source, table = f"source_{uuid4().hex}", f"keyed_{uuid4().hex}"
    schema = version.definition.schema
    batches = [c.batch for c in version.chunks] or [_none(schema)]
    columns = ", ".join(quoted(f"{source}.{name}") for name in version.definition.key)
    _keyed.register_record_batches(source, [batches])
    try:
        _keyed.sql(f"CREATE TABLE {table} (PRIMARY KEY ({columns})) AS SELECT * FROM {source}")
        return Table(_keyed.table(table))._inner
    finally:
        _keyed.deregister_table(source)
        _keyed.deregister_table(table)


def provider(batches: Sequence[pa.RecordBatch], schema: pa.Schema, *, partitions: int = 1) -> Any:
    """Batches as a table of DataFusion's, without a copy.

    It is a view over the batches and no MemTable, which DataFusion's own DELETE would empty behind our back.

    Args:
        batches: the rows.
        schema: theirs.
        partitions: into how many parts they are dealt out, each of which one thread scans.
    """
    batches = batches or [_none(schema)]
    if partitions > 1 and len(batches) >= partitions:
        parts = [list(batches[part::partitions]) for part in range(partitions)]
        return Table(_workshop.create_dataframe(parts))._inner
    return Table(_workshop.read_batches(list(batches)))._inner


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


_keyed = SessionContext(SessionConfig().with_target_partitions(1))  # one, so that rows stay in their order
_workshop = SessionContext()
"""A session that only makes tables; no statement ever runs in it."""
