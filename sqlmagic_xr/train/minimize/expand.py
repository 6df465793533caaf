"""MINIMIZE -> the plain statements that a step is: anybody could type them, and they are what runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Span, SqlError, UnknownNameError, suggest
from ...sql.expression import Column, columns, parse, replace_parts, to_sql
from ...sql.syntax import Statement
from ...storage.scratch import Version
from .loss import Loss, read_loss
from .optimizers import Old, Rule, Setting
from .options import optimizer_of
from .parameters import Parameters, check_fit, parameters_of
from .second import gauss_newton, hessian, solve, summed
from .statement import Minimize, Piece, read
from .text import count_from, factor, indented, join, listed_in_lines, quoted, wrapped

if TYPE_CHECKING:
    from ...engine.context import Context


@dataclass(frozen=True)
class Written(Statement):
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
class Expansion:
    """What a MINIMIZE becomes.

    Attributes:
        minimize: the statement.
        setup: run once, before the first step: the tables beside the parameters.
        step: the statements of a step.
        insert: the one among ``step`` that makes the generation.
        losses: the table that takes the loss of each generation.
        table: the parameters; of several tables the first.
        loss: what is minimized.
        query: gives its rows at the newest generation.
    """

    minimize: Minimize
    setup: tuple[Statement, ...]
    step: tuple[Statement, ...]
    insert: Statement
    losses: str
    table: Parameters
    loss: Loss
    query: Statement


def written_out(setup: Sequence[Statement], step: Sequence[Statement]) -> str:
    """The statements as a person would type them, those that run once apart."""
    once = "".join(f"{statement.text};\n" for statement in setup)
    each = ";\n\n".join(statement.text for statement in step)
    head = f"-- once, before the first step (%%xsql)\n{once}\n" if once else ""
    return f"{head}-- each step (%%xsql_train)\n{each};"


def expand(
    context: Context, statement: Statement, values: Callable[[int], Mapping[str, Any]], *, restart: bool
) -> Expansion:  # fmt: skip
    """Write the statements of a MINIMIZE.

    Args:
        context: where they will run.
        statement: the MINIMIZE.
        values: the parameters of the step behind a generation.
        restart: whether the run begins at the first generation.

    Raises:
        SqlError: something does not fit; it points into the user's text.
    """
    return _Writer(context, read(statement), values, restart=restart).expansion()


class _Writer:
    def __init__(
        self, context: Context, minimize: Minimize, values: Callable[[int], Mapping[str, Any]], *, restart: bool
    ) -> None:  # fmt: skip
        self.context, self.minimize, self.restart = context, minimize, restart
        self.tables = parameters_of(context, minimize, restart=restart)
        first = self.tables[0]
        for table in self.tables[1:]:
            if table.newest != first.newest:
                raise minimize.refused(
                    f"`{table.name}` stands at {table.step} = {table.newest} and `{first.name}` at {first.newest}",
                    "Tables that are optimized together have the same generations.",
                )  # fmt: skip
        if len(self.tables) > 1 and {"max_norm"} & set(minimize.options):
            raise minimize.refused("max_norm takes the gradient of one table, not of several",
                                   "Clip by value: max_delta => 1.0.", minimize.options["max_norm"])  # fmt: skip
        self.values = values(first.newest)
        self.optimizer = optimizer_of(minimize)
        self.loss = read_loss(context, minimize, first.step, self.values)
        self.setup: list[str] = []
        self._rated = False

    def expansion(self) -> Expansion:
        first = self.tables[0]
        check_fit(self.context, self.minimize, self.loss, self.tables)
        for table in self.tables:
            self._check_rate(table)
        losses = self._name_of("losses", f"{first.name}_loss")
        self._check_free(losses)
        stated: list[str] = []
        inserts: list[str] = []
        for table in self.tables:
            before, insert = self._steps_of(table)
            stated += before
            inserts.append(insert)
        self._set_up_losses(first, losses)
        step = [self._written(text) for text in (*stated, *inserts, self._loss_insert(first, losses))]
        query = self._written(
            f"{self._with(self._loss_cte())}\nSELECT {', '.join(self._loss_items())} FROM {self._loss_name}"
        )
        return Expansion(
            self.minimize, tuple(self._written(text) for text in self.setup), tuple(step), step[len(stated)], losses,
            first, self.loss, query,
        )  # fmt: skip

    def _written(self, text: str) -> Written:
        return Written(text, text, origin=self.minimize)

    # --- the loss

    @property
    def _loss_name(self) -> str:
        return self._fresh("loss")

    def _fresh(self, name: str) -> str:
        """A name for a CTE that hides no relation."""
        taken = self.loss.taken | {table.name for table in self.tables}
        while name in taken:
            name += "_1"
        return name

    def _loss_cte(self) -> str:
        return f"{self._loss_name} AS (\n{indented(self.loss.query)}\n)"

    def _with(self, *ctes: str) -> str:
        own = [self.loss.ctes] if self.loss.ctes else []
        return "WITH " + ",\n".join((*own, *ctes))

    def _loss_items(self) -> list[str]:
        name = self._loss_name
        return [f"{name}.{quoted(c)}" for c in (*self.loss.per, self.loss.column)]

    def _loss_insert(self, first: Parameters, losses: str) -> str:
        listed = ", ".join(map(quoted, (first.step, *self.loss.per, "loss")))
        items = ", ".join((":k", *self._loss_items()))
        query = f"{self._with(self._loss_cte())}\nSELECT {items}\nFROM {self._loss_name}"
        return f"INSERT INTO {quoted(losses)} ({listed})\n{query}"

    def _set_up_losses(self, first: Parameters, losses: str) -> None:
        entry = self.context.store.entries().get(losses)
        kinds = {c.name: c.sql_type for c in first.definition.columns}
        names = (first.step, *self.loss.per, "loss")
        if isinstance(entry, Version) and entry.definition.names != names:
            raise self.minimize.refused(
                f"`{losses}` is a table of other columns, not that of the losses",
                f"Give it another name: USING {self.optimizer.name}(..., losses => name).",
            )  # fmt: skip
        if isinstance(entry, Version):
            if entry.rows and self._behind(entry, first.step, first.newest):
                self.setup.append(f"DELETE FROM {quoted(losses)} WHERE {quoted(first.step)} >= {first.newest}")
            return
        columns_ = [f"{quoted(first.step)} BIGINT", *(f"{quoted(k)} {kinds[k]}" for k in self.loss.per)]
        columns_.append("loss DOUBLE NOT NULL")
        key = ", ".join(map(quoted, (first.step, *self.loss.per)))
        self.setup.append(f"CREATE TABLE {quoted(losses)} ({', '.join(columns_)}, PRIMARY KEY ({key}))")

    def _behind(self, version: Version, step: str, newest: int) -> bool:
        bounds = version.span(version.definition.names.index(step))
        return bounds is not None and bounds.high >= newest

    # --- a table of parameters

    def _steps_of(self, table: Parameters) -> tuple[list[str], str]:
        """The statement of its state, if it has one, and the INSERT of its next generation."""
        if self.optimizer.second:
            return self._second_order(table)
        state = self._name_of("state", f"{table.name}_{self.optimizer.name}", table)
        used = "clipped" if self._clips else "gradient"
        rate, rule = self._rate(table), self._rule(table.newest, used)
        if rule.moments:
            firsts = [(f"{c}_{m.name}", m.initial) for c in table.columns for m in rule.moments]
            rule = self._rule(self._set_up_state(table, state, firsts), used)
        self._rated = rule.rated
        source, slopes = self._slopes(table, masked=bool(rule.moments) or self._clips)
        ctes = self._slope_ctes(table)
        if not rule.moments and not self._clips:
            return [], self._insert(table, rule, rate, self._with(*ctes), source, slopes, None)
        gradient = self._fresh("slope")
        if (
            any(slope != f"{gradient}.{quoted(column)}" for column, slope in slopes.items())
            or self._rated
            or self._clips
        ):
            ctes.append(self._gradient_cte(table, source, slopes, rate))
            gradient = self._clipped(table, ctes)
        found = {column: f"{gradient}.{quoted(column)}" for column in table.columns}
        if not rule.moments:
            source = f"{table.sql} {join(gradient, table.sql, table.keys)}"
            return [], self._insert(table, rule, rate, self._with(*ctes), source, found, None)
        moments = self._state_insert(table, state, rule, ctes, found, gradient)
        source = f"{table.sql} {join(f'{quoted(state)} AS state', table.sql, table.keys, 'state')}"
        return [moments], self._insert(table, rule, rate, "", source, {}, "state")

    def _rule(self, base: int, gradient: str) -> Rule:
        return self.optimizer.rule(Setting(self._option_values(), count_from(base), f"{gradient}.rate"))

    def _slope_ctes(self, table: Parameters) -> list[str]:
        found = self._direct(table)
        return [self._loss_cte()] if found is None else [found]

    def _readable(self, table: Parameters) -> tuple[list[str], str] | None:
        """The items of the loss's keys and what it calls the table, where its own expression can be derived.

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

    def _direct(self, table: Parameters) -> str | None:
        """A CTE with the slope by each column, made of the loss's own query; None where that cannot be.

        It costs one pass over the rows, with all columns together.
        """
        found = self._readable(table)
        if found is None:
            return None
        keys, alias = found
        slopes = [f"grad({self.loss.expression}, {alias}.{quoted(c)}) AS {quoted(c)}" for c in table.columns]
        return self._of_the_loss(self._fresh("slope"), [*keys, *slopes])

    def _of_the_loss(self, name: str, items: Sequence[str]) -> str:
        """A CTE of the loss's rows with other items."""
        select = self.loss.select
        assert select is not None
        lines = ["SELECT " + ",\n       ".join(items), f"FROM {select.source}"]
        lines += [f"WHERE {select.where}"] if select.where else []
        lines += [f"GROUP BY {select.group}"] if select.group else []
        return f"{name} AS (\n{indented(chr(10).join(lines))}\n)"

    def _slopes(self, table: Parameters, *, masked: bool) -> tuple[str, dict[str, str]]:
        """A FROM, and column -> its gradient there: of the rows that are optimized, turned for MAXIMIZE, with decay."""
        direct = self._direct(table) is not None
        name = self._fresh("slope") if direct else self._loss_name
        source = f"{table.sql} {join(name, table.sql, self.loss.per)}"
        free = self._free(table) if masked else ""
        found = {}
        for column in table.columns:
            slope = f"{name}.{quoted(column)}" if direct else (
                f"grad({name}.{quoted(self.loss.column)}, {table.column(column)})"
            )  # fmt: skip
            slope = f"-{slope}" if self.minimize.maximize else slope
            if not self._clips:
                slope = self._decayed(table, column, slope)
            found[column] = f"CASE WHEN {free} THEN {slope} ELSE 0.0 END" if free else slope
        return source, found

    def _gradient_cte(self, table: Parameters, source: str, slopes: Mapping[str, str], rate: str) -> str:
        items = [table.column(key) for key in table.keys]
        items += [f"{slope} AS {quoted(column)}" for column, slope in slopes.items()]
        items += [f"{table.column(c)} AS {quoted(c + '_value')}" for c in table.columns if self._clips and self._decays]
        items += [f"{rate} AS rate"] if self._rated else []
        body = "SELECT " + ",\n       ".join(items)
        body += f"\nFROM {source}\nWHERE {table.column(table.step)} = :k"
        return f"gradient AS (\n{indented(body)}\n)"

    # --- clipping and decay, in optax's order: clipped, then decayed, then the optimizer

    @property
    def _clips_norm(self) -> bool:
        return "max_norm" in self.minimize.options

    @property
    def _clips(self) -> bool:
        return self._clips_norm or "max_delta" in self.minimize.options

    @property
    def _decays(self) -> bool:
        return "weight_decay" in self.minimize.options and not self.optimizer.decay

    def _decayed(self, table: Parameters, column: str, slope: str, value: str = "") -> str:
        if not self._decays:
            return slope
        return f"({slope} + {self._option_values()['weight_decay']} * {value or table.column(column)})"

    def _clipped(self, table: Parameters, ctes: list[str]) -> str:
        """Writes the CTE of the clipped gradient, where it is clipped; the name of the CTE that is to be used."""
        if not self._clips:
            return "gradient"
        options, source = self._option_values(), "gradient"
        found = {column: f"gradient.{quoted(column)}" for column in table.columns}
        if "max_delta" in options:
            most = options["max_delta"]
            found = {c: f"greatest(-{most}, least({most}, {g}))" for c, g in found.items()}
        if "max_norm" in options:
            total = " + ".join(f"SUM(power({g}, 2))" for g in found.values())
            per = [key for key in self.loss.per if key in table.keys]
            listed = "".join(f"gradient.{quoted(key)}, " for key in per)
            group = "\nGROUP BY " + ", ".join(f"gradient.{quoted(key)}" for key in per) if per else ""
            ctes.append(
                f"norm AS (\n{indented(f'SELECT {listed}sqrt({total}) AS length{chr(10)}FROM gradient{group}')}\n)"
            )
            most = options["max_norm"]
            found = {
                c: f"CASE WHEN norm.length < {most} THEN {g} ELSE {g} / norm.length * {most} END"
                for c, g in found.items()
            }
            source += " " + join("norm", "gradient", per)
        items = [f"gradient.{quoted(key)}" for key in table.keys]
        for column, slope in found.items():
            value = f"gradient.{quoted(column + '_value')}"
            items.append(f"{self._decayed(table, column, slope, value)} AS {quoted(column)}")
        items += ["gradient.rate"] if self._rated else []
        ctes.append(f"clipped AS (\n{indented(f'SELECT {listed_in_lines(items)}{chr(10)}FROM {source}')}\n)")
        return "clipped"

    # --- the statements

    def _state_insert(
        self, table: Parameters, state: str, rule: Rule, ctes: Sequence[str], slopes: Mapping[str, str],
        gradient: str,
    ) -> str:  # fmt: skip
        listed = [table.step, *table.keys, *(f"{c}_{m.name}" for c in table.columns for m in rule.moments)]
        items = [":next_step", *(f"state.{quoted(key)}" for key in table.keys)]
        for column in table.columns:
            items += [moment.new(slopes[column], _state_of(column)) for moment in rule.moments]
        return (
            f"INSERT INTO {quoted(state)} ({', '.join(map(quoted, listed))})\n{self._with(*ctes)}\n"
            f"SELECT {listed_in_lines(items)}\n"
            f"FROM {quoted(state)} AS state {join(gradient, 'state', table.keys)}\n"
            f"WHERE state.{quoted(table.step)} = :k"
        )

    def _insert(
        self, table: Parameters, rule: Rule, rate: str, ctes: str, source: str, slopes: Mapping[str, str],
        state: str | None,
    ) -> str:  # fmt: skip
        free, items = self._free(table), []
        for name in table.definition.names:
            value = table.column(name)
            if name == table.step:
                value = ":next_step"
            elif name in table.columns:
                new = self._next(table, name, rule, rate, slopes.get(name, ""))
                value = f"CASE WHEN {free} THEN {new} ELSE {value} END" if free else new
            items.append(value)
        where = f"WHERE {table.column(table.step)} = :k"
        where += f" AND {state}.{quoted(table.step)} = :next_step" if state is not None else ""
        ctes += "\n" if ctes else ""
        return (
            f"INSERT INTO {table.sql} ({', '.join(map(quoted, table.definition.names))})\n{ctes}"
            f"SELECT {listed_in_lines(items)}\nFROM {source}\n{where}"
        )

    def _next(self, table: Parameters, column: str, rule: Rule, rate: str, slope: str) -> str:
        update = rule.update(slope, _state_of(column))
        if rule.decay is not None:
            update = f"({update} + {rule.decay} * {table.column(column)})"
        return (
            f"{table.column(column)} - {update}"
            if rule.rated
            else f"{table.column(column)} - {rate} * {factor(update)}"
        )

    # --- the second order

    def _second_order(self, table: Parameters) -> tuple[list[str], str]:
        """Statements that go where the curvature says that the bottom is."""
        found, name = self._readable(table), self.optimizer.name
        if found is None:
            raise self.minimize.refused(
                f"{name} needs a loss that is one SELECT and reads `{table.name}` itself, once, a row a key",
                "As in: (SELECT AVG(power(y - (a*x + b), 2)) FROM d CROSS JOIN params WHERE step = :k).",
                self.minimize.optimizer,
            )  # fmt: skip
        keys, alias = found
        columns_, expression = [f"{alias}.{quoted(c)}" for c in table.columns], self.loss.expression
        if name == "newton":
            items = hessian(expression, columns_)
        else:
            squares = summed(expression)
            if squares is None or not squares.residual:
                raise self.minimize.refused(
                    f"{name} is for least squares, and this loss is no mean or sum of squares",
                    "As in: AVG(power(y - (a*x + b), 2)); newton takes any loss.", self.minimize.loss,
                )  # fmt: skip
            items = gauss_newton(expression, squares, columns_)
        if name == "levenberg_marquardt":
            return self._marquardt(table, keys, items)
        ctes = [self._of_the_loss("curvature", [*keys, *items])]
        ctes += solve("curvature", self.loss.per, len(columns_), self._option_values().get("damping", ""))
        falls = {c: f"direction.d_{i}" for i, c in enumerate(table.columns)}
        source = f"{table.sql} {join('direction', table.sql, self.loss.per)}"
        rule = Rule((), lambda g, m: g)
        return [], self._insert(table, rule, self._rate(table), self._with(*ctes), source, falls, None)

    def _marquardt(self, table: Parameters, keys: Sequence[str], items: Sequence[str]) -> tuple[list[str], str]:
        """Levenberg 1944, Marquardt 1963: a step that did not lower the loss is shortened, and the next is damped."""
        state, per = self._name_of("state", f"{table.name}_{self.optimizer.name}", table), self.loss.per
        firsts = [("damping", self._option_values()["damping"]), ("best_loss", "1e308")]
        firsts += [(f"{c}_{what}", quoted(c)) for c in table.columns for what in ("best", "next")]
        self._set_up_state(table, state, firsts)
        count, better = len(table.columns), "curvature.loss <= state.best_loss"
        entries = [f"g_{i}" for i in range(count)] + [f"h_{i}_{j}" for i in range(count) for j in range(i, count)]
        judged = [
            *(f"curvature.{quoted(key)}" for key in per), f"CASE WHEN {better} THEN 1 ELSE 0 END AS better",
            f"CASE WHEN {better} THEN greatest(state.damping / 10, 1e-12) ELSE state.damping * 10 END AS damping",
            "curvature.loss AS loss", *(f"curvature.{entry}" for entry in entries),
        ]  # fmt: skip
        source = f"curvature {join(f'{quoted(state)} AS state', 'curvature', per, 'state')}"
        text = f"SELECT {listed_in_lines(judged)}\nFROM {source}"
        ctes = [
            self._of_the_loss("curvature", [*keys, f"{self.loss.expression} AS loss", *items]),
            f"judged AS (\n{indented(f'{text}{chr(10)}WHERE state.{quoted(table.step)} = :k')}\n)",
            *solve("judged", per, count, "damping", ("better", "damping", "loss")),
        ]
        made = [":next_step", *(f"state.{quoted(key)}" for key in table.keys), "direction.damping"]
        made.append("CASE WHEN direction.better = 1 THEN direction.loss ELSE state.best_loss END")
        for i, c in enumerate(table.columns):
            now, best = table.column(c), f"state.{quoted(c + '_best')}"
            made.append(f"CASE WHEN direction.better = 1 THEN {now} ELSE {best} END")
            made.append(
                f"CASE WHEN direction.better = 1 THEN {now} - direction.d_{i} ELSE {best} + ({now} - {best}) / 4 END"
            )
        listed = ", ".join(map(quoted, (table.step, *table.keys, *(name for name, _ in firsts))))
        insert = (
            f"INSERT INTO {quoted(state)} ({listed})\n{self._with(*ctes)}\nSELECT {listed_in_lines(made)}\n"
            f"FROM {quoted(state)} AS state {join('direction', 'state', per)} {join(table.sql, 'state', table.keys)}\n"
            f"WHERE state.{quoted(table.step)} = :k AND {table.column(table.step)} = :k"
        )
        source = f"{table.sql} {join(f'{quoted(state)} AS state', table.sql, table.keys, 'state')}"
        falls = {c: f"({table.column(c)} - state.{quoted(c + '_next')})" for c in table.columns}
        rule = Rule((), lambda g, m: g, rated=True)
        return [insert], self._insert(table, rule, "", "", source, falls, "state")

    # --- the state

    def _set_up_state(self, table: Parameters, state: str, firsts: Sequence[tuple[str, str]]) -> int:
        """Writes the table of the moments, unless it stands where the parameters stand; the step that it began with."""
        names = (table.step, *table.keys, *(name for name, _ in firsts))
        entry = self.context.store.entries().get(state)
        if isinstance(entry, Version) and entry.definition.names == names and not self.restart:
            bounds = entry.span(0) if entry.rows else None
            if bounds is not None and bounds.high == table.newest:
                return int(bounds.low)
        if isinstance(entry, Version) and entry.definition.names[: len(table.keys) + 1] != names[: len(table.keys) + 1]:
            raise self.minimize.refused(
                f"`{state}` is a table of other columns, not that of the moments",
                f"Give it another name: USING {self.optimizer.name}(..., state => name).",
            )  # fmt: skip
        self._check_free(state)
        kinds = {c.name: c.sql_type for c in table.definition.columns}
        made = [f"{quoted(name)} {kinds[name]}" for name in (table.step, *table.keys)]
        made += [f"{quoted(name)} DOUBLE NOT NULL" for name in names[len(made) :]]
        key = ", ".join(map(quoted, (table.step, *table.keys)))
        create = "CREATE OR REPLACE TABLE" if isinstance(entry, Version) else "CREATE TABLE"
        self.setup.append(f"{create} {quoted(state)} ({', '.join(made)}, PRIMARY KEY ({key}))")
        items = ", ".join((*map(quoted, (table.step, *table.keys)), *(first for _, first in firsts)))
        where = f"WHERE {quoted(table.step)} = {table.newest}"
        self.setup.append(f"INSERT INTO {quoted(state)} SELECT {items} FROM {table.sql} {where}")
        return table.newest

    def _name_of(self, option: str, usual: str, table: Parameters | None = None) -> str:
        piece = self.minimize.options.get(option)
        if piece is None:
            return usual
        found = parse(piece.text)
        if not isinstance(found, Column) or len(found.path) != 1:
            raise self.minimize.refused(f"{option} is the name of a table, not {piece.text}", f"As in: {usual}", piece)
        if table is not None and len(self.tables) > 1:
            return f"{found.path[0]}_{table.name}"
        return found.path[0]

    def _check_free(self, name: str) -> None:
        entry = self.context.store.entries().get(name)
        if (entry is not None and not isinstance(entry, Version)) or name in {t.name for t in self.tables}:
            raise self.minimize.refused(f"`{name}` is taken by something else",
                                        "Give the table another name: state => name, losses => name.")  # fmt: skip

    # --- the user's expressions

    def _option_values(self) -> dict[str, str]:
        given = {name: wrapped(piece.text) for name, piece in self.minimize.options.items()}
        defaults = {name: value for name, value in self.optimizer.options.items() if value}
        return {**defaults, **given}

    def _rate(self, table: Parameters) -> str:
        piece = self.minimize.options.get("lr")
        if piece is None:
            return "1.0" if self.optimizer.second else "0.001"
        return self._qualified(table, piece)

    def _check_rate(self, table: Parameters) -> None:
        """A rate below zero climbs, and of a NULL one comes a parameter that is NULL."""
        piece, rate = self.minimize.options.get("lr"), self._rate(table)
        text = (
            f"SELECT COUNT(*) FILTER (WHERE {rate} IS NULL) AS without, MIN({rate}) AS least FROM {table.sql}\n"
            f"WHERE {quoted(table.step)} = {table.newest}"
        )
        (row,) = self.context.prepare(self._written(text)).run(self.values).to_arrow_table().to_pylist()
        if row["without"]:
            raise self.minimize.refused(f"lr is NULL in {row['without']} rows of `{table.name}`",
                                        "Give every row a rate: CASE ... ELSE 0.01 END.", piece)  # fmt: skip
        if row["least"] is not None and row["least"] < 0:
            raise self.minimize.refused(f"lr is {row['least']:g}, which is below zero",
                                        "Write MAXIMIZE to climb.", piece)  # fmt: skip

    def _free(self, table: Parameters) -> str:
        piece = self.minimize.where
        return "" if piece is None else self._qualified(table, piece)

    def _qualified(self, table: Parameters, piece: Piece) -> str:
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


def _state_of(column: str) -> Old:
    return lambda moment: f"state.{quoted(f'{column}_{moment}')}"
