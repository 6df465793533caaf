"""SQL notebooks for xarray, with state that trains.

``%load_ext sqlmagic_xr`` in a notebook, or ``from sqlmagic_xr import Context`` in a script. The engine is
imported at its first use, so that neither costs anything before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .autodiff.rewrite import differentiate
    from .context import Context
    from .engine.result import Result
    from .errors import SqlError
    from .magics.shared import get_context
    from .train.run import Run

__version__ = "0.1.0"

__all__ = ["Context", "Result", "Run", "SqlError", "differentiate", "get_context"]

_HOMES = {
    "Context": ".context",
    "Result": ".engine.result",
    "Run": ".train.run",
    "SqlError": ".errors",
    "differentiate": ".autodiff.rewrite",
    "get_context": ".magics.shared",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(home, __name__), name)
    if name == "Context":
        importlib.import_module(".accessor", __name__)  # ds.xsql("SELECT ... FROM this")
    return found


def load_ipython_extension(ip: Any) -> None:
    """Register ``%xsql``, ``%%xsql`` and ``%%xsql_train``, with completion, for ``%load_ext sqlmagic_xr``."""
    from .magics import load

    load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Take back what :func:`load_ipython_extension` did; the shared context and its tables stay."""
    from .magics import unload

    unload(ip)
