"""Training steps without the loop around them: what a step costs, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.steps.arrays import ArrayExecutor
from sqlmagic_xr.train.steps.plan import PlannedStep
from sqlmagic_xr.train.steps.step import Step, VerbatimStep

How = Literal["auto", "relational", "verbatim"]
VARYING = frozenset({"k", "step", "next_step"})


def step_of(context: Context, statements: Sequence[str], *, writes: Collection[str], how: How = "auto") -> Step:
    """A step of these statements: as the loop runs it, planned for DataFusion alone, or as they stand."""
    prepared = [context.prepare(parse_one(statement)) for statement in statements]
    if how == "verbatim":
        return VerbatimStep(prepared)
    executors = [ArrayExecutor(context)] if how == "auto" else []
    return PlannedStep(prepared, writes=writes, varying=VARYING, executors=executors)


def run_steps(context: Context, step: Step, first: int, count: int, **parameters: Any) -> None:
    """``count`` steps from generation ``first`` on, each committed."""
    for k in range(first, first + count):
        with context.transaction():
            step.run({"k": k, "step": k, "next_step": k + 1, **parameters})
