"""The context that people use: the engine's, with training on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, overload

from .engine import context as engine
from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from .cluster.holding import Holding
    from .engine.answers import Answer, Rounds, StandingQuery
    from .engine.frame import Frame
    from .engine.prepared import Executor, Prepared
    from .sql.syntax import Tree
    from .train.loop import Training
    from .train.recursing import Recursing, RecursiveRun
    from .train.run import Run


class ArrayCode:
    """Answers queries by array code (:class:`.engine.answers.Answers`), which is imported when it is first asked."""

    def answer(
        self, context: engine.Context, prepared: Prepared, tree: Tree, frame: Frame, executor: Executor
    ) -> Answer | None:
        """See :class:`.engine.answers.Answers`."""
        from .queries.answer import answer

        return answer(context, prepared, tree, frame, executor)

    def rows(self, context: engine.Context, sql: str, tree: Tree, frame: Frame) -> pa.Table | None:
        """See :class:`.engine.answers.Answers`."""
        from .queries.answer import rows

        return rows(context, sql, tree, frame)

    def who_runs(self, context: engine.Context, tree: Tree, frame: Frame, executor: Executor) -> str:
        """See :class:`.engine.answers.Answers`."""
        from .queries.answer import who_runs

        return who_runs(context, tree, frame, executor)

    def over_chunks(
        self, context: engine.Context, tree: Tree, schema: pa.Schema, holding: Holding, beside: Mapping[str, Any]
    ) -> pa.Table:
        """See :class:`.engine.answers.Answers`."""
        from .queries.answer import over_chunks

        return over_chunks(context, tree, schema, holding, beside)

    def standing(
        self, context: engine.Context, tree: Tree, schema: pa.Schema, texts: Mapping[str, str],
        whole: Mapping[str, pa.DataType], holding: Holding,
    ) -> StandingQuery | None:  # fmt: skip
        """See :class:`.engine.answers.Answers`."""
        from .queries.answer import standing

        return standing(context, tree, schema, texts, whole, holding)

    def rounds(self, context: engine.Context, term: Tree, working: str, rows: pa.Table) -> Rounds | None:
        """See :class:`.engine.answers.Answers`."""
        from .queries.rounds import rounds

        return rounds(context, term, working, rows)


class Context(engine.Context):
    """A DataFusion session with xarray tables, scratch tables, notebook variables, derivatives and training.

    See :class:`sqlmagic_xr.engine.context.Context` for the other arguments and for everything but :meth:`train`.

    Args:
        device: where training runs calculate that do not say it themselves: "auto", "cpu" or "gpu".
        client: a ``dask.distributed`` client, where chunks of datasets are read and gone through by the workers of its
            cluster; by default the client that is active, if there is one, and "none" for none.

    Example:
        >>> ctx = Context()
        >>> _ = ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
        >>> run = ctx.train("INSERT INTO p SELECT :next_step, a - :lr * 2 * a FROM p WHERE step = :k",
        ...                 steps=3, params={"lr": 0.25})
        >>> ctx.sql("SELECT a FROM p ORDER BY step").to_arrow_table().column("a").to_pylist()
        [1.0, 0.5, 0.25, 0.125]
    """

    answers = ArrayCode()

    def __init__(
        self, *given: Any, device: Literal["auto", "cpu", "gpu"] = "auto", client: Any = None, **options: Any
    ) -> None:
        super().__init__(*given, **options)
        if device not in ("auto", "cpu", "gpu"):
            raise UsageError(f"device is one of auto, cpu, gpu, not {device!r}")
        self.device = device
        self.client = client

    @property
    def client(self) -> Any:
        """The client of the dask cluster that goes through chunks: None for the active one, "none" for none.

        Raises:
            UsageError: when it is set to what is no client.
        """
        return self._client

    @client.setter
    def client(self, chosen: Any) -> None:
        if chosen is not None:
            from .cluster.client import client_of

            client_of(chosen)
        self._client = chosen

    @overload
    def train(self, text: str, *, stream: Literal[True], **options: Any) -> Training | Recursing: ...

    @overload
    def train(self, text: str, *, stream: Literal[False] = False, **options: Any) -> Run | RecursiveRun: ...

    def train(self, text: str, *, stream: bool = False, **options: Any) -> Run | Training | RecursiveRun | Recursing:
        """Run a training cell; :func:`sqlmagic_xr.train.start.train` says which options there are.

        Returns:
            The run, whatever its end; with ``stream=True``, an iterable of its events that runs it.

        Raises:
            SqlError: the text or the options do not fit, or a step failed; what was committed before it stands.
        """
        from .train.start import train  # imported at its first use: a session that only queries does not pay for it

        return train(self, text, stream=stream, **options)

    def minimize(
        self,
        loss: str,
        over: str | Iterable[str],
        *,
        per: str | Iterable[str] = (),
        using: str = "adam(lr => 0.001)",
        where: str | None = None,
        batch: str | None = None,
        maximize: bool = False,
        ctes: str | None = None,
        curves: str = "",
        **options: Any,
    ) -> Run | Training:
        """Minimize a loss over columns of scratch tables: what MINIMIZE does in a training cell.

        Example:
            >>> ctx = Context()
            >>> _ = ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0)")
            >>> loss = "SELECT power(a - 3, 2) FROM p WHERE step = :k"
            >>> run = ctx.minimize(loss, "p.a", using="sgd(lr => 0.25)", steps=3)
            >>> ctx.sql("SELECT a FROM p ORDER BY step").to_arrow_table().column("a").to_pylist()
            [1.0, 2.0, 2.5, 2.75]

        Args:
            loss: a query of one number (with ``per``, of one for each key), or the name of a view or a CTE.
            over: what is optimized: ``"table.column"``, or ``"table"`` for all its floating-point columns.
            per: keys, each of whose combinations has a loss and parameters of its own.
            using: the optimizer and its options, as SQL.
            where: which rows of the parameters are optimized; the others stay.
            batch: which rows of the loss's query a step looks at.
            maximize: climb instead.
            ctes: queries that the loss reads, ``"name AS (SELECT ...), ..."``.
            curves: queries to draw besides, as they stand behind the step in a cell.
            options: those of :meth:`train`.

        Returns:
            What :meth:`train` returns.

        Raises:
            SqlError: as :meth:`train` does.
        """
        query = loss if loss.replace(".", "").replace("_", "").replace('"', "").isalnum() else f"(\n{loss}\n)"
        text = (f"WITH {ctes}\n" if ctes else "") + f"{'MAXIMIZE' if maximize else 'MINIMIZE'} {query}"
        text += f"\nOVER {_listed(over)}" + (f"\nPER {_listed(per)}" if per else "") + f"\nUSING {using}"
        text += (f"\nWHERE {where}" if where else "") + (f"\nBATCH {batch}" if batch else "")
        return cast("Run | Training", self.train(f"{text};\n{curves}", **options))


def _listed(names: str | Iterable[str]) -> str:
    return names if isinstance(names, str) else ", ".join(names)
