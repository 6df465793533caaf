"""The statements of a step that sum over chunks on a dask cluster: chunks stay there, a step's values go there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...cluster.aside import tell_aside
from ...cluster.client import client_of
from ...cluster.holding import Holding
from ...dense.node import Refused, Unforeseen
from ...engine.admission import framed
from ...engine.budget import default_budget
from ...errors import ClusterError, SqlError
from ...relation.reads import tables_read
from ...sql.syntax import Tree, parse_one
from ..explain import Explained, Note, title_of
from .larder import KeptRelation, Larder
from .looks import NOTHING, Watch
from .relational import Relational, Variant
from .together import Courses
from .unsure import UnsureError
from .write import Write, write_of

if TYPE_CHECKING:
    from ...engine.answers import StandingQuery
    from ...engine.context import Context
    from ...engine.prepared import Prepared
    from .plan import Runner

_CELLS = 1_000_000  # of a dataset from which on a cluster pays
_LITTLE = 64 * 2**20  # bytes that are kept here of a relation that is made of chunks


class ClusterExecutor:
    """Runs the statements of a step that aggregate datasets in chunks (an :class:`.plan.Taker`).

    Args:
        context: whose tables they read and write.
        holding: keeps chunks on the cluster.
    """

    name = "cluster"
    seen = NOTHING

    def __init__(self, context: Context, holding: Holding) -> None:
        self._context, self._holding = context, holding
        self._larder, self._few = _OtherTables(context, default_budget()), _FewAtATime(context, default_budget())

    def offer(
        self, statement: Prepared, *, writes: Collection[str], varying: Collection[str], fallback: Runner
    ) -> Runner | str:
        """A runner for a statement, or why there is none."""
        found = write_of(statement)
        if isinstance(found, str):
            return found
        if not self.takes(found):
            return "it reads no dataset in chunks"
        of_step = frozenset(writes), frozenset(varying)
        fallback = Relational(statement, self._few, *of_step)
        return OverChunks(statement, self._larder, *of_step, fallback, self._holding)

    def takes(self, write: Write) -> bool:
        """Whether a statement's chunks are gone through where they are."""
        return _read_in_chunks(self._context, write.query)

    def expect(self, statements: Sequence[Prepared]) -> None:
        """Each is taken by itself."""

    def look(self) -> None:
        """Curves are evaluated from the table."""

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """Nothing: it is asked of the cluster as a query."""
        return None

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """None: each step is asked of the cluster by itself."""
        return 0


def cluster_for(context: Context, statements: Sequence[Prepared], holding: Holding) -> ClusterExecutor | None:
    """Who runs statements on a cluster; None where no client is active, or none of them reads a dataset in chunks."""
    if client_of(context.client) is None:
        return None
    writes = [write_of(statement) for statement in statements]
    if not any(isinstance(write, Write) and _read_in_chunks(context, write.query) for write in writes):
        return None
    return ClusterExecutor(context, holding)


def is_for_cluster(context: Context, query: Tree) -> bool:
    """Whether a query reads a dataset in chunks, and there is a cluster to go through them."""
    return client_of(context.client) is not None and _read_in_chunks(context, query)


def _read_in_chunks(context: Context, query: Tree) -> bool:
    try:
        return any(_in_chunks(context, name) for name in tables_read(context.tables.bound(query)))
    except SqlError:
        return False


def _in_chunks(context: Context, name: tuple[str, ...]) -> bool:
    """Whether a table is a large dataset that is not in memory here."""
    grid = context.tables.grid(name)
    if grid is None or grid.rows < _CELLS:
        return False
    return any(not variable._in_memory for variable in grid.dataset.data_vars.variables.values())


class _OtherTables(Larder):
    """Keeps what is no dataset in chunks."""

    def is_followed(self, table: tuple[str, ...]) -> bool:
        """See :class:`.larder.Larder`; what is on the cluster stays there."""
        return not _in_chunks(self._context, table) and super().is_followed(table)


class _FewAtATime(Larder):
    """Keeps little of datasets in chunks, which are read a few at a time: who has a cluster may have no room here."""

    def keep(self, sql: str, reads: Collection[str], expected: int = 0) -> KeptRelation:
        """See :class:`.larder.Larder`."""
        whole = self.budget
        if _read_in_chunks(self._context, parse_one(sql).tree["Query"]):
            self.budget = min(whole, self.nbytes + _LITTLE)
        try:
            return super().keep(sql, reads, expected)
        finally:
            self.budget = whole


