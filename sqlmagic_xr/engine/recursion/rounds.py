"""The rounds of a recursion: its anchor, then its terms over the rows of the round before, until there is no row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import ExecutionError, SqlError, TypeMismatchError
from ...sql.syntax import Tree, span_of
from ...storage.fetch import fetch
from ...storage.schema import provider
from ...storage.transaction import Entries
from ..admission import framed
from ..budget import default_budget, nbytes_shown
from .fit import MisfitInColumnError, fitted
from .names import names_read
from .plan import Member, Part, Recursion, column_of
from .seen import Seen

if TYPE_CHECKING:
    from ..context import Context

_TRIED = 4  # rounds after which array code is worth being made
_BATCH = 65_536  # rows; the result of thousands of rounds is handed on in few batches


@dataclass
class Progress:
    """How far the recursions of a statement have come.

    Attributes:
        name: the CTE whose rounds are gone through.
        rounds: how many it has gone through.
        rows: how many rows it has so far.
    """

    name: str = ""
    rounds: int = 0
    rows: int = 0

    def __str__(self) -> str:
        return f"{self.name}: round {self.rounds:,}, {self.rows:,} rows" if self.name else ""


class Evaluation:
    """Works out the recursions of one statement, over one state of all tables.

    Args:
        context: where they run.
        entries: the scratch tables and views.
        names: the tables as they were when the statement was planned.
        progress: is kept up to date.
    """

    def __init__(self, context: Context, entries: Entries, names: Mapping[str, Any], progress: Progress) -> None:
        self._context, self._entries, self._names, self._progress = context, entries, names, progress
        self._others = {name: context.store.schema.other(name) for name in names}
        self._budget = default_budget()

    @contextmanager
    def showing(self, relations: Mapping[str, Any]) -> Iterator[None]:
        """Within this block this thread's plans see that state, and these relations before all tables."""
        with self._context.store.schema.pinned(self._entries, {**self._names, **relations}):
            yield

    def relations(self, recursions: Sequence[Recursion]) -> dict[str, Any]:
        """The rows of recursions, by the names of their relations, as what DataFusion takes for tables."""
        found: dict[str, Any] = {}
        for recursion in recursions:
            found.update(self._relations(recursion, found))
        return found

    def _relations(self, recursion: Recursion, around: Mapping[str, Any]) -> dict[str, Any]:
        outer = Progress(self._progress.name, self._progress.rounds, self._progress.rows)
        members = [_Rows(member) for member in recursion.members]
        for rows in members:
            anchor = rows.member.anchor
            rows.take([] if anchor is None else [self._table(anchor, around)])
        rounds = 0
        while any(rows.newest.num_rows for rows in members) and not any(rows.complete for rows in members):
            if rounds == _TRIED and self._may_be_gone(recursion):
                rounds += self._gone(recursion, rounds, members[0], around)
            rounds += 1
            self._note(recursion, rounds, sum(r.count for r in members), sum(r.nbytes for r in members))
            given = self._round(recursion, members, around)
            for rows, tables in zip(members, given, strict=True):
                rows.take(tables)
        self._progress.__dict__.update(outer.__dict__)
        return {rows.member.result: _provided(rows.all()) for rows in members}

    def _round(self, recursion: Recursion, members: Sequence[_Rows], around: Mapping[str, Any]) -> list[list[pa.Table]]:
        """What the terms of each member give, all over the rows of the round before."""
        beside = {**around, **{rows.member.working: _provided(rows.newest) for rows in members}}
        for inner in recursion.inner:
            beside.update(self._relations(inner, beside))
        return [[self._table(term, beside) for term in rows.member.terms] for rows in members]

    def _table(self, part: Part, relations: Mapping[str, Any]) -> pa.Table:
        with self.showing(relations):
            frame = framed(self._context, part.text)
        return fetch(frame)

    def _may_be_gone(self, recursion: Recursion) -> bool:
        """Whether its rounds may be gone through in another way: one term, whose tables are as they were."""
        member, context = recursion.members[0], self._context
        definition = member.definition
        if context.answers is None or len(recursion.members) > 1 or len(member.terms) > 1 or recursion.inner:
            return False
        if not definition.keeps_all or definition.limit is not None:
            return False
        now = context.store.entries()
        names = names_read(member.terms[0].tree) - {member.working}
        return all(
            now.get(n) is self._entries.get(n) and context.store.schema.other(n) is self._others.get(n) for n in names
        )

    def _gone(self, recursion: Recursion, before: int, rows: _Rows, around: Mapping[str, Any]) -> int:
        """Go through rounds in another way than the engine's, as far as that goes; how many they were."""
        member, answers = recursion.members[0], self._context.answers
        done = [before, rows.count, rows.nbytes]

        def tick(count: int, nbytes: int) -> None:
            done[0], done[1], done[2] = done[0] + 1, done[1] + count, done[2] + nbytes
            self._note(recursion, *done)

        assert answers is not None
        with self.showing({**around, member.working: _provided(rows.newest)}):
            query = member.terms[0].tree["Query"]
            found = answers.rounds(self._context, query, member.working, rows.newest, tick)
        if found is not None:
            rows.extend(found.found, found.newest)
        return done[0] - before

    def _note(self, recursion: Recursion, rounds: int, count: int, nbytes: int) -> None:
        """Keep the progress, and end what does not end."""
        first = recursion.members[0].definition
        self._progress.name, self._progress.rounds, self._progress.rows = first.name, rounds, count
        most = self._context.max_recursion
        if rounds > most:
            hint = "Give it a condition that ends it (WHERE n < 100), or set max_recursion higher."
            what = f"the recursion `{first.name}` still gives rows after {most:,} rounds, which is max_recursion"
            raise _at(ExecutionError(what, hint=hint), first.tree["alias"])
        if nbytes > self._budget:
            hint = "Give it a condition that ends it, UNION instead of UNION ALL, or fewer columns."
            size = f"{nbytes_shown(nbytes)} of rows after {rounds:,} rounds"
            what = f"the recursion `{first.name}` has {size}, and may have a quarter of the memory"
            raise _at(ExecutionError(what, hint=hint), first.tree["alias"])


