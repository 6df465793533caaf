"""Which generations the steps of a call leave in a table of which they delete old ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .node import Refused
from .running.carry import Stamp
from .stack import Deleted
from .tables import Name, ScanRead


@dataclass(frozen=True)
class Written:
    """What a statement does to its table.

    Attributes:
        table: which.
        replaces: whether it makes it anew.
        before: how many statements of the step have written it before.
        trims: the column below whose least number that stays it deletes rows; "" where it deletes none.
    """

    table: Name
    replaces: bool
    before: int
    trims: str = ""


class Trims:
    """The statements of a step that delete old generations.

    Args:
        least: for each by its place what it does, and the least generation that stays, as far as it is known.
        clocks: for each table to which rows are added the columns that say which generation they are.

    Raises:
        Refused: which generations stay is not known beforehand, or not all of a step's own.
    """

    def __init__(
        self, least: Mapping[int, tuple[Written, Stamp | None]], clocks: Mapping[Name, frozenset[str]]
    ) -> None:  # fmt: skip
        self._found: dict[int, tuple[Written, int]] = {}
        for place, (each, stamp) in least.items():
            if each.trims not in clocks.get(each.table, ()) or stamp is None or stamp.kind != "generation":
                raise Refused(f"which rows of {'.'.join(each.table)} are deleted is not told by the generation")
            if stamp.value > 1:
                raise Refused(f"{'.'.join(each.table)} loses what the step has added")
            self._found[place] = each, stamp.value

    def check(self, read: ScanRead, generation: int) -> None:
        """Refuse a scan of what has been deleted.

        Args:
            read: what is read.
            generation: how far ahead of the newest one the rows lie that it reads.
        """
        for each, least in self._found.values():
            gone = least if each.before < read.version else least - 1  # by this step, or by the one before
            if each.table == read.table and generation < gone:
                raise Refused(f"a step reads generations of {'.'.join(read.table)} that have been deleted")

    def deleted(self, k: int, made: int) -> dict[int, Deleted]:
        """What each statement has deleted, by its place, when so many steps from generation ``k`` have been made."""
        last = k + made - 1
        return {place: Deleted(last + least, max(0, made + least - 2)) for place, (_, least) in self._found.items()}
