"""The way of a relational step: what DataFusion runs of a statement, with what can be done once done once.

The user's statement is the meaning. Each INSERT of a query is read once: its state reads become literals
(:mod:`.fold`), what does not change is evaluated and kept (:mod:`.hoist`), and the text that is left has holes for the
values of the step (:mod:`.template`). What a gradient reads of its forward pass in several places is evaluated once a
step: it is a query of its own, in front of those that read it. Whatever cannot be had so with certainty runs as it
stands.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from ...engine.admission import framed
from ...engine.recursion.failing import failing
from ...errors import SqlError
from ...relation.functions import of_session
from ...relation.nodes import Relation
from ...relation.reads import parameters_in, tables_read
from ...relation.write import written
from ...sql.build import cte_names
from ...sql.ctes import shared
from ...sql.holes import Template
from ...sql.parameters import bind, parameters_of, placeholder
from ...sql.syntax import Tree, replace, to_sql
from ...storage.fetch import coerced
from ...storage.reserved import is_reserved
from ...storage.schema import provider
from ...storage.scratch import Version
from ..explain import Explained, Note, title_of
from .columns import labelled
from .fold import FoldedQuery, Found, KeyedRead, fold
from .hoist import hoist
from .larder import KeptRelation, Larder
from .state import Lookup
from .template import parameter_text
from .unsure import UnsureError
from .write import Write, write_of

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared
    from ...engine.recursion.repeated import Repeated

_VARIANTS = 8  # foldings of one statement; a statement whose reads differ more often gains nothing by being folded

_BRIEF = 0.02  # seconds; a query below is waited for in the main thread


@dataclass(frozen=True)
class Variant:
    """A query as it runs while its reads find what they found.

    Attributes:
        name: the relation that it is evaluated as, which later queries of the statement read; "" of the last one.
        constants: the values of the parameters that were bound for good.
        reads: the reads, in order, and what each has found.
        columns: of each read by its number, the columns whose values stand in the template's holes.
        template: the query's text.
        kept: the relations that are evaluated already, by name.
        notes: what was decided.
        bound: the relations that the query reads under a name of ours.
        recursion: the query, where there is a recursion in it.
    """

    name: str
    constants: Mapping[str, Any]
    reads: tuple[tuple[KeyedRead, Found], ...]
    columns: Mapping[int, tuple[str, ...]]
    template: Template
    kept: Mapping[str, KeptRelation]
    notes: tuple[Note, ...]
    bound: frozenset[str]
    recursion: Repeated | None


class _FilledQuery(NamedTuple):
    """A query, the texts for its holes, and the relations that it reads under names of ours."""

    variant: Variant
    texts: dict[str, str]
    names: dict[str, Any]

    @property
    def sql(self) -> str:
        return self.variant.template.text(self.texts)


class Relational:
    """A statement that DataFusion runs, with what can be done once done once.

    Args:
        prepared: the statement.
        larder: keeps relations for all statements of the step.
        writes, varying: see :class:`.plan.PlannedStep`.
    """

    def __init__(self, prepared: Prepared, larder: Larder, writes: frozenset[str], varying: frozenset[str]) -> None:
        self._prepared, self._larder, self._writes, self._varying = prepared, larder, writes, varying
        self._context: Context = prepared.context
        self._variants: list[tuple[Variant, ...]] = []  # the queries of the statement, each behind those that it reads
        self._sql = ""
        self._seconds = math.inf  # that the query took at the last step
        write = write_of(prepared)
        self._why = write if isinstance(write, str) else None
        if isinstance(write, Write):
            self._write = write
            self._query = write.query if write.replaces else labelled(write.query)

    @property
    def executor(self) -> str:
        """ "relational", or "verbatim" where the statement runs as it stands."""
        return "relational" if self._why is None else "verbatim"

    def run(self, values: Mapping[str, Any]) -> None:
        """Run it, as it stands where that is the only sure way."""
        rows = self._rows(values) if self._why is None else None
        if rows is None:
            self._prepared.run(values)
            return
        self._write.keep(rows, self._prepared)

    def explain(self) -> Explained:
        """What has been decided so far."""
        notes = [note for part in self._variants[-1] for note in part.notes] if self._variants else []
        if self._why is not None:
            notes = [Note("verbatim", "runs as it stands", self._why)]
        return Explained(title_of(self._prepared.statement), self.executor, tuple(dict.fromkeys(notes)), self._sql)

    # --- a step

    def _rows(self, values: Mapping[str, Any]) -> pa.Table | None:
        """The rows that the query gives at this step; None where it has to run as it stands."""
        try:
            ready = self._ready(values)
        except UnsureError as error:
            self._why = str(error)
            return None
        except RecursionError:
            self._why = "it is nested too deeply for a shortcut"
            return None
        self._sql = "\n".join([*(f"{each.variant.name}: {each.sql}" for each in ready[:-1]), ready[-1].sql])
        begin = time.perf_counter()
        try:
            rows = self._evaluated(ready)
        except Exception as error:
            # The statement as it stands tells what is wrong in the user's words; if nothing is, the shortcut was.
            self._why = f"the shortcut failed: {str(error).splitlines()[0]}"
            return None
        self._seconds = time.perf_counter() - begin
        if not self._write.replaces:
            width = len(self._write.columns or self._context.store.table(self._write.table).definition.names)
            return rows if rows.num_columns == width else None
        return rows

    def _evaluated(self, ready: Sequence[_FilledQuery]) -> pa.Table:
        """The rows of the last query, which reads those of the others."""
        brief, given = self._seconds < _BRIEF, dict[str, Any]()
        for each in ready:
            names, recursion = {**each.names, **given}, each.variant.recursion
            if recursion is None:
                rows = self._context.query_over(each.sql, names, brief=brief)
            else:
                rows = recursion.rows(each.texts, names, brief=brief)
            if each.variant.name:
                given[each.variant.name] = provider(rows.to_batches(), rows.schema)
        return rows

    def _ready(self, values: Mapping[str, Any]) -> list[_FilledQuery]:
        for place in range(len(self._variants) - 1, -1, -1):
            found = self._looked_up(self._variants[place], values)
            if found is not None:
                if place < len(self._variants) - 1:
                    self._variants.append(self._variants.pop(place))
                return found
        if len(self._variants) >= _VARIANTS:
            raise UnsureError("what its reads find changes from step to step")
        with of_session(self._context):
            made = self._made(values)
        found = self._looked_up(made, values)
        if found is None:
            raise UnsureError("what its reads find cannot be looked up again")
        self._variants.append(made)
        return found

    def _looked_up(self, variants: Sequence[Variant], values: Mapping[str, Any]) -> list[_FilledQuery] | None:
        """What the queries are run with; None where one of them does not fit."""
        found = []
        for variant in variants:
            ready = self._fitting(variant, values)
            if ready is None:
                return None
            found.append(ready)
        return found

    def _fitting(self, variant: Variant, values: Mapping[str, Any]) -> _FilledQuery | None:
        if any(not _same(values.get(name), value) for name, value in variant.constants.items()):
            return None
        entries = self._context.store.entries()
        if any(entries.get(n) is not e for kept in variant.kept.values() for n, e in kept.reads.items()):
            return None
        lookup = Lookup(self._context, values)
        names: dict[str, Any] = {name: kept.table for name, kept in variant.kept.items()}
        for read, expected in variant.reads:
            if lookup.find(read, variant.columns.get(read.number, ())) != expected:
                return None
            if read.relation in variant.bound:
                names[read.relation] = lookup.relation(read)
        texts = {}
        for name in variant.template.names:
            text = lookup.texts.get(name)
            texts[name] = parameter_text(values[name]) if text is None else text
        return _FilledQuery(variant, texts, names)

    # --- once

    def _made(self, values: Mapping[str, Any]) -> tuple[Variant, ...]:
        """The statement's queries, folded and hoisted for what their reads find now."""
        names = set(parameters_of(self._query))
        missing = names - set(values)
        if missing:
            raise UnsureError(f"the parameter {min(missing)} is not the loop's to give")
        if any(map(is_reserved, cte_names(self._query))):
            raise UnsureError("a CTE has a name that is reserved")
        query = _bound(self._query, constants := {name: values[name] for name in names - self._varying})
        made: list[Variant] = []
        given: dict[str, Any] = {}
        for name, piece in self._pieces(query):
            with self._context.store.showing(given):
                made.append(self._variant(name, piece, constants, values))
                if name:
                    given[name] = failing(self._schema(made[-1], values))
        return tuple(made)

    def _pieces(self, query: Tree) -> Sequence[tuple[str, Tree]]:
        """The query behind what of it is evaluated once, each as the relation of a name of ours."""
        pieces = shared({"Query": query})
        return [("", query)] if pieces is None else [*pieces.steps, ("", pieces.rest["Query"])]

    def _schema(self, variant: Variant, values: Mapping[str, Any]) -> pa.Schema:
        """The columns of a query, planned where it sees what it reads."""
        ready = self._fitting(variant, values)
        if ready is None:
            raise UnsureError("what its reads find cannot be looked up again")
        with self._context.store.showing(ready.names):
            return coerced(framed(self._context, ready.sql))

    def _variant(self, name: str, query: Tree, constants: Mapping[str, Any], values: Mapping[str, Any]) -> Variant:
        """A query folded and hoisted for what its reads find now."""
        self._check(query, values)
        lookup = Lookup(self._context, values)
        entries, bound = self._context.store.entries(), self._context.tables.bound(query)
        folded: FoldedQuery = fold(bound, entries, lambda read: lookup.find(read, ()), self._writes)
        hoisted = hoist(folded.query, self._larder, self._writes, entries)
        tree = {"Query": self._written(hoisted.query)}
        kept = {n: kept.table for n, kept in hoisted.kept.items()}
        template = Template(self._mended(tree, kept, folded.reads))
        used: dict[int, tuple[str, ...]] = {}
        keys = {n for read, _ in folded.reads for _, constant in read.keys for n in parameters_in(constant.expression)}
        for number, _, column in (hole.partition(".") for hole in {*template.names, *keys}):
            if column:
                used[int(number)] = (*used.get(int(number), ()), column)
        names = {read[-1] for read in tables_read(hoisted.query)}
        return Variant(
            name, constants, folded.reads, used, template, hoisted.kept, (*folded.notes, *hoisted.notes),
            frozenset(names), self._context.repeated(tree, self._whole_numbers(folded.reads)),
        )  # fmt: skip

    def _written(self, query: Relation) -> Tree:
        try:
            return written(query)
        except NotImplementedError as reason:
            raise UnsureError(str(reason)) from None

    def _mended(self, tree: Tree, relations: Mapping[str, Any], reads: Sequence[tuple[KeyedRead, Any]]) -> Tree:
        """The query as the engine answers it right; ``relations`` are what it reads under names of ours."""
        try:
            with self._context.store.showing(relations):
                return self._context.mended(tree, to_sql(tree), self._whole_numbers(reads))
        except SqlError as error:
            raise UnsureError("the engine answers it wrongly") from error

    def _whole_numbers(self, reads: Sequence[tuple[KeyedRead, Any]]) -> dict[str, pa.DataType]:
        """The types of the placeholders that are integers."""
        entries = self._context.store.entries()
        found = dict.fromkeys(("k", "step", "next_step"), pa.int64())
        for read, _ in reads:
            version = entries.get(read.table)
            columns = version.definition.schema if isinstance(version, Version) else ()
            found |= {f"{read.number}.{c.name}": c.type for c in columns if pa.types.is_integer(c.type)}
        return found

    def _check(self, query: Tree, values: Mapping[str, Any]) -> None:
        """Let the engine plan the query as it stands: folding must not make sense of what had none."""
        try:
            self._context.plan(to_sql({"Query": bind(query, lambda name: values[name])}))
        except Exception as error:
            raise UnsureError("the engine refuses it as it stands") from error


def _bound(query: Tree, constants: Mapping[str, Any]) -> Tree:
    """A query in which these parameters are literals; the others stay as they are.

    Raises:
        UnsureError: one of the others stands in a list behind IN, which is bound as a whole.
    """

    def change(node: dict[str, Any]) -> Tree | None:
        if "InList" in node and (inside := set(parameters_of(node["InList"]))):
            if not inside <= constants.keys():
                raise UnsureError("a parameter that changes stands beside IN")
            return bind(node, lambda name: constants[name])
        return bind(node, lambda name: constants[name]) if placeholder(node) in constants else None

    return replace(query, change)


def _same(a: Any, b: Any) -> bool:
    """Whether a parameter still has its value; in doubt, not."""
    return a is b or (type(a) is type(b) and isinstance(a, (int, float, str, bool)) and a == b)
