"""USING: which optimizer, and whether its options fit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import SqlError, suggest
from ...sql.expression import Literal, columns, parse
from ..expression import RepeatedExpression
from .optimizers import OPTIMIZERS, Optimizer, options_of
from .statement import Excerpt, Minimize

if TYPE_CHECKING:
    from ...engine.context import Context

_NAMES = ("state", "losses")  # of tables
_JUDGED_APART = ("lr", *_NAMES, "memory_size", "max_backtracking_steps")  # each where it is used


def optimizer_of(context: Context, minimize: Minimize, values: Mapping[str, Any]) -> Optimizer:
    """The optimizer that a statement names, its options looked through.

    Args:
        context: where it runs.
        minimize: the statement.
        values: the parameters of the first step.

    Raises:
        UsageError: there is none of that name, or an option does not fit.
    """
    piece = minimize.optimizer
    name = "adam" if piece is None else piece.text.lower()
    if name not in OPTIMIZERS:
        raise minimize.refused(f"there is no optimizer {name}", suggest(name, OPTIMIZERS) or "", piece)
    optimizer = OPTIMIZERS[name]
    for option, value in minimize.options.items():
        if option not in options_of(name):
            raise minimize.refused(
                f"{name} has no option {option}", f"It has: {', '.join(options_of(name))}", value
            )  # fmt: skip
        if option in optimizer.flags and value.text.lower() not in ("true", "false"):
            raise minimize.refused(f"{option} is TRUE or FALSE, not {value.text}", f"As in: {option} => TRUE", value)
        if option not in ("lr", *_NAMES) and columns(parse(f"(\n{value.text}\n)")):
            raise minimize.refused(f"{option} is one number for all rows, so it reads no column",
                                   "Write a number or a parameter: 0.9, :b1. lr may read columns.", value)  # fmt: skip
        if option not in (*_JUDGED_APART, *optimizer.flags):
            _check_number(context, minimize, option, value, values)
    if piece is not None and not optimizer.second and "lr" not in minimize.options:
        raise minimize.refused(f"{name} needs a learning rate", f"As in: USING {name}(lr => 0.01)", piece)
    return optimizer


def _check_number(
    context: Context, minimize: Minimize, option: str, piece: Excerpt, values: Mapping[str, Any]
) -> None:  # fmt: skip
    """Look whether an option is a number; the engine would say it of a statement that the user has not written."""
    found = parse(f"(\n{piece.text}\n)")
    try:  # a number is one without being planned
        number = found.value if isinstance(found, Literal) else RepeatedExpression(context, piece.text, option).value(
            values
        )  # fmt: skip
    except SqlError as error:
        error.text, error.statement, error.span = piece.script, None, piece.span
        raise minimize.statement.place(error, piece.span) from None
    if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
        shown = "NULL" if number is None else repr(number)
        raise minimize.refused(f"{option} is {shown}, which is no number", f"As in: {option} => 0.9", piece)
