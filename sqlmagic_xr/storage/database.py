"""A DuckDB file that holds tables: what is in it, its rows by place, and changes that become true all together."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import StorageError
from .kinds import from_file, to_file

FORMAT = 1
"""The layout of the records below; a file with a higher one was written by a newer version."""

_PART = 2**20
"""Rows that are handed over at a time."""

NOTES = "sqlmagic_xr"
"""The schema of the records: which tables are ours, how they are declared, which runs have not ended."""

_RECORDS = (
    f"CREATE SCHEMA {NOTES}",
    f"CREATE TABLE {NOTES}.format (version INTEGER, serial BIGINT)",
    f"INSERT INTO {NOTES}.format VALUES ({FORMAT}, 0)",
    f"CREATE TABLE {NOTES}.tables (name VARCHAR, kept_as VARCHAR, definition VARCHAR, version BIGINT,"
    " statement VARCHAR, committed_at DOUBLE)",
    f"CREATE TABLE {NOTES}.views (name VARCHAR, definition VARCHAR)",
    f"CREATE TABLE {NOTES}.runs (trajectory VARCHAR, record VARCHAR)",
)
_OPEN: weakref.WeakValueDictionary[Path, Database] = weakref.WeakValueDictionary()
"""The files that this process has open: DuckDB would let it write to one of them from two sides."""


@dataclass(frozen=True)
class Record:
    """What the file notes of a table.

    Attributes:
        name: the table's, in SQL.
        kept_as: the name of the DuckDB table that holds its rows, in their order.
        definition: columns and constraints, as a text that the file does not read.
        version: the number of its version.
        statement: what made that version.
        when: seconds since the epoch.
    """

    name: str
    kept_as: str
    definition: str
    version: int
    statement: str
    when: float


@dataclass(frozen=True)
class NewRows:
    """The rows that a table of the file gets.

    Attributes:
        kept_as: the DuckDB table.
        schema: the rows' own; two columns that differ in case alone get names that DuckDB can tell apart.
        shared: how many of its present rows stay, the first ones; None for all, in a table that is there.
        batches: the rows behind them.
    """

    kept_as: str
    schema: pa.Schema
    shared: int | None
    batches: Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Changes:
    """What becomes true together.

    Attributes:
        rows: tables that get rows, or are made anew.
        dropped: names of DuckDB tables; done first.
        renamed: names of DuckDB tables, old -> new, which no table has; done next.
        records: what is noted of tables that have changed.
        forgotten: names of tables of which nothing is noted any more.
        views: name -> definition of every view; None where none has changed.
        runs: trajectory -> what is noted of its run; None where that has not changed.
    """

    rows: Sequence[NewRows] = ()
    dropped: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    records: Sequence[Record] = ()
    forgotten: Sequence[str] = ()
    views: Mapping[str, str] | None = None
    runs: Mapping[str, str] | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        found = (self.rows, self.dropped, self.renamed, self.records, self.forgotten)
        return not any(found) and self.views is None and self.runs is None


class Database:
    """An open DuckDB file.

    Args:
        path: the file; it is made where there is none.
        new: it must not be there yet.

    Attributes:
        path: the file, absolute.
        lock: held while rows are read, and while changes become true.

    Raises:
        ImportError: DuckDB is not installed.
        StorageError: the file cannot be opened, or is none of ours.
    """

    def __init__(self, path: str | Path, *, new: bool = False) -> None:
        self.path = Path(path).expanduser().resolve()
        self.lock = threading.RLock()
        if self.path in _OPEN:
            raise StorageError(
                f"{self.path.name} is open in this process already",
                hint="The context that has it closes it: context.store.close(), or %xsql --close.",
            )
        if new and self.path.exists():
            raise StorageError(f"{self.path.name} is there already", hint="Take another name, or remove the file.")
        self._connection = self._connect()
        try:
            self._serial = self._prepare()
        except BaseException:
            self._connection.close()
            raise
        _OPEN[self.path] = self

    def _connect(self) -> Any:
        duckdb = _duckdb()
        try:
            # One thread: the loop whose rows are written needs the other core.
            return duckdb.connect(str(self.path), config={"threads": 1, "preserve_insertion_order": True})
        except duckdb.Error as error:
            raise self.failure("opened", error) from error

    def _prepare(self) -> int:
        """Look whether the file is one of ours, or an empty one that becomes one; returns the serial number."""
        with self._explained("read"):
            tables = self._rows("SELECT schema_name, table_name FROM duckdb_tables()")
        if (NOTES, "format") not in tables:
            if tables:
                theirs = ", ".join(table for _, table in tables[:3])
                raise StorageError(
                    f"{self.path.name} is a DuckDB file with tables that are not ours: {theirs}",
                    hint="Take a new file. DuckDB's tables can be read through Arrow and inserted.",
                )
            self._transact(lambda run: [run(statement) for statement in _RECORDS])
        version, serial = self._rows(f"SELECT version, serial FROM {NOTES}.format")[0]
        if version > FORMAT:
            raise StorageError(
                f"{self.path.name} was written by a newer version of sqlmagic_xr (format {version}, known is {FORMAT})",
                hint="Update it: pip install --upgrade sqlmagic-xr",
            )
        return int(serial)

    # Reading

    def records(self) -> list[Record]:
        """What is noted of each table, in the order in which they were noted."""
        return [Record(*row) for row in self._rows(f"SELECT * FROM {NOTES}.tables ORDER BY rowid")]

    def views(self) -> dict[str, str]:
        """Each view's definition."""
        return dict(self._rows(f"SELECT name, definition FROM {NOTES}.views ORDER BY rowid"))

    def runs(self) -> dict[str, str]:
        """What is noted of the run of each trajectory."""
        return dict(self._rows(f"SELECT trajectory, record FROM {NOTES}.runs"))

    def settle(self, kept_as: str) -> int:
        """How many rows a DuckDB table has, which are counted from 0 without a gap then, whoever wrote them."""
        name = _quoted(kept_as)
        count, last = self._rows(f"SELECT COUNT(*), MAX(rowid) FROM {name}")[0]
        if count and last != count - 1:
            self._transact(lambda run: run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name} ORDER BY rowid"))
        return int(count)

    def read(
        self, kept_as: str, schema: pa.Schema, start: int, stop: int, columns: Sequence[int] | None = None
    ) -> pa.RecordBatch:
        """Rows ``start`` to ``stop`` of a DuckDB table, of all columns or of some.

        Raises:
            StorageError: they cannot be read, or are not there.
        """
        names = file_names(schema.names)
        places = range(len(names)) if columns is None else columns
        listed = ", ".join(_quoted(names[place]) for place in places) or "rowid"
        # Row numbers count from 0 without a gap: a table of ours is added to or made anew, and loses no row between.
        # They come in their order, which DuckDB preserves; to sort them takes twice the time.
        text = f"SELECT {listed} FROM {_quoted(kept_as)} WHERE rowid BETWEEN {start} AND {stop - 1}"
        with self.lock, self._explained("read"):
            cursor = self._connection.cursor()
            try:
                found = cursor.sql(text).to_arrow_table()
            finally:
                cursor.close()
        if found.num_rows != stop - start:
            raise StorageError(f"{self.path.name} has lost rows of `{kept_as}`: {found.num_rows} of {stop - start}")
        if not places:  # rows that are only counted
            return pa.RecordBatch.from_struct_array(pa.array([{}] * found.num_rows, pa.struct([])))
        fields = [schema.field(place) for place in places]
        arrays = [from_file(_single(values), field.type) for values, field in zip(found.columns, fields, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    # Writing

    @property
    def serial(self) -> int:
        """The number of the last changes that became true, as the file has it."""
        return int(self._rows(f"SELECT serial FROM {NOTES}.format")[0][0])

    def write(self, changes: Changes, serial: int) -> None:
        """Make changes true, all together or none; when it returns they are on disk.

        Args:
            changes: what is to be.
            serial: their number.

        Raises:
            StorageError: they cannot be written.
            UnsupportedError: a value that a DuckDB file cannot hold.
        """
        self._transact(lambda run: self._apply(changes, serial, run))

    def _apply(self, changes: Changes, serial: int, run: Any) -> None:
        for name in changes.dropped:
            run(f"DROP TABLE {_quoted(name)}")
        for old, new in changes.renamed.items():
            run(f"ALTER TABLE {_quoted(old)} RENAME TO {_quoted(new)}")
        for rows in changes.rows:
            self._put(rows, run)
        for name in (*changes.forgotten, *(record.name for record in changes.records)):
            run(f"DELETE FROM {NOTES}.tables WHERE name = ?", [name])
        for record in changes.records:
            self._note("tables", tuple(vars(record).values()), run)
        for table, notes in (("views", changes.views), ("runs", changes.runs)):
            if notes is not None:
                run(f"DELETE FROM {NOTES}.{table}")
                for note in notes.items():
                    self._note(table, note, run)
        run(f"UPDATE {NOTES}.format SET serial = {serial}")

    def _put(self, rows: NewRows, run: Any) -> None:
        name = _quoted(rows.kept_as)
        if rows.shared:
            run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name} WHERE rowid < {rows.shared} ORDER BY rowid")
        elif rows.shared is not None:
            empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in rows.schema], schema=rows.schema)
            with self._shown(_as_kept(empty, rows.schema)) as source:
                run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {source} LIMIT 0")
        for part in _parts(rows):
            with self._shown(part) as source:
                run(f"INSERT INTO {name} SELECT * FROM {source}")

    def _note(self, table: str, values: tuple[Any, ...], run: Any) -> None:
        run(f"INSERT INTO {NOTES}.{table} VALUES ({', '.join('?' * len(values))})", list(values))

    @contextmanager
    def _shown(self, rows: Any) -> Iterator[str]:
        self._connection.register("sqlmagic_xr_rows", rows)
        try:
            yield "sqlmagic_xr_rows"
        finally:
            self._connection.unregister("sqlmagic_xr_rows")

    def _transact(self, work: Any) -> None:
        def run(text: str, values: list[Any] | None = None) -> None:
            self._connection.execute(text, values).fetchall()

        with self._explained("written"):
            try:
                run("BEGIN")
                work(run)
                run("COMMIT")
            except BaseException:
                with suppress(Exception):
                    run("ROLLBACK")
                raise

    def reconnect(self) -> None:
        """Open the file anew after a failure, which may have left DuckDB unable to go on with it."""
        with self.lock:
            with suppress(Exception):
                self._connection.close()
            self._connection = self._connect()

    def close(self) -> None:
        """Let go of the file."""
        with self.lock:
            _OPEN.pop(self.path, None)
            self._connection.close()

    def remove(self) -> None:
        """Remove the file, which is closed."""
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            path.unlink(missing_ok=True)

    # What can go wrong

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        with self.lock, self._explained("read"):
            cursor = self._connection.cursor()
            try:
                found: list[tuple[Any, ...]] = cursor.execute(text).fetchall()
            finally:
                cursor.close()
        return found

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _duckdb().Error as error:
            raise self.failure(doing, error) from error

    def failure(self, doing: str, error: Exception) -> StorageError:
        """The error to raise where DuckDB could not do something with the file."""
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = None
        if "lock" in what and "Conflicting" in what:
            holder = what.partition("(PID")[2].strip(" )").split(")")[0]
            what = "another process has it open" + (f" (PID {holder})" if holder.isdecimal() else "")
            hint = "Close it there (%xsql --close, or the notebook's kernel), or copy the file and open the copy."
        elif "not a valid DuckDB database" in what:
            what, hint = "it is no DuckDB file", "Take another name; nothing in it was changed."
        return StorageError(f"{self.path.name} cannot be {doing}: {what}", hint=hint)


def file_names(names: Sequence[str]) -> list[str]:
    """The names of columns in the file, which takes two that differ in case alone for one.

    >>> file_names(["a", "A", "b"])
    ['a', 'A_2', 'b']
    """
    taken = {"rowid"}  # DuckDB's own word for the number of a row
    found = []
    for name in names:
        number, free = 1, name
        while free.lower() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.lower())
        found.append(free)
    return found


def _parts(rows: NewRows) -> Iterator[pa.Table]:
    """The rows to write, a million at a time, so that they need not be in memory all together."""
    batches: list[pa.RecordBatch] = []
    for batch in rows.batches:
        if batch.num_rows:
            batches.append(_as_kept(batch, rows.schema))
        if sum(b.num_rows for b in batches) >= _PART:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)


def _as_kept(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([to_file(values) for values in batch.columns], names=file_names(schema.names))


def _single(values: pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            'keeping tables in a file needs DuckDB: pip install "sqlmagic-xr[durable]"', name="duckdb"
        ) from error
    return duckdb
