"""Which of many patterns a text has in it: a pattern is looked for only where a word that it needs stands in the text.

Each pattern takes a microsecond or more to be looked for, and nearly every statement has nothing of what most are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...sql.lexer import without_comments

_WORDS = re.compile(r"\w+|[^\w\s]")


_QUOTED = re.compile(r'"([^\W\d]\w*)"(?=\s*\()')


def spellings(text: str) -> tuple[str, ...]:
    """A statement's text, and the same as most would write it: no comment between words, no quotes about a function.

    >>> spellings('SELECT "length"/**/(l)')
    ('SELECT "length"/**/(l)', 'SELECT length (l)')
    """
    plain = _QUOTED.sub(r"\1", without_comments(text))
    return (text,) if plain == text else (text, plain)


class Signs:
    """Patterns, each with what stands in every text that it is found in.

    Args:
        patterns: regular expressions, which do not tell capitals; each with words in capitals and single marks,
            separated by blanks: a text without any of them does not have it. Of "" nothing is known.

    Example:
        >>> signs = Signs([(r"\\bOVER\\b", "OVER"), (r"[/%]", "/ %"), (r"\\d{16}", "")])
        >>> signs.found("SELECT a / b FROM t"), signs.found("SELECT sum(a) over () FROM t")
        ((1,), (0,))
    """

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        self._patterns: list[re.Pattern[str]] = []
        self._always: set[int] = set()
        self._needing: dict[str, set[int]] = {}
        for number, (pattern, needs) in enumerate(patterns):
            self._patterns.append(re.compile(pattern, re.IGNORECASE))
            if not needs:
                self._always.add(number)
            for word in needs.split():
                self._needing.setdefault(word, set()).add(number)

    def found(self, text: str) -> tuple[int, ...]:
        """The numbers of the patterns that a text has in it, in their order."""
        possible = set(self._always)
        for word in self._needing.keys() & set(map(str.upper, _WORDS.findall(text))):
            possible |= self._needing[word]
        return tuple(number for number in sorted(possible) if self._patterns[number].search(text))
