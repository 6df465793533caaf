"""The rounds of a recursion: its anchor, then its terms over the rows of the round before, until there is no row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import is_
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import ExecutionError, SqlError, TypeMismatchError
from ...relation.layers import aggregates
from ...sql.syntax import Tree, span_of
from ...storage.fetch import fetch
from ...storage.schema import provider
from ...storage.transaction import Entries
from ..admission import framed
from ..answers import Gone, Rounds
from ..budget import default_budget, nbytes_shown
from .fit import MisfitInColumnError, fitted
from .members import Member, Part, Recursion
from .plan import column_of
from .seen import RowSet

if TYPE_CHECKING:
    from ..context import Context

_WORTH = 16  # rounds that are worth having array code made
_BATCH = 65_536  # rows; the result of thousands of rounds is handed on in few batches


@dataclass
class RecursionProgress:
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
        rows = f"{self.rows:,} row" + ("" if self.rows == 1 else "s")
        return f"{self.name}: round {self.rounds:,}, {rows}" if self.name else ""


class Evaluation:
    """Works out the recursions of one statement, over one state of all tables.

    Args:
        context: where they run.
        entries: the scratch tables and views.
        names: the tables as they were when the statement was planned.
        progress: is kept up to date.
        begun: for terms by their ids, who has gone through their rounds before and may do so again.

    Attributes:
        most: after so many rounds a recursion is left as it is; None for no such number.
    """

    def __init__(
        self, context: Context, entries: Entries, names: Mapping[str, Any], progress: RecursionProgress,
        begun: dict[int, Begun | None] | None = None,
    ) -> None:  # fmt: skip
        self.most: int | None = None
        self._begun = begun or {}
        self._context, self._entries, self._names, self._progress = context, entries, names, progress
        schema = context.store.schema
        self._others = {name: schema.other(name) for name in names}
        self._states = {name: (entries.get(name), schema.other(name), schema.shown(name)) for name in names}
        self._budget = default_budget()

    @contextmanager
    def showing(self, relations: Mapping[str, Any]) -> Iterator[None]:
        """Within this block this thread's plans see that state, and these relations before all tables."""
        with self._context.store.schema.pinned(self._entries, {**self._names, **relations}):
            yield

    def relations(self, recursions: Sequence[Recursion], around: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The rows of recursions, by the names of their relations, as what DataFusion takes for tables.

        Args:
            recursions: in an order in which each comes behind those that it reads.
            around: the relations that they read besides.
        """
        found: dict[str, Any] = dict(around or {})
        for recursion in recursions:
            outer = replace(self._progress)
            members = [MemberRows(member) for member in recursion.members]
            for _ in self.rounds(recursion, members, found):
                pass
            self._progress.__dict__.update(outer.__dict__)
            found.update((rows.member.result, provided(rows.all())) for rows in members)
        return found

    def rounds(self, recursion: Recursion, members: Sequence[MemberRows], around: Mapping[str, Any]) -> Iterator[None]:
        """Go through the rounds of a recursion; between two of these nothing runs, and whoever has enough leaves off.

        Args:
            recursion: which.
            members: take its rows.
            around: the relations that it reads.
        """
        for rows in members:
            anchor = rows.member.anchor
            rows.take([] if anchor is None else [self._table(anchor, around)])
        self._note(recursion, 0, members)
        yield
        rounds, tries = 0, _Tries(recursion)
        while any(rows.newest.num_rows for rows in members) and not any(rows.complete for rows in members):
            if rounds == self.most:
                return
            if tries.due(rounds, members[0]) and self._may_be_gone(recursion):
                before = rounds
                for gone in self._gone(recursion, members[0], around, rounds):
                    rounds += gone.rounds
                    self._note(recursion, rounds, members)
                    yield
                tries.tried(before, rounds)
                if rounds > before:
                    continue
            rounds += 1
            self._note(recursion, rounds, members)
            given = self._round(recursion, members, around)
            for rows, tables in zip(members, given, strict=True):
                rows.take(tables)
            ended = not any(rows.newest.num_rows for rows in members)
            self._say(recursion, rounds - ended, members)
            yield

    def _round(
        self, recursion: Recursion, members: Sequence[MemberRows], around: Mapping[str, Any]
    ) -> list[list[pa.Table]]:
        """What the terms of each member give, all over the rows of the round before."""
        working = {rows.member.working: provided(rows.newest) for rows in members}
        beside = self.relations(recursion.inner, {**around, **working})
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
        names = member.terms[0].reads - {member.working}
        return all(
            now.get(n) is self._entries.get(n) and context.store.schema.other(n) is self._others.get(n) for n in names
        )

    def _gone(self, recursion: Recursion, rows: MemberRows, around: Mapping[str, Any], before: int) -> Iterator[Gone]:
        """Go through rounds behind so many in another way than the engine's, as far as that goes."""
        member = recursion.members[0]
        beside = {**around, member.working: provided(rows.newest)}
        with self.showing(beside):
            found = self._begin(member, rows.newest, around)
        if found is None:
            return
        limits = [self._context.max_recursion + 1, *([] if self.most is None else [self.most])]
        going = found.go(min(limits) - before)
        while True:
            with self.showing(beside):
                gone = next(going, None)
            if gone is None:
                break
            rows.going, rows.count, rows.nbytes = found, rows.count + gone.rows, rows.nbytes + gone.nbytes
            yield gone
        rows.leave_off()

    def _begin(self, member: Member, rows: pa.Table, around: Mapping[str, Any]) -> Rounds | None:
        """Who goes through the rounds of a member from these rows: anew who has done so over the same tables."""
        answers, (term,) = self._context.answers, member.terms
        assert answers is not None
        read = term.reads - {member.working}
        state = [each for name in sorted(read) for each in self._states.get(name, ())]
        known = self._begun.get(id(term))
        if known is not None and all(map(is_, known.state, state)) and known.rounds.again(rows):
            return known.rounds
        found = answers.rounds(self._context, term.tree["Query"], member.working, rows)
        if id(term) in self._begun and found is not None and read.isdisjoint(around):
            self._begun[id(term)] = Begun(state, found)
        return found

    def _note(self, recursion: Recursion, rounds: int, members: Sequence[MemberRows]) -> None:
        """Keep the progress, and end what does not end."""
        nbytes, first = sum(rows.nbytes for rows in members), recursion.members[0].definition
        self._say(recursion, rounds, members)
        most = self._context.max_recursion
        if rounds > most:
            hint = "Give it a condition that ends it (WHERE n < 100), or set max_recursion higher: of a Context, or by"
            hint += " %config XSqlMagic.max_recursion = 2_000_000."
            what = f"the recursion `{first.name}` still gives rows after {most:,} rounds, which is max_recursion"
            raise _at(ExecutionError(what, hint=hint), first.tree["alias"])
        if nbytes > self._budget:
            hint = "Give it a condition that ends it, UNION instead of UNION ALL, or fewer columns."
            size = f"{nbytes_shown(nbytes)} of rows after {rounds:,} rounds"
            what = f"the recursion `{first.name}` has {size}, and may have a quarter of the memory"
            raise _at(ExecutionError(what, hint=hint), first.tree["alias"])

    def _say(self, recursion: Recursion, rounds: int, members: Sequence[MemberRows]) -> None:
        """Keep the progress."""
        progress = self._progress
        progress.name, progress.rounds = recursion.members[0].definition.name, rounds
        progress.rows = sum(rows.count for rows in members)


@dataclass(frozen=True)
class Begun:
    """Who has gone through the rounds of a term.

    Attributes:
        state: what stood for the tables that it reads.
        rounds: who.
    """

    state: Sequence[Any]
    rounds: Rounds


class _Tries:
    """Tells before which rounds another way than the engine's is tried: what comes to little is left alone for longer.

    Args:
        recursion: a term that aggregates many rows to many is tried at once, since one round by the engine may cost as
            much as all of them; any other where a round has given as many rows as the one before.
    """

    def __init__(self, recursion: Recursion) -> None:
        self._next, self._pause = 0, 1
        term = recursion.members[0].terms[0].tree
        self._at_once = bool(aggregates(term))

    def due(self, rounds: int, rows: MemberRows) -> bool:
        """Whether it is tried after so many rounds, these being the rows."""
        if rounds < self._next:
            return False
        count = rows.newest.num_rows
        return count == rows.before or (not rounds and (count == 1 or self._at_once))

    def tried(self, before: int, after: int) -> None:
        """It has gone from the one number of rounds to the other."""
        self._pause = 1 if after - before > _WORTH else 2 * self._pause
        self._next = after + self._pause


class MemberRows:
    """The rows of one member so far."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.newest = member.schema.empty_table()
        self.before = -1  # rows of the round before
        self.going: Rounds | None = None  # who goes through the rounds at present, if it is not the engine
        self._seen = None if member.definition.keeps_all else RowSet()
        self._found: list[pa.Table] = []
        self.count = self.nbytes = self._told = 0

    def take(self, tables: Sequence[pa.Table]) -> None:
        """Take what a round has given."""
        fits = [self._fitted(table, place) for place, table in enumerate(tables)]
        new = pa.concat_tables(fits) if fits else self.member.schema.empty_table()
        self.before = self.newest.num_rows
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

    def leave_off(self) -> None:
        """What has gone through rounds in another way does so no more."""
        if self.going is not None:
            self._found += self.going.found()
            self.newest = self.going.newest
            self.before, self.going = self.newest.num_rows, None

    @property
    def last(self) -> pa.Table:
        """What the last round has given."""
        return self.newest if self.going is None else self.going.newest

    @property
    def complete(self) -> bool:
        """Whether there are as many as LIMIT asks for."""
        definition = self.member.definition
        return definition.limit is not None and self.count >= definition.skip + definition.limit

    def newer(self) -> pa.Table:
        """The rows since this was asked last."""
        self._found += [] if self.going is None else self.going.found()
        new, self._told = self._found[self._told :], len(self._found)
        return pa.concat_tables(new) if new else self.member.schema.empty_table()

    def all(self) -> pa.Table:
        """All rows, in the order of the rounds."""
        definition = self.member.definition
        self._found += [] if self.going is None else self.going.found()
        found = pa.concat_tables(self._found) if self._found else self.member.schema.empty_table()
        return found.slice(definition.skip, definition.limit).combine_chunks()


def provided(table: pa.Table) -> Any:
    """Rows as what DataFusion takes for a table."""
    return provider(table.to_batches(max_chunksize=_BATCH), table.schema)


def _at(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error
