"""Descriptions of rows: counts, nulls, lengths, quantiles, languages, tokens.

All of it adds up exactly: two parts, described apart and merged in whatever order, give the description of
the whole."""
