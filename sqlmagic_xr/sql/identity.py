"""What is noted of very objects: trees have no hash, and equal expressions stand in many places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")
Other = TypeVar("Other")


class IdentityMap(Generic[Key, Value]):
    """A mapping of objects themselves to values; it keeps the objects, so that none of its keys can become another's.

    Example:
        >>> one, other = ["a"], ["a"]
        >>> noted = IdentityMap([(one, 1)])
        >>> noted[one], noted.get(other), one in noted, other in noted
        (1, None, True, False)
    """

    __slots__ = ("_noted",)

    def __init__(self, items: Iterable[tuple[Key, Value]] = ()) -> None:
        self._noted: dict[int, tuple[Key, Value]] = {id(key): (key, value) for key, value in items}

    def __contains__(self, key: object) -> bool:
        return id(key) in self._noted

    def __getitem__(self, key: Key) -> Value:
        return self._noted[id(key)][1]

    def __setitem__(self, key: Key, value: Value) -> None:
        self._noted[id(key)] = (key, value)

    def copy(self) -> IdentityMap[Key, Value]:
        """The same again, to be changed by itself."""
        return IdentityMap(self._noted.values())

    def __len__(self) -> int:
        return len(self._noted)

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Other) -> Value | Other: ...
    def get(self, key: Key, default: object = None) -> object:
        """What is noted of an object, or the default."""
        found = self._noted.get(id(key))
        return default if found is None else found[1]

    def setdefault(self, key: Key, default: Value) -> Value:
        """What is noted of an object; the default is, where nothing was."""
        return self._noted.setdefault(id(key), (key, default))[1]

    def pop(self, key: Key) -> Value | None:
        """What was noted of an object, and is no more; None where nothing was."""
        found = self._noted.pop(id(key), None)
        return None if found is None else found[1]

    def values(self) -> Iterator[Value]:
        """What is noted, in the order in which it came."""
        return (value for _, value in self._noted.values())
