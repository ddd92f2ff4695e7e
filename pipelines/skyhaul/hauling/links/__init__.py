"""The links of a haul: opened, kept to their terms, looked at."""
