"""What ``%config XSqlMagic`` and ``[tool.sqlmagic_xr]`` of the nearest pyproject.toml set."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

from traitlets import Bool, Enum, Int, TraitError, Unicode, observe
from traitlets.config import Configurable

from ..errors import suggest

STYLES = ("lines", "ascii", "markdown")  # of display/table.py, which is not imported for it: Arrow takes a while


class XSqlMagic(Configurable):
    """Settings of %xsql, %%xsql and %%xsql_train."""

    displaylimit = Int(10, min=0, help="Show at most this many rows of a result.").tag(config=True)
    autopandas = Bool(False, help="Give results as pandas data frames.").tag(config=True)
    autopolars = Bool(False, help="Give results as polars data frames.").tag(config=True)
    feedback = Enum(
        (0, 1, 2), 1, help="Say nothing but results (0), what statements did (1), also what was captured (2)."
    ).tag(config=True)
    short_errors = Bool(True, help="Show errors in a few lines, without a traceback.").tag(config=True)
    style = Enum(STYLES, "lines", help="How tables are drawn in text.").tag(config=True)
    timing = Bool(False, help="Say how long each statement took.").tag(config=True)
    read_only = Bool(False, help="Refuse every statement with effects before it runs.").tag(config=True)
    store = Unicode("", help="The DuckDB file that keeps the scratch tables; memory where it is empty.").tag(
        config=True
    )
    max_recursion = Int(1_000_000, min=1, help="How many rounds a recursive query may go through.").tag(config=True)
    store_is_due = False  # whether the file that ``store`` names is to be opened by the next cell
    fetchlimit = Int(
        20_000_000, min=0, help="Fetching a grid of more rows into memory needs --yes or a LIMIT."
    ).tag(config=True)  # fmt: skip

    @observe("store")
    def _note_store(self, change: Any) -> None:
        self.store_is_due = bool(change["new"])


def settings_of(shell: Any) -> XSqlMagic:
    """The settings of a shell, made at the first call and then always the same, so that ``%config`` finds them."""
    known = next((c for c in shell.configurables if isinstance(c, XSqlMagic)), None)
    if known is None:
        known = XSqlMagic(parent=shell)
        take_project(known, Path.cwd())
        shell.configurables.append(known)
    return known


def take_project(settings: XSqlMagic, directory: Path) -> None:
    """Take over ``[tool.sqlmagic_xr]`` of the nearest pyproject.toml; what does not fit is warned of and left out."""
    path = next(
        (p / "pyproject.toml" for p in (directory, *directory.parents) if (p / "pyproject.toml").is_file()), None
    )
    if path is None:
        return
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("sqlmagic_xr", {})
    except (OSError, ValueError) as error:
        warnings.warn(f"sqlmagic_xr: {path} cannot be read: {error}", stacklevel=2)
        return
    names = settings.trait_names(config=True)
    for name, value in table.items():
        if name not in names:
            warnings.warn(
                f"sqlmagic_xr: {path} sets {name!r}, which is no setting. {suggest(name, names)}", stacklevel=2
            )
            continue
        try:
            setattr(settings, name, value)
        except TraitError as error:
            warnings.warn(f"sqlmagic_xr: {path}: {error}", stacklevel=2)
