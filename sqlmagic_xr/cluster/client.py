"""The cluster that a client is connected to: which there is, its workers, and whether they have what they need."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from ..errors import ClusterError, UsageError
from . import worker

_MAJOR = ("numpy", "xarray", "pyarrow", "cloudpickle")  # what is compatible within a major version
_checked: dict[tuple[str, str], None] = {}  # of a client, the workers whose versions are those that are here
_addresses: dict[str, str] = {}  # of schedulers, which a client that has been closed does not know any more


def client_of(chosen: Any) -> Any | None:
    """The client whose cluster is meant; None for this machine.

    Args:
        chosen: a ``distributed.Client``; None for the one that is active, if there is one; "none" for none.

    Raises:
        UsageError: it is no client.
    """
    # Nobody has a client who has not imported it; where another thread is about to, it has none of its names yet.
    distributed = sys.modules.get("distributed")
    if chosen is None:
        default = getattr(distributed, "default_client", None)
        if default is None:
            return None
        try:
            found = default()
        except ValueError:
            return None
        return found if found.status == "running" else None
    if isinstance(chosen, str) and chosen == "none":
        return None
    if distributed is None or not isinstance(chosen, distributed.Client):
        raise UsageError(
            f"a client is a dask.distributed Client or 'none', not {type(chosen).__name__}",
            hint="As in: client = distributed.Client(...)",
        )
    return chosen


def threads(client: Any) -> Mapping[str, int]:
    """How many threads each worker has, by its address.

    Raises:
        ClusterError: the cluster cannot be reached, or has none.
    """
    refuse_unreachable(client)
    found: dict[str, int] = client.nthreads()
    if not found:
        raise ClusterError(f"the dask cluster at {address(client)} has no worker", hint=_BACK)
    return dict(sorted(found.items()))


def refuse_unreachable(client: Any) -> None:
    """Refuse a client that has no scheduler any more.

    Raises:
        ClusterError: it has been closed, or the scheduler is gone.
    """
    if client.status != "running":
        raise ClusterError(f"the dask cluster at {address(client)} cannot be reached", hint=_BACK)


_BACK = "Start workers, or say client='none' (%xsql --client none) to calculate here."


def states(client: Any) -> frozenset[str]:
    """What its workers are doing, "running" or "paused"; nothing where there is none, or no scheduler."""
    found = _states(client, 5)  # a worker tells some kB of itself, and most often one of the first is at work
    return found if "running" in found else _states(client, -1)


def _states(client: Any, most: int) -> frozenset[str]:
    workers = client.scheduler_info(n_workers=most)["workers"] if client.status == "running" else {}
    return frozenset(worker["status"] for worker in workers.values())


def address(client: Any) -> str:
    """Where its scheduler is."""
    if client.scheduler is not None:
        _addresses[client.id] = str(client.scheduler.address)
    return _addresses.get(client.id, "an unknown place")


def described(client: Any) -> str:
    """A cluster, for a person."""
    found = threads(client)
    count, sum_ = len(found), sum(found.values())
    return f"{count} worker{'s' * (count != 1)} ({sum_} thread{'s' * (sum_ != 1)}) at {address(client)}"


def check(client: Any) -> Mapping[str, int]:
    """The threads of the workers, which have what a program needs in the versions that are here.

    Raises:
        ClusterError: a worker lacks a package, or has another version.
    """
    found = threads(client)
    check_those(client, found)
    return found


def check_those(client: Any, addresses: Iterable[str]) -> None:
    """As :func:`check`, of some workers."""
    new = [address for address in addresses if (client.id, address) not in _checked]
    if new:
        accept(client, client.run(worker.versions, workers=new, on_error="return"))


def ask(client: Any, address: str) -> Any:
    """Ask a worker for its versions without waiting: the first question has it import this package.

    Returns:
        A future of what :func:`accept` takes.
    """
    key = f"sql_versions-{uuid4().hex}"
    return client.submit(worker.versions, workers=[address], allow_other_workers=False, pure=False, key=key)


def accept(client: Any, theirs: Mapping[str, Any]) -> None:
    """Take workers that have what a program needs in the versions that are here.

    Args:
        client: whose workers they are.
        theirs: by address their versions, or the error that they have answered with.

    Raises:
        ClusterError: a worker lacks a package, or has another version.
    """
    _compare(theirs, worker.versions())
    address(client)
    _checked.update(dict.fromkeys((client.id, address) for address in theirs))


def _compare(theirs: Mapping[str, Any], mine: Mapping[str, str | None]) -> None:
    for where, versions in theirs.items():
        if isinstance(versions, Exception) and "ModuleNotFoundError" in repr(versions):  # as itself, or as its text
            raise lacking(f"the worker {where}", versions, mine["sqlmagic-xr"])
        if isinstance(versions, Exception):
            raise ClusterError(f"the worker {where} does not answer: {type(versions).__name__}: {versions}")
        for name, version in mine.items():
            if _part(name, versions[name]) != _part(name, version):
                _refuse(where, name, versions[name], version)


def _part(name: str, version: str | None) -> str | None:
    return version.split(".")[0] if name in _MAJOR and version is not None else version


def _refuse(where: str, name: str, theirs: str | None, mine: str | None) -> None:
    has = f"has {name} {theirs}" if theirs is not None else f"lacks {name}"
    hint = "Start its workers with the Python of this notebook." if name == "python" else (
        f'On the workers: pip install "{name}=={mine}"'
    )  # fmt: skip
    raise ClusterError(f"the worker {where} {has}, and this notebook has {mine}", hint=hint)


def lacking(who: str, error: Exception, mine: str | None = None) -> ClusterError:
    """The error of a package that workers lack."""
    named = re.search(r"No module named '(\w+)", str(error))
    missing = named[1] if named is not None else "sqlmagic_xr"
    name = "sqlmagic-xr[dask]" + (f"=={mine}" if mine else "") if missing == "sqlmagic_xr" else missing
    return ClusterError(f"{who} lacks the package {missing}", hint=f'On the workers: pip install "{name}"')
