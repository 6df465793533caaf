"""The text of a Python function that is written once and run at every step: no dispatch is left between two ufuncs.

A step over few rows costs what is around its arithmetic. Instructions that are gone through by an interpreter of ours
cost a microsecond each; the same instructions as lines of one function, with local variables, a tenth of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any


class Text:
    """Lines of a function, and the objects that they name.

    Attributes:
        depth: how many blocks deep the next lines stand.
    """

    def __init__(self) -> None:
        self.depth = 1
        self._lines: list[str] = []
        self._objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def name(self, thing: Any) -> str:
        """The name by which the lines call an object; one name for one object."""
        known = self._names.get(id(thing))
        if known is None:
            known = self._names[id(thing)] = f"c{len(self._names)}"
            self._objects[known] = thing  # which keeps it alive, and so its id its own
        return known

    def line(self, text: str, depth: int | None = None, at: int | None = None) -> None:
        """Add a line, so many blocks deep; behind the others, or at a place among them."""
        place = len(self._lines) if at is None else at
        self._lines.insert(place, "    " * (self.depth if depth is None else depth) + text)

    def place(self) -> int:
        """Where the next line will stand."""
        return len(self._lines)

    def function(self, parameters: Sequence[str]) -> Callable[..., Any]:
        """The function of these lines.

        >>> text = Text()
        >>> text.line(f"return {text.name(abs)}(x)")
        >>> text.function(["x"])(-3)
        3
        """
        source = "\n".join([f"def run({', '.join(parameters)}):", *self._lines, ""])
        scope = dict(self._objects)
        exec(_code(source), scope)
        made: Callable[..., Any] = scope["run"]
        return made


@lru_cache(maxsize=512)
def _code(source: str) -> CodeType:
    """The code of a text; a cell that is run again has the texts that it had."""
    return compile(source, "<array code>", "exec")
