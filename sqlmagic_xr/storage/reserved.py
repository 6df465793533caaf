"""Names that are ours: relations and columns that stand beside the user's own in queries that we write."""

from __future__ import annotations

from ..errors import UsageError


def is_reserved(name: str) -> bool:
    """Whether a name is kept for relations and columns of our own.

    >>> is_reserved("__kept_0__"), is_reserved("__kept"), is_reserved("____")
    (True, False, False)
    """
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def refuse_reserved(name: str, what: str) -> None:
    """Refuse to let the user's table or column have a name of ours, for which it would be taken.

    Args:
        name: the name.
        what: what would have it: "a table".

    Raises:
        UsageError: it is reserved.
    """
    if is_reserved(name):
        raise UsageError(
            f"`{name}` cannot be the name of {what}: names that begin and end with two underscores are reserved",
            hint="Take another name.",
        )
