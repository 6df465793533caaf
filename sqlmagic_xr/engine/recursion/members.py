"""A recursion as it was planned: the CTEs that read each other, and the queries that are run for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ...properties import kept_property
from ...sql.holes import Template
from ...sql.syntax import Statement, Tree
from .names import names_read
from .parts import RecursiveCte


@dataclass(frozen=True)
class Part:
    """A query that a recursion runs.

    Attributes:
        tree: the query, which reads relations of ours under their names.
        text: the same as the engine plans it.
        frame: its plan over relations without rows.
        holes: the tree and the text with holes for values, where it has any that are others each time.
    """

    tree: Tree
    text: str
    frame: Any
    holes: tuple[Template, Template] | None = None

    @kept_property
    def reads(self) -> frozenset[str]:
        """The relations that it reads."""
        return names_read(self.tree)

    def filled(self, texts: Mapping[str, str]) -> Part:
        """The query with these literals in its holes; itself where it has none."""
        if self.holes is None:
            return self
        sql, text = (template.text(texts) for template in self.holes)
        return replace(self, tree=Statement(sql, sql).tree, text=text, holes=None)


@dataclass(frozen=True)
class Member:
    """One CTE of a recursion.

    Attributes:
        definition: what the user wrote.
        schema: the names and types of its columns.
        anchor: gives the first rows; None where nothing does.
        terms: give the rows of the next round.
        working, result: the names of the relations that have the rows of the round before, and all of them.
    """

    definition: RecursiveCte
    schema: pa.Schema
    anchor: Part | None
    terms: tuple[Part, ...]
    working: str
    result: str


@dataclass(frozen=True)
class Recursion:
    """CTEs that read each other, or one that reads itself.

    Attributes:
        members: in the order of the WITH clause.
        inner: the recursions within the terms, which are worked out anew in each round.
    """

    members: tuple[Member, ...]
    inner: tuple[Recursion, ...]

    def filled(self, texts: Mapping[str, str]) -> Recursion:
        """The recursion with these literals in the holes of its queries."""

        def member(one: Member) -> Member:
            anchor = None if one.anchor is None else one.anchor.filled(texts)
            return replace(one, anchor=anchor, terms=tuple(term.filled(texts) for term in one.terms))

        return Recursion(tuple(map(member, self.members)), tuple(inner.filled(texts) for inner in self.inner))

    def reads(self) -> frozenset[str]:
        """The relations that its queries read."""
        parts = [part for m in self.members for part in (m.anchor, *m.terms) if part is not None]
        return frozenset().union(*(part.reads for part in parts), *(one.reads() for one in self.inner))

    def parts(self) -> Iterator[tuple[str, Any]]:
        """What it runs, in words, and the plan."""
        for inner in self.inner:
            yield from inner.parts()
        for member in self.members:
            name = member.definition.name
            if member.anchor is not None:
                yield f"recursion {name}, its first rows:", member.anchor.frame
            for term in member.terms:
                yield f"recursion {name}, each round:", term.frame
