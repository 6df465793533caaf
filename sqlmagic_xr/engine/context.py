"""The shared context: read, differentiate, bind, route, execute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from os import PathLike, fspath
from typing import Any, ClassVar, Literal

import pyarrow as pa
import xarray as xr
from datafusion import SessionConfig, SessionContext

from ..autodiff.rewrite import rewrite
from ..autodiff.rules import CALLS, RULES
from ..autodiff.rules import register as with_rule
from ..errors import SqlError, UnsupportedError
from ..relation.functions import of_session
from ..sql.copying import copy_of, explained_copy
from ..sql.ctes import shared
from ..sql.parameters import has_parameters, parameters_of, values_of
from ..sql.rebinding import rebound
from ..sql.syntax import (
    Statement,
    Tree,
    identifier,
    local_name,
    name_columns,
    parse_one,
    split,
    tables_named,
    to_sql,
    walk,
)
from ..storage.dependents import asks_for_keys, misses_a_key
from ..storage.fetch import fetch, fetch_brief
from ..storage.scratch import ScratchTable, Version
from ..storage.store import ScratchStore
from ..storage.transaction import View
from . import moving
from .admission import framed, refuse_unread
from .alterations import CountedContext
from .answers import Answers
from .catalog import Catalog
from .copying import PreparedCopy
from .datasets import register
from .faults import NO_TYPES, Mending, moments, overflow, suspicious
from .files import Source, reopened
from .frame import Frame
from .functions import Function, functions
from .gridtable import GridTable
from .interrupt import interruptible, reserve_threads
from .json_text import register_json
from .markup import make_safe
from .meaning import meanings_in
from .most_frequent import register_mode
from .named import Named
from .once import once
from .plain import plainly
from .prepared import Executor, Prepared, too_deep
from .recursion.frame import RecursiveFrame
from .recursion.repeated import Repeated
from .recursion.statements import Recursions
from .result import Result
from .variables import Namespace, Variables

Params = Mapping[str, Any] | Sequence[Any] | None
"""Values for ``$name`` and ``:name``; a sequence gives ``$1``, ``$2``, ..."""


def _configuration() -> SessionConfig:
    """What a context has for settings; a derivative's parentheses may stand deeper than the 50 that are read else."""
    return SessionConfig({"datafusion.sql_parser.recursion_limit": "200"}).with_information_schema(True)


