"""Objects that are made up, and faults by script, for tests and rehearsals."""
