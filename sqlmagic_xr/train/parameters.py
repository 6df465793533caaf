"""The parameters of a run: what is given, what a person tunes, what follows a schedule, and the loop's own."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SqlError, TypeMismatchError, UsageError
from ..sql.parameters import parameter_names
from .events import Range
from .expression import RepeatedExpression
from .settings import Settings
from .steps.together import CLOCK, Courses

if TYPE_CHECKING:
    from ..engine.context import Context
    from ..engine.prepared import Prepared

LOOP = ("k", "step", "next_step", "seed", "random")
"""The loop's own: the newest generation (twice), the one to make, the run's seed, a number in [0, 1) for the step."""

_COUNTED = 2**63 - 2
"""As far as steps are counted ahead: the end of such a range, which lies behind its last number, is a BIGINT, too."""


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """From the step after ``generation`` on, the parameter ``name`` is ``value``."""

    generation: int
    name: str
    value: Any


class Parameters:
    """The values of every parameter at every step.

    Args:
        context: evaluates the schedules, and knows the notebook's variables.
        settings: what is given, tuned and scheduled; and the seed, which with the step decides ``:random``.

    Raises:
        UsageError: a name stands for two things, or a value lies outside its range.
    """

    def __init__(self, context: Context, settings: Settings) -> None:
        _check_names(settings)
        self.tunable = dict(settings.tune)
        self.seed = secrets.randbits(32) if settings.seed is None else settings.seed
        self._given = dict(settings.params)
        namespace = context.variables.namespace
        self._variables: Mapping[str, Any] = namespace() if namespace is not None else {}
        for name, values in settings.tune.items():
            self._given[name] = _within(name, values, self._given.get(name, self._variables.get(name, values.middle)))
        self._schedule = {
            name: RepeatedExpression(context, text, f"the schedule of {name}")
            for name, text in settings.schedule.items()
        }
        self._random = True  # until it is known whether anything reads it

    @property
    def varying(self) -> frozenset[str]:
        """The names whose value may differ from step to step; the seed stays."""
        return frozenset(LOOP) - {"seed"} | set(self.tunable) | set(self._schedule)

    def read(self, statements: Iterable[Prepared]) -> None:
        """Note what the statements of the run read, and keep the notebook's variables as they are now.

        Raises:
            UsageError: nothing reads a parameter that is tuned or scheduled.
        """
        prepared = [*statements, *(e.prepared for e in self._schedule.values())]
        names = {name for p in prepared if p.tree is not None for name in parameter_names(p.tree)}
        for name in (*self.tunable, *self._schedule):
            if name not in names:
                how = "tuned" if name in self.tunable else "scheduled"
                raise UsageError(f"{name} is {how}, but nothing in the cell reads :{name}")
        self._random = "random" in names
        for name in sorted(names - set(LOOP) - set(self._given) - set(self._schedule)):
            if name in self._variables:
                self._given[name] = self._variables[name]

    def set(self, name: str, value: float) -> None:
        """Give a tuned parameter another value."""
        self._given[name] = value

    def at(self, generation: int) -> dict[str, Any]:
        """The values for the step that follows ``generation``."""
        values = {**self._given, "k": generation, "step": generation, "next_step": generation + 1, "seed": self.seed}
        if self._random:
            # A generator for each step, so that a run that is continued draws what an uninterrupted one would have.
            values["random"] = float(np.random.default_rng(_entropy(self.seed, generation)).random())
        for name, expression in self._schedule.items():
            values[name] = _scalar(name, expression, values)
        return values

    @property
    def moving(self) -> frozenset[str]:
        """The names whose value differs from step to step, whatever a person does."""
        return frozenset(LOOP) - {"seed"} - (frozenset() if self._random else {"random"}) | set(self._schedule)

    def courses(self, generation: int, count: int) -> Courses:
        """The values for several steps, the first of which follows ``generation``; for fewer where one has none."""
        values = self.at(generation)
        others = [name for name in self.moving if name not in CLOCK]
        count = max(min(count, _COUNTED - generation), 0)
        along: dict[str, Sequence[Any]] = {}
        if others:
            found = [values][:count]
            with suppress(SqlError):  # the step that is to have it says so, if it is ever made
                for number in range(1, count):
                    found.append(self.at(generation + number))
            count = len(found)
            along = {name: [each[name] for each in found] for name in others}
        now, following = range(generation, generation + count), range(generation + 1, generation + count + 1)
        return Courses(values, {**along, "k": now, "step": now, "next_step": following}, generation)

    @contextmanager
    def as_given(self, given: Mapping[str, Any]) -> Iterator[None]:
        """Within this block the values are those that were given at another time."""
        now, self._given = self._given, dict(given)
        try:
            yield
        finally:
            self._given = now

    @property
    def given(self) -> Mapping[str, Any]:
        """The values that are given, as they are now."""
        return dict(self._given)

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of all values, those that a person set: not the loop's own."""
        return {name: value for name, value in values.items() if name not in LOOP}


def _check_names(settings: Settings) -> None:
    for name in (*settings.params, *settings.tune, *settings.schedule):
        if name in LOOP:
            hint = "Use --seed." if name == "seed" else "Give yours another name."
            raise UsageError(f":{name} is set by the training loop itself", hint=hint)
    for name in settings.schedule:
        if name in settings.tune or name in settings.params:
            other = "tuned" if name in settings.tune else "given as a value"
            raise UsageError(f"{name} is both scheduled and {other}", hint="Leave one of them out.")


def _within(name: str, values: Range, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeMismatchError(f"{name} is tuned, so it has to be a number, not a {type(value).__name__}")
    if not values.holds(float(value)):
        raise UsageError(f"{name} = {value:g} lies outside its range {values.low:g}:{values.high:g}")
    return float(value)


def _scalar(name: str, expression: RepeatedExpression, values: Mapping[str, Any]) -> Any:
    value = expression.value(values)
    if value is None:
        raise UsageError(f"the schedule of {name} gives no value at step {values['step']}")
    return value


def _entropy(seed: int, generation: int) -> list[int]:
    """What the draw of a generation begins from; NumPy takes no negative numbers, and generations may be some."""
    return [seed, generation] if generation >= 0 else [seed, -generation, 1]
