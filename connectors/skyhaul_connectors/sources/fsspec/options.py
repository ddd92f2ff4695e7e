"""Which of a source's `options:` a filesystem of fsspec takes.

fsspec's base class takes every keyword, and passes over those that it does not know: a misspelt `account_kye`
would be no error, but a haul with other credentials.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.printable import printable

_BASE = frozenset({"use_listings_cache", "listings_expiry_time", "max_paths"})
"""What fsspec's base class looks for among them (its `DirCache`)."""

_HANDED_ON = {
    # To botocore's session.
    "s3": re.compile("profile|session_vars|event_hooks|include_builtin_handlers"),
    # To azure-identity's DefaultAzureCredential, whose own list grows with each way to log in.
    "abfs": re.compile(
        r"authority|process_timeout|additionally_allowed_tenants"
        r"|(?:exclude|interactive_browser|managed_identity|workload_identity|shared_cache|visual_studio_code"
        r"|broker)_\w+"
    ),
    # To paramiko's connect, which refuses those that it does not know.
    "sftp": re.compile(".*", re.DOTALL),
}
"""Scheme -> options beside its own that a filesystem gives to another library."""

_SAME = {"s3a": "s3", "az": "abfs", "abfss": "abfs", "ssh": "sftp"}


def check_options(source: str, scheme: str, filesystem: type, options: Iterable[str]) -> None:
    """Refuse what the filesystem would pass over in silence.

    Raises:
        ValueRefused: An option that neither the filesystem's class nor a base of it names, nor the library
            behind it.
    """
    known = _named(filesystem)
    handed_on = _HANDED_ON.get(_SAME.get(scheme, scheme))
    for key in options:
        if key not in known and (handed_on is None or handed_on.fullmatch(key) is None):
            there = ", ".join(sorted(known))
            raise ValueRefused(
                f"source {source}: no option {printable(key)!r}; {scheme}:// has {there}",
                ("sources", source, "options", key),
                allowed=there,
                known=tuple(sorted(known)),
                of_key=True,
            )


def _named(filesystem: type) -> set[str]:
    """The parameters that the constructors of the class and its bases name."""
    known = set(_BASE)
    for base in filesystem.__mro__:
        made = vars(base).get("__init__")
        if inspect.isfunction(made):
            known.update(
                name
                for name, parameter in inspect.signature(made).parameters.items()
                if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            )
    return known - {"self"}
