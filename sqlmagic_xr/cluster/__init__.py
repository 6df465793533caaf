"""Chunks on a dask cluster: they are read, gone through and put together where the workers are."""
