"""Web archives, HTML, and what HTTP says of a body."""
