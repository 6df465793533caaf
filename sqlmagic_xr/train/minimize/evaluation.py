"""A loss that is evaluated once, where a run begins and where it ends: as array code where it is some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...dense.node import Refused
from ...dense.program import LoweredQuery, Program
from ...engine.budget import default_budget
from ...grids.arrow import arrow, parameter_types
from ...grids.bindings import bindings_of
from ...grids.datasets import ReadDatasets
from ...grids.generations import Generations
from ...sql.parameters import parameters_of
from ...sql.syntax import identifier
from ..steps.remote import is_for_cluster

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared


Names = Sequence[str | None]
"""What columns are called; None for one that has no name of its own."""


def evaluated(
    context: Context, prepared: Prepared, values: Mapping[str, Any], names: Names | None = None,
    datasets: ReadDatasets | None = None,
) -> pa.Table:  # fmt: skip
    """The rows of a query; of chunks that are on a cluster, by its workers.

    Args:
        context: where it runs.
        prepared: the query.
        values: its parameters.
        names: of its columns, where somebody has bound it.
        datasets: takes what it reads, for whoever reads the same next.
    """
    tree = prepared.tree
    if tree is not None and "Query" in tree and is_for_cluster(context, tree["Query"]):
        return prepared.run(values, "auto").to_arrow_table()
    if tree is not None and "Query" in tree:
        try:
            return _by_arrays(context, tree, values, names, datasets)
        except Refused:
            pass
    return prepared.run(values).to_arrow_table()


def _by_arrays(
    context: Context, tree: Any, values: Mapping[str, Any], names: Names | None, datasets: ReadDatasets | None
) -> pa.Table:
    given = {name: values[name] for name in sorted(parameters_of(tree)) if name in values}
    grids = Generations(context, (), [tree["Query"]], default_budget(), datasets)
    names = context.tables.bound(tree["Query"]).names or () if names is None else names
    # What only the engine gives a name to is called something.
    columns = tuple(name or f"column_{place}" for place, name in enumerate(names))
    query = LoweredQuery(tree["Query"], columns=columns)
    read = [tuple(map(identifier, parts)) for parts in context.reads(tree)]
    scratch = [name for name in read if context.tables.grid(name) is None]  # so that a batch is cut before it is summed
    program = Program(
        [query], grids, parameter_types(given), bindings=bindings_of(context), changing=scratch, slow=2
    )  # fmt: skip
    grids.begin()
    return arrow(program.step(grids, values).run(0))
