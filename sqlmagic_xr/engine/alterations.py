"""Counts what is done to a session besides its scratch tables, so that who has planned on it can tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any
from weakref import ref

import xarray_sql
from datafusion import SessionContext

from ..relation.functions import Kind, give
from .functions import row_of
from .projecting import to_read

_TABLES = ("register_view", "register_table")
_FUNCTIONS: Mapping[str, Kind] = {
    "register_udf": "scalar", "register_udaf": "aggregate", "register_udwf": "window",
}  # fmt: skip


class CountedContext(xarray_sql.Context):
    """xarray-sql's context that counts registrations: of tables, of functions, of whatever else there is.

    Attributes:
        alterations: how many there were, statements such as SET and CREATE FUNCTION among them.
    """

    alterations = 0


def _counting(name: str) -> Any:
    inherited = getattr(xarray_sql.Context, name)

    @wraps(inherited)
    def register(self: CountedContext, *args: Any, **options: Any) -> Any:
        self.alterations += 1
        if name in _TABLES:
            args, options = tuple(map(to_read, args)), {key: to_read(each) for key, each in options.items()}
        found = inherited(self, *args, **options)
        if name in _FUNCTIONS:
            given, session = (*args, *options.values())[0].name, ref(self)
            give(given, lambda: row_of(session(), given, _FUNCTIONS[name]), session)
        return found

    return register


for _name in dir(SessionContext):
    if _name.startswith(("register_", "deregister_")):
        setattr(CountedContext, _name, _counting(_name))
