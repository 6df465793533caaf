"""SQL notebooks for xarray, with state that trains."""

__version__ = "0.1.0"
