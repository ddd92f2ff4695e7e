"""Parquet, Arrow and Feather."""
