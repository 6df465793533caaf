"""Imports run one way, and importing the package costs nothing."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sqlmagic_xr"

# A room and the rooms that it may import, itself apart. What is not listed is a wall.
FLOORS = {
    "errors": set(),
    "properties": set(),
    "sql": {"properties", "errors"},
    "relation": {"sql", "properties", "errors"},
    "autodiff": {"relation", "sql", "errors"},
    "dense": {"relation", "sql", "properties", "errors"},
    "storage": {"sql", "properties", "errors"},
    "statements": {"storage", "relation", "sql", "errors"},
    "engine": {"statements", "storage", "autodiff", "relation", "sql", "properties", "errors"},
    "grids": {"dense", "engine", "storage", "relation", "sql", "properties", "errors"},
    "train": {
        "cluster",
        "grids",
        "dense",
        "engine",
        "statements",
        "storage",
        "autodiff",
        "relation",
        "sql",
        "properties",
        "errors",
    },
    "display": {"train", "engine", "storage", "sql", "properties", "errors"},
    "cluster": {"errors"},
    "queries": {"cluster", "grids", "dense", "engine", "storage", "relation", "sql", "properties", "errors"},
    "context": {"cluster", "queries", "train", "engine", "sql", "errors"},
    "tracking": {"train"},
    "accessor": {"context", "engine", "sql", "errors"},
    "magics": {"accessor", "context", "display", "train", "engine", "sql", "errors"},
}
# One door against the stream: Context.train is a method because that is where a user looks for it.
DOORS = {("engine/context.py", "train")}
# Libraries that only some rooms may know.
LIBRARIES = {
    "datafusion": {"engine", "storage", "statements"},
    "xarray_sql": {"engine", "storage"},
    "sqloxide": {"sql"},
    "duckdb": {"storage"},
    "zarr": {"storage", "cluster"},  # a worker looks whether it sees what it is to read
    "netCDF4": {"storage"},
    "icechunk": {"storage"},
    "jax": {"dense"},
    "distributed": {"cluster"},
    "anywidget": {"display"},
    "tensorboardX": {"tracking"},
    "mlflow": {"tracking"},
    "wandb": {"tracking"},
    "matplotlib": {"display"},
    "IPython": {"display", "magics"},
    "traitlets": {"display", "magics"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """Every (top module, room or None) that a file imports, also inside functions and for type checkers."""
    here = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name.split(".")[0], None
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], None
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - (node.level - 1)]
            if node.module:
                yield "sqlmagic_xr", (*base, *node.module.split("."))[0]
            else:
                for name in node.names:
                    yield "sqlmagic_xr", (*base, name.name)[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    parts = path.relative_to(PACKAGE).parts
    room = parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for library, target in imports(path):
        if library in LIBRARIES:
            assert room in LIBRARIES[library], f"{room} imports {library}"
        if target is not None and target != room and ("/".join(parts), target) not in DOORS:
            assert target in FLOORS[room], f"{room} imports {target}"


def test_importing_the_package_imports_no_engine():
    heavy = ["datafusion", "xarray", "pyarrow", "pandas", "numpy", "matplotlib", "anywidget", "sqloxide", "IPython"]
    code = f"import sys, sqlmagic_xr; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert out.stdout.strip() == "[]"


# A class of a name that another class has, and why that is right.
NAMESAKES = {"Context": "the public one is the engine's, with training and gridded queries on top"}


def test_a_class_has_its_name_alone():
    homes = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(path.relative_to(PACKAGE).as_posix())
    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert shared.keys() == NAMESAKES.keys(), {name: shared.get(name) for name in shared.keys() ^ NAMESAKES.keys()}


def test_no_lock_is_that_of_a_class():
    """See ``properties``: functools.cached_property of Python 3.11 holds one for all objects while it asks one."""
    for path in MODULES:
        if path.name != "properties.py":
            assert "import cached_property" not in path.read_text(encoding="utf-8"), path
