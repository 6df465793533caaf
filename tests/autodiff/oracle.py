"""An independent autodiff: SQL expressions evaluated by autograd, which knows nothing of our rules."""

import autograd.numpy as np
from autograd import elementwise_grad

from sqlmagic_xr.sql.expression import Call, Case, Cast, Column, Literal, parse

FUNCTIONS = {
    "+": lambda a, b: a + b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "-": lambda a, b=None: -a if b is None else a - b,
    "%": lambda a, b: a - b * trunc(a / b),
    "power": lambda a, b: a**b, "pow": lambda a, b: a**b,
    "sqrt": np.sqrt, "cbrt": lambda a: np.sign(a) * np.abs(a) ** (1 / 3), "abs": np.abs,
    "exp": np.exp, "ln": np.log, "log2": np.log2, "log10": np.log10,
    "log": lambda a, b=None: np.log10(a) if b is None else np.log(b) / np.log(a),
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "cot": lambda a: 1 / np.tan(a),
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "degrees": lambda a: a * (180 / np.pi), "radians": lambda a: a * (np.pi / 180),
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "signum": np.sign, "floor": np.floor, "ceil": np.ceil, "trunc": lambda a, digits=None: trunc(a),
    "round": lambda a, digits=None: np.floor(a + 0.5),
    "greatest": lambda *args: fold(np.maximum, args), "least": lambda *args: fold(np.minimum, args),
    "coalesce": lambda *args: fold(lambda a, b: np.where(np.isnan(a), b, a), args),
    "nvl2": lambda a, b, c: np.where(np.isnan(a), c, b),
    "nullif": lambda a, b: np.where(a == b, np.nan, a),
    "nanvl": lambda a, b: np.where(np.isnan(a), b, a),
    ">": lambda a, b: a > b, "<": lambda a, b: a < b, "=": lambda a, b: a == b,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b,
}  # fmt: skip


def trunc(a):
    return np.sign(a) * np.floor(np.abs(a))


def fold(function, args):
    value = args[0]
    for arg in args[1:]:
        value = function(value, arg)
    return value


def evaluate(node, columns):
    """The value of an expression, given arrays for its columns."""
    match node:
        case Literal():
            return float(node.value)
        case Column():
            return columns[node.name]
        case Cast():
            return evaluate(node.value, columns)
        case Call():
            return FUNCTIONS[node.name](*(evaluate(arg, columns) for arg in node.args))
        case Case():
            value = evaluate(node.default, columns)
            for condition, result in reversed(node.branches):
                asked = condition if node.operand is None else Call("=", (node.operand, condition))
                value = np.where(evaluate(asked, columns), evaluate(result, columns), value)
            return value
    raise TypeError(node)


def derivative(text, column, columns, order=1):
    """The derivative of an expression by a column at every row of ``columns``."""
    node = parse(text)
    size = len(next(iter(columns.values())))

    def function(values):
        return evaluate(node, {**columns, column: values}) * np.ones(size)

    for _ in range(order):
        function = elementwise_grad(function)
    return function(columns[column])
