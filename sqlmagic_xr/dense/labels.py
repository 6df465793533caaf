"""Texts as whole numbers: each distinct text has one code, and arrays compare, align and join the codes.

As NumPy's own texts, every cell would take what the longest of them takes, and lose U+0000 at its end. A dictionary
belongs to whoever gives the grids of a program, and goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class Label(str):
    """A text that knows its code.

    Attributes:
        code: its number in a dictionary.
    """

    __slots__ = ("code",)
    code: int


class Labels:
    """A dictionary of texts.

    Example:
        >>> labels = Labels()
        >>> labels.codes(["a", "b", "a"]), labels.texts(labels.codes(["b", "a"])).tolist()
        (array([1, 2, 1]), ['b', 'a'])
    """

    def __init__(self) -> None:
        self._codes = {"": 0}  # which cells hold that are NULL
        self._texts = [""]

    def code(self, text: str) -> int:
        """The number of a text."""
        known = self._codes.get(text)
        if known is None:
            known = self._codes[text] = len(self._texts)
            self._texts.append(text)
        return known

    def label(self, text: str) -> Label:
        """A text with its number."""
        found = Label(text)
        found.code = self.code(text)
        return found

    def codes(self, texts: Iterable[str]) -> Any:
        """The numbers of some texts."""
        return np.array([self.code(text) for text in texts], np.int64)

    def texts(self, codes: Any) -> Any:
        """The texts of some numbers, as an array of objects of the same shape."""
        known, flat = self._texts, np.ravel(codes)
        found = np.empty(len(flat), object)
        found[:] = [known[code] for code in flat.tolist()]
        return found.reshape(np.shape(codes))
