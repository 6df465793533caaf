"""Argument string -> frozen dataclass -> library call -> display."""
