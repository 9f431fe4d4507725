"""The lake: Parquet files that anyone may query."""
