"""The one context that all cells of a notebook share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from .settings import settings_of

if TYPE_CHECKING:
    from ..context import Context


@cache
def get_context() -> Context:
    """The notebook's context: what ``%%xsql`` cells and Python code have in common.

    It reads the notebook's variables as tables and parameters; outside IPython there are none.
    """
    from .. import accessor  # noqa: F401 - which gives datasets ds.xsql(...)
    from ..context import Context

    return Context(namespace=_variables)


def context_of(shell: Any) -> Context:
    """The notebook's context as a cell finds it: as the settings say, with the file that they name once that is set.

    Raises:
        StorageError: that file cannot be opened.
    """
    context, settings = get_context(), settings_of(shell)
    if settings.store_is_due:
        settings.store_is_due = False
        context.store.open(settings.store)
    context.max_recursion = settings.max_recursion
    return context


def _variables() -> Mapping[str, Any]:
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        return {}
    # In, Out, exit and the like are the shell's, not the user's.
    hidden = shell.user_ns_hidden
    return {name: value for name, value in shell.user_ns.items() if name not in hidden}
