"""What functions SQL has here: the engine's, and the derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from datafusion import SessionContext

FunctionKind = Literal["scalar", "aggregate", "window", "derivative"]


@dataclass(frozen=True)
class Function:
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
    Function("grad", "grad(expression, column)", "derivative", "The derivative of an expression in a column."),
    Function(
        "jvp", "jvp(expression, column, tangent, ...)", "derivative", "The derivative along the tangents of columns."
    ),
    Function(
        "vjp", "vjp(expression, column, cotangent)", "derivative", "The derivative in a column, times a cotangent."
    ),
)


def functions(session: SessionContext) -> Mapping[str, Function]:
    """Every function by name. It takes the engine about 90 ms to list them: keep the answer."""
    found = {f.name: f for f in DERIVATIVES}
    kinds: tuple[tuple[FunctionKind, list[str]], ...] = (
        ("window", session.udwfs()),
        ("aggregate", session.udafs()),
        ("scalar", session.udfs()),
    )
    for kind, names in kinds:
        found |= {name: Function(name, f"{name}(...)", kind) for name in names if name not in found}
    for name, description, example in _described(session):
        if name in found:
            known = found[name]
            found[name] = Function(name, _signature(name, example), known.kind, description.split("\n")[0])
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
    return line if line.lower().startswith(name) else f"{name}(...)"
