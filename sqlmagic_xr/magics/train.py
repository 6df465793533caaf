"""``%%xsql_train``: options and a cell -> a run and a monitor.

The cell runs as an *async* cell: between steps it lets the kernel's event loop turn, which is what makes buttons work
in every front end. An input transformer makes it one. Where there is no such loop (a terminal, ``%autoawait off``,
inside ``%%time``) the plain magic of the same name runs, and only the buttons do not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.magic import no_var_expand

from ..display.screen import place_of
from ..errors import ImmutableError, Span, UsageError
from ..sql.lexer import span_at
from .errors import Interrupted, short_errors
from .opening import Breath, Opening, kept_run, opened, watchers
from .options import assignment, count, describe, identifier, option, parse
from .settings import settings_of
from .shared import context_of

if TYPE_CHECKING:
    from ..display.monitor import Monitor
    from ..train.events import Event
    from ..train.loop import Training
    from ..train.recursing import Recursing

NAME = "xsql_train"
HELP = f"""%%{NAME} [options]
MINIMIZE (SELECT AVG(...) FROM ... WHERE step = :k)      -- a loss of one number, and what it depends on:
OVER params [PER key] USING adam(lr => 0.01)             -- the step is written, and the loss is drawn

%%{NAME} [options]
INSERT INTO params SELECT :next_step, ... FROM ... ;     -- the step: one or more statements with effects
SELECT step, AVG(...) AS loss FROM ... GROUP BY step     -- the curves: any number of queries

%%{NAME} [options]
WITH RECURSIVE run AS (... UNION ALL ...)                -- the steps, as rounds of a recursive query
SELECT step, AVG(...) AS loss FROM run ... GROUP BY step -- the curve, over the rows of the rounds so far

