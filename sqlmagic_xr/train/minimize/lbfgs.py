"""L-BFGS with a backtracking line search, as optax has them: ``optax.lbfgs`` with ``scale_by_backtracking_linesearch``.

The direction is the two-loop recursion over the last differences of parameters and gradients (Nocedal 1980, Liu and
Nocedal 1989), a CTE for each turn of a loop; their inner products are windows over the rows of a key. The line search
takes the first of some step lengths, each shorter than the one before, that lowers the loss enough (Armijo 1966). SQL
has no loop, so the loss is evaluated at all of them at once: where optax would stop earlier, the same one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import SqlError
from ...sql.syntax import identifier, parse_one
from ...storage.transaction import View
from .beside import set_up_state
from .generation import generation, kept
from .gradient import joined_gradient
from .parameters import ParameterTable
from .problem import Problem
from .text import count_from, cte, join, listed_in_lines, quoted


def quasi_newton(problem: Problem, table: ParameterTable, setup: list[str]) -> tuple[list[str], str]:
    """The statement of the direction and of what it remembers, and the INSERT of the next generation.

    Args:
        problem: whose they are.
        table: the parameters.
        setup: takes what is run once before.

    Raises:
        UsageError: the loss is not the same one at each step, or cannot be evaluated elsewhere.
    """
    if problem.batched:
        raise problem.minimize.refused(
            "lbfgs compares the gradients of one loss from step to step, and of each batch the loss is another",
            "Leave out BATCH, or take adam.", problem.minimize.batch,
        )  # fmt: skip
    if len(problem.tables) > 1:
        raise problem.minimize.refused("lbfgs takes the columns of one table, not of several",
                                       "Put the parameters into one table.", problem.minimize.optimizer)  # fmt: skip
    memory = _whole(problem, "memory_size", 1)
    name = problem.name_of("state", f"{table.name}_{problem.optimizer.name}", table)
    firsts = [(column, "0.0") for column in _Memory(problem, table, memory).remembered]
    begun = set_up_state(problem, table, name, firsts, setup).begun
    found = _Memory(problem, table, memory)
    return [found.statement(name, begun)], _search(problem, table, name)


def _whole(problem: Problem, option: str, least: int) -> int:
    text = problem.options[option].strip("()")
    if not text.isdecimal() or int(text) < least:
        piece = problem.minimize.options[option]
        raise problem.minimize.refused(f"{option} is a whole number from {least} on, not {piece.text}",
                                       f"As in: {option} => 10", piece)  # fmt: skip
    return int(text)


class _Memory:
    """Writes the direction: minus the gradient, multiplied by what the last steps tell of the inverse Hessian.

    Of each column that is optimized the state has its value and slope at the newest generation but one, the direction
    taken from there, and the differences of values and of slopes between the generations before, the newest first.
    """

    def __init__(self, problem: Problem, table: ParameterTable, memory: int) -> None:
        self.problem, self.table, self.memory = problem, table, memory
        self.state = problem.fresh("state")

    @property
    def remembered(self) -> list[str]:
        """The columns of the state."""
        whole = [f"{c}_{what}" for c in self.table.columns for what in ("value", "slope", "direction")]
        return whole + [
            f"{c}_{what}_{j}" for what in ("moved", "bent") for c in self.table.columns
            for j in range(1, self.memory + 1)
        ]  # fmt: skip

    def statement(self, name: str, begun: int) -> str:
        """The INSERT of the next generation of the state.

        Args:
            name: the table of the state.
            begun: the generation that it began with.
        """
        table, columns = self.table, (self.table.step, *self.table.keys, *self.remembered)
        found = joined_gradient(self.problem, table)
        ctes = [
            *found.ctes,
            self._pairs(name, found.name, found.slopes, f"{count_from(begun)} > 1"),
            self._weighed(begun),
        ]
        ctes += [self._back(j) for j in range(1, self.memory + 1)]
        ctes += [self._forth(j) for j in range(self.memory, 0, -1)]
        items = [":next_step", *(quoted(key) for key in table.keys)]
        items += [
            f"-{self._vector(c, 'forth', 1)}" if column == f"{c}_direction" else quoted(column)
            for column, c in self._columns()
        ]
        return (
            f"INSERT INTO {quoted(name)} ({', '.join(map(quoted, columns))})\n{self.problem.with_ctes(*ctes)}\n"
            f"SELECT {listed_in_lines(items)}\nFROM {self._name('forth', 1)}"
        )

    def _columns(self) -> list[tuple[str, str]]:
        """Each column of the state with the one of the parameters that it belongs to."""
        return [(f"{c}_{what}", c) for c in self.table.columns for what in ("value", "slope", "direction")] + [
            (f"{c}_{what}_{j}", c) for what in ("moved", "bent") for c in self.table.columns
            for j in range(1, self.memory + 1)
        ]  # fmt: skip

    def _name(self, what: str, number: int) -> str:
        return self.problem.fresh(f"{what}_{number}")

    def _vector(self, column: str, what: str, number: int) -> str:
        return quoted(f"{column}_{what}_{number}")

    def _dot(self, pairs: list[tuple[str, str]]) -> str:
        """SQL of an inner product: over the columns, and over the rows that have a loss together."""
        products = " + ".join(f"{a} * {b}" for a, b in pairs)
        per = self.problem.loss.per
        if set(self.table.keys) <= set(per):
            return f"({products})"
        return f"SUM({products}) OVER ({'PARTITION BY ' + ', '.join(map(quoted, per)) if per else ''})"

    def _pairs(self, name: str, gradient: str, slopes: Mapping[str, str], later: str) -> str:
        """The gradient, and the differences since the last step before those that are remembered."""
        table, state = self.table, self.state
        items = [f"{state}.{quoted(key)}" for key in table.keys]
        for c in table.columns:
            value, slope = table.column(c), slopes[c]
            items += [f"{value} AS {quoted(c + '_value')}", f"{slope} AS {quoted(c + '_slope')}"]
            for what, now in (("moved", value), ("bent", slope)):
                before = quoted(f"{c}_{'value' if what == 'moved' else 'slope'}")
                items.append(f"{kept(later, f'{now} - {state}.{before}', '0.0')} AS {self._vector(c, what, 1)}")
                items += [
                    f"{state}.{self._vector(c, what, j - 1)} AS {self._vector(c, what, j)}"
                    for j in range(2, self.memory + 1)
                ]
        source = f"{quoted(name)} AS {state} {join(gradient, state, table.keys)} {join(table.sql, state, table.keys)}"
        where = f"WHERE {state}.{quoted(table.step)} = :k AND {table.column(table.step)} = :k"
        return cte(self.problem.fresh("pairs"), f"SELECT {listed_in_lines(items)}\nFROM {source}\n{where}")

    def _weighed(self, begun: int) -> str:
        """The weight of each pair, and what the identity is scaled by: at first so that the step is not above one."""
        columns = self.table.columns
        items = ["*"]
        for j in range(1, self.memory + 1):
            product = self._dot([(self._vector(c, "bent", j), self._vector(c, "moved", j)) for c in columns])
            items.append(f"COALESCE(1.0 / NULLIF({product}, 0.0), 0.0) AS weight_{j}")
        if self.problem.flag("scale_init_precond"):
            product = self._dot([(self._vector(c, "bent", 1), self._vector(c, "moved", 1)) for c in columns])
            squares = self._dot([(self._vector(c, "bent", 1), self._vector(c, "bent", 1)) for c in columns])
            length = self._dot([(quoted(f"{c}_slope"), quoted(f"{c}_slope")) for c in columns])
            later = f"COALESCE({product} / NULLIF({squares}, 0.0), 1.0)"
            first = f"(CASE WHEN {length} > 1.0 THEN 1.0 / sqrt({length}) ELSE 1.0 END)"
            items.append(f"{kept(f'{count_from(begun)} > 1', later, first)} AS scale")
        source = self.problem.fresh("pairs")
        return cte(self.problem.fresh("weighed"), f"SELECT {listed_in_lines(items)}\nFROM {source}")

    def _back(self, j: int) -> str:
        """A turn of the first loop: from the newest pair to the oldest."""
        items, found = ["*"], []
        for c in self.table.columns:
            vector = quoted(f"{c}_slope") if j == 1 else self._vector(c, "back", j - 1)
            if j > 1:
                last = quoted(f"{c}_slope") if j == 2 else self._vector(c, "back", j - 2)
                vector = f"({last} - alpha_{j - 1} * {self._vector(c, 'bent', j - 1)})"
                items.append(f"{vector} AS {self._vector(c, 'back', j - 1)}")
            found.append((self._vector(c, "moved", j), vector))
        items.append(f"weight_{j} * {self._dot(found)} AS alpha_{j}")
        source = self.problem.fresh("weighed") if j == 1 else self._name("back", j - 1)
        return cte(self._name("back", j), f"SELECT {listed_in_lines(items)}\nFROM {source}")

    def _forth(self, j: int) -> str:
        """A turn of the second loop: from the oldest pair to the newest; the last has the vector."""
        scale = "scale * " if self.problem.flag("scale_init_precond") else ""
        vectors = {}
        for c in self.table.columns:
            if j == self.memory:
                last = quoted(f"{c}_slope") if j == 1 else self._vector(c, "back", j - 1)
                vectors[c] = f"{scale}({last} - alpha_{j} * {self._vector(c, 'bent', j)})"
            else:
                vectors[c] = self._vector(c, "forth", j + 1)
        beta = self._dot([(self._vector(c, "bent", j), f"({v})" if scale else v) for c, v in vectors.items()])
        items = ["*"]
        for c, vector in vectors.items():
            items.append(
                f"{vector} + (alpha_{j} - weight_{j} * {beta}) * {self._vector(c, 'moved', j)} AS "
                f"{self._vector(c, 'forth', j)}"
            )
        source = self._name("back", self.memory) if j == self.memory else self._name("forth", j + 1)
        return cte(self._name("forth", j), f"SELECT {listed_in_lines(items)}\nFROM {source}")


def _search(problem: Problem, table: ParameterTable, name: str) -> str:
    """The INSERT of the parameters: the first step length that lowers the loss by enough of what the slope promises."""
    options, per, state = problem.options, problem.loss.per, problem.fresh("state")
    beside = f"{quoted(name)} AS {state}"
    count = _whole(problem, "max_backtracking_steps", 0) + 1
    lengths, shorter = [options["lr"]], options["decrease_factor"]
    lengths += [f"{lengths[0]} * power({shorter}, {number})" for number in range(1, count)]
    trials = [problem.fresh(f"trial_{number}") for number in range(count)]
    sign = "-" if problem.minimize.maximize else ""
    promised = " + ".join(f"{state}.{quoted(c + '_direction')} * {state}.{quoted(c + '_slope')}" for c in table.columns)
    keys = [f"{state}.{quoted(key)}" for key in per]
    promise = problem.fresh("promise")
    body = f"SELECT {', '.join([*keys, f'SUM({promised}) AS slope'])}\nFROM {beside}\n"
    body += f"WHERE {state}.{quoted(table.step)} = :next_step" + (f"\nGROUP BY {', '.join(keys)}" if keys else "")
    ctes = [problem.loss_cte, cte(promise, body)]
    for trial, length in zip(trials, lengths, strict=True):
        query = trial_of(problem, table, f"{beside} ", length)
        items = [*(f"tried.{quoted(key)}" for key in per), f"{sign}tried.{quoted(problem.loss.column)} AS loss"]
        ctes.append(cte(trial, f"SELECT {', '.join(items)} FROM (\n{query}\n) AS tried"))
    cases = []
    for trial, length in zip(trials, lengths, strict=True):
        low = f"{trial}.loss <= {sign}{problem.loss_column} + {length} * {options['slope_rtol']} * {promise}.slope"
        cases.append(f"WHEN {low} THEN {length}")
    cases.append(f"WHEN {trials[-1]}.loss - {trials[-1]}.loss = 0 THEN {lengths[-1]} ELSE 0.0 END AS length")
    items = [*(f"{promise}.{quoted(key)}" for key in per), "CASE " + "\n            ".join(cases)]
    source = " ".join([promise, *(join(other, promise, per) for other in (problem.loss_name, *trials))])
    searched = problem.fresh("searched")
    ctes.append(cte(searched, f"SELECT {', '.join(items)}\nFROM {source}"))
    new = {c: f"{table.column(c)} + {searched}.length * {state}.{quoted(c + '_direction')}" for c in table.columns}
    source = f"{table.sql} {join(beside, table.sql, table.keys, state)} {join(searched, table.sql, per)}"
    now = f"{state}.{quoted(table.step)} = :next_step"
    return generation(problem, table, new, ctes=problem.with_ctes(*ctes), source=source, where=now)


def trial_of(problem: Problem, table: ParameterTable, beside: str, length: str) -> str:
    """The loss as a query in which the parameters stand one step further: a CTE takes the place of their table."""
    state, items = problem.fresh("state"), []
    for name in table.definition.names:
        value = table.column(name)
        if name in table.columns:
            value = f"{value} + {length} * {state}.{quoted(name + '_direction')} AS {quoted(name)}"
        items.append(value)
    moved = (
        f"SELECT {listed_in_lines(items)}\nFROM {table.sql} {join(beside.strip(), table.sql, table.keys, state)}\n"
        f"WHERE {table.column(table.step)} = :k AND {state}.{quoted(table.step)} = :next_step"
    )
    query = problem.loss.query
    if problem.loss.ctes:
        query = f"WITH {problem.loss.ctes}\nSELECT * FROM (\n{query}\n) AS loss"
    ctes = [cte(table.sql, moved), *(cte(quoted(view.name), view.text) for view in _views(problem, table))]
    whole = f"WITH {', '.join(ctes)}\n"
    return (
        f"{whole}SELECT * FROM (\n{query}\n) AS there" if query.upper().lstrip().startswith("WITH") else whole + query
    )


def _views(problem: Problem, table: ParameterTable) -> list[View]:
    """The views through which the loss reads a table, each behind those that it reads itself."""
    entries, found = problem.context.store.entries(), dict[str, View]()

    def reach(reads: list[tuple[str, ...]]) -> bool:
        reached = False
        for parts in reads:
            entry = entries.get(parts[-1])
            through = isinstance(entry, View) and reach(list(entry.reads))
            if through and isinstance(entry, View):
                found.setdefault(entry.name, entry)
            here = parts[-1] == table.name or through
            if here and len(parts) > 1:
                raise _qualified(problem, parts)
            reached = reached or here
        return reached

    query = parse_one(f"{problem.with_ctes(problem.loss_cte)} SELECT * FROM {problem.loss_name}")
    reach([tuple(map(identifier, parts)) for parts in problem.context.reads(query.tree)])
    return list(found.values())


def _qualified(problem: Problem, parts: tuple[str, ...]) -> SqlError:
    return problem.minimize.refused(
        f"lbfgs evaluates the loss at other parameters, and cannot where it reads `{'.'.join(parts)}` by its schema",
        f"Write {parts[-1]}.", problem.minimize.optimizer,
    )  # fmt: skip
