"""Run notebooks from top to bottom: for `make tutorial`, and with --store to keep what they print.

    python notebooks/run.py notebooks/01_train_in_sql.ipynb

prints what the cells tagged `summary` print, and the path of the notebook as HTML.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter


def main() -> int:
    """Run what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--store", action="store_true", help="keep the outputs in the notebook itself")
    options = parser.parse_args()
    for path in options.notebooks:
        try:
            print(run(path, store=options.store))
        except CellExecutionError as error:
            print(f"{path}: a cell failed\n{error}", file=sys.stderr)
            return 1
    return 0


def run(path: Path, *, store: bool) -> str:
    """Run one notebook and write it as HTML beside it; returns the summary and the path of the HTML."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}).execute()
    if store:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when each cell ran: a change in every line, and of no use
        notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
        nbformat.write(notebook, path)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    page = path.with_suffix(".html")
    page.write_text(html, encoding="utf-8")
    return f"{summary(notebook)}{page}"


def summary(notebook: nbformat.NotebookNode) -> str:
    """What the cells tagged `summary` print."""
    outputs = (o for c in notebook.cells if "summary" in c.metadata.get("tags", []) for o in c.outputs)
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


if __name__ == "__main__":
    sys.exit(main())
