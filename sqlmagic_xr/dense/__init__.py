"""Gridded relations as named arrays: the fast executor beside DataFusion."""
