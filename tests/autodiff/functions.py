"""Functions whose derivatives of order 3 are measured, by kind; tests and the benchmark read them."""
# ruff: noqa: E501 - a row of a table is one line

from sqlmagic_xr.sql.syntax import walk

NAMES = ("sin", "tanh", "exp", "atan")


def chain(length, column="x", names=NAMES):
    """A function of a function of ... a column."""
    text = column
    for i in range(length):
        text = f"{names[i % len(names)]}({text})"
    return text


def nested(text, order, column="x"):
    """The derivative of that order."""
    for _ in range(order):
        text = f"grad({text}, {column})"
    return text


def growth(sql, text):
    """The characters of ``SELECT <derivative> AS g FROM d`` as it is written, its CTEs included, but not those of
    ``SELECT AS g FROM d``, over the characters of the function."""
    return (len(sql) - len("SELECT  AS g FROM d")) / len(text)


def operations(tree):
    """How many functions, operators, CASEs and CASTs a statement's tree has, its CTEs included."""
    kinds = ("BinaryOp", "UnaryOp", "Function", "Case", "Cast")
    return sum(kind in node for node in walk(tree) for kind in kinds)


# kind -> (how many times the function's characters order 3 may have, the functions)
FUNCTIONS = {
    "polynomials": (1, ["1 + 2 * x + 3 * x * x - 4 * x * x * x + power(x, 5)", "((2 * x - 1) * x + 3) * x + power(x, 4)"]),
    "ratios": (10, ["(1 + x + x * x) / (1 - 2 * x + 3 * x * x)", "(1 + power(x, 3)) / (2 + power(x, 2))", "1 / (1 + x * x)"]),
    "steps": (13, [
        "tanh(x)", "tanh(x * y)", "1 / (1 + exp(-x))", "1 / (1 + exp(-(x * y + 1)))", "ln(1 + exp(x))", "x / (1 + exp(-x))",
        "0.5 * x * (1 + tanh(0.79788 * (x + 0.044715 * x * x * x)))", "tanh(0.3 + 0.5 * tanh(0.1 + 0.7 * tanh(x * y)))",
    ]),
    "densities and losses": (7, [
        "exp(-x * x / 2)", "exp(-(x - y) * (x - y) / 2) / sqrt(2 * 3.14159)", "ln(1 + exp(-y * x))", "sqrt(1 + x * x)",
        "-(y * ln(1 / (1 + exp(-x))) + (1 - y) * ln(1 - 1 / (1 + exp(-x))))", "sqrt(x * x + y * y)", "ln(x * x + y * y)",
        "CASE WHEN abs(x) < 1 THEN 0.5 * x * x ELSE abs(x) - 0.5 END",
    ]),
    "products": (11, [
        "sin(x * y) * exp(x) / (1 + x * x)", "sin(x) * cos(x) * exp(x) * ln(1 + x)", "x * x * x * y * y * exp(x * y)",
        "sin(x) * cos(y) + x * y * exp(x * y)",
        "tanh(x) * sin(x * y) + exp(-x * x) * sqrt(1 + y * y) + ln(2 + cos(x)) * atan(x * y) + power(x, 3) / (1 + abs(y))",
    ]),
    "one function": (16, [
        "tan(x)", "cot(x)", "atan(x)", "atan2(x, y)", "asin(x)", "asinh(x)", "atanh(x)", "acosh(1 + x)", "cbrt(x)",
        "x * ln(x)", "log(2, x)", "log(1.5 + x, y)",
    ]),
    "chains of sums and functions": (14, [chain(10, names=("1 + 2 * sin", "0.5 + tanh"))]),
    "chains of up to five functions": (20, [chain(n) for n in (2, 3, 4, 5)]),
    # A link such as sin() is 5 characters; its three derivatives alone, in names of one letter, are 100.
    "longer chains of bare functions": (27, [
        chain(10), chain(20), chain(40), chain(10, names=("sin",)), chain(10, names=("tanh",)),
        chain(10, names=("sqrt", "exp", "cosh", "asinh", "atan")),
    ]),
    # 0 to an exponent below 0, which a column may be, is Infinity: that is said once, whatever the order.
    "a power by a column": (20, ["power(x, y)"]),
    # Each order asks again where the base or the exponent is 0.
    "a power of the variable by the variable": (75, ["power(x, x)"]),
}  # fmt: skip
