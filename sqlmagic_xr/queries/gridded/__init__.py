"""Aggregates over xarray datasets as array code: a chunk at a time, without making a row of any cell."""
