"""SQL text with holes: bound anew at each step for the price of joining strings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from .parameters import placeholder
from .syntax import Tree, replace, to_sql


class Template:
    """A query's text, cut where its parameters stand.

    Args:
        tree: the query; every parameter still in it becomes a hole.

    Attributes:
        names: the parameters, each once.
        tree: the query.

    Example:
        >>> from .syntax import parse_one
        >>> Template(parse_one("SELECT :a - x * $b FROM t").tree).text({"a": "1", "b": "(-2.5)"})
        'SELECT 1 - x * (-2.5) FROM t'
    """

    def __init__(self, tree: Tree) -> None:
        self.names: list[str] = []
        self.tree = tree
        mark = f"hole{uuid4().hex}x"

        def cut(node: dict[str, Any]) -> Tree | None:
            name = placeholder(node)
            if name is None:
                return None
            if name not in self.names:
                self.names.append(name)
            return {"Value": {**node["Value"], "value": {"Placeholder": f"${mark}{self.names.index(name)}x"}}}

        pieces = re.split(rf"\${mark}(\d+)x", to_sql(replace(tree, cut)))
        self._texts = pieces[::2]
        self._holes = [self.names[int(i)] for i in pieces[1::2]]

    def text(self, values: Mapping[str, str]) -> str:
        """The SQL text with these literals in the holes."""
        out = [self._texts[0]]
        for name, text in zip(self._holes, self._texts[1:], strict=True):
            out.append(values[name])
            out.append(text)
        return "".join(out)
