"""What a file has of the scratch tables, and what brings it from there to another state of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from .chunk import Chunk
from .database import Changes, Database, NewRows, Record
from .described import described, view_described
from .scratch import Version
from .transaction import Entries, View


class KeptTable:
    """A table of the file.

    Attributes:
        kept_as: its name there.
        version: the version of which the file has the rows.
        note: the text of its definition.
    """

    __slots__ = ("kept_as", "note", "version")

    def __init__(self, kept_as: str, version: Version, note: str) -> None:
        self.kept_as, self.version, self.note = kept_as, version, note

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self.version.definition.schema


class RowsPlace:
    """Where a file keeps the rows of a chunk: see :class:`.chunk.Home`."""

    __slots__ = ("_database", "_rows", "_start", "kept")

    def __init__(self, database: Database, kept: KeptTable, start: int, rows: int) -> None:
        self._database, self.kept, self._start, self._rows = database, kept, start, rows

    def read(self, columns: Sequence[int] | None = None) -> pa.RecordBatch:
        """All rows, of all columns or of some."""
        stop = self._start + self._rows
        return self._database.read(self.kept.kept_as, self.kept.schema, self._start, stop, columns)


@dataclass(frozen=True)
class Plan:
    """What is to be written, and what the file has then.

    Attributes:
        changes: what is to be written.
        tables: the tables of the file, each with the version whose rows it will have.
        names: the names that tables will have in the file.
        anew: tables whose rows do not stay where they are, and how many of the first ones do.
        views, runs: what will be noted.
    """

    changes: Changes
    tables: dict[str, tuple[KeptTable, Version]]
    names: dict[str, str]
    anew: dict[str, int]
    views: dict[str, View]
    runs: dict[str, str]


def planned(
    have: Mapping[str, KeptTable],
    views: Mapping[str, View],
    noted: Mapping[str, str],
    entries: Entries,
    runs: dict[str, str],
) -> Plan:
    """What brings a file from what it has to these tables and views."""
    versions = {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, Version) and entry.definition.grown is None  # which has a store of its own
    }
    wanted = {name: entry for name, entry in entries.items() if isinstance(entry, View)}
    sources = _sources(have, versions)
    dropped = [kept.kept_as for name, kept in have.items() if name not in sources.values()]
    names = _names(have, versions, sources)
    tables: dict[str, tuple[KeptTable, Version]] = {}
    rows, records, anew, renamed = [], [], {}, {}
    for name, version in versions.items():
        kept = have.get(sources.get(name, ""))
        if kept is not None and kept.version is version and kept.kept_as == names[name]:
            tables[name] = kept, version
            continue
        note = (
            described(version.definition)
            if kept is None or kept.version.definition is not version.definition
            else kept.note
        )
        shared = None if kept is None else _shared(kept, version)
        start = kept.version.rows if kept is not None and shared is None else shared or 0
        if kept is None or shared is not None:
            rows.append(NewRows(names[name], version.definition.schema, shared or 0, _behind(version, start)))
            if kept is not None:
                anew[sources[name]] = shared or 0
            new = KeptTable(names[name], version, note)
        else:
            new = kept
            if version.rows > start:
                rows.append(NewRows(names[name], version.definition.schema, None, _behind(version, start)))
        if kept is not None and kept.kept_as != names[name]:
            renamed[kept.kept_as] = names[name]
        tables[name] = new, version
        commit = version.commit
        records.append(Record(name, names[name], note, version.number, commit.statement, commit.when))
    changed = wanted.keys() != views.keys() or any(views[name] is not view for name, view in wanted.items())
    changes = Changes(
        rows, dropped, renamed, records, [name for name in have if name not in versions],
        {name: view_described(view) for name, view in wanted.items()} if changed else None,
        runs if runs != noted else None,
    )  # fmt: skip
    return Plan(changes, tables, names, anew, wanted, runs)


def _sources(have: Mapping[str, KeptTable], versions: Mapping[str, Version]) -> dict[str, str]:
    """For each table that the file has, what it was called when it was written last: another name, if renamed."""
    found = {}
    for name, version in versions.items():
        likely = [name, *have]
        same = (n for n in likely if n in have and have[n].version.lineage is version.lineage)
        if (source := next(same, None)) is not None:
            found[name] = source
    return found


def _names(
    have: Mapping[str, KeptTable], versions: Mapping[str, Version], sources: Mapping[str, str]
) -> dict[str, str]:
    """What each table is called in the file, which takes two names that differ in case alone for one."""
    found = {name: have[name].kept_as for name in versions if sources.get(name) == name}
    taken = {have[source].kept_as.lower() for source in sources.values()}
    for name in versions:
        if name not in found:
            number, free = 1, name
            while free.lower() in taken:
                number += 1
                free = f"{name}_{number}"
            found[name] = free
            taken.add(free.lower())
    return found


def _shared(kept: KeptTable, version: Version) -> int | None:
    """How many of the file's rows are the first rows of a version and stay; None where all of them do."""
    old = kept.version
    if [(f.name, f.type) for f in old.definition.schema] != [(f.name, f.type) for f in version.definition.schema]:
        return 0
    if old.origin is version.origin and version.rows >= old.rows:
        return None
    rows = 0
    for one, other in zip(old.chunks, version.chunks, strict=False):
        if one is not other:
            rows += one.rows if one.begins(other) else other.rows if other.begins(one) else 0
            break
        rows += one.rows
    return None if rows == old.rows else rows


def ends(version: Version) -> Iterator[tuple[Chunk, int]]:
    """Each chunk with the number of the row behind it."""
    stop = 0
    for chunk in version.chunks:
        stop += chunk.rows
        yield chunk, stop


def _behind(version: Version, start: int) -> Iterator[pa.RecordBatch]:
    """The rows of a version from a row on."""
    for chunk, stop in ends(version):
        if stop > start:
            yield chunk.behind(max(start - (stop - chunk.rows), 0))
