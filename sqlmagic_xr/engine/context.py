"""The shared context: read, differentiate, bind, route, execute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Literal

import pyarrow as pa
import xarray as xr
from datafusion import SessionConfig, SessionContext

from ..autodiff.rules import CALLS, RULES
from ..autodiff.rules import register as with_rule
from ..errors import WRITABLE, ImmutableError, SqlError, UnsupportedError
from ..sql.copying import copy_of, explained_copy
from ..sql.parameters import has_parameters, parameters_of, values_of
from ..sql.rebinding import rebound
from ..sql.syntax import (
    Statement,
    Tree,
    name_columns,
    parse_one,
    split,
    to_sql,
    walk,
)
from ..storage.scratch import ScratchTable, Version
from ..storage.store import ScratchStore
from ..storage.transaction import View
from . import moving
from .admission import refuse_unread
from .catalog import EngineCatalog
from .copying import PreparedCopy
from .datasets import register
from .derived import Derived
from .faults import Mending, moments, overflow
from .files import FileSource, placed, reopened
from .frame import Frame
from .gridtable import GridTable
from .interrupt import of_panic, reserve_threads
from .json_text import register_json
from .markup import make_safe
from .most_frequent import register_mode
from .named import NamedStatement
from .plain import plainly
from .planning import PlanningContext
from .prepared import Executor, Prepared, too_deep
from .recursion.statements import Recursions
from .result import Result
from .variables import Namespace, Variables

Params = Mapping[str, Any] | Sequence[Any] | None
"""Values for ``$name`` and ``:name``; a sequence gives ``$1``, ``$2``, ..."""


def _configuration() -> SessionConfig:
    """What a context has for settings; a derivative's parentheses may stand deeper than the 50 that are read else."""
    return SessionConfig({"datafusion.sql_parser.recursion_limit": "200"}).with_information_schema(True)


class Context(PlanningContext):
    """A DataFusion session with xarray tables, scratch tables, notebook variables, parameters and derivatives.

    Everything of xarray-sql's ``Context`` and of DataFusion's ``SessionContext`` works as it does there.

    Args:
        config, runtime: as for DataFusion's ``SessionContext``.
        namespace: gives the notebook's variables, each of which may be a table or a parameter; None for none.
        store: a DuckDB file that keeps the scratch tables (see :meth:`..storage.store.ScratchStore.open`) or None.
        read_only: whether every statement with effects is refused before it runs.

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
        read_only: bool = False,
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
        self.files: dict[str, tuple[FileSource, tuple[Any, ...]]] = {}
        self.chunks_read = 0
        self.max_recursion = 1_000_000
        self.store = ScratchStore(self)
        self.tables = EngineCatalog(self)
        self.named: dict[str, NamedStatement] = {}
        register_json(self)
        register_mode(self)
        self._mending = Mending(self)
        self._derived = Derived(self, self._mending)
        self.store.schema.mended = self.mended_text
        self._recursions = Recursions(self)
        self.store.schema.viewed = self._recursions.of_view
        self.variables = Variables(self, namespace)
        if store is not None:
            self.store.open(fspath(store))
        self.read_only = read_only

    @property
    def read_only(self) -> bool:
        """Whether whatever would change something is refused: statements before they run, and scratch tables."""
        return self.store.read_only

    @read_only.setter
    def read_only(self, chosen: bool) -> None:
        self.store.read_only = chosen

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
            self._refuse_effects(statement)
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
        self._refuse_effects(statement)
        statement = explained_copy(statement) or statement
        refuse_unread(statement)
        copy = copy_of(statement)
        if copy is not None:
            return PreparedCopy(self, statement, None, copy, self._read(copy.query, copy.tree))
        if statement.parsed[0] is None:
            return Prepared(self, statement, None)
        return self._read(statement, statement.tree, put)

    def _refuse_effects(self, statement: Statement) -> None:
        if self.read_only and statement.has_effects:
            what = f"{statement.tokens[0].text.upper()} is refused: this context is read-only"
            raise statement.place(ImmutableError(what, hint=WRITABLE), statement.first_word)

    def _read(self, statement: Statement, tree: Tree, put: Callable[[Tree], Tree] = lambda tree: tree) -> Prepared:
        """A statement that the parser can read, differentiated."""
        try:
            changing = _may_change(statement.text)
            tree = rebound(tree, statement.text)
            tree = put(name_columns(tree, _will_change) if changing else tree)
            names = self.reads(tree)
            self.variables.follow(names)
            reopened(names, self)
            plain = plainly(tree, statement, self)
            if changing:
                reads = names if plain is tree else self.reads(plain)
                return Prepared(self, statement, self._derived.of(plain, statement.text, reads))
            return Prepared(self, statement, self._mending.widened(plain, statement.text))
        except SqlError as error:
            raise placed(error, statement) from error.__cause__
        except RecursionError:
            raise too_deep(statement) from None

    def query(self, query: Tree | str) -> pa.Table:
        """The rows of a query in DataFusion's own SQL, over the tables that are registered.

        Args:
            query: its text, or the parser's tree of it.

        Raises:
            SqlError: with the place in the text; in that of the tree, where it is one.
        """
        try:
            return self.rows_of(query)
        except BaseException as error:
            failure = of_panic(error) or (error if isinstance(error, Exception) else None)
            if failure is None or isinstance(failure, SqlError):
                raise
            text = query if isinstance(query, str) else to_sql(query)
            statement = Statement(text, text)
            raise Prepared(self, statement, statement.parsed[0]).explain_error(failure) from failure

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
