"""What a fit says besides its parameters: standard errors, covariance and correlation, from the Hessian at its end.

A loss that is the mean or the sum of squares is least squares: the covariance is the residuals' variance times the
inverse of J'J, as scipy's ``curve_fit`` has it. Any other mean or sum is taken for the negative logarithm of a
likelihood, whose covariance is the inverse of its Hessian (Fisher's observed information); what was maximized, for the
logarithm itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import UsageError
from ...sql.syntax import parse_one
from ..steps.remote import is_for_cluster
from .loss import Loss
from .parameters import ParameterTable
from .second import Summed, products, summed
from .text import quoted

if TYPE_CHECKING:
    import xarray as xr

    from ...engine.context import Context


@dataclass(frozen=True)
class Fit:
    """The end of a fit.

    Attributes:
        parameters: the names of the parameters, in the order of the arrays.
        keys: key of PER -> its values, one for each model; empty where there is one model.
        values: the parameters, a row for each model.
        covariances: their covariance, a matrix for each model; NaN where the Hessian has no inverse, or there are no
            more rows than parameters.
        rows: how many rows each model was fitted to.
    """

    parameters: tuple[str, ...]
    keys: Mapping[str, pa.ChunkedArray]
    values: npt.NDArray[np.float64]
    covariances: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]

    @property
    def standard_errors(self) -> npt.NDArray[np.float64]:
        """The square roots of the variances; NaN where one is negative, which a minimum has not."""
        variances = np.diagonal(self.covariances, axis1=1, axis2=2)
        return np.sqrt(np.where(variances >= 0, variances, np.nan))

    @property
    def correlations(self) -> npt.NDArray[np.float64]:
        """The covariances as shares of the standard errors."""
        errors = self.standard_errors
        with np.errstate(divide="ignore", invalid="ignore"):
            found: npt.NDArray[np.float64] = self.covariances / (errors[:, :, None] * errors[:, None, :])
        return found

    @property
    def table(self) -> pa.Table:
        """A row for each parameter of each model: ``parameter``, ``value``, ``standard_error``."""
        count = len(self.parameters)
        columns = {name: values.take(_repeated(len(self.values), count)) for name, values in self.keys.items()}
        columns["parameter"] = pa.array(list(self.parameters) * len(self.values))
        columns["value"] = pa.array(self.values.ravel())
        columns["standard_error"] = pa.array(self.standard_errors.ravel())
        return pa.table(columns)

    @property
    def covariance(self) -> pa.Table:
        """A row for each pair of parameters of each model, with ``covariance`` and ``correlation``."""
        count = len(self.parameters)
        columns = {name: values.take(_repeated(len(self.values), count**2)) for name, values in self.keys.items()}
        columns["parameter"] = pa.array([p for p in self.parameters for _ in self.parameters] * len(self.values))
        columns["other"] = pa.array(list(self.parameters) * count * len(self.values))
        columns["covariance"] = pa.array(self.covariances.ravel())
        columns["correlation"] = pa.array(self.correlations.ravel())
        return pa.table(columns)

    def to_dataset(self) -> xr.Dataset:
        """``value`` and ``standard_error`` along the keys and ``parameter``, ``covariance`` along ``other`` as well."""
        import xarray as xr

        names = list(self.parameters)
        found = xr.Dataset(
            {
                "value": (("model", "parameter"), self.values),
                "standard_error": (("model", "parameter"), self.standard_errors),
                "covariance": (("model", "parameter", "other"), self.covariances),
                "correlation": (("model", "parameter", "other"), self.correlations),
                "rows": (("model",), self.rows),
            },
            coords={"parameter": names, "other": names},
        )
        if not self.keys:
            return found.isel(model=0)
        keyed = found.assign_coords({name: ("model", values.to_numpy()) for name, values in self.keys.items()})
        return keyed.set_index(model=list(self.keys)).unstack("model") if len(self.keys) > 1 else keyed.swap_dims(
            model=next(iter(self.keys))
        )  # fmt: skip

    def __repr__(self) -> str:
        if len(self.values) > 1:
            return f"Fit({len(self.values):,} models of {', '.join(self.parameters)})"
        pairs = zip(self.parameters, self.values[0], self.standard_errors[0], strict=True)
        return "Fit(" + ", ".join(f"{name} = {value:.6g} ± {error:.2g}" for name, value, error in pairs) + ")"


def fit(
    context: Context, loss: Loss, table: ParameterTable, values: Mapping[str, Any], *, maximize: bool = False
) -> Fit:  # fmt: skip
    """What a fit says at a generation.

    Args:
        context: where the tables are.
        loss: what was minimized.
        table: the parameters.
        values: every parameter of the statement, ``:k`` being the generation.
        maximize: whether it was maximized, as a likelihood is.

    Raises:
        UsageError: the loss is not the mean or the sum of a number of each row.
    """
    alias, found = loss.alias_of(table.name), summed(loss.expression) if loss.expression else None
    if loss.whole is None or not loss.whole.plain or alias is None or found is None:
        raise UsageError(
            "a fit needs a loss that is the mean or the sum of a number of each row, and reads its parameters itself",
            hint="As in: SELECT AVG(power(y - (a*x + b), 2)) FROM d CROSS JOIN params WHERE step = :k",
        )
    columns = [f"{alias}.{quoted(name)}" for name in table.columns]
    select = loss.whole
    items = [item for place, item in enumerate(select.items) if place != loss.place]
    asked = {"n": f"COUNT({found.term})", "total": f"SUM({found.term})", **_curvature(found, columns)}
    asked |= {f"p_{i}": f"MAX({column})" for i, column in enumerate(columns)}
    mark = _mark(loss.per)
    items += [f"{measure} AS {mark}{name}" for name, measure in asked.items()]
    text = f"WITH {loss.ctes}\n" if loss.ctes else ""
    text += f"SELECT {', '.join(items)}\nFROM {select.source}" + (f"\nWHERE {select.where}" if select.where else "")
    text += f"\nGROUP BY {select.group}" if select.group else ""
    prepared = context.prepare(parse_one(text))
    there = prepared.tree is not None and is_for_cluster(context, prepared.tree["Query"])
    rows = prepared.run(values, "auto" if there else "relational").to_arrow_table()
    if loss.per:  # the engine gives groups in any order
        rows = rows.sort_by([(name, "ascending") for name in loss.per])
    return _fit_of(rows, loss, found, table.columns, -1.0 if maximize else 1.0)


def _mark(keys: Sequence[str]) -> str:
    """What the names of measures begin with, so that none is that of a key."""
    mark = "fit_"
    while any(key.startswith(mark) for key in keys):
        mark += "_"
    return mark


def _curvature(found: Summed, columns: list[str]) -> dict[str, str]:
    def second(a: str, b: str) -> str:
        return f"SUM({products(found, a, b)})" if found.residual else f"grad(grad(SUM({found.term}), {a}), {b})"

    pairs = ((i, j) for i in range(len(columns)) for j in range(i, len(columns)))
    return {f"h_{i}_{j}": second(columns[i], columns[j]) for i, j in pairs}


def _fit_of(rows: pa.Table, loss: Loss, found: Summed, names: tuple[str, ...], sign: float) -> Fit:
    mark = _mark(loss.per)

    def numbers(name: str) -> npt.NDArray[np.float64]:
        return np.asarray(rows[mark + name].cast(pa.float64()).to_numpy(), np.float64)

    size = len(names)
    curvature = np.empty((rows.num_rows, size, size))
    for i in range(size):
        for j in range(i, size):
            curvature[:, i, j] = curvature[:, j, i] = sign * numbers(f"h_{i}_{j}")
    count = numbers("n")
    inverse = _inverse(curvature)
    if found.residual:
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.where(count > size, numbers("total") / (count - size), np.nan)
        inverse *= variance[:, None, None]
    values = np.stack([numbers(f"p_{i}") for i in range(size)], axis=1)
    keys = {name: rows[name] for name in loss.per}
    return Fit(names, keys, values, inverse, count.astype(np.int64))


def _inverse(matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The inverse of each matrix, scaled to a diagonal of ones first; NaN of one that has none."""
    scale = np.sqrt(np.abs(np.diagonal(matrices, axis1=1, axis2=2)))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = matrices / (scale[:, :, None] * scale[:, None, :])
    sound = np.isfinite(scaled).all(axis=(1, 2))
    sound[sound] = np.linalg.cond(scaled[sound]) < 1 / np.finfo(float).eps
    found = np.full_like(matrices, np.nan)
    found[sound] = np.linalg.inv(scaled[sound]) / (scale[sound][:, :, None] * scale[sound][:, None, :])
    return found


def _repeated(models: int, times: int) -> pa.Array:
    return pa.array(np.repeat(np.arange(models), times))
