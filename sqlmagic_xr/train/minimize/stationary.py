"""Whether Newton's method has ended where it was to: it goes to the nearest point without a slope, of any kind."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...autodiff.rewrite import differentiate
from ...errors import DerivativeError, FitWarning
from ...sql.expression import columns, parse
from ...sql.syntax import Statement
from .evaluation import evaluated
from .problem import Problem
from .second import hessian, summed
from .text import join, listed_in_lines, quoted

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...engine.context import Context
    from .expand import Expansion

_ROUNDING = 1e-8  # of an eigenvalue, where the diagonal is ones


def curvature_query(problem: Problem) -> Statement | None:
    """What gives the Hessian of each model at a generation; None where it can only be the right one.

    That is so of every optimizer but Newton's, which all go down, and of squares of what is linear in the parameters.
    """
    (table, *others), loss = problem.tables, problem.loss
    found = None if problem.optimizer.name != "newton" or others else problem.readable(table)
    if found is None or loss.whole is None:
        return None
    keys, alias = found
    squares = summed(loss.expression)
    residual = "" if squares is None or problem.minimize.maximize else squares.residual
    if residual and _is_linear(residual, table.columns):
        return None
    name, places = problem.fresh("curvature"), [f"{alias}.{quoted(c)}" for c in table.columns]
    items = hessian(loss.expression, places)[len(places) :]
    ends = [*(quoted(key) for key in loss.per), *(item.rsplit(" AS ", 1)[1] for item in items)]
    free = problem.free(table)
    text = f"SELECT {listed_in_lines([f'{name}.{end}' for end in ends])}\nFROM {name}"
    if free:  # the others stay where they are, whatever is there
        text += f" {join(table.sql, name, loss.per)}\nWHERE {table.column(table.step)} = :k AND {free}"
    return problem.written(f"{problem.with_ctes(problem.of_the_loss(name, [*keys, *items], whole=True))}\n{text}")


@lru_cache(maxsize=64)
def _is_linear(residual: str, names: tuple[str, ...]) -> bool:
    """Whether no slope of an expression by some columns, however it spells them, mentions one of them."""
    read = [".".join(map(quoted, path)) for path in columns(parse(residual)) if path[-1] in names]
    try:
        slopes = [columns(parse(differentiate(residual, column))) for column in read]
    except DerivativeError:
        return False
    return not any(path[-1] in names for slope in slopes for path in slope)


def misled(context: Context, expansion: Expansion, values: Mapping[str, Any]) -> str:
    """What a run has come to instead of what was asked, in a line; "" where the curvature is right.

    Args:
        context: where the tables are.
        expansion: the MINIMIZE.
        values: its parameters, ``:k`` being the generation.
    """
    if expansion.curvature is None:
        return ""
    per = expansion.loss.per
    rows = evaluated(context, context.prepare(expansion.curvature), values)
    sign = -1 if expansion.minimize.maximize else 1
    bends = _bends(sign * _matrices(rows.select(range(len(per), rows.num_columns)), len(expansion.table.columns)))
    wrong = np.flatnonzero(bends[:, 0] < -_ROUNDING)
    if not len(wrong):
        return ""
    wanted, other = ("maximum", "minimum") if expansion.minimize.maximize else ("minimum", "maximum")
    there = f"a {other}" if (bends[wrong, -1] < -_ROUNDING).all() else "a saddle"
    if not per:
        return f"that is no {wanted} but {there}, by its Hessian"
    keys = ", ".join(f"{key} = {rows[place][int(wrong[0])].as_py()}" for place, key in enumerate(per))
    kind = there if len(wrong) == 1 or there != "a saddle" else "a saddle or a " + other
    return f"{len(wrong):,} of {len(bends):,} models are at no {wanted} but at {kind}, by their Hessian ({keys})"


def warn(table: str, generation: int, found: str) -> None:
    """Tell whoever has no line of the run's end before the eyes."""
    warnings.warn(
        f"`{table}` at step {generation}: {found}. newton goes to the nearest point without a slope, of any kind: "
        "begin elsewhere, or take lbfgs, or levenberg_marquardt for least squares.",
        FitWarning, stacklevel=2,
    )  # fmt: skip


def _matrices(entries: pa.Table, size: int) -> npt.NDArray[np.float64]:
    """The Hessians, from the columns of their upper triangles."""
    found = np.empty((entries.num_rows, size, size))
    for (i, j), column in zip(zip(*np.triu_indices(size), strict=True), entries.columns, strict=True):
        found[:, i, j] = found[:, j, i] = column.cast(pa.float64()).to_numpy()
    return found


def _bends(matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The eigenvalues of each matrix, scaled to a diagonal of ones, which changes no sign; NaN of what is no number."""
    scale = np.sqrt(np.abs(np.diagonal(matrices, axis1=1, axis2=2)))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = matrices / scale[:, :, None] / scale[:, None, :]
    found = np.full(scale.shape, np.nan)
    sound = np.isfinite(scaled).all(axis=(1, 2))
    found[sound] = np.linalg.eigvalsh(scaled[sound])
    return found
