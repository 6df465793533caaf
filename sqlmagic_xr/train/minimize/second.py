"""Optimizers of the second order, for few parameters: the Hessian, or that of least squares, and one linear solve.

The solve is Gauss's elimination without pivoting, written out: a CTE for each column. That is stable for what is
positive definite, which the matrices of a minimum and of least squares are; what is not shows as a division by zero,
and the run says that it diverged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...sql.expression import Call, Expression, Literal, parse, to_sql
from .text import cte, listed_in_lines, quoted


@dataclass(frozen=True)
class Summed:
    """A loss that is the mean or the sum of a number of each row.

    Attributes:
        aggregate: "avg" or "sum".
        term: SQL of the number.
        residual: SQL of what is squared, where the number is a square; else "".
    """

    aggregate: str
    term: str
    residual: str


def summed(expression: str) -> Summed | None:
    """A loss's expression taken apart; None where it is not the mean or the sum of a number of each row.

    >>> summed("AVG(power(y - a * x, 2))")
    Summed(aggregate='avg', term='power(y - a * x, 2)', residual='y - a * x')
    """
    found = parse(expression)
    if not isinstance(found, Call) or found.name not in ("avg", "mean", "sum") or len(found.args) != 1:
        return None
    if found.distinct or found.filter is not None or found.window is not None or found.order is not None:
        return None
    (term,) = found.args
    residual = _squared(term)
    return Summed("sum" if found.name == "sum" else "avg", to_sql(term), "" if residual is None else to_sql(residual))


def _squared(term: Expression) -> Expression | None:
    if not isinstance(term, Call) or len(term.args) != 2:
        return None
    base, other = term.args
    if term.name in ("power", "pow") and isinstance(other, Literal) and other.value == 2:
        return base
    return base if term.name == "*" and base == other else None


def hessian(expression: str, columns: Sequence[str]) -> list[str]:
    """Select items with the slopes and the second derivatives of a loss, by columns as SQL writes them."""
    items = [f"grad({expression}, {c}) AS g_{i}" for i, c in enumerate(columns)]
    return items + [
        f"grad(grad({expression}, {a}), {b}) AS h_{i}_{j}"
        for i, a in enumerate(columns) for j, b in enumerate(columns) if j >= i
    ]  # fmt: skip


def gauss_newton(expression: str, loss: Summed, columns: Sequence[str]) -> list[str]:
    """The same for least squares: the Hessian without the residual's own curvature (Gauss)."""
    items = [f"grad({expression}, {c}) AS g_{i}" for i, c in enumerate(columns)]
    return items + [
        f"{loss.aggregate.upper()}({products(loss, a, b, 2)}) AS h_{i}_{j}"
        for i, a in enumerate(columns) for j, b in enumerate(columns) if j >= i
    ]  # fmt: skip


def products(loss: Summed, a: str, b: str, factor: int = 1) -> str:
    """The product of a residual's slopes by two columns; of no row whose residual is NULL."""
    times = f"{factor} * " if factor != 1 else ""
    made = f"{times}grad({loss.residual}, {a}) * grad({loss.residual}, {b})"
    return f"CASE WHEN ({loss.residual}) IS NOT NULL THEN {made} END"


def solve(
    source: str, name: str, keys: Sequence[str], count: int, damping: str, carried: Sequence[str] = ()
) -> list[str]:  # fmt: skip
    """CTEs that solve ``h d = g`` for each key; the last has ``d_0``, ``d_1``, ...

    Args:
        source: the relation with ``g_i`` and ``h_i_j``, ``j >= i``.
        name: what the last is to be called.
        keys: its keys.
        count: how many unknowns.
        damping: SQL of what is added to the diagonal, as a share of it; "" for nothing.
        carried: other columns that the last CTE shall have.
    """
    ctes, names = [], list(map(quoted, (*keys, *carried)))
    entries = [(i, j) for i in range(count) for j in range(i, count)]
    if damping:
        items = [*names, *(f"g_{i}" for i in range(count))]
        items += [f"h_{i}_{j} * (1 + {damping}) AS h_{i}_{j}" if i == j else f"h_{i}_{j}" for i, j in entries]
        ctes.append(_cte("damped", items, source))
        source = "damped"
    for k in range(count - 1):
        items = [*names, *(f"g_{i}" for i in range(k + 1))]
        items += [f"g_{i} - h_{k}_{i} / h_{k}_{k} * g_{k} AS g_{i}" for i in range(k + 1, count)]
        items += [
            f"h_{i}_{j}" if i <= k else f"h_{i}_{j} - h_{k}_{i} / h_{k}_{k} * h_{k}_{j} AS h_{i}_{j}"
            for i, j in entries
        ]
        ctes.append(_cte(f"eliminated_{k}", items, source))
        source = f"eliminated_{k}"
    for k in reversed(range(count)):
        known = "".join(f" - h_{k}_{j} * d_{j}" for j in range(k + 1, count))
        left = [f"g_{i}" for i in range(k)] + [f"h_{i}_{j}" for i, j in entries if i < k]
        items = [*names, *left, *(f"d_{j}" for j in range(k + 1, count)), f"(g_{k}{known}) / h_{k}_{k} AS d_{k}"]
        source, last = (f"solved_{k}" if k else name), source
        ctes.append(_cte(source, items, last))
    return ctes


def _cte(name: str, items: Sequence[str], source: str) -> str:
    return cte(name, f"SELECT {listed_in_lines(items)}\nFROM {source}")
