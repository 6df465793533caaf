"""Who answers queries beside DataFusion: what the engine asks of whoever a context is put together with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from ..sql.syntax import Tree
    from .context import Context
    from .frame import Frame
    from .prepared import Executor, Prepared
    from .result import Answer


Tick = Callable[[int, int], None]
"""Is told after each round of a recursion how many rows it has given and how many bytes; what it raises ends it."""


@dataclass(frozen=True)
class Gone:
    """Rounds of a recursion that have been gone through.

    Attributes:
        found: what they have given, in their order; any number of rounds in a table.
        newest: what the last one has given.
    """

    found: Sequence[pa.Table]
    newest: pa.Table


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

    def rounds(self, context: Context, term: Tree, working: str, rows: pa.Table, tick: Tick) -> Gone | None:
        """Go through rounds of a recursion in another way, as far as that goes; None where it goes nowhere.

        Args:
            context: whose tables the term reads, within a block that shows those of the recursion.
            term: the inside of its query.
            working: the name of its working table.
            rows: the working table's.
            tick: see :data:`Tick`.
        """

    def rows(self, context: Context, sql: str, tree: Tree, frame: Frame) -> pa.Table | None:
        """The rows of a query whose rows are wanted now, such as those of an INSERT; None where the frame has them.

        Args:
            context: whose tables it reads.
            sql, tree: the query.
            frame: its rows by DataFusion, which have not been asked for.
        """
