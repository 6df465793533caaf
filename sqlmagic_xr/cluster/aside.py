"""What a person is told where chunks that a cluster could go through come here."""

from __future__ import annotations

import warnings
from typing import Any

from ..errors import ClusterWarning
from .client import address, client_of


def tell_aside(chosen: Any, reason: str, *, fault: bool) -> None:
    """Warn that a statement runs here, if a cluster was to run it.

    Args:
        chosen: the client that was asked for; None for the one that is active, if there is one: whoever has asked for
            none is told of faults alone, of the rest by EXPLAIN.
        reason: why it does not run on the cluster.
        fault: whether that is a fault of this package, and not that it has no code for the statement.
    """
    client = client_of(chosen)
    if client is None or (chosen is None and not fault):
        return
    whose = " This is a fault of sqlmagic_xr, and the rows are right: please report it." if fault else ""
    told = f"a statement runs here, not on the dask cluster at {address(client)}, so its chunks come here: {reason}."
    warnings.warn(f"{told}{whose}", ClusterWarning, stacklevel=2)
