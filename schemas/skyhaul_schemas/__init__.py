"""What skyhaul's things are: errors, units, the job file, the plan, commit records, record schemas.

Imports pyarrow, pydantic and PyYAML at most, so that a worker, an editor plug-in or a reader of a
dataset can use it without the transfer code.
"""
