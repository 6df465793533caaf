"""Docstrings as the site shows them: examples are code, and a reference is the name that it leads to."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

_REFERENCE = re.compile(r":\w+:`[\w.~]*?(\w+)`")
_EXAMPLE = re.compile(r"^([ \t]*)>>> .*(?:\n[ \t]*\S.*)*", re.MULTILINE)


def shown(text: str) -> str:
    """A docstring as Markdown, for which ``>>>`` is a quotation within quotations unless it is marked as code."""
    return _EXAMPLE.sub(r"\1```pycon\n\g<0>\n\1```", _REFERENCE.sub(r"`\1`", text))


class Docstrings(Extension):
    """Changes each docstring that the API reference is made of."""

    def on_instance(self, *, obj: Any, **options: Any) -> None:
        """Take what has been read of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = shown(obj.docstring.value)
