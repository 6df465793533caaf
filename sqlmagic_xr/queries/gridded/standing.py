"""A query over chunks on a cluster that is planned once for all steps of a run: what differs are the numbers in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...dense.node import Refused
from ...engine.interrupt import interruptible
from ...relation.reads import tables_read
from ...sql.holes import Template
from ...sql.syntax import Tree, to_sql
from .groupwise import Groupwise
from .holes import Holes
from .plan import GridQuery, PlannedRows, named, taken_as

if TYPE_CHECKING:
    from ...cluster.holding import Holding
    from ...engine.context import Context
    from ...relation.nodes import Relation

_BRIEF = 1_000  # rows of groups of which the rest is evaluated at once


class Standing:
    """A query whose aggregates over datasets are taken on a cluster, again and again.

    Args:
        context: whose tables it reads.
        tree: the query; its parameters are what differs.
        texts: their literals at first.
        whole: the types of those that are integers.
        holding: keeps chunks on the cluster.

    Raises:
        Refused: more than numbers among its cells depends on the step, so that it is planned anew for each.
    """

    def __init__(
        self, context: Context, tree: Tree, texts: Mapping[str, str], whole: Mapping[str, pa.DataType], holding: Holding
    ) -> None:
        self._context, self._whole = context, whole
        bound = context.tables.bound(tree["Query"])
        self._reads = {name: context.tables.rows_identity(name) for name in tables_read(bound)}
        self._holes = Holes(texts)
        self._query = GridQuery(context, bound, holding=holding, holes=self._holes)
        self._planned = [_by_groups(node, planned) for node, planned in self._query.planned()]
        self._taken: list[PlannedRows] = []
        self._rest: Template | None = None

    def rows(self, texts: Mapping[str, str]) -> pa.Table | None:
        """The rows of a step; None where a table is another one by now, or a number none.

        Args:
            texts: the literals of its parameters.

        Raises:
            ClusterError: a chunk cannot be read, or the cluster is gone.
            Refused: the data are none that arrays answer for.
        """
        numbers = self._holes.numbers(texts)
        if numbers is None or any(self._context.tables.rows_identity(n) is not t for n, t in self._reads.items()):
            return None
        found = interruptible(lambda: [groups.rows(numbers) for _, groups in self._planned])
        self._put(found)
        plain = self._query.plain(self._taken)
        if plain is not None:
            return plain
        brief = sum(rows.num_rows for rows in found) <= _BRIEF
        return self._context.query_over(self._text(texts), named(self._taken), brief=brief)

    def _put(self, found: Sequence[pa.Table]) -> None:
        """Put the rows of a step under the names that those of the first one have."""
        if self._taken:
            self._taken = [replace(taken, rows=rows) for taken, rows in zip(self._taken, found, strict=True)]
        else:
            self._taken = [taken_as(node, rows) for (node, _), rows in zip(self._planned, found, strict=True)]

    def _text(self, texts: Mapping[str, str]) -> str:
        if self._rest is None:
            tree = self._query.rest(self._taken)
            with self._context.store.showing(named(self._taken)):
                self._rest = Template(self._context.mended(tree, to_sql(tree), dict(self._whole)))
        return self._rest.text(texts)


def _by_groups(node: Relation, planned: Any) -> tuple[Relation, Groupwise]:
    if not isinstance(planned, Groupwise):
        raise Refused("a window over cells", node.span)
    return node, planned
