"""A query with a recursion in it that runs again and again, in each step of a training run: planned once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...sql.holes import Template
from ...sql.syntax import Tree
from ...storage.definition import Definition
from ...storage.fetch import fetch_brief
from ...storage.scratch import Version
from ..interrupt import interruptible
from .holes import RoundHoles
from .members import Recursion
from .plan import Planner
from .rounds import Begun, Evaluation, RecursionProgress
from .settling import Settling
from .statements import outside

if TYPE_CHECKING:
    from ..context import Context


@dataclass(frozen=True)
class _Planned:
    """The query as it was planned.

    Attributes:
        definitions: the scratch tables that there were.
        recursions, tree: what is worked out, and the query over it.
        text: that as the engine plans it, or with holes.
        names: the relations that are read.
        begun: see :class:`.rounds.Evaluation`.
    """

    definitions: Mapping[str, Definition]
    recursions: tuple[Recursion, ...]
    tree: Tree
    text: str | Template
    names: frozenset[str]
    begun: dict[int, Begun | None]


class Repeated:
    """A query that runs again and again, with other values in its holes and other rows in its tables.

    Args:
        context: where it runs.
        tree: the query; its placeholders are the holes.
        kinds: the types of placeholders, where they are known.
    """

    def __init__(self, context: Context, tree: Tree, kinds: Mapping[str, pa.DataType]) -> None:
        self._context, self._tree, self._kinds = context, tree, kinds
        self._known: _Planned | None = None

    def rows(self, texts: Mapping[str, str], relations: Mapping[str, Any], *, brief: bool = False) -> pa.Table:
        """Its rows.

        Args:
            texts: placeholder -> the literal of its value.
            relations: what it reads besides, name -> what DataFusion takes for a table.
            brief: it takes milliseconds, so that no thread of its own is worth while to have it interruptible.
        """
        context, store = self._context, self._context.store
        store.check_usable()
        with store.showing(relations):
            planned = self._planned(texts)
            recursions = [one.filled(texts) for one in planned.recursions]
            tables = store.schema.tables_now(planned.names)
            evaluation = Evaluation(context, store.entries(), tables, RecursionProgress(), planned.begun)
        text = planned.text if isinstance(planned.text, str) else planned.text.text(texts)
        settling = Settling(context, evaluation, recursions, planned.tree, text)
        return fetch_brief(settling.settled()) if brief else interruptible(lambda: fetch_brief(settling.settled()))

    def _planned(self, texts: Mapping[str, str]) -> _Planned:
        entries = self._context.store.entries()
        definitions = {name: entry.definition for name, entry in entries.items() if isinstance(entry, Version)}
        if self._known is None or not _same(self._known.definitions, definitions):
            self._known = self._plan(texts, definitions)
        return self._known

    def _plan(self, texts: Mapping[str, str], definitions: Mapping[str, Definition]) -> _Planned:
        context, holes = self._context, RoundHoles(texts, self._kinds)
        planner = Planner(context, holes)
        tree = planner.without_recursion(self._tree)
        with context.store.showing(planner.shown):
            text, cut = holes.written(tree, context)
        terms = [term for one in planner.found for member in one.members for term in member.terms]
        return _Planned(
            definitions, tuple(planner.found), tree, text if cut is None else cut[1],
            frozenset(outside(tree, planner)), {id(term): None for term in terms if term.holes is None},
        )  # fmt: skip


def _same(before: Mapping[str, Definition], after: Mapping[str, Definition]) -> bool:
    return before.keys() == after.keys() and all(before[n] is d or before[n] == d for n, d in after.items())
