"""JAX as it is installed: which devices it knows, and whether it is one that we can use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import UsageError

Kind = Literal["cpu", "gpu"]
Precision = Literal["double", "single"]

_INSTALL = 'pip install "sqlmagic-xr[xla]"'
_LEAST = (0, 8)  # whose switch to 64 bits is one for a block of code, and not for the whole process


@dataclass(frozen=True)
class Device:
    """Where the loop of a run is calculated.

    Attributes:
        kind: "cpu" or "gpu".
        precision: "double", or "single" where that was asked for.
        library: name and version.
        name: the device's own.
        handle: JAX's.
    """

    kind: Kind
    precision: Precision
    library: str
    name: str
    handle: Any

    @property
    def room(self) -> int | None:
        """How many bytes it has for a run; None where that is not known."""
        if self.kind == "cpu":  # where the tables stand already
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else None
        told = self.handle.memory_stats()
        return int(told["bytes_limit"]) if told and "bytes_limit" in told else None


def find(kind: Kind, precision: Precision = "double") -> Device:
    """The first device of a kind.

    Raises:
        UsageError: JAX is not installed, too old, or knows no such device.
    """
    try:
        import jax
    except ImportError:
        raise UsageError(
            f"device {kind} needs JAX, which is not installed", hint=f"{_INSTALL}, or device auto."
        ) from None
    version = tuple(jax.__version_info__)
    if version < _LEAST or not hasattr(jax, "enable_x64"):
        least = ".".join(map(str, _LEAST))
        raise UsageError(f"device {kind} needs JAX {least} or newer, not {jax.__version__}", hint=f"{_INSTALL} -U")
    try:
        handle = jax.devices(kind)[0]
    except RuntimeError:
        known = ", ".join(sorted({device.platform for device in jax.devices()}))
        hint = "Install JAX for your GPU (jax.dev says how), or use device auto."
        raise UsageError(f"JAX finds no {kind.upper()} here; what it knows: {known}", hint=hint) from None
    with jax.enable_x64(True):
        if jax.numpy.zeros((), "float64").dtype != "float64":
            raise UsageError("JAX cannot be given numbers of 64 bits", hint="Use device auto.")
    return Device(kind, precision, f"JAX {jax.__version__}", str(handle.device_kind), handle)
