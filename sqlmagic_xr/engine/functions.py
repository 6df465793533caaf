"""What functions SQL has here: the engine's, and the derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from datafusion import SessionContext

from ..relation.functions import Function as Row
from ..relation.functions import Kind, fixed
from .moving import is_ours

FunctionKind = Literal["scalar", "aggregate", "window", "derivative"]


@dataclass(frozen=True)
class DescribedFunction:
    """A function as a person needs to know it.

    Attributes:
        name: in lower case.
        signature: how it is called: ``date_trunc(precision, expression)``; its name and ``(...)`` where the engine
            does not say.
        kind: what it works on.
        description: one sentence, or "".
    """

    name: str
    signature: str
    kind: FunctionKind
    description: str = ""


DERIVATIVES = (
    DescribedFunction("grad", "grad(expression, column)", "derivative", "The derivative of an expression in a column."),
    DescribedFunction(
        "jvp", "jvp(expression, column, tangent, ...)", "derivative", "The derivative along the tangents of columns."
    ),
    DescribedFunction(
        "vjp", "vjp(expression, column, cotangent)", "derivative", "The derivative in a column, times a cotangent."
    ),
)


_ARROW = {
    "Float64": "double", "Float32": "float", "Utf8": "string", "Boolean": "bool",
    **{f"{sign}Int{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def row_of(session: SessionContext | None, name: str, kind: Kind) -> Row | None:
    """What is known of a function that a session was given: in doubt it is another value at each call.

    Args:
        session: that session; None where it is gone, and its functions with it.
        name: the function's.
        kind: what it was registered as.
    """
    if session is None:
        return None
    unknown = Row(name, kind, varies="call", given=True)
    asked = "SELECT is_deterministic, data_type FROM information_schema.routines WHERE routine_name = $name"
    try:
        found = SessionContext.sql(session, asked, param_values={"name": name}).to_arrow_table().to_pylist()
    except Exception:  # information_schema is switched off
        return unknown
    if not found or not all(row["is_deterministic"] for row in found):
        return unknown
    types = {row["data_type"] for row in found}
    result = _ARROW.get(types.pop()) if len(types) == 1 else None
    return Row(name, kind, given=True) if result is None else Row(name, kind, result=fixed(result), given=True)


def functions(session: SessionContext) -> Mapping[str, DescribedFunction]:
    """Every function by name. It takes the engine about 90 ms to list them: keep the answer."""
    found = {f.name: f for f in DERIVATIVES}
    kinds: tuple[tuple[FunctionKind, list[str]], ...] = (
        ("window", session.udwfs()),
        ("aggregate", session.udafs()),
        ("scalar", session.udfs()),
    )
    for kind, names in kinds:
        found |= {
            name: DescribedFunction(name, f"{name}(...)", kind)
            for name in names
            if name not in found and not is_ours(name)
        }
    for name, description, example in _described(session):
        if name in found:
            known = found[name]
            found[name] = DescribedFunction(name, _signature(name, example), known.kind, description.split("\n")[0])
    return dict(sorted(found.items()))


def _described(session: SessionContext) -> list[tuple[str, str, str]]:
    """Name, description and example of the functions that document themselves, where the engine tells."""
    try:
        table = SessionContext.sql(session, "SHOW FUNCTIONS").to_arrow_table()
    except Exception:  # information_schema is switched off
        return []
    columns = table.select(["function_name", "description", "syntax_example"]).to_pydict().values()
    return [row for row in zip(*columns, strict=True) if all(row)]


def _signature(name: str, example: str) -> str:
    line = example.strip().split("\n")[0].strip()
    called, opening, rest = line.partition("(")
    if called.lower() == name:
        return line
    # Another name of the same function: covar is shown as covar_samp.
    return f"{name}({rest}" if opening and called.lower().startswith(name) else f"{name}(...)"
