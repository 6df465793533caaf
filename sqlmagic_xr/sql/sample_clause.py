"""The words of a sample, ``TABLESAMPLE ...`` and DuckDB's ``USING SAMPLE ...``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lexer import Token, TokenKind

SAMPLED = "sampled"
"""The key, in a SELECT, of the sample of what its FROM gives; in a relation's ``sample``, of that of the relation."""

_METHODS = {"BERNOULLI": "bernoulli", "SYSTEM": "bernoulli", "RESERVOIR": "reservoir"}
_UNITS = {"%": True, "PERCENT": True, "ROWS": False, "ROW": False}


@dataclass(frozen=True)
class Sample:
    """A sample.

    Attributes:
        amount: how many rows, or how many percent.
        share: whether it is percent.
        exact: whether a share is that many rows of all, and not a chance for each.
        seed: what makes it the same sample again.
    """

    amount: float
    share: bool
    exact: bool = False
    seed: int | None = None


def read_sample(words: Sequence[Token]) -> tuple[Sample, int] | None:
    """The sample whose words begin behind SAMPLE, and how many words they are; None where they are none.

    >>> from .lexer import tokens
    >>> words = [t for t in tokens("10% (bernoulli, 377) REPEATABLE (4)") if t.kind is not TokenKind.SPACE]
    >>> read_sample(words)
    (Sample(amount=10.0, share=True, exact=False, seed=4), 11)
    """
    texts = [word.text.upper() for word in words]
    method, at, end = "", 0, ""
    if texts[:1] and texts[0] in _METHODS and texts[1:2] == ["("]:
        method, at, end = _METHODS[texts[0]], 2, ")"
    elif texts[:1] == ["("]:
        at, end = 1, ")"
    if at >= len(words) or words[at].kind is not TokenKind.NUMBER:
        return None
    amount, unit, at = float(texts[at]), None, at + 1
    if at < len(texts) and texts[at] in _UNITS:
        unit, at = _UNITS[texts[at]], at + 1
    if end:
        if texts[at : at + 1] != [end]:
            return None
        at += 1
    seed = None
    if not method and texts[at : at + 1] == ["("] and at + 1 < len(texts) and texts[at + 1] in _METHODS:
        method, at = _METHODS[texts[at + 1]], at + 2
        if texts[at : at + 1] == [","] and at + 1 < len(words) and words[at + 1].kind is TokenKind.NUMBER:
            seed, at = int(float(texts[at + 1])), at + 2
        if texts[at : at + 1] != [")"]:
            return None
        at += 1
    if texts[at : at + 1] in (["REPEATABLE"], ["SEED"]) and texts[at + 1 : at + 2] == ["("]:
        if words[at + 2].kind is not TokenKind.NUMBER or texts[at + 3 : at + 4] != [")"]:
            return None
        seed, at = int(float(texts[at + 2])), at + 4
    share = unit if unit is not None else method == "bernoulli"
    return Sample(amount, share, method == "reservoir", seed), at
