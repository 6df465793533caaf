"""Who answers queries beside DataFusion: what the engine asks of whoever a context is put together with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..sql.syntax import Tree
    from .context import Context
    from .frame import Frame
    from .prepared import Executor, Prepared
    from .result import Answer


class Answers(Protocol):
    """Another executor of queries: array code, in the context that people use."""

    def answer(
        self, context: Context, prepared: Prepared, tree: Tree, frame: Frame, executor: Executor
    ) -> Answer | None:
        """What gives the rows of a query in another way than its frame; None where nothing does.

        Args:
            context: whose tables it reads.
            prepared: the query.
            tree: it, parameters bound.
            frame: its rows by DataFusion, which have not been asked for.
            executor: "auto" or "dense".

        Raises:
            UnsupportedError: ``executor`` is "dense", and the query cannot be had so.
        """

    def who_runs(self, context: Context, tree: Tree, frame: Frame, executor: Executor) -> str:
        """A line for EXPLAIN on who runs a query; "" where only DataFusion is asked."""