class Context(CountedContext):
    """A DataFusion session with xarray tables, scratch tables, notebook variables, parameters and derivatives.

    Everything of xarray-sql's ``Context`` and of DataFusion's ``SessionContext`` works as it does there.

    Args:
        config, runtime: as for DataFusion's ``SessionContext``.
        namespace: gives the notebook's variables, each of which may be a table or a parameter; None for none.
        store: a DuckDB file that keeps the scratch tables (see :meth:`..storage.store.ScratchStore.open`) or None.

    Attributes:
        store: the scratch tables.
        tables: what tables there are.
        variables: the notebook variables that are tables.
        grids: the xarray tables, by name.
        files: the tables that are files -> what they are, and what tells that they have changed.
        several: the datasets that are several tables -> the tables' names.
        calendars: those of which a table has the times as numbers.
        chunks_read: how many chunks of xarray tables queries have begun to read so far.
        max_recursion: how many rounds a recursive query may go through.

    Example:
        >>> ctx = Context()
        >>> _ = ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.5)")
        >>> ctx.sql("SELECT a * $by AS a FROM p", {"by": 2}).to_pandas()
             a
        0  3.0
    """

    answers: ClassVar[Answers | None] = None  # who answers queries beside DataFusion
    device: Literal["auto", "cpu", "gpu"] = "auto"  # where training runs calculate that do not say it themselves
    client: Any = None  # of the dask cluster where chunks are; None for the active one, "none" for this machine
    holding: Any = None  # the chunks that a run keeps on that cluster, while a query of its own runs

    def __init__(
        self,
        config: Any = None,
        runtime: Any = None,
        *,
        namespace: Namespace | None = None,
        store: str | PathLike[str] | None = None,
    ) -> None:
        reserve_threads()
        make_safe()
        super().__init__(config or _configuration(), runtime)
        moving.register(self)
        overflow.register(self)
        moments.register(self)
        self.rules = RULES
        self.calendars: set[str] = set()
        self.grids: dict[str, GridTable] = {}
        self.several: dict[str, tuple[str, ...]] = {}
        self.files: dict[str, tuple[Source, tuple[Any, ...]]] = {}
        self.chunks_read = 0
        self.max_recursion = 1_000_000
        self.store = ScratchStore(self)
        self.tables = Catalog(self)
        self.named: dict[str, Named] = {}
        register_json(self)
        register_mode(self)
        self._mending = Mending(self)
        self.store.schema.mended = self.mended_text
        self._recursions = Recursions(self)
        self.store.schema.viewed = self._recursions.of_view
        self.variables = Variables(self, namespace)
        if store is not None:
            self.store.open(fspath(store))

    def __repr__(self) -> str:
        """What is in it; the engine would print its configuration."""
        try:
            names = self.tables.names()
            shown = [f"{name} ({self._kind(name)})" for name in names[:12]]
        except Exception as error:  # whatever is wrong with one of them, a context can be looked at
            return f"Context({type(error).__name__}: {error})"
        more = [f"and {len(names) - 12} more"] if len(names) > 12 else []
        keeper = self.store.durable.keeper
        where = "" if keeper is None else f"; scratch tables are kept in {keeper.path.name}"
        return f"Context({', '.join([*shown, *more]) or 'no tables'}{where})"

    def _kind(self, name: str) -> str:
        entry = self.store.entries().get(name)
        if isinstance(entry, Version):
            return f"scratch, {entry.rows:,} rows"
        if isinstance(entry, View):
            return "view"
        variable = self.variables.kind_of(name.split(".")[0])
        grid = self.tables.grid(tuple(name.split(".")))
        return f"{variable} variable" if variable is not None else "table" if grid is None else "xarray"

    def register_derivative(self, name: str, partials: Sequence[str]) -> None:
        """Give a function a derivative, for example one that was registered with ``register_udf``.

        Args:
            name: the function; the rule of a function that has one already is replaced in this context.
            partials: for each argument the derivative by it, in SQL: ``$1``, ``$2``, ... are the arguments and
                ``$0`` is the function's value.

        Raises:
            ParseError: a text that is not one expression.
            UsageError: a text that mentions a column, or an argument that the function has not.

        Example:
            >>> Context().register_derivative("relu", ["CASE WHEN $1 > 0 THEN 1.0 ELSE 0.0 END"])
        """
        self.rules = with_rule(self.rules, name, partials)

    # SQL

    def sql(
        self, query: str, params: Params = None, *, param_values: Params = None, executor: Executor = "auto",
        **named: Any,
    ) -> Frame:  # fmt: skip
        """Run one statement.

        A query is planned now and runs when its frame is used. A statement with effects has run, once, when this
        returns; using its frame (the count of rows, or what RETURNING asked for) repeats nothing.

        Args:
            query: one SQL statement, with ``grad()``, ``jvp()``, ``vjp()``, ``$name`` and ``:name`` as it likes.
            params: values of the parameters; ``param_values`` and keywords are DataFusion's spellings of the same.
            executor: "dense" runs a query now, as array code, or fails; else its frame is lazy. The rows of that are
                array code's where that is known to pay, when they are asked for; with "relational" they never are.

        Raises:
            SqlError: with the place in ``query``. Nothing has changed then.
        """
        values = {**values_of(params), **values_of(param_values), **named}
        result = self.prepare(parse_one(query)).run(values, executor)
        if executor == "dense" and result.executor == "dense":
            return self.frame_of(result.to_arrow_table(), result.frame)
        if result.frame is None:
            return self.frame_of(pa.table({"count": [result.rows or 0]}))
        if result.answer is None or type(result.frame) is not Frame:  # what runs something first is not copied
            return result.frame
        return result.frame.answered(result.answer)

    def table(self, name: str) -> Any:
        """A table or view as a lazy frame; a recursive view is worked out when its rows are asked for."""
        query = f"SELECT * FROM {name}"
        return self.sql(query) if self._recursions.is_view(query) else super().table(name)

    def script(
        self,
        text: str,
        params: Params = None,
        *,
        before: Callable[[Prepared], object] | None = None,
        each: Callable[[Result], object] | None = None,
        executor: Executor = "auto",
    ) -> list[Result]:
        """Run the statements of a text in order; one :class:`Result` each.

        The text is read whole before anything runs. If a statement fails, those before it stand, unless the text began
        a transaction that was still open: that is rolled back.

        Args:
            text: any number of statements.
            params: values of the parameters.
            before: is given each statement before it runs; what it raises ends the script.
            each: is given each result before the next statement runs; the place to look at a query's rows, which are
                lazy. What it raises ends the script.
            executor: who runs queries. "auto" runs one as array code where that is known to pay: a sum over a join
                of grids that are in memory. "dense" runs each at once as array code, or fails and says why.

        Raises:
            SqlError: says which statement failed, where, and what the ones before it did.
        """
        statements = split(text)
        for statement in statements:
            refuse_unread(statement)
        values = values_of(params)
        results: list[Result] = []
        was_open = self.store.in_transaction
        with self.store.script():
            for statement in statements:
                try:
                    prepared = self.prepare(statement)
                    if before is not None:
                        before(prepared)
                    results.append(prepared.run(values, executor))
                    if statement.has_effects:
                        self.store.settle()
                    if each is not None:
                        each(results[-1])
                except SqlError as error:
                    done = [f"statement {r.statement.index} did: {r.message}" for r in results if r.message]
                    undone = ["the transaction is rolled back"] if self.store.in_transaction and not was_open else []
                    error.before = (*done, *undone)
                    raise
        return results

    def prepare(self, statement: Statement, put: Callable[[Tree], Tree] = lambda tree: tree) -> Prepared:
        """Read and differentiate a statement once, to run it any number of times.

        Args:
            statement: what the user wrote.
            put: makes of its tree the one that shall run; names of columns are those of the user's own.

        Notebook variables that it names are registered now; a variable that is rebound later is not followed.

        Raises:
            SqlError: with the statement's place in its script.
        """
        statement = explained_copy(statement) or statement
        refuse_unread(statement)
        copy = copy_of(statement)
        if copy is not None:
            return PreparedCopy(self, statement, None, copy, self._read(copy.query, copy.tree))
        if statement.parsed[0] is None:
            return Prepared(self, statement, None)
        return self._read(statement, statement.tree, put)

    def _read(self, statement: Statement, tree: Tree, put: Callable[[Tree], Tree] = lambda tree: tree) -> Prepared:
        """A statement that the parser can read, differentiated."""
        try:
            changing = _may_change(statement.text)
            tree = rebound(tree, statement.text)
            tree = put(name_columns(tree, _will_change) if changing else tree)
            names = self.reads(tree)
            self.variables.follow(names)
            reopened(names, self)
            tree = plainly(tree, statement, self)
            with of_session(self):
                tree = rewrite(tree, self.tables, rules=self.rules) if changing else tree
            return Prepared(self, statement, self._mending.widened(tree, statement.text))
        except SqlError as error:
            raise statement.place(error) from error.__cause__
        except RecursionError:
            raise too_deep(statement) from None

    def scratch(self, name: str) -> ScratchTable:
        """The scratch table of that name: its version, history, rows at an older version.

        Raises:
            UnknownNameError: there is none.
        """
        return self.store.scratch(name)

    def transaction(self) -> Any:
        """A context manager: what is done inside is committed at its end, or nothing of it."""
        return self.store.transaction()

    # Tables

    def from_dataset(self, name: str, input_table: xr.Dataset, **options: Any) -> Context:
        """Register an xarray dataset as one or more tables; as in xarray-sql. Takes the name from a variable.

        A variable that SQL has no type for (complex numbers, objects of several types) is left out: the schema says
        which and why, and so does an error about its name.

        Raises:
            UnsupportedError: nothing in it can be read.
        """
        self.variables.release(name.lower())
        try:
            register(self, name, input_table, **options)
        except ValueError as error:
            raise UnsupportedError(f"the dataset `{name}` cannot be read as a table: {error}") from error
        return self

    def frame_of(self, table: pa.Table, asked: Frame | None = None) -> Frame:
        """Rows that are there already, as a frame; ``asked`` is that of the query whose rows they are."""
        batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
        frame = SessionContext.read_batches(self, batches)  # which registers nothing that could take a name
        return Frame(frame, templates=self._registered_datasets, asked=asked)

    # What runs, for our own rooms

    def plan(self, sql: str, tree: Tree | None = None) -> Frame:
        """A lazy frame of a query in DataFusion's own SQL, over one state of all scratch tables.

        Args:
            sql: the query.
            tree: its tree where there is one; then only the rows that it can see are scanned.
        """
        recursive = self._recursions.found(sql, tree)
        if recursive is not None and recursive is not tree:
            sql, tree = to_sql(recursive), recursive
        keyed = asks_for_keys(tree, self.store.entries(), sql)
        try:
            with self.store.reading(tree, keyed=keyed):
                return self._planned(sql, tree, recursive=recursive is not None)
        except Exception as error:
            if keyed or not misses_a_key(error):
                raise
            with self.store.reading(tree, keyed=True):
                return self._planned(sql, tree, recursive=recursive is not None)

    def mended(self, tree: Tree, sql: str, parameters: Mapping[str, pa.DataType] = NO_TYPES) -> Tree:
        """A statement's tree without what the engine answers wrongly (see :mod:`.faults`), or else ``tree`` itself.

        Args:
            tree: the statement, or a query of ours with placeholders in it.
            sql: its text.
            parameters: the types of placeholders, where they are known.
        """
        return self._mending.mended(tree, sql, parameters=parameters)

    def mended_text(self, tree: Tree | None, sql: str, *, at_once: bool = False) -> str:
        """As :meth:`mended`, as text; the tree is read off the text where there is none.

        Args:
            tree: the statement, or None.
            sql: its text.
            at_once: whether it is planned now, and not again when its tables are others.
        """
        if tree is None and suspicious(sql):
            tree = Statement(sql, sql).parsed[0]
        after = tree if tree is None else self._mending.mended(tree, sql, at_once=at_once)
        return sql if after is None or after is tree else to_sql(after)

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

    def query(self, query: Tree | str) -> pa.Table:
        """The rows of a query in DataFusion's own SQL; what :mod:`..statements.dml` builds its statements of."""
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

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """The functions there are, by name."""
        return functions(self)

    def relation(self, name: tuple[str, ...]) -> Any:
        """What is known of a table; see :class:`.catalog.Catalog`."""
        return self.tables.relation(name)

    @property
    def session(self) -> SessionContext:
        """The DataFusion session itself."""
        return self

    def reads(self, tree: Tree) -> list[list[dict[str, Any]]]:
        """The names of the relations that a statement names, and of those that the views among them read."""
        found: list[list[dict[str, Any]]] = []
        seen: set[tuple[str, ...]] = set()
        pending = tables_named(tree)
        while pending:
            parts = pending.pop()
            name = local_name(tuple(identifier(p) for p in parts))
            if name in seen:
                continue
            seen.add(name)
            found.append(parts)
            entry = self.store.entries().get(name[0]) if len(name) == 1 else None
            if isinstance(entry, View):
                pending += tables_named(entry.query)
        return found


def _may_change(text: str) -> bool:
    """Whether a statement may hold a parameter or a derivative, at a glance."""
    return has_parameters(text) or any(word in text.lower() for word in CALLS)


def _will_change(column: Tree) -> bool:
    if parameters_of(column):
        return True
    return any(
        "Function" in node and str(node["Function"]["name"][-1].get("Identifier", {}).get("value")).lower() in CALLS
        for node in walk(column)
    )
