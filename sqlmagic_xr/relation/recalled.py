"""What has been made of trees over tables, kept as long as the tables look the same; their rows may be others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Found = TypeVar("Found")

Question = tuple[str, tuple[Any, ...]]
"""What was asked of the tables, and with which arguments."""


class Asked:
    """Whoever knows tables, and what has been asked of it: each method that is called, with what it has answered.

    Args:
        tables: who is asked.

    Attributes:
        answers: the questions and answers.
    """

    def __init__(self, tables: Any) -> None:
        self._tables = tables
        self.answers: dict[Question, Any] = {}

    def __getattr__(self, what: str) -> Any:
        """A method that takes down what it answers, or another attribute as it is."""
        found = getattr(self._tables, what)
        if not callable(found):
            return found

        def ask(*args: Any) -> Any:
            self.answers[what, args] = answer = found(*args)
            return answer

        return ask

    def again(self, question: Question) -> Any:
        """The answer to a question that was asked before."""
        what, args = question
        return getattr(self._tables, what)(*args)


@dataclass(frozen=True, eq=False)
class _Remembered(Generic[Found]):
    subject: Any
    same: Any
    answers: Mapping[Question, Any]
    found: Found

    def stands(self, subject: Any, same: Any, ask: Callable[[Question], Any]) -> bool:
        try:
            if self.same != same or self.subject != subject:
                return False
            return all(ask(question) == answer for question, answer in self.answers.items())
        except RecursionError:  # trees that are nested too deeply to be compared
            return False


class Recalled(Generic[Found]):
    """Some results, that of the last question first.

    Args:
        most: how many are kept.

    Example:
        >>> from sqlmagic_xr.sql.syntax import parse_one
        >>> widths = Recalled[int](most=8)
        >>> widths.keep(parse_one("SELECT * FROM t").tree, (), {("columns", ("t",)): ["a", "b"]}, 2)
        >>> tree = parse_one("SELECT * FROM t").tree
        >>> widths.find(tree, (), lambda question: ["a", "b"]), widths.find(tree, (), lambda question: ["b", "a"])
        (2, None)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: list[_Remembered[Found]] = []

    def __len__(self) -> int:
        return len(self._known)

    def find(self, subject: Any, same: Any, ask: Callable[[Question], Any]) -> Found | None:
        """What has been made of something equal, or None.

        Args:
            subject: trees.
            same: what else it was made of.
            ask: answers what was asked of the tables then.
        """
        known = self._known
        for place, each in enumerate(known):
            if each.stands(subject, same, ask):
                self._known = [each, *known[:place], *known[place + 1 :]]
                return each.found
        return None

    def keep(self, subject: Any, same: Any, answers: Mapping[Question, Any], found: Found) -> None:
        """Take down what was made; nothing of it is ever changed.

        Args:
            subject, same: see :meth:`find`.
            answers: what was asked of the tables, with the answers.
            found: it.
        """
        self._known = [_Remembered(subject, same, answers, found), *self._known[: self._most - 1]]

    def clear(self) -> None:
        """Forget all: what a first time takes is measured so."""
        self._known = []
