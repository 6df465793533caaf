"""A shell that raises what its cells raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sqlmagic_xr.magics import shared


@dataclass(frozen=True)
class Output:
    """What a cell put out: displayed data as MIME bundles, printed text, and the text of both."""

    data: list[dict[str, Any]]
    printed: str
    stderr: str

    @property
    def text(self) -> str:
        return "\n".join([d["text/plain"] for d in self.data] + ([self.printed] if self.printed else []))


class Notebook:
    """Cells in a shell; an exception in a cell is one here."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def __call__(self, source: str) -> Output:
        with capture_output() as captured:
            result = self.shell.run_cell(source, store_history=False)
        self.output = Output([output.data for output in captured.outputs], captured.stdout, captured.stderr)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return self.output

    @property
    def names(self) -> dict[str, Any]:
        return self.shell.user_ns


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A notebook with the extension, a Dataset ``ds`` and a scratch table ``params``."""
    monkeypatch.chdir(tmp_path)  # whose pyproject.toml is read
    shared.get_context.cache_clear()
    shell = InteractiveShell.instance()
    shell.colors = "nocolor"
    shell.run_line_magic("load_ext", "sqlmagic_xr")
    notebook = Notebook(shell)
    air = xr.DataArray(np.arange(200.0).reshape(40, 5), dims=("time", "lat"), attrs={"units": "K"})
    notebook.names["ds"] = xr.Dataset({"air": air}, coords={"time": np.arange(40), "lat": np.arange(5.0)})
    context = shared.get_context()
    context.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO params VALUES (0, 1.5)")
    yield notebook
    shell.run_line_magic("unload_ext", "sqlmagic_xr")
    InteractiveShell.clear_instance()
    shared.get_context.cache_clear()
