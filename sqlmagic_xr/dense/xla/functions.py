"""The functions of cells in JAX: what :mod:`..arrays` is in NumPy, and what it would refuse is a flag.

A program of XLA cannot end in the middle: a function that NumPy refuses for some cells says so by a truth value, which
comes back with the step (:class:`Kit`). XLA takes ``x + 0.0`` for ``x``: a zero's sign is chosen by a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..arrays import DTYPES
from ..node import Refused, Type

_LARGEST = 100_000_000  # cells of a product that is formed


class Kit:
    """What the functions of one step have in common.

    Args:
        precision: the type of the floats.

    Attributes:
        real: that type.
        flags: what NumPy would have refused, as truth values.
    """

    def __init__(self, precision: Any = np.float64) -> None:
        self.real = np.dtype(precision).type
        self._bits = np.int64 if self.real is np.float64 else np.int32
        self.flags: list[Any] = []

    def dtype(self, kind: Type) -> Any:
        """The type of cells in arrays."""
        return self.real if kind == "float64" else DTYPES[kind]

    def flag(self, bad: Any) -> None:
        """Note a truth value: true where NumPy would have refused."""
        self.flags.append(bad)

    def order(self, cells: Any) -> Any:
        """Integers in the order of floats that tells -0.0 from 0.0; a NaN has no place."""
        self.flag(jnp.any(jnp.isnan(cells)))
        bits = lax.bitcast_convert_type(cells, self._bits)
        wide = self._bits(8 * np.dtype(self._bits).itemsize - 1)
        return bits ^ ((bits >> wide) & self._bits(np.iinfo(self._bits).max))

    def unsigned(self, cells: Any) -> Any:
        """Floats without negative zeros."""
        return jnp.where(cells == 0, self.real(0), cells)


def functions(kit: Kit) -> Mapping[str, Callable[..., Any]]:
    """What a node of operation ``map`` does, by the name in its ``data``."""
    real = kit.real
    return {
        "+": jnp.add, "-": jnp.subtract, "*": jnp.multiply, "/": jnp.divide, "%": jnp.fmod, "negative": jnp.negative,
        "and": jnp.logical_and, "or": jnp.logical_or, "not": jnp.logical_not,
        "&": jnp.bitwise_and, "|": jnp.bitwise_or, "^": jnp.bitwise_xor,
        "where": jnp.where, "square": jnp.square, "atan2": jnp.arctan2, "isnan": jnp.isnan,
        "larger integer": jnp.maximum, "smaller integer": jnp.minimum,
        "to boolean": lambda cells: cells != 0,
        "to float32": lambda cells: cells.astype(np.float32), "to float64": lambda cells: cells.astype(real),
        **_comparisons(kit), **_unary(kit), **_integers(kit), **_powers(kit), **_chosen(kit),
    }  # fmt: skip


def _comparisons(kit: Kit) -> dict[str, Callable[..., Any]]:
    plain = {
        "=": jnp.equal, "<>": jnp.not_equal, "<": jnp.less, "<=": jnp.less_equal, ">": jnp.greater,
        ">=": jnp.greater_equal,
    }  # fmt: skip

    def of_floats(compare: Callable[..., Any]) -> Callable[..., Any]:
        def apply(left: Any, right: Any) -> Any:
            kit.flag(jnp.any(jnp.isnan(left)) | jnp.any(jnp.isnan(right)))
            return compare(left, right)

        return apply

    return {**plain, **{f"float {name}": of_floats(function) for name, function in plain.items()}}


def _unary(kit: Kit) -> dict[str, Callable[..., Any]]:
    zero, below_half = kit.real(0), np.nextafter(kit.real(0.5), kit.real(0))
    return {
        "exp": jnp.exp, "ln": jnp.log, "log": jnp.log10, "log10": jnp.log10, "log2": jnp.log2, "sqrt": jnp.sqrt,
        "cbrt": jnp.cbrt, "sin": jnp.sin, "cos": jnp.cos, "tan": jnp.tan, "asin": jnp.arcsin, "acos": jnp.arccos,
        "atan": jnp.arctan, "sinh": jnp.sinh, "cosh": jnp.cosh, "tanh": jnp.tanh, "asinh": jnp.arcsinh,
        "acosh": jnp.arccosh, "atanh": jnp.arctanh, "degrees": jnp.degrees, "radians": jnp.radians,
        "floor": jnp.floor, "ceil": jnp.ceil,
        "round": lambda cells: jnp.trunc(cells + jnp.copysign(below_half, cells)),
        "trunc": lambda cells: jnp.where(cells == 0, zero, jnp.trunc(cells)),
        "signum": lambda cells: jnp.where(cells == 0, zero, jnp.sign(cells)),
    }  # fmt: skip


def _integers(kit: Kit) -> dict[str, Callable[..., Any]]:
    def division(divide: Callable[..., Any]) -> Callable[..., Any]:
        def apply(left: Any, right: Any) -> Any:
            kit.flag(jnp.any(right == 0) | jnp.any((right == -1) & (left == np.iinfo(left.dtype).min)))
            return divide(left, jnp.where(right == 0, 1, right))

        return apply

    def towards_zero(left: Any, right: Any) -> Any:
        quotient = jnp.floor_divide(left, right)
        return quotient + ((quotient < 0) & (quotient * right != left))

    def overflowing(calculate: Callable[..., Any], wraps: Callable[..., Any]) -> Callable[..., Any]:
        def apply(left: Any, right: Any) -> Any:
            result = calculate(left, right)
            kit.flag(jnp.any(wraps(left, right, result)))
            return result

        return apply

    def product_wraps(left: Any, right: Any, product: Any) -> Any:
        size = jnp.abs(jnp.asarray(left, np.float64) * jnp.asarray(right, np.float64))
        return size >= 2.0 ** (8 * np.dtype(product.dtype).itemsize - 1) * 0.999  # NumPy looks closer

    def negative(cells: Any) -> Any:
        kit.flag(jnp.any(cells == np.iinfo(cells.dtype).min))
        return jnp.negative(cells)

    def absolute(cells: Any) -> Any:
        if np.dtype(cells.dtype).kind == "i":
            kit.flag(jnp.any(cells == np.iinfo(cells.dtype).min))
        return jnp.abs(cells)

    return {
        "integer +": overflowing(jnp.add, lambda a, b, c: ((a ^ c) & (b ^ c)) < 0),
        "integer -": overflowing(jnp.subtract, lambda a, b, c: ((a ^ b) & (a ^ c)) < 0),
        "integer *": overflowing(jnp.multiply, product_wraps), "integer negative": negative,
        "integer /": division(towards_zero), "integer %": division(jnp.fmod), "abs": absolute,
        "to int32": _to_integer(kit, np.int32), "to int64": _to_integer(kit, np.int64),
    }  # fmt: skip


def _to_integer(kit: Kit, dtype: Any) -> Callable[[Any], Any]:
    limits = np.iinfo(dtype)

    def cast(cells: Any) -> Any:
        kind = np.dtype(cells.dtype).kind
        if kind == "f":
            fits = (cells > float(limits.min) - 1) & (cells < float(limits.max) + (limits.bits < 53))
            kit.flag(~jnp.all(fits))
        elif kind == "u" and np.dtype(cells.dtype).itemsize == 8:
            kit.flag(jnp.any(cells > np.uint64(limits.max)))
        elif kind != "b" and np.dtype(cells.dtype).itemsize > np.dtype(dtype).itemsize:
            kit.flag(jnp.any((cells < limits.min) | (cells > limits.max)))
        return cells.astype(dtype)

    return cast


def _powers(kit: Kit) -> dict[str, Callable[..., Any]]:
    def power(base: Any, exponent: Any) -> Any:
        result = jnp.power(base, exponent)
        if isinstance(exponent, np.generic) and exponent == 0.5:
            return jnp.where(base == -np.inf, kit.real(np.inf), kit.unsigned(result))
        return result

    def unless_zero(base: Any, exponent: Any) -> Any:
        kit.flag(jnp.any((exponent < 0) & (base == 0)))
        return power(base, exponent)

    return {"power": power, "power unless zero": unless_zero}


def _chosen(kit: Kit) -> dict[str, Callable[..., Any]]:
    def at_least(left: Any, right: Any) -> Any:
        return kit.order(left) >= kit.order(right)

    return {
        "larger": lambda left, right: jnp.where(at_least(left, right), left, right),
        "smaller": lambda left, right: jnp.where(at_least(left, right), right, left),
    }


def refuse_empty(cells: Any, places: Sequence[int] | range) -> None:
    """Refuse what an aggregate of nothing would be, and a product that is too large.

    Args:
        cells: what is added.
        places: the axes along which it is.
    """
    if any(cells.shape[place] == 0 for place in places):
        raise Refused("the input of an aggregate is empty")
    if prod(cells.shape) > _LARGEST:
        raise Refused(f"a product of {prod(cells.shape):,} cells")
