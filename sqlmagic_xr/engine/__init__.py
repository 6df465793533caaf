"""The only room that knows DataFusion, xarray-sql and Arrow tables."""
