"""Tests of a dask cluster share one, which goes when the last of them has run."""
