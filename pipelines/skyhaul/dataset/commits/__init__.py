"""Commit records, sealed groups, and what they say of a plan."""