Runs the step again and again and draws the curves. :step (or :k) is the newest generation, :next_step one more,
:seed the run's seed, and :random a number from [0, 1) drawn for the step. Running the cell again continues.
"""
_PAUSE = 0.05  # seconds between two looks at whether a paused run goes on


def tuning(text: str) -> tuple[str, tuple[float, float]]:
    """``name=low:high`` as a name and a range.

    >>> tuning("lr=1e-4:1")
    ('lr', (0.0001, 1.0))
    """
    name, equals, values = text.partition("=")
    low, colon, high = values.partition(":")
    name = name.strip().lstrip("$:")
    if not (equals and colon and name.isidentifier()):
        raise ValueError("write it as name=low:high")
    try:
        return name, (float(low), float(high))
    except ValueError:
        raise ValueError("write it as name=low:high, with numbers") from None


def scheduling(text: str) -> tuple[str, str]:
    """``name = expression`` as a name and SQL.

    >>> scheduling("lr = 0.4 * pow(0.99, :step)")
    ('lr', '0.4 * pow(0.99, :step)')
    """
    name, equals, expression = text.partition("=")
    name = name.strip().lstrip("$:")
    if not (equals and expression.strip() and name.isidentifier()):
        raise ValueError('write it as "name = expression", in quotes')
    return name, expression.strip()


def keeping(text: str) -> str:
    """How far apart generations go to disk, as it is written; refused where it cannot be read."""
    from ..train.keeping import interval

    interval(text)
    return text


@dataclass(frozen=True)
class TrainOptions:
    """The options of ``%%xsql_train``."""

    steps: int | None = option(
        "-n",
        "--steps",
        help="Make at most N steps: 100, or all rounds of a recursive query.",
        convert=count,
        metavar="N",
    )
    params: tuple[tuple[str, Any], ...] = option(
        "-p", "--param", help="Give a parameter a value.", convert=assignment, metavar="NAME=VALUE", many=True
    )
    tune: tuple[tuple[str, tuple[float, float]], ...] = option(
        "--tune", help="Let a parameter be changed while the cell runs: a slider.", convert=tuning,
        metavar="NAME=LOW:HIGH", many=True,
    )  # fmt: skip
    schedule: tuple[tuple[str, str], ...] = option(
        "--schedule", help="Let a parameter follow an SQL expression, usually of :step.", convert=scheduling,
        metavar='"NAME = SQL"', many=True,
    )  # fmt: skip
    until: str | None = option(
        "--until",
        help="End once an SQL condition on the newest row of the curves is true.",
        convert=str,
        metavar='"SQL"',
    )
    patience: int | None = option(
        "--patience", help="End when the first curve has not fallen for N steps.", convert=count, metavar="N"
    )
    keep_best: bool = option(
        "--keep-best", help="Leave the tables at the best generation: the least of what --patience looks at."
    )
    every: int | None = option("--every", help="Refresh the curves every N steps.", convert=count, metavar="N")
    curves: tuple[str, ...] = option(
        "--curve", help="Draw a view, instead of SELECTs in the cell.", convert=str, metavar="VIEW", many=True
    )
    overlay: tuple[str, ...] = option(
        "--overlay", help="Lay the curves of a run that -o has kept under these.", convert=identifier, metavar="NAME",
        many=True,
    )  # fmt: skip
    log: bool = option("--log-y", help="Draw with a logarithmic y axis.")
    seed: int | None = option("--seed", help="Draw :random from this seed.", convert=count, metavar="N")
    resume: bool = option("--continue", help="Go on from the newest generation, as it does anyway.")
    restart: bool = option("--restart", help="Begin again at the first generation; drops the later ones.")
    explain: bool = option(
        "-e", "--explain", help="Say what of a step is done once and what each time, and do not train."
    )
    show_sql: bool = option("--show-sql", help="Show the statements that a MINIMIZE becomes, and do not train.")
    verbatim: bool = option("--verbatim", help="Run the statements as they stand at each step.")
    executor: Literal["auto", "dense", "relational"] = option(
        "--executor", help="Who runs a step: auto, dense (array code) or relational (DataFusion).", convert=str,
        metavar="NAME", choices=("auto", "dense", "relational"), default="auto",
    )  # fmt: skip
    device: Literal["auto", "cpu", "gpu"] | None = option(
        "--device", help="Where many steps are calculated: auto (NumPy), or cpu or gpu by XLA.", convert=str,
        metavar="NAME", choices=("auto", "cpu", "gpu"),
    )  # fmt: skip
    precision: Literal["double", "single"] = option(
        "--precision", help="The floats of --device cpu or gpu: double or single.", convert=str, metavar="NAME",
        choices=("double", "single"), default="double",
    )  # fmt: skip
    keep_every: str = option(
        "--keep-every", help="Where a file keeps the tables: write generations so many seconds, or steps, apart.",
        convert=keeping, metavar='SECONDS|"N steps"', default="1",
    )  # fmt: skip
    output: str | None = option(
        "-o", "--output", help="Keep the run as a variable.", convert=identifier, metavar="NAME"
    )
    quiet: bool = option("-q", "--quiet", help="Print no text.")
    live: bool = option("--live", help="Show the widget, wherever this is.")
    static: bool = option("--static", help="Show a picture at the end only.")
    no_display: bool = option("--no-display", help="Show neither widget nor picture.")
    help: bool = option("--help", help="Show this.")


def read_options(line: str, variables: Mapping[str, Any] | None = None) -> TrainOptions:
    """The options of a magic's line.

    Raises:
        UsageError: one is unknown, wrong, or contradicts another, or something stands behind them.
    """
    parsed = parse(TrainOptions, line, variables)
    options, rest = parsed.options, line[parsed.start :].rstrip()
    if rest:
        raise UsageError(
            f"{rest.split()[0]} is no option", text=line, span=span_at(line, parsed.start, parsed.start + len(rest)),
            hint="SQL begins on the next line; a value with spaces in it stands in quotes.",
        )  # fmt: skip
    shown = [name for name in ("live", "static", "no_display") if getattr(options, name)]
    if len(shown) > 1:
        raise _contradiction(line, "--" + shown[0], "--" + shown[1].replace("_", "-"))
    if options.resume and options.restart:
        raise _contradiction(line, "--continue", "--restart")
    for option_name, pairs in (("--param", options.params), ("--tune", options.tune), ("--schedule", options.schedule)):
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{option_name} {twice} is given twice", text=line, span=_whole(line))
    return options


def read(shell: Any, line: str) -> TrainOptions | None:
    """The options of a cell that may train here; None where it only asks for help.

    Raises:
        SqlError: an option is wrong, or nothing may be trained in this notebook.
    """
    options, settings = read_options(line, shell.user_ns), settings_of(shell)
    if options.help:
        print(f"{HELP}\n{describe(TrainOptions)}")
        return None
    if settings.read_only:
        raise ImmutableError(
            "a training cell is refused: this notebook is read-only",
            hint="%config XSqlMagic.read_only = False allows statements with effects.",
        )
    if options.live and place_of(shell) == "terminal":
        raise UsageError("--live needs a notebook", hint="In a terminal there is a progress bar.")
    return replace(options, quiet=True) if settings.feedback == 0 else options


def prepare(
    shell: Any, options: TrainOptions, line: str, cell: str, opening: Opening | None = None
) -> tuple[Training | Recursing, Monitor] | None:
    """What a cell asks for, checked and not begun; None where it only asks for an explanation."""
    training = context_of(shell).train(
        cell, stream=True, steps=options.steps, params=dict(options.params), tune=dict(options.tune),
        schedule=dict(options.schedule), until=options.until, patience=options.patience,
        keep_best=options.keep_best, every=options.every,
        seed=options.seed, restart=options.restart, curve=options.curves,
        verbatim=options.verbatim, executor=options.executor, keep_every=options.keep_every, each_step=False,
        device=options.device, precision=options.precision, control=None if opening is None else opening.control,
    )  # fmt: skip
    if options.show_sql:
        print(training.sql)
        return None
    if options.explain:
        print(*training.explain(), sep="\n\n")
        return None
    from ..display.monitor import Guarded, Several
    from ..display.overlay import Overlaid

    under = {name: kept_run(shell.user_ns, name, line) for name in options.overlay}
    if options.output is not None:
        shell.user_ns[options.output] = training.run
    watching = watchers(place_of(shell), options, training, opening)
    return training, Several([Guarded(Overlaid(m, under) if under else m) for m in watching])


class Train:
    """``%%xsql_train`` in one shell.

    Args:
        shell: IPython's.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._executing = False

    def register(self) -> None:
        """Put the magic, and the transformer that makes it an async cell, into the shell."""
        self._shell.register_magic_function(self.run, "line_cell", NAME)
        self._shell.input_transformers_cleanup.append(self.transform)
        self._shell.events.register("pre_execute", self._begin)
        self._shell.events.register("post_execute", self._end)

    def unregister(self) -> None:
        """Take them back."""
        for kind in ("line", "cell"):
            self._shell.magics_manager.magics[kind].pop(NAME, None)
        self._shell.input_transformers_cleanup.remove(self.transform)
        self._shell.events.unregister("pre_execute", self._begin)
        self._shell.events.unregister("post_execute", self._end)

    def transform(self, lines: list[str]) -> list[str]:
        """A cell that begins with the magic, as Python code that awaits it."""
        if not lines or not lines[0].startswith(f"%%{NAME}"):
            return lines
        head = lines[0].removeprefix(f"%%{NAME}")
        loops = getattr(self._shell, "kernel", None) is not None and self._shell.autoawait
        # Within a running cell this is the body of another magic (%%time), which could not await it.
        if (head.strip() and not head[0].isspace()) or not loops or self._executing:
            return lines
        body = "".join(lines[1:])
        return [f"await __import__({__name__!r}, fromlist=['run_async']).run_async({head.strip()!r}, {body!r})\n"]

    @no_var_expand
    def run(self, line: str, cell: str | None = None) -> None:
        """Run a training cell without turning the event loop; %%xsql_train --help tells the options."""
        with short_errors(enabled=settings_of(self._shell).short_errors):
            options = read(self._shell, line if cell is not None else line + " --help")
            found = None if options is None else prepare(self._shell, options, line, cell or "")
            if found is None:
                return
            training, monitor = found
            with training.control.interruptible(), closing(iter(training)) as events:
                _follow(events, monitor)
            _report_interrupt(training)

    def _begin(self) -> None:
        self._executing = True

    def _end(self) -> None:
        self._executing = False


