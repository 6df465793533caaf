"""How a query of ours is planned and run: over one state of the scratch tables, without the engine's faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa
from datafusion import SessionContext

from ..properties import kept_property
from ..sql.ctes import shared
from ..sql.remembered import once_a_tree
from ..sql.syntax import Statement, Tree, identifier, local_name, tables_named, to_sql
from ..storage.dependents import asks_for_keys, misses_a_key
from ..storage.fetch import fetch, fetch_brief
from ..storage.store import ScratchStore
from ..storage.transaction import View
from .admission import framed
from .alterations import CountedContext
from .answers import Answers
from .catalog import EngineCatalog
from .faults import NO_TYPES, Mending, suspicious
from .faults.laterals import nested
from .frame import Frame
from .functions import DescribedFunction, functions
from .gridtable import GridTable
from .interrupt import interruptible
from .meaning import meanings_in
from .once import once
from .recursion.frame import RecursiveFrame
from .recursion.repeated import Repeated
from .recursion.statements import Recursions

_named = once_a_tree(tables_named)


class PlanningContext(CountedContext):
    """The part of a context that our own rooms ask: a query's frame, its rows, what it reads.

    Attributes:
        store: the scratch tables.
        tables: what tables there are.
        grids: the xarray tables, by name.
        answers: who answers queries beside DataFusion.
    """

    answers: ClassVar[Answers | None] = None
    store: ScratchStore
    tables: EngineCatalog
    grids: dict[str, GridTable]
    _mending: Mending
    _recursions: Recursions

    def plan(self, sql: str, tree: Tree | None = None) -> Frame:
        """A lazy frame of a query in DataFusion's own SQL, over one state of all scratch tables.

        Args:
            sql: the query.
            tree: its tree where there is one; then only the rows that it can see are scanned.
        """
        recursive = self._recursions.found(sql, tree)
        if recursive is not None and recursive is not tree:
            sql, tree = to_sql(recursive), recursive
        keyed, laterals = asks_for_keys(tree, self.store.entries(), sql), nested(tree, sql) is not None
        try:
            with self.store.reading(tree, keyed=keyed, tables=laterals):
                return self._planned(sql, tree, recursive=recursive is not None)
        except Exception as error:
            if keyed or not misses_a_key(error):
                raise
            with self.store.reading(tree, keyed=True):
                return self._planned(sql, tree, recursive=recursive is not None)

    def copied(self, query: Tree, tail: str) -> Frame | None:
        """The lazy frame of COPY with a recursion in its query; None where there is none.

        Args:
            query: what is copied.
            tail: where to, from the word TO on, as the engine reads it.
        """
        recursive = self._recursions.found(to_sql(query), query)
        if recursive is None:
            return None
        with self.store.reading():
            frame: Frame = self._recursions.frame(recursive, tail)
        return frame

    def mended(self, tree: Tree, sql: str, parameters: Mapping[str, pa.DataType] = NO_TYPES) -> Tree:
        """A statement's tree without what the engine answers wrongly (see :mod:`.faults`), or else ``tree`` itself.

        Args:
            tree: the statement, or a query of ours with placeholders in it.
            sql: its text.
            parameters: the types of placeholders, where they are known.
        """
        return self._mending.mended(tree, sql, parameters=parameters)

    def mended_text(self, tree: Tree | None, sql: str, *, at_once: bool = False, of_view: bool = False) -> str:
        """As :meth:`mended`, as text; the tree is read off the text where there is none.

        Args:
            tree: the statement, or None.
            sql: its text.
            at_once: whether it is planned now, and not again when its tables are others.
            of_view: whether it is a view's, so that other queries read it.
        """
        if tree is None and suspicious(sql):
            tree = Statement(sql, sql).parsed[0]
        after = tree if tree is None else self._mending.mended(tree, sql, at_once=at_once, of_view=of_view)
        return sql if after is None or after is tree else to_sql(after)

    def rows_identities(self, names: Iterable[tuple[str, ...]]) -> Mapping[tuple[str, ...], Any]:
        """For each of some relations what stands for its columns; see :class:`.faults.Mending`."""
        return self._mending.rows_identities(names)

    def _planned(self, sql: str, tree: Tree | None, *, recursive: bool) -> Frame:
        means = partial(meanings_in, self, tree, sql)
        options = {"templates": self._registered_datasets, "fail": self.store.failure(), "means": means}
        if recursive:
            found = self._recursions.frame(tree, **options)
            return found if isinstance(found, RecursiveFrame) else Frame(found, **options)
        pieces = shared(tree) if isinstance(tree, dict) else None
        if pieces is not None:
            return once(self, tree, pieces, **options)
        text = self.mended_text(tree, sql, at_once=True)
        try:
            return Frame(framed(self, text), **options)
        except Exception:
            if text != sql:
                SessionContext.sql(self, sql)  # so that what is wrong is said of the text as it was written
            raise

    def rows_of(self, query: Tree | str) -> pa.Table:
        """The rows of a query in DataFusion's own SQL; what :mod:`..statements.dml` builds its statements of.

        What goes wrong is told as the engine tells it: whoever asks knows the statement that it is part of.
        """
        sql, tree = (query, None) if isinstance(query, str) else (to_sql(query), query)
        frame = self.plan(sql, tree)
        if tree is not None and self.grids and self.answers is not None:
            rows = self.answers.rows(self, sql, tree, frame)
            if rows is not None:
                return rows
        return interruptible(lambda: fetch(frame), frame)

    def query_over(self, sql: str, relations: Mapping[str, Any], *, brief: bool = False) -> pa.Table:
        """The rows of a query in DataFusion's own SQL that reads tables and ``relations``, and no view of the store.

        Args:
            sql: the query.
            relations: name -> what DataFusion takes for a table.
            brief: it takes milliseconds, so that no thread of its own is worth while to have it interruptible.
        """
        self.store.check_usable()
        with self.store.showing(relations):
            recursive = self._recursions.found(sql, None, views=False)
            frame = framed(self, sql) if recursive is None else self._recursions.frame(recursive)
        return fetch_brief(frame) if brief else interruptible(lambda: fetch_brief(frame), frame)

    def repeated(self, tree: Tree, kinds: Mapping[str, pa.DataType]) -> Repeated | None:
        """A query that runs again and again, where there is a recursion in it; else None.

        Args:
            tree: the query; placeholders in it have other values each time.
            kinds: the types of placeholders, where they are known.
        """
        recursive = self._recursions.found(to_sql(tree), tree, views=False)
        return None if recursive is None else Repeated(self, recursive, kinds)

    @kept_property
    def functions(self) -> Mapping[str, DescribedFunction]:
        """The functions there are, by name."""
        return functions(self)

    def relation(self, name: tuple[str, ...]) -> Any:
        """What is known of a table; see :class:`.catalog.EngineCatalog`."""
        return self.tables.relation(name)

    @property
    def session(self) -> SessionContext:
        """The DataFusion session itself."""
        return self

    def reads(self, tree: Tree) -> list[list[dict[str, Any]]]:
        """The names of the relations that a statement names, and of those that the views among them read."""
        found: list[list[dict[str, Any]]] = []
        seen: set[tuple[str, ...]] = set()
        pending = [*_named(tree)]
        while pending:
            parts = pending.pop()
            name = local_name(tuple(identifier(p) for p in parts))
            if name in seen:
                continue
            seen.add(name)
            found.append(parts)
            entry = self.store.entries().get(name[0]) if len(name) == 1 else None
            if isinstance(entry, View):
                pending += _named(entry.query)
        return found
