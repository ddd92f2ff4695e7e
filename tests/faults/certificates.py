"""A certificate authority for one test: its CA file for the client, a server context for 127.0.0.1."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def make_authority(folder: Path) -> tuple[str, ssl.SSLContext]:
    """(path of the CA's PEM, server context with a certificate for localhost and 127.0.0.1)."""
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return str(ca_file), context