async def run_async(line: str, cell: str) -> None:
    """Run a training cell, with the event loop turning between its steps."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    with short_errors(enabled=settings_of(shell).short_errors):
        options = read(shell, line)
        if options is None:
            return
        with opened(options, place_of(shell)) as opening:
            if opening is not None:
                await opening.load()
            found = prepare(shell, options, line, cell, opening)
        if found is None:
            return
        training, monitor = found
        with training.control.interruptible(), closing(iter(training)) as events:
            try:
                await _follow_async(events, monitor)
            except asyncio.CancelledError:
                training.control.interrupt()
                _follow(events, monitor)
                raise
        _report_interrupt(training)


def _follow(events: Generator[Event], monitor: Monitor) -> None:
    from ..train.events import Paused

    try:
        for event in events:
            monitor.receive(event)
            if isinstance(event, Paused):
                time.sleep(_PAUSE)
    finally:
        monitor.close()


async def _follow_async(events: Generator[Event], monitor: Monitor) -> None:
    from ..train.events import Paused

    breath = Breath()
    try:
        for event in events:
            monitor.receive(event)
            if isinstance(event, Paused):
                await asyncio.sleep(_PAUSE)
            else:
                await breath.take()
    except asyncio.CancelledError:
        raise
    except BaseException:
        monitor.close()
        raise
    monitor.close()


def _report_interrupt(training: Training | Recursing) -> None:
    if training.run.status == "interrupted":
        raise Interrupted


_installed: dict[int, Train] = {}


def register(ip: Any) -> None:
    """Put ``%%xsql_train`` into a shell."""
    _installed[id(ip)] = train = Train(ip)
    train.register()


def unregister(ip: Any) -> None:
    """Take it back."""
    train = _installed.pop(id(ip), None)
    if train is not None:
        train.unregister()


def _contradiction(line: str, one: str, other: str) -> UsageError:
    return UsageError(f"{one} and {other} contradict each other", text=line, span=_whole(line))


def _whole(line: str) -> Span:
    return span_at(line, len(line) - len(line.lstrip()), len(line.rstrip()))
