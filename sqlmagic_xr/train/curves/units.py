"""The units of a curve's columns, as far as the data says them and the query keeps them."""

from __future__ import annotations

from ...engine.catalog import EngineCatalog
from ...engine.meaning import meanings
from ...relation.nodes import Relation


def units_of(query: Relation, tables: EngineCatalog) -> dict[str, str]:
    """Column of the result -> unit, from the ``units`` attribute of the xarray variables that a query reads.

    Only what keeps its unit surely has one here: a variable alone, or its mean, extreme, sum or spread.

    Args:
        query: bound.
        tables: whose datasets are read.
    """
    known = {name: meaning.attrs.get("units") for name, meaning in meanings(query, tables.dataset).items()}
    return {name: str(unit) for name, unit in known.items() if unit}
