"""Statements with a recursion in them: which they are, and how a context plans one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...sql.syntax import Statement, Tree, analyzes, identifier, local_name, tables_named, to_sql
from ...storage.transaction import Entries, View
from ..admission import framed
from .frame import RecursiveFrame
from .names import names_read
from .plan import Planner
from .rounds import Evaluation, RecursionProgress
from .settling import Settling
from .views import RECURSIVE, recursive_views, with_views

if TYPE_CHECKING:
    from ..context import Context


class Recursions:
    """The statements of a context that have a recursion in them.

    Args:
        context: where they run.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._views: tuple[Entries | None, Mapping[str, View]] = (None, {})

    def found(self, sql: str, tree: Tree | None, *, views: bool = True) -> Tree | None:
        """A statement's tree, recursive views written out, where there is a recursion in it; else None.

        Args:
            sql: its text.
            tree: its tree, where there is one.
            views: whether it may read views.
        """
        known = self._recursive_views() if views else {}
        if not known and not RECURSIVE.search(sql):
            return None
        if tree is None:
            tree = Statement(sql, sql).parsed[0]
        if tree is None:
            return None
        whole = with_views(tree, known)
        return whole if whole is not tree or RECURSIVE.search(sql) else None

    def is_view(self, query: str) -> bool:
        """Whether a query reads a recursive view, or one that reads such a view."""
        return bool(self._recursive_views()) and self.found(query, None) is not None

    def _recursive_views(self) -> Mapping[str, View]:
        entries = self._context.store.entries()
        if self._views[0] is not entries:
            self._views = entries, recursive_views(entries)
        return self._views[1]

    def frame(self, tree: Tree, copied: str = "", **options: Any) -> Any:
        """The lazy frame of a statement, within a block in which the tables are pinned.

        Args:
            tree: as :meth:`found` gives it.
            copied: where the rows of a query go, from the word TO on, as the engine reads it.
            options: of the frame.

        Returns:
            DataFusion's own frame where there was no recursion after all, or nothing but a plan is asked for.
        """
        context, store = self._context, self._context.store
        planner = Planner(context)
        tree = planner.without_recursion(tree)
        sql = to_sql(tree)
        with store.showing(planner.shown):
            mended = context.mended(tree, sql)
            text = sql if mended is tree else to_sql(mended)
            text = f"COPY ({text}) {copied}" if copied else text
            plan = framed(context, text)
        if not planner.found or ("Explain" in tree and not analyzes(tree)):
            return plan
        progress = RecursionProgress()
        evaluation = Evaluation(context, store.entries(), store.schema.tables_now(outside(tree, planner)), progress)
        settling = Settling(context, evaluation, planner.found, tree, text)
        parts = [part for one in planner.found for part in one.parts()]
        return RecursiveFrame(plan, settling, progress, parts, **options)

    def of_view(self, view: View) -> tuple[str, Mapping[str, Any]]:
        """The text of a view as the engine plans it, and relations besides that cannot be read, if it is recursive."""
        context = self._context
        if not RECURSIVE.search(view.text):
            return context.mended_text(view.query, view.text, of_view=True), {}
        planner = Planner(context)
        tree = planner.without_recursion(view.query)
        with context.store.schema.pinned(context.store.schema.visible(), planner.shown):
            return context.mended_text(tree, to_sql(tree), of_view=True), planner.shown


def outside(tree: Tree, planner: Planner) -> set[str]:
    """The names of the tables that a statement without recursion, and its recursions, read."""
    names = set(names_read(tree)).union(*(one.reads() for one in planner.found)) - planner.shown.keys()
    for parts in tables_named(tree):
        path = local_name(tuple(identifier(part) for part in parts))
        names |= {path[0]} if len(path) == 1 else set()
    return names
