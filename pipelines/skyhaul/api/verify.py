"""`skyhaul.verify`: what `skyhaul verify` does."""

from __future__ import annotations

from skyhaul.api.dataset import Dataset
from skyhaul.api.errors import as_ours
from skyhaul.api.results import Verified
from skyhaul.api.target import JobLike, open_dataset
from skyhaul.report.verify import VerificationReport
from skyhaul.verification import verify_dataset


def verify(job: JobLike | Dataset, *, deep: bool = False) -> Verified:
    """Prove offline that every planned byte and every record is accounted for.

    Damage and unfinished work are no exceptions; the result's `exit_code` says so.

    Args:
        job: As of `haul`, or a `Dataset`.
        deep: Read every page of every file, and check its digest.

    Raises:
        SkyhaulError: There is no such dataset, or it cannot be read; `exit_code` is that of the command line.
    """
    with as_ours(), open_dataset(job.url if isinstance(job, Dataset) else job) as store:
        return Verified.of(VerificationReport(verify_dataset(store, deep=deep)).to_json())
