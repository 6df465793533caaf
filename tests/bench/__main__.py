"""``make bench``: run the benchmarks, print their tables and keep them as Markdown in ``tests/artefacts``.

Every module of this directory is loaded; what it lists with ``@benchmark`` is run. Ratios within one table were taken
in one run and may be compared; milliseconds from different runs may not.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from pathlib import Path

from tests.bench.harness import BENCHMARKS, Effort

ARTEFACTS = Path(__file__).parents[1] / "artefacts"


def main() -> None:
    """Run the benchmarks whose title holds one of the words on the command line; all of them without words."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=main.__doc__)
    parser.add_argument("words", nargs="*", help="run only benchmarks whose title has one of these words in it")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument("--repetitions", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--scale", type=float, default=1.0, help="a factor on the number of steps")
    arguments = parser.parse_args()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in ("__init__", "__main__", "harness"):
            importlib.import_module(f"{__package__}.{path.stem}")
    titles = [t for t in BENCHMARKS if not arguments.words or any(w.lower() in t.lower() for w in arguments.words)]
    if arguments.list:
        print(*titles, sep="\n")
        return
    sections = []
    for title in titles:
        section = f"## {title}\n\n{BENCHMARKS[title](Effort(arguments.repetitions, arguments.scale)).markdown()}\n"
        print(section, flush=True)
        sections.append(section)
    ARTEFACTS.mkdir(exist_ok=True)
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"
    (ARTEFACTS / "bench.md").write_text("\n".join([f"# Benchmarks\n\n{machine}\n", *sections]), encoding="utf-8")
    print(f"written to {ARTEFACTS / 'bench.md'}")


if __name__ == "__main__":
    main()
