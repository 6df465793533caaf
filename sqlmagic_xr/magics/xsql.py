"""``%xsql`` and ``%%xsql``: a request -> library calls -> tables and lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand

from ..errors import ImmutableError, SqlError, UsageError
from .caller import cell_of, is_timed, stands_alone
from .errors import Interrupted, short_errors
from .options import describe
from .request import Request, XSqlOptions, read
from .settings import XSqlMagic, settings_of
from .shared import context_of, get_context
from .shown import converted, human_bytes, moved, names_listed, profiled, tables_shown

if TYPE_CHECKING:
    from ..display.screen import Screen
    from ..engine.context import Context
    from ..engine.prepared import Prepared
    from ..engine.result import Result
    from ..sql.unfinished import Columns

NAME = "xsql"
HELP = f"""%%{NAME} [options] [name <<]      run the statements of a cell
%{NAME} [options] SQL              run a line; x = %{NAME} SQL keeps its result
%{NAME}                            show the tables and this help

xarray Datasets, data frames and Arrow tables are tables by their variables' names. name << keeps the last result and
shows nothing; name= << keeps and shows it. $name and :name are parameters.

{{options}}

%config XSqlMagic lists the settings; [tool.sqlmagic_xr] of pyproject.toml sets them, too."""


def help_text() -> str:
    """What ``%xsql --help`` shows."""
    return HELP.format(options=describe(XSqlOptions))


def run(shell: Any, request: Request, *, show: bool) -> Any:
    """Do what a request asks for.

    Args:
        shell: IPython's, whose variables are tables, parameters, and the place for what is kept.
        request: the cell or line.
        show: whether anything is put out; ``x = %xsql ...`` only gives its result.

    Returns:
        The last result, in the type that was asked for; None where nothing ran.

    Raises:
        SqlError: which points into what the user wrote. Everything before the failed statement stands.
    """
    from ..display.screen import Screen, place_of
    from ..engine.interrupt import watched

    context = context_of(shell)
    screen = Screen(place_of(shell), lambda: context.chunks_read)
    begin = time.monotonic()
    try:
        with watched(screen.watch):
            return _Run(shell, context, screen, request, settings_of(shell), show).run()
    except SqlError as error:
        if error.text == request.script:
            error.text = request.source  # the same places, with the magic's own line in view
        raise
    except KeyboardInterrupt as stopped:
        raise Interrupted(
            f"the query ran for {time.monotonic() - begin:.1f} s; tables are as the statement before it left them"
        ) from stopped
    finally:
        screen.close()


@dataclass
class _Run:
    """One run of a request.

    Attributes:
        shell, context, screen, request, settings, show: as for :func:`run`.
        last: the last result, and the last that has rows.
        since: when the statement began that runs.
    """

    shell: Any
    context: Context
    screen: Screen
    request: Request
    settings: XSqlMagic
    show: bool
    last: Result | None = None
    last_rows: Result | None = None
    since: float = 0.0

    def run(self) -> Any:
        options = self.request.options
        self._serve_file(options)
        self._choose_client(options)
        if options.tables or options.schema is not None:
            self._show_catalog(options)
        if options.asks_beside_sql and not self.request.has_sql:
            return None
        self._refuse_effects()
        self.since = time.perf_counter()
        if options.explain:
            self._explain()
            return None
        self.context.script(
            self.request.script, dict(options.params), before=self._before, each=self._report,
            executor=options.executor,
        )  # fmt: skip
        return self._keep()

    def _explain(self) -> None:
        """Show the plan of every statement and run none."""
        from ..sql.syntax import parse_one, split

        for statement in split(self.request.script):
            asks = statement if statement.kind == "Explain" else parse_one(f"EXPLAIN {statement.text}")
            try:
                options = self.request.options
                result = self.context.prepare(asks).run(dict(options.params), options.executor)
            except SqlError as error:
                if asks is not statement:  # point into the cell, where the word EXPLAIN does not stand
                    span = moved(error.span, asks, statement) if error.span is not None else None
                    error.text, error.span, error.statement = None, None, None
                    raise statement.place(error, span or statement.first_word) from error.__cause__
                raise
            self._report(result)

    def _refuse_effects(self) -> None:
        from ..sql.syntax import split

        for statement in split(self.request.script) if self.settings.read_only else ():
            if statement.has_effects:
                raise statement.place(
                    ImmutableError(
                        f"{statement.tokens[0].text.upper()} is refused: this notebook is read-only",
                        hint=_ALLOW,
                    ),
                    statement.first_word,
                )

    def _before(self, prepared: Prepared) -> None:
        """Look at a statement before it runs: the plan of a query, and whether it would fetch a huge grid."""
        fetches = prepared.statement.has_effects or self._kept_type not in (None, "frame")
        if fetches and not self.request.options.yes:
            self._refuse_grid(prepared)

    def _refuse_grid(self, prepared: Prepared) -> None:
        from ..engine.plans import row_bytes

        frame, rows = prepared.grid(dict(self.request.options.params)) or (None, 0)
        if frame is None or rows <= self.settings.fetchlimit:
            return
        size = human_bytes(rows * row_bytes(frame.schema()))
        raise prepared.statement.place(
            UsageError(
                f"this would fetch {rows:,} rows x {len(frame.schema())} columns into memory, about {size}",
                hint="Aggregate, add a LIMIT, or give --yes. The size allowed is XSqlMagic.fetchlimit.",
            ),
            prepared.statement.first_word,
        )

    @property
    def _kept_type(self) -> str | None:
        """The type that a kept result has; None where nothing is kept."""
        if self.show and self.request.keep is None:
            return None
        by_config = "pandas" if self.settings.autopandas else "polars" if self.settings.autopolars else "frame"
        return self.request.options.type or by_config

    def _report(self, result: Result) -> None:
        """Put out what a statement did or gave, before the next one runs."""
        options = self.request.options
        self.last = result
        self.last_rows = result if result.frame is not None else self.last_rows
        if self.show and not self.request.silent:
            if options.show_sql:
                self._say_sql(result)
            if result.message and not options.quiet and self.settings.feedback > 0:
                self.screen.say(result.message)
            if result.frame is not None and not options.no_display:
                self._show_rows(result)
            heard = not options.quiet and self.settings.feedback > 0
            for name, kind in self.context.variables.tell_hidden() if heard else ():
                self.screen.say(f"`{name}` is the table of that name, which hides the {kind} variable")
            if options.time or self.settings.timing:
                self.screen.say(f"{time.perf_counter() - self.since:.3f} s")
        self.since = time.perf_counter()

    def _say_sql(self, result: Result) -> None:
        from ..sql.layout import lay_out

        self.screen.say(lay_out(result.sql))

    def _show_rows(self, result: Result) -> None:
        from ..display.table import DrawnTable
        from ..sql.syntax import described

        if result.statement.kind == "Explain" and described(result.statement.tree) is None:
            self.screen.say(result.plan or "\n".join(map(str, result.to_arrow_table().columns[-1].to_pylist())))
            return
        if self.request.options.plot:
            from ..display.picture import picture

            self.screen.show(picture(result))
            return
        if self.request.options.profile and result.statement.kind == "Query":
            result = self.context.prepare(profiled(result.statement)).run(dict(self.request.options.params))
            self.screen.show(DrawnTable(result.to_arrow_table(), len(result), style=self.settings.style))
            return
        limit = self.request.options.limit
        preview = result.preview(self.settings.displaylimit if limit is None else limit)
        note = self._size_note(result, preview.total)
        self.screen.show(DrawnTable(preview.rows, preview.total, self.settings.style, note, headers=result.headers))

    def _size_note(self, result: Result, total: int) -> str:
        from ..engine.plans import row_bytes

        if total <= self.settings.fetchlimit:
            return ""
        return f"fetched whole they are about {human_bytes(total * row_bytes(result.schema))}"

    def _serve_file(self, options: XSqlOptions) -> None:
        """Save, close and open the file of the scratch tables; in this order, so that one line can change files."""
        store = self.context.store
        asked = [name for name in ("save", "close", "open") if getattr(options, name)]
        if (
            asked and self.settings.read_only
        ):  # a file that is opened is written to, one that is closed takes its tables
            raise ImmutableError(f"--{asked[0]} is refused: this notebook is read-only", hint=_ALLOW)
        if options.save is not None:
            store.save(options.save)
            self.screen.say(f"{options.save}: {names_listed(list(store.entries()))} saved")
        if options.close:
            path = store.durable.keeper.path.name if store.durable.keeper is not None else ""
            self.screen.say(f"{path}: closed, with {names_listed(store.close(anyway=options.yes))}")
        if options.open is not None:
            found = store.open(options.open)
            self.screen.say(
                f"{options.open}: open, with {names_listed(found)}; scratch tables are kept in it from now on"
            )

    def _choose_client(self, options: XSqlOptions) -> None:
        """Say whose cluster goes through chunks from now on: a variable's, nobody's, or that of the active client."""
        name = options.client
        if name is None:
            return
        if name not in ("none", "auto") and name not in self.shell.user_ns:
            raise UsageError(f"there is no variable {name}", hint="As in: client = distributed.Client(...)")
        self.context.client = {"none": "none", "auto": None}.get(name, self.shell.user_ns.get(name))

    def _show_catalog(self, options: XSqlOptions) -> None:
        if options.tables:
            self.screen.show(tables_shown(self.context, self.settings.style))
        if options.schema is not None:
            from ..display.table import DrawnTable
            from ..engine.inventory import schema

            found = schema(self.context, options.schema)
            note = "; ".join(found.notes)
            table = DrawnTable(found.columns, found.columns.num_rows, style=self.settings.style, note=note, null="")
            self.screen.show(table)

    def _keep(self) -> Any:
        """The last result in the type that was asked for, under the name that was asked for."""
        result = self.last if self.last_rows is None else self.last_rows  # a result without rows is false
        if result is None or self._kept_type is None:
            return None
        value = converted(result, self._kept_type, self.request.options.dims)
        name = self.request.keep
        if name is not None:
            self.shell.user_ns[name] = value
            if self.settings.feedback > 1 and self.show:
                self.screen.say(f"{name}: {type(value).__name__} of {', '.join(result.columns) or result.message}")
        return value


def answer(shell: Any, line: str, cell: str | None, *, show: bool) -> Any:
    """What the magics do with their line and cell; see :func:`run`."""
    with short_errors(enabled=settings_of(shell).short_errors):
        request = read(line, cell, variables=shell.user_ns)
        alone = cell is None and not line.strip()
        if request.options.help or alone:
            print(help_text())
        if request.options.help:
            return None
        return run(shell, read("--tables", None) if alone else request, show=show or alone)


class Words:
    """The names that completion offers, as they are at the moment."""

    def tables(self) -> list[str]:
        """Tables, views, and variables that can be tables."""
        context = get_context()
        return sorted({*context.tables.names(), *context.variables.names()})

    def columns(self, name: tuple[str, ...]) -> Columns | None:
        """The columns of a table; a variable's are known once a query has named it."""
        from ..engine.inventory import columns

        return columns(get_context(), name)

    def functions(self) -> Mapping[str, Any]:
        """The functions."""
        return get_context().functions

    def parameters(self) -> list[str]:
        """The variables that can be parameters."""
        return get_context().variables.parameters()


