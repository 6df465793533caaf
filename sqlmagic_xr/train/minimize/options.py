"""USING: which optimizer, and whether its options fit."""

from __future__ import annotations

from ...errors import suggest
from ...sql.expression import columns, parse
from .optimizers import OPTIMIZERS, Optimizer, options_of
from .statement import Minimize


def optimizer_of(minimize: Minimize) -> Optimizer:
    """The optimizer that a statement names, its options looked through.

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
        if option not in ("lr", "state", "losses") and columns(parse(f"(\n{value.text}\n)")):
            raise minimize.refused(f"{option} is one number for all rows, so it reads no column",
                                   "Write a number or a parameter: 0.9, :b1. lr may read columns.", value)  # fmt: skip
    if piece is not None and not optimizer.second and "lr" not in minimize.options:
        raise minimize.refused(f"{name} needs a learning rate", f"As in: USING {name}(lr => 0.01)", piece)
    return optimizer
