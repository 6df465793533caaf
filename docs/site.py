"""The pages of the documentation, put together from what the repository says already: for `make docs`.

    python docs/site.py build/docs

writes them as Markdown; mkdocs.yml says how they become a site. Nothing is written down twice: functions come from the
one table of functions, options from the magics' own dataclasses, the API from the docstrings.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from sqlmagic_xr.magics.options import options_of
from sqlmagic_xr.magics.request import XSqlOptions
from sqlmagic_xr.magics.train import TrainOptions
from sqlmagic_xr.relation.functions import FUNCTIONS, SAME

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "sqlmagic_xr/DESIGN.md": "design.md",
    "docs/how-to.md": "how-to.md",
    "docs/statements.md": "reference/statements.md",
    "docs/engine-faults.md": "reference/engine-faults.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""What stands in the repository -> the page that it is."""

_BOOK = re.compile(r"\]\((\w+)\.ipynb\)")
_FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<alone>.+?)\$\$|\$(?=\S)(?P<within>[^$\n]+?)(?<=\S)\$", re.DOTALL
)
_LINK = re.compile(r"(\]\(|src=\")(?!https?://|#|mailto:)([^)\"#]+)")


def main(target: Path) -> None:
    """Write all pages into a folder, which is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "reference").mkdir(parents=True)
    files: set[str] = set()
    for source, page in PAGES.items():
        text = moved((ROOT / source).read_text(encoding="utf-8"), source, page, files)
        (target / page).write_text(text, encoding="utf-8")
    for path in files:
        (target / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target / "files" / path)
    shutil.copytree(ROOT / "notebooks", target / "notebooks", ignore=shutil.ignore_patterns("*.py", "*.html", ".*"))
    for book in (target / "notebooks").glob("*.ipynb"):
        # A notebook becomes a folder of its name; links to it are followed in Markdown pages only.
        found = json.loads(_BOOK.sub(r"](../\1/)", book.read_text(encoding="utf-8")))
        for cell in found["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = with_formulas("".join(cell["source"]))
        book.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    (target / "reference" / "functions.md").write_text(functions(), encoding="utf-8")
    (target / "reference" / "magics.md").write_text(magics(), encoding="utf-8")
    (target / "reference" / "python.md").write_text(python(), encoding="utf-8")


def with_formulas(text: str) -> str:
    """Markdown whose formulas are MathML, which browsers draw by themselves: nothing is fetched from elsewhere for it.

    >>> with_formulas("`$x` is $x^2$")[:40]
    '`$x` is <math xmlns="http://www.w3.org/1'
    """
    return _FORMULA.sub(lambda found: found["code"] or _mathml(found), text)


def _mathml(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    alone = found["alone"]
    return str(convert(alone or found["within"], display="block" if alone else "inline"))


def moved(text: str, source: str, page: str, files: set[str]) -> str:
    """A page whose links lead to other pages; ``files`` learns of what they name that is none."""

    def follow(link: re.Match[str]) -> str:
        path = (ROOT / source).parent.joinpath(link[2]).resolve().relative_to(ROOT).as_posix()
        up = "../" * page.count("/")
        if path in PAGES:
            return f"{link[1]}{up}{PAGES[path]}"
        if path.startswith("notebooks/"):
            return f"{link[1]}{up}{path}"
        files.add(path)
        return f"{link[1]}{up}files/{path}"

    return _LINK.sub(follow, text)


def functions() -> str:
    """The functions of which more is known than that they are scalar functions of the engine."""
    others: dict[str, list[str]] = {}
    for name, same in SAME.items():
        others.setdefault(same, []).append(name)
    lines = [
        "# Functions",
        "",
        "All functions of DataFusion are there (`SHOW FUNCTIONS`). Of these more is known: whether `grad()` has a rule",
        "for them, and whether a step over grids that uses them runs as array code. Beside them stand `grad(f, x)`,",
        "`jvp(f, x, tangent, ...)` and `vjp(f, x, cotangent)`; `json_get(text, key)`, `json_get_text(text, key)` are",
        "also written `text -> key` and `text ->> key`.",
        "",
    ]
    for kind, title in (("scalar", "Of a row"), ("aggregate", "Of a group of rows"), ("window", "With OVER")):
        lines += [
            f"## {title}",
            "",
            "| function | other names | derivative | array code | value |",
            "|---|---|:-:|:-:|---|",
        ]
        for name, row in sorted(FUNCTIONS.items()):
            if row.kind == kind and name not in SAME:
                known = ", ".join(f"`{n}`" for n in sorted(others.get(name, ())))
                varies = {"never": "", "statement": "one in a statement", "call": "another at each call"}[row.varies]
                lines.append(f"| `{name}` | {known} | {_mark(row.derivative)} | {_mark(row.arrays)} | {varies} |")
        lines.append("")
    return "\n".join(lines)


def _mark(is_so: bool) -> str:
    return "yes" if is_so else ""


def magics() -> str:
    """The options of the magics."""
    lines = ["# Magics", ""]
    for name, kind in (("%%xsql and %xsql", XSqlOptions), ("%%xsql_train", TrainOptions)):
        lines += [f"## {name}", "", "| option | what it does |", "|---|---|"]
        lines += [f"| `{o.shown}` | {o.help} |".replace("A|B", "A or B") for o in options_of(kind)]
        lines.append("")
    return "\n".join(lines)


def python() -> str:
    """The classes that a user calls, from their docstrings."""
    names = (
        "sqlmagic_xr.context.Context", "sqlmagic_xr.engine.context.Context", "sqlmagic_xr.engine.result.Result",
        "sqlmagic_xr.engine.frame.Frame", "sqlmagic_xr.accessor.Accessor", "sqlmagic_xr.train.run.Run",
        "sqlmagic_xr.train.start.train", "sqlmagic_xr.train.events", "sqlmagic_xr.autodiff.rewrite.differentiate",
        "sqlmagic_xr.tracking", "sqlmagic_xr.storage.scratch.ScratchTable", "sqlmagic_xr.errors",
    )  # fmt: skip
    return "# Python\n\n" + "\n\n".join(f"::: {name}" for name in names) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
