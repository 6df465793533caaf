"""The functions of cells, in NumPy: the one place that another array library would replace.

Each gives what DataFusion gives once its faults are mended, or refuses the data: ``-0.0 = 0.0``, integers divide
towards zero, ``round`` goes away from zero, zero has no negative power.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .grid import Array
from .node import Refused

DTYPES: Mapping[str, Any] = {
    "boolean": np.bool_, "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64, "float32": np.float32,
    "float64": np.float64, "date": np.int32, "timestamp[s]": np.int64, "timestamp[ms]": np.int64,
    "timestamp[us]": np.int64, "timestamp[ns]": np.int64,
    "label": np.int64,
}  # fmt: skip

_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def total_order(cells: Array) -> Array:
    """Integers in the order of float64s that tells -0.0 from 0.0; NaN is refused: its sign is the processor's whim."""
    if np.isnan(cells).any():
        raise Refused("a NaN is compared")
    bits = cells.view(np.int64)
    return np.asarray(bits ^ ((bits >> 63) & _MAGNITUDE))


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A comparison of float64s, in which zeros of either sign are equal."""

    def apply(left: Any, right: Any) -> Any:
        if np.isnan(left).any() or np.isnan(right).any():
            raise Refused("a NaN is compared")
        return compare(left, right)

    return apply


def _divide_integers(left: Any, right: Any) -> Any:
    _refuse_division(left, right)
    quotient = np.floor_divide(left, right)
    return quotient + ((quotient < 0) & (quotient * right != left))


def _remainder_of_integers(left: Any, right: Any) -> Any:
    _refuse_division(left, right)
    return np.fmod(left, right)


def _refuse_division(left: Any, right: Any) -> None:
    if isinstance(right, np.integer) and int(right) not in (0, -1):  # as it is nearly always
        return
    if (right == 0).any():
        raise Refused("an integer is divided by zero")
    if ((right == -1) & (left == np.iinfo(left.dtype).min)).any():
        raise Refused("an integer overflows")


def _overflowing(
    calculate: Any, exact: Callable[[int, int], int], wraps: Callable[[Any, Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """An operator of integers that are refused where they wrap around: DataFusion's query fails then.

    Args:
        calculate: the operator on arrays.
        exact: on Python's numbers, which know no limit: of two single numbers it is ten times as quick.
        wraps: tells of the arguments and the result where it has wrapped around.
    """

    def apply(left: Any, right: Any) -> Any:
        if type(left) is np.int64 and type(right) is np.int64:
            number = exact(int(left), int(right))
            if not -(2**63) <= number < 2**63:
                raise Refused("an integer overflows")
            return np.int64(number)
        result = calculate(left, right)
        if np.any(wraps(left, right, result)):
            raise Refused("an integer overflows")
        return result

    return apply


def _product_wraps(left: Any, right: Any, product: Any) -> Any:
    size = np.abs(np.multiply(left, right, dtype=np.float64))
    # Nearer to the limit the size is not known so well: there the division tells.
    near = size >= 2.0 ** (8 * product.dtype.itemsize - 1) * 0.999
    if not np.any(near):
        return False
    lowest = np.iinfo(product.dtype).min
    divided = np.floor_divide(product, np.where(right == 0, 1, right))
    return near & ((size > 2.0**64) | (divided != left) | ((right == -1) & (left == lowest)))


def _negative_integer(cells: Any) -> Any:
    if np.any(cells == np.iinfo(cells.dtype).min):
        raise Refused("an integer overflows")
    return np.negative(cells)


def _abs(cells: Any) -> Any:
    if cells.dtype.kind == "i" and (cells == np.iinfo(cells.dtype).min).any():
        raise Refused("an integer overflows")
    return np.abs(cells)


def _round(cells: Any) -> Any:
    """To the nearest integer, halves away from zero; the constant is the largest number below a half."""
    return np.trunc(cells + np.copysign(0.49999999999999994, cells))


def _trunc(cells: Any) -> Any:
    return np.where(cells == 0, 0.0, np.trunc(cells))


def _signum(cells: Any) -> Any:
    return np.where(cells == 0, 0.0, np.sign(cells))


def _to_integer(dtype: Any) -> Callable[[Any], Any]:
    """A cast that DataFusion fails where the value does not fit."""
    limits = np.iinfo(dtype)

    def cast(cells: Any) -> Any:
        if cells.dtype.kind == "f":
            # The limits are powers of two, so that these comparisons are exact.
            if not ((cells > float(limits.min) - 1) & (cells < float(limits.max) + (limits.bits < 53))).all():
                raise Refused("a number does not fit an integer")
        elif cells.dtype.kind != "b" and ((cells < limits.min) | (cells > limits.max)).any():
            raise Refused("a number does not fit an integer")
        return cells.astype(dtype)

    return cast


def _power(base: Any, exponent: Any) -> Any:
    """C's pow; NumPy takes the square root for 0.5, which differs at -inf and at -0.0."""
    result = np.power(base, exponent)
    if np.ndim(exponent) == 0 and exponent == 0.5:
        return np.where(base == -np.inf, np.inf, result + 0.0)
    return result


