"""Verify: prove offline that a dataset is what its plan and its commit records say.

What is proved: the plan's digest and that its chunks partition its objects; that each commit record took
exactly the chunks planned for its shard; that the files are there, byte for byte, with one schema and
with the counts of their records; that nothing else lies in `data/`. `deep` reads every page.
"""

from skyhaul.verification.findings import Finding, VerifyReport
from skyhaul.verification.verify import verify_dataset

__all__ = ["Finding", "VerifyReport", "verify_dataset"]