class OverChunks(Relational):
    """A statement whose aggregates are taken on a cluster; one that they cannot be of runs as it would without one.

    Args:
        prepared, larder, writes, varying: see :class:`.plan.Relational`.
        fallback: runs the statement here.
        holding: keeps chunks on the cluster.
    """

    def __init__(
        self, prepared: Prepared, larder: Larder, writes: frozenset[str], varying: frozenset[str], fallback: Runner,
        holding: Holding,
    ) -> None:  # fmt: skip
        super().__init__(prepared, larder, writes, varying)
        self._fallback, self._holding = fallback, holding
        self._reason: str | None = None
        self._fault: bool | None = None  # whether the reason is one, until it has been told
        self._schemas: dict[int, pa.Schema] = {}
        self._standing: dict[int, StandingQuery | None] = {}

    def run(self, values: Mapping[str, Any]) -> None:
        """Make the statement's changes, inside the step's transaction."""
        rows = self._over_chunks(values) if self._reason is None else None
        if rows is None:
            self._fallback.run(values)
            if self._fault is not None:  # it is one if nothing is wrong with the statement itself
                fault, self._fault = self._fault, None
                tell_aside(self._context.client, str(self._reason), fault=fault)
        else:
            self._write.keep(rows, self._prepared)

    def explain(self) -> Explained:
        """What is on the cluster, and why not."""
        if self._reason is not None:
            ran = self._fallback.explain()
            note = Note("not cluster", "runs here", self._reason)
            return Explained(ran.title, ran.executor, (note, *ran.notes), ran.sql)
        notes = [note for each in self._variants[-1] for note in each.notes] if self._variants else []
        notes += [Note("on the cluster", what, how) for what, how in self._holding.notes.items()]
        return Explained(title_of(self._prepared.statement), "cluster", tuple(dict.fromkeys(notes)), self._sql)

    def _over_chunks(self, values: Mapping[str, Any]) -> pa.Table | None:
        """The rows of the query; None where they are not to be had from a cluster, for good."""
        try:
            ((variant, texts, names),) = self._ready(values)
            self._sql = variant.template.text(texts)
            rows = self._asked(variant, texts, names)
        except Refused as reason:
            self._reason = reason.reason
            self._fault = None if isinstance(reason, Unforeseen) else False  # that has been told
        except UnsureError as reason:
            self._reason, self._fault = str(reason), False
        except (ClusterError, KeyboardInterrupt):
            raise
        except SqlError as error:  # the statement is wrong, or its text is more than is read, as of a step of lbfgs
            self._reason, self._fault = str(error).split("\n")[0], False
        except Exception as error:  # the statement as it stands tells what is wrong, if it is not the shortcut
            self._reason, self._fault = f"{type(error).__name__}: {str(error).split(chr(10))[0]}", True
        else:
            if self._write.replaces:
                return rows
            width = len(self._write.columns or self._context.store.table(self._write.table).definition.names)
            if rows.num_columns == width:
                return rows
            self._reason, self._fault = "its columns are not those of the table", False
        return None

    def _asked(self, variant: Variant, texts: Mapping[str, str], names: Mapping[str, Any]) -> pa.Table:
        answers, place = self._context.answers, id(variant)
        assert answers is not None
        with self._context.store.showing(names):
            schema = self._schemas.get(place)
            if schema is None:
                schema = self._schemas[place] = framed(self._context, self._sql).schema()
                self._standing[place] = self._planned(variant, schema, texts) if not names else None
            standing = self._standing[place]
            rows = None if standing is None else standing.rows(texts)
            if rows is not None:
                return rows
            return answers.over_chunks(self._context, parse_one(self._sql).tree, schema, self._holding, names)

    def _planned(self, variant: Variant, schema: pa.Schema, texts: Mapping[str, str]) -> StandingQuery | None:
        """The query, planned once for all steps: relations beside it would differ from step to step."""
        answers = self._context.answers
        assert answers is not None
        tree, whole = variant.template.tree, self._whole_numbers(variant.reads)
        return answers.standing(self._context, tree, schema, texts, whole, self._holding)

    def _pieces(self, query: Tree) -> Sequence[tuple[str, Tree]]:
        """The query alone: what is evaluated on the cluster is one query."""
        return [("", query)]

    def _mended(self, tree: Tree, relations: Mapping[str, Any], reads: Sequence[tuple[Any, Any]]) -> Tree:
        """The query as it is: what the engine answers wrongly is mended in what is left to it."""
        return tree