def register(ip: Any) -> None:
    """Put the magics, their settings and completion into a shell."""
    from .completion import matcher
    from .train import TrainOptions

    @no_var_expand
    def xsql(line: str, cell: str | None = None) -> Any:
        frame = cell_of(sys._getframe(1))
        show = cell is not None or stands_alone(frame)
        value = answer(ip, line, cell, show=show)
        if not show and is_timed(frame) and hasattr(value, "preview"):
            value.preview(settings_of(ip).displaylimit)  # or it would run when it is shown, and the clock has stopped
        return None if show else value  # a value would be shown once more, as Out[...]

    xsql.__doc__ = help_text()
    settings_of(ip)
    ip.register_magic_function(xsql, "line_cell", NAME)
    formatters = ip.display_formatter.formatters
    formatters["text/html"].for_type_by_name(*_RESULT, lambda result: _drawn(ip, result).html())
    formatters["text/plain"].for_type_by_name(*_RESULT, lambda result, p, _: p.text(_drawn(ip, result).text()))
    match = matcher({NAME: XSqlOptions, "xsql_train": TrainOptions}, Words)
    ip.Completer.custom_matchers.append(match)


_ALLOW = "%config XSqlMagic.read_only = False allows statements with effects."
_RESULT = ("sqlmagic_xr.engine.result", "Result")  # by name, so that loading the extension imports no engine


def _drawn(shell: Any, result: Result) -> Any:
    """A result that a cell ends with, as its table; one without rows as the line of what it did."""
    from ..display.screen import Line
    from ..display.table import DrawnTable

    if result.frame is None or result.plan:
        return Line(result.plan or result.message)
    settings = settings_of(shell)
    preview = result.preview(settings.displaylimit)
    return DrawnTable(preview.rows, preview.total, settings.style, headers=result.headers)


def unregister(ip: Any) -> None:
    """Take them back; settings stay as they are."""
    ip.magics_manager.magics["line"].pop(NAME, None)
    ip.magics_manager.magics["cell"].pop(NAME, None)
    for kind in ("text/html", "text/plain"):
        ip.display_formatter.formatters[kind].pop(".".join(_RESULT), None)
    matchers = ip.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != "sqlmagic_xr"]
