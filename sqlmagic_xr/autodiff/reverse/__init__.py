"""Reverse mode: the gradient of a whole query by a table's column, as ordinary SQL.

What a colleague may call: :func:`.statement.rewrite_whole` works out every ``grad`` of a statement that goes through
whole queries (``rewrite`` calls it first), and :class:`.backward.Pass` takes one query back to the cells of a table.
"""
