"""Who answers queries beside DataFusion: what the engine asks of whoever a context is put together with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from ..sql.syntax import Tree
    from .context import Context
    from .frame import Frame
    from .laid import Laid
    from .prepared import Executor, Prepared


@dataclass(frozen=True)
class Gone:
    """Rounds of a recursion that have just been gone through, and what they have given.

    Attributes:
        rounds, rows, nbytes: how many.
    """

    rounds: int
    rows: int
    nbytes: int


class Rounds(Protocol):
    """Rounds of a recursion, gone through in another way than the engine's, as far as that goes."""

    def go(self, most: int) -> Iterator[Gone]:
        """Go through so many of them at most; between two of these nothing runs, and whoever has enough leaves off."""

    def again(self, rows: pa.Table) -> bool:
        """Begin anew with these rows of the working table, the others being as they were; False where that is not so.

        Args:
            rows: of the same types.
        """

    def found(self) -> list[pa.Table]:
        """The rows that have been given since this was asked last, in the order of the rounds."""

    @property
    def newest(self) -> pa.Table:
        """What the last round has given: no rows where it was the end."""


class Answer(Protocol):
    """Gives the rows of a query by another way than its frame."""

    def __call__(self) -> pa.Table | None:
        """The rows; None where they are not to be had so after all."""

    def laid(self) -> Laid | None:
        """The rows as arrays; None where they are none."""


class StandingQuery(Protocol):
    """A query that is asked again and again, with other values of its parameters."""

    def rows(self, texts: Mapping[str, str]) -> pa.Table | None:
        """Its rows; None where it has to be planned for this step alone.

        Args:
            texts: the literals of its parameters.
        """


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

    def rounds(self, context: Context, term: Tree, working: str, rows: pa.Table) -> Rounds | None:
        """What goes through rounds of a recursion in another way; None where nothing does.

        Args:
            context: whose tables the term reads, within a block that shows those of the recursion; each round is asked
                for within such a block.
            term: the inside of its query.
            working: the name of its working table.
            rows: the working table's.
        """

    def rows(self, context: Context, sql: str, tree: Tree, frame: Frame) -> pa.Table | None:
        """The rows of a query whose rows are wanted now, such as those of an INSERT; None where the frame has them.

        Args:
            context: whose tables it reads.
            sql, tree: the query.
            frame: its rows by DataFusion, which have not been asked for.
        """

    def over_chunks(
        self, context: Context, tree: Tree, schema: pa.Schema, holding: Any, beside: Mapping[str, Any]
    ) -> pa.Table:
        """The rows of a query, its aggregates over datasets being taken on a dask cluster.

        Args:
            context: whose tables it reads.
            tree: the query.
            schema: the names and types that the engine gives its columns.
            holding: keeps chunks on the cluster from one call to the next.
            beside: the small relations that it reads under names that no table has.

        Raises:
            Exception: dense.node.Refused: they are not to be had so.
        """

    def standing(
        self, context: Context, tree: Tree, schema: pa.Schema, texts: Mapping[str, str],
        whole: Mapping[str, pa.DataType], holding: Any,
    ) -> StandingQuery | None:  # fmt: skip
        """A query as of :meth:`over_chunks` that is planned once for all values of its parameters, if it can be.

        Args:
            context: whose tables it reads.
            tree: the query.
            schema: the names and types that the engine gives its columns.
            texts: the literals of its parameters at first.
            whole: the types of those that are integers.
            holding: keeps chunks on the cluster.
        """
