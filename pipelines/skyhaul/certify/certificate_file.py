"""The certificate's file in the dataset."""

from __future__ import annotations

from contextlib import closing

from skyhaul.certify.certificate import Certificate
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout
from skyhaul_schemas.self_digest import digested_line


def keep_certificate(store: DatasetStore, certificate: Certificate) -> None:
    """Write the certificate, or take an earlier one away.

    It is taken away where the dataset is not certified, or its plan is another one by now: it would speak of
    what is no longer so. It holds its own digest (`skyhaul_schemas.self_digest`).

    Raises:
        StorageError: The storage fails otherwise."""
    if certificate.certified:
        store.replace_bytes(layout.CERTIFICATE, digested_line(certificate.to_json(), indent=2))
        # Looked at once it is there: whoever adds a generation takes certificates away once that is there.
        with closing(Plan.open(store)) as plan:
            if plan.header.digest != certificate.plan:
                store.remove(layout.CERTIFICATE)
                store.sync_folder(layout.CONTROL)
    else:
        # For good: one that a power cut brought back would speak of what is no longer so.
        store.remove(layout.CERTIFICATE)
        store.sync_folder(layout.CONTROL)
