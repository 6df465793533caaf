"""How much memory a run takes over a lazy xarray table that is larger than what may be kept."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.steps.plan import PlannedStep
from tests.bench.harness import Effort, Report, Verdict, benchmark, peak_memory
from tests.bench.linear import BEGIN, CREATE, OURS, RATE
from tests.bench.steps import VARYING, run_steps

TIMES, LATITUDES, LONGITUDES = 640, 400, 560  # 143 million cells of two doubles: 2.3 GB
BUDGET = 200 * 10**6
MARGIN = 300 * 10**6


def write(path: Path) -> None:
    """A dataset x, y on disk, written a piece at a time."""
    import netCDF4

    rng = np.random.default_rng(5)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", TIMES), ("lat", LATITUDES), ("lon", LONGITUDES)):
            file.createDimension(name, size)
            file.createVariable(name, "f8", (name,))[:] = np.arange(size)
        x, y = (file.createVariable(name, "f8", ("time", "lat", "lon")) for name in "xy")
        block = rng.normal(size=(16, LATITUDES, LONGITUDES))
        for start in range(0, TIMES, 16):
            x[start : start + 16] = block
            y[start : start + 16] = 0.7 * block + 0.1


def run(path: str, steps: int) -> dict[str, float]:
    """``steps`` steps over the dataset in this process: peak memory before and at the end, in bytes."""
    context = Context()
    context.from_dataset("d", xr.open_dataset(path), chunks={"time": 8})
    context.script(f"{CREATE}; {BEGIN}")
    before = peak_memory()
    step = PlannedStep([context.prepare(parse_one(OURS))], writes={"params"}, varying=VARYING, budget=BUDGET)
    run_steps(context, step, 0, steps, lr=RATE)
    (explained,) = step.explain()
    last = context.scratch("params").to_arrow().to_pylist()[-1]
    return {"before": before, "peak": peak_memory(), "kept": "not kept" not in str(explained), **last}


@benchmark("Memory: a lazy xarray table of 2.3 GB, of which 200 MB may be kept")
def larger_than_the_budget(effort: Effort) -> Report:
    """The table is streamed at each step. It has a process of its own, for its memory."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "large.nc"
        write(path)
        size = path.stat().st_size
        command = [
            sys.executable,
            "-c",
            f"import json, tests.bench.memory as m; print(json.dumps(m.run({str(path)!r}, 2)))",
        ]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    grown = found["peak"] - found["before"]
    report = Report(["what", "MB"])
    report.rows = [["the dataset on disk", f"{size / 1e6:.0f}"], ["peak memory of the run", f"{grown / 1e6:.0f}"]]
    limit = BUDGET + MARGIN
    text = f"the run takes {grown / 1e6:.0f} MB (at most {limit / 1e6:.0f}), over what the process had before it"
    report.verdicts.append(Verdict(text, grown <= limit and not found["kept"]))
    return report
