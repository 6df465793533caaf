"""The units of a curve's columns, as far as the data says them and the query keeps them."""

from __future__ import annotations

from ..engine.catalog import Catalog
from ..sql.syntax import Tree, identifier, name_of, walk

_KEEP = {"avg", "mean", "min", "max", "median", "sum", "stddev", "stddev_pop", "first_value", "last_value", "abs"}
"""Functions whose value has the unit of what they are given."""


def units_of(query: Tree, tables: Catalog) -> dict[str, str]:
    """Column of the result -> unit, from the ``units`` attribute of the xarray variables that a query names.

    Only what keeps its unit surely has one here: a variable alone, or its mean, extreme, sum or spread.
    """
    known: dict[str, str] = {}
    for node in walk(query):
        dataset = tables.dataset(name_of(node["Table"]["name"])) if set(node) == {"Table"} else None
        for name, variable in dataset.variables.items() if dataset is not None else ():
            if unit := variable.attrs.get("units"):
                known[str(name)] = str(unit)
    select = query["Query"]["body"].get("Select")
    found: dict[str, str] = {}
    for item in select["projection"] if select and known else ():
        named = item.get("ExprWithAlias")
        expression = named["expr"] if named else item.get("UnnamedExpr")
        variable = _variable(expression) if expression else None
        name = identifier(named["alias"]) if named else variable
        if name and variable in known:
            found[name] = known[variable]
    return found


def _variable(expression: Tree) -> str | None:
    """The column that an expression is, or is a mean (or the like) of."""
    if "Identifier" in expression:
        return identifier(expression["Identifier"])
    if "CompoundIdentifier" in expression:
        return identifier(expression["CompoundIdentifier"][-1])
    if "Function" not in expression:
        return None
    function = expression["Function"]
    arguments = (function["args"].get("List") or {}).get("args", []) if isinstance(function["args"], dict) else []
    if name_of(function["name"])[-1].lower() in _KEEP and len(arguments) == 1:
        inner = arguments[0].get("Unnamed", {})
        return _variable(inner["Expr"]) if isinstance(inner, dict) and "Expr" in inner else None
    return None
