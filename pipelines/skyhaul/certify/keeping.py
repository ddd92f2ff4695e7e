"""The certificate's place in the dataset."""

from __future__ import annotations

import json

from skyhaul.certify.certificate import Certificate
from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas import layout


def keep_certificate(store: DatasetStore, certificate: Certificate) -> None:
    """Write it, or take an earlier one away where the dataset is not certified: it would speak of what is
    no longer so. Raises StorageError."""
    if certificate.certified:
        store.replace_bytes(layout.CERTIFICATE, f"{json.dumps(certificate.to_json(), indent=2)}\n".encode())
    else:
        store.remove(layout.CERTIFICATE)
