"""What lies among a dataset's records and is none of a shard of the plan.

The records of failures, runs and certifying are looked at here, too."""

from __future__ import annotations

import json

from skyhaul.dataset.commits.record_files import committed_groups, number_of
from skyhaul.dataset.commits.sealed import sealed_groups
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.runs import runs
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.verification.commit_check import WAY_OUT
from skyhaul.verification.damage import unreadable_records
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.self_digest import check_digest


def check_other_records(store: DatasetStore, validator: CommitValidator, report: VerifyReport) -> None:
    """Add findings for records that are of no shard of the plan, or not as they were written.

    Looked at are commit records and sealed files beyond the plan or of no proper name, failure records, run
    records and the certificate.

    Raises:
        StorageError: The storage fails otherwise."""
    beyond = f"the plan ends with shard {validator.shards - 1}"
    for group, _ in committed_groups(store):
        for path in store.list(f"{layout.COMMITS}/{group:04d}"):
            shard = number_of(path)
            if shard is None or path != layout.commit_file(shard):
                if path.endswith(".json"):
                    why = "no record of this folder has such a name"
                    report.add("commit-misplaced", f"{path}: {why}; {WAY_OUT}", path=path)
            elif shard >= validator.shards:
                message = f"shard {shard} is committed, but {beyond}; {WAY_OUT}"
                report.add("commit-unplanned", message, path=path, shard=shard)
    for group in sealed_groups(store):
        if layout.shards_of(group).start >= validator.shards:
            path = layout.sealed_file(group)
            report.add("commit-unplanned", f"{path} is there, but {beyond}; {WAY_OUT}", path=path)
    for path, shard, why in unreadable_records(store):
        code = "run-unreadable" if path.startswith(f"{layout.RUNS}/") else "failure-unreadable"
        report.add(code, f"{path}: {why}; {WAY_OUT}", path=path, shard=shard)
    # `runs` passes over what cannot be read: that was told of just above.
    for run in runs(store):
        if run.digest is None:
            report.no_digest("run records")
    _check_certificate(store, report)


def _check_certificate(store: DatasetStore, report: VerifyReport) -> None:
    try:
        content = json.loads(store.read_bytes(layout.CERTIFICATE))
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        if not check_digest(content):
            report.no_digest("certificates")
    except FileNotFoundError:
        return
    # RecursionError: `json` of a file of nothing but brackets.
    except (ValueError, RecursionError) as error:
        message = (
            f"{layout.CERTIFICATE}: it is not as it was written ({error}); `skyhaul certify` makes it anew"
        )
        report.add("certificate-damaged", message, path=layout.CERTIFICATE)
