"""What ``pip install`` puts where: the front-end extension is enabled by being there."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sqlmagic_xr

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_front_end_finds_the_extension(wheel):
    place = f"sqlmagic_xr-{sqlmagic_xr.__version__}.data/data/share/jupyter/labextensions/sqlmagic-xr"
    package = json.loads(wheel.read(f"{place}/package.json"))
    assert package["version"] == sqlmagic_xr.__version__
    assert f"{place}/{package['jupyterlab']['_build']['load']}" in wheel.namelist()
    assert f"{place}/install.json" in wheel.namelist()


def test_the_package_is_whole_and_nothing_else(wheel):
    modules = {str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "sqlmagic_xr").rglob("*.py")}
    packed = set(wheel.namelist())
    assert modules <= packed
    assert not [name for name in packed if name.startswith(("tests", "notebooks", "bench"))]
