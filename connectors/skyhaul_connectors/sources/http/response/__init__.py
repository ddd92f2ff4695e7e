"""The answers of HTTP servers: their heads, their framing, and whether they are what was asked for."""