def _power_unless_zero(base: Any, exponent: Any) -> Any:
    """A power whose exponent may be negative."""
    negative = exponent < 0
    if negative.any() and (negative & (base == 0)).any():
        raise Refused("zero is raised to a negative power")
    return _power(base, exponent)


def _larger(left: Any, right: Any) -> Any:
    result = np.maximum(left, right)
    return np.where(_at_least(left, right), left, right) if _is_delicate(result) else result


def _smaller(left: Any, right: Any) -> Any:
    result = np.minimum(left, right)
    return np.where(_at_least(left, right), right, left) if _is_delicate(result) else result


def _is_delicate(extremes: Any) -> bool:
    """Whether there is a NaN, or a zero, whose sign NumPy does not look at."""
    return not bool(np.logical_and(extremes == extremes, extremes != 0).all())


def _at_least(left: Any, right: Any) -> Any:
    return total_order(left) >= total_order(right)  # of two zeros GREATEST takes 0.0, and LEAST -0.0


COMPARISONS: Mapping[str, Any] = {
    "=": np.equal, "<>": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip

UNARY: Mapping[str, Any] = {
    "exp": np.exp, "ln": np.log, "log": np.log10, "log10": np.log10, "log2": np.log2, "sqrt": np.sqrt,
    "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "degrees": np.degrees, "radians": np.radians,
    "floor": np.floor, "ceil": np.ceil, "round": _round, "trunc": _trunc, "signum": _signum,
}  # fmt: skip
"""SQL's functions of one float64 that give a float64."""

MAPS: Mapping[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "negative": np.negative,
    "integer +": _overflowing(np.add, operator.add, lambda a, b, c: ((a ^ c) & (b ^ c)) < 0),
    "integer -": _overflowing(np.subtract, operator.sub, lambda a, b, c: ((a ^ b) & (a ^ c)) < 0),
    "integer *": _overflowing(np.multiply, operator.mul, _product_wraps), "integer negative": _negative_integer,
    "integer /": _divide_integers, "integer %": _remainder_of_integers,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not,
    "&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor,
    "where": np.where, "abs": _abs, "power": _power, "power unless zero": _power_unless_zero, "square": np.square,
    "atan2": np.arctan2,
    "isnan": np.isnan, "larger": _larger, "smaller": _smaller, "larger integer": np.maximum,
    "smaller integer": np.minimum,
    **COMPARISONS, **{f"float {name}": _compared(function) for name, function in COMPARISONS.items()}, **UNARY,
    "to boolean": lambda cells: cells != 0,
    "to int32": _to_integer(np.int32), "to int64": _to_integer(np.int64),
    "to float32": lambda cells: cells.astype(np.float32), "to float64": lambda cells: cells.astype(np.float64),
}  # fmt: skip
"""What a node of operation ``map`` does, by the name in its ``data``."""
