"""The file behind the scratch tables: a DuckDB database that other tools read."""
