"""What a MINIMIZE asks, looked up: its tables, loss and optimizer, and the SQL that all of its statements share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Span, SqlError, UnknownNameError, suggest
from ...sql.expression import Column, columns, parse, replace_parts, to_sql
from ...sql.syntax import Statement
from ...storage.scratch import Version
from .loss import Loss
from .optimizers import Optimizer
from .parameters import ParameterTable
from .statement import Excerpt, Minimize
from .text import cte, quoted, wrapped

if TYPE_CHECKING:
    from ...engine.context import Context


@dataclass(frozen=True)
class WrittenStatement(Statement):
    """A statement that was written for a MINIMIZE; what is wrong with it is said of that.

    Attributes:
        origin: the MINIMIZE.
    """

    origin: Minimize | None = None

    def place(self, error: SqlError, span: Span | None = None) -> SqlError:  # noqa: D102 - see Statement
        assert self.origin is not None
        error.text, error.span = self.origin.statement.script, self.origin.word
        return self.origin.statement.place(error, self.origin.word)


@dataclass(frozen=True)
class Problem:
    """A MINIMIZE before its statements are written.

    Attributes:
        context: where it runs.
        minimize: the statement.
        tables: the parameters, in the order of OVER.
        loss: what is minimized.
        optimizer: by what.
        values: the parameters of the first step.
        restart: whether the run begins at the first generation.
    """

    context: Context
    minimize: Minimize
    tables: tuple[ParameterTable, ...]
    loss: Loss
    optimizer: Optimizer
    values: Mapping[str, Any]
    restart: bool

    def written(self, text: str) -> WrittenStatement:
        """One of its statements."""
        return WrittenStatement(text, text, origin=self.minimize)

    @property
    def batched(self) -> bool:
        """Whether a step may find no row for a key, so that the key takes no step."""
        return self.minimize.batch is not None

    def fresh(self, name: str) -> str:
        """A name for a CTE or an alias that hides no relation."""
        taken = self.loss.taken | {table.name for table in self.tables}
        while name in taken:
            name += "_1"
        return name

    # --- the loss

    @property
    def loss_name(self) -> str:
        """What the CTE of the loss is called."""
        return self.fresh("loss")

    @property
    def loss_cte(self) -> str:
        """The loss as a CTE."""
        return cte(self.loss_name, self.loss.query)

    @property
    def loss_column(self) -> str:
        """The loss's number, with the CTE's name in front."""
        return f"{self.loss_name}.{quoted(self.loss.column)}"

    def with_ctes(self, *ctes: str) -> str:
        """WITH, and the CTEs behind those of the statement itself."""
        own = [self.loss.ctes] if self.loss.ctes else []
        return "WITH " + ",\n".join((*own, *ctes))

    def readable(self, table: ParameterTable) -> tuple[list[str], str] | None:
        """The items of the loss's keys and what it calls a table, where its own expression can be derived.

        That is so where the query reads the table itself, once, and one row of it for each of its own rows.
        """
        loss = self.loss
        alias = loss.alias_of(table.name)
        if loss.select is None or not loss.select.plain or alias is None or loss.readings(table.name) != 1:
            return None
        keys = [item for place, item in enumerate(loss.select.items) if place != loss.place]
        if not set(table.keys) <= set(loss.per) or len(self.tables) > 1 or len(keys) != len(loss.per):
            return None
        return keys, alias

    def of_the_loss(
        self, name: str, items: Sequence[str], group: Sequence[str] = (), *, whole: bool = False
    ) -> str:  # fmt: skip
        """A CTE of the loss's rows with other items, and perhaps more keys; ``whole`` of all rows, not of a batch's."""
        select = self.loss.whole if whole else self.loss.select
        assert select is not None
        lines = ["SELECT " + ",\n       ".join(items), f"FROM {select.source}"]
        lines += [f"WHERE {select.where}"] if select.where else []
        groups = [*([select.group] if select.group else []), *group]
        lines += ["GROUP BY " + ", ".join(groups)] if groups else []
        return cte(name, "\n".join(lines))

    # --- the options

    @property
    def options(self) -> dict[str, str]:
        """Option -> SQL, of those that are given or have a default."""
        given = {name: wrapped(piece.text) for name, piece in self.minimize.options.items()}
        defaults = {name: value for name, value in self.optimizer.options.items() if value}
        return {**defaults, **given}

    def flag(self, option: str) -> bool:
        """Whether an option is TRUE."""
        return self.options.get(option, "false").lower() == "true"

    def rate(self, table: ParameterTable) -> str:
        """The learning rate of a table's rows."""
        piece = self.minimize.options.get("lr")
        if piece is None:
            return self.optimizer.options.get("lr") or "0.001"
        return self.qualified(table, piece)

    def free(self, table: ParameterTable) -> str:
        """Which of a table's rows are optimized; "" for all."""
        piece = self.minimize.where
        return "" if piece is None else self.qualified(table, piece)

    def name_of(self, option: str, usual: str, table: ParameterTable | None = None) -> str:
        """The name of a table beside the parameters: the one that is given, or the usual one."""
        piece = self.minimize.options.get(option)
        if piece is None:
            return usual
        found = parse(piece.text)
        if not isinstance(found, Column) or len(found.path) != 1:
            raise self.minimize.refused(f"{option} is the name of a table, not {piece.text}", f"As in: {usual}", piece)
        if table is not None and len(self.tables) > 1:
            return f"{found.path[0]}_{table.name}"
        return found.path[0]

    def check_free(self, name: str) -> None:
        """Look whether a name can be that of a table of ours.

        Raises:
            UsageError: something else has it.
        """
        entry = self.context.store.entries().get(name)
        if (entry is not None and not isinstance(entry, Version)) or name in {t.name for t in self.tables}:
            raise self.minimize.refused(f"`{name}` is taken by something else",
                                        "Give the table another name: state => name, losses => name.")  # fmt: skip

    def qualified(self, table: ParameterTable, piece: Excerpt) -> str:
        """An expression on the parameter's rows, with the table's name before each of its columns."""
        found = parse(f"(\n{piece.text}\n)")
        if not columns(found):
            return wrapped(piece.text)

        def change(part: Any) -> Any:
            if not isinstance(part, Column):
                return None
            if part.qualifier not in ((), (table.name,)) or part.name not in table.definition.names:
                error = UnknownNameError(
                    f"`{table.name}` has no column {'.'.join(part.path)}",
                    hint=suggest(part.name, table.definition.names),
                )
                raise self.minimize.statement.place(error, piece.span)
            return Column((table.name, part.name))

        return wrapped(to_sql(replace_parts(found, change)))
