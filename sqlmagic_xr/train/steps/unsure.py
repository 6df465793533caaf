"""A shortcut that is not taken, with the reason for a person."""

from __future__ import annotations


class UnsureError(Exception):
    """A statement, or a part of it, runs as it stands; the text says why."""
