"""Properties that are worked out when they are first asked for, and kept: no thread waits for another's object."""

from __future__ import annotations

from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

__all__ = ["kept_property", "run_once", "turn"]


class UnlockedProperty(cached_property[Any]):
    """``functools.cached_property`` without its lock, as Python 3.12 has it.

    That of Python 3.11 has one lock for all objects of a class, held while one of them is asked. Two threads, each
    of which asks for what the other is at, would wait for each other for ever; and a query would wait for any other.
    Two threads that ask one object at once may both work it out; they get the same object.

    >>> class Circle:
    ...     @kept_property
    ...     def area(self):
    ...         return 3.0
    >>> circle = Circle()
    >>> circle.area, circle.__dict__
    (3.0, {'area': 3.0})
    """

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        return instance.__dict__.setdefault(cast(str, self.attrname), self.func(instance))


class OnceProperty(UnlockedProperty):
    """The same of what must not run twice: a thread that asks waits for the one that works it out for this object."""

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        with turn(instance):
            name = cast(str, self.attrname)
            return instance.__dict__[name] if name in instance.__dict__ else super().__get__(instance, owner)


if TYPE_CHECKING:  # a type checker knows what that is
    from functools import cached_property as kept_property
    from functools import cached_property as run_once
else:
    kept_property, run_once = UnlockedProperty, OnceProperty


def turn(instance: object) -> RLock:
    """The lock of one object, for what one thread at a time may do with it; a thread that has it may take it again."""
    return cast("RLock", instance.__dict__.setdefault("_turn", RLock()))
