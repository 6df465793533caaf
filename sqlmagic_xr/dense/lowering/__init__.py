"""Queries as one graph of named arrays."""