class _Rows:
    """The rows of one member so far."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.newest = member.schema.empty_table()
        self._seen = None if member.definition.keeps_all else Seen()
        self._found: list[pa.Table] = []
        self.count = self.nbytes = 0

    def take(self, tables: Sequence[pa.Table]) -> None:
        """Take what a round has given."""
        fits = [self._fitted(table, place) for place, table in enumerate(tables)]
        new = pa.concat_tables(fits) if fits else self.member.schema.empty_table()
        self.newest = new if self._seen is None else self._seen.new(new)
        if self.newest.num_rows:
            self._found.append(self.newest)
            self.count += self.newest.num_rows
            self.nbytes += self.newest.nbytes

    def _fitted(self, table: pa.Table, place: int) -> pa.Table:
        try:
            return fitted(table, self.member.schema)
        except MisfitInColumnError as misfit:
            definition, name = self.member.definition, self.member.schema.names[misfit.place]
            kind = self.member.schema.types[misfit.place]
            what = f"`{name}` of the recursion `{definition.name}` begins as {kind}, and {misfit.value} does not fit"
            error = TypeMismatchError(what, hint="CAST it, in the rows that the recursion begins with or in the term.")
            raise _at(error, column_of(definition.terms[place], misfit.place)) from None

    def extend(self, tables: Sequence[pa.Table], newest: pa.Table) -> None:
        """Take what many rounds have given."""
        self._found += tables
        self.count += sum(table.num_rows for table in tables)
        self.nbytes += sum(table.nbytes for table in tables)
        self.newest = newest

    @property
    def complete(self) -> bool:
        """Whether there are as many as LIMIT asks for."""
        definition = self.member.definition
        return definition.limit is not None and self.count >= definition.skip + definition.limit

    def all(self) -> pa.Table:
        """All rows, in the order of the rounds."""
        definition = self.member.definition
        found = pa.concat_tables(self._found) if self._found else self.member.schema.empty_table()
        return found.slice(definition.skip, definition.limit).combine_chunks()


def _provided(table: pa.Table) -> Any:
    return provider(table.to_batches(max_chunksize=_BATCH), table.schema)


def _at(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error
