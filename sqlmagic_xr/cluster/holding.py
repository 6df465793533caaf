"""The chunks that a run keeps in the memory of a cluster's workers: what no step changes is read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .client import told
from .folding import Held, hold
from .worker import Batch

_SHARE = 0.5  # of the workers' memory; what a step calculates, and what dask itself needs, is in the rest


@dataclass
class Holding:
    """Chunks in the workers' memory, within a part of it; they are let go with it.

    Attributes:
        notes: what is held and what is not, each with how much or why, for a person.
    """

    notes: dict[str, str] = field(default_factory=dict)
    _held: dict[Any, Held | None] = field(default_factory=dict, repr=False)
    _nbytes: int = 0

    def held(
        self, client: Any, key: Any, what: str, size: int, parts: Sequence[Batch],
        program: Callable[[], bytes], on_read: Callable[[], None],
    ) -> Held | None:  # fmt: skip
        """Chunks in the workers' memory, read now or before; None where they do not fit.

        Args:
            client: whose cluster it is.
            key: names these chunks of these variables.
            what, size: them for a person, and their bytes.
            parts: the chunks of each task.
            program: reads them.
            on_read: is called while that goes on.

        Raises:
            ClusterError: a chunk cannot be read, or the cluster is gone.
        """
        key = (client.id, key)
        if key not in self._held:
            left = _SHARE * _memory(client) - self._nbytes
            if size > left:
                self._held[key] = None
                self.notes[what] = f"read each step: {_shown(size)} exceed the {_shown(max(left, 0))} that workers keep"
            else:
                self._held[key] = hold(client, program(), parts, on_read)
                self._nbytes += size
                self.notes[what] = f"{_shown(size)} in the memory of {told(client)}"
        return self._held[key]


def _memory(client: Any) -> float:
    """The bytes that the workers may use; what has no limit is taken for 1 GB."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return float(sum(worker["memory_limit"] or 10**9 for worker in workers))


def _shown(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
