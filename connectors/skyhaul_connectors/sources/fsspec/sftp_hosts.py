"""SSH servers are known or refused: fsspec's default takes whichever key a server shows first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

SYSTEM = "/etc/ssh/ssh_known_hosts"
OWN = "~/.ssh/known_hosts"
"""OpenSSH's defaults (ssh_config(5)): whom `ssh` knows, a haul knows."""


def with_known_hosts(source: str, options: Mapping[str, Any], connect: float, idle: float) -> dict[str, Any]:
    """Options for paramiko with a policy that takes only known hosts, and with deadlines.

    Args:
        source: The source's name, for messages.
        options: The job's. `known_hosts` names a file or some (the user's and the system's where it is not
            given); a `host_key_policy` that the job itself names stays.
        connect: Seconds for connecting, the banner and authentication, each.
        idle: Seconds for an answer on an open channel.

    Raises:
        UsageError: A file that the options name is not there."""
    taken = dict(options)
    files = taken.pop("known_hosts", None)
    if "host_key_policy" not in taken:
        taken["host_key_policy"] = _policy(source, files)
    for name in ("timeout", "banner_timeout", "auth_timeout"):
        taken.setdefault(name, connect)
    taken.setdefault("channel_timeout", idle)
    keys = taken.get("key_filename")
    if isinstance(keys, str | list):
        names = [keys] if isinstance(keys, str) else keys
        paths = [os.path.expanduser(str(name)) for name in names]
        for path in paths:
            if not os.path.isfile(path):
                raise UsageError(
                    f"source {source}: options.key_filename: there is no file {printable(path)!r}"
                )
        taken["key_filename"] = paths[0] if isinstance(keys, str) else paths
    return taken


def _policy(source: str, files: Any) -> Any:
    import paramiko

    named = [files] if isinstance(files, str) else list(files or ())
    known = paramiko.HostKeys()
    for path in named or [OWN, SYSTEM]:
        try:
            known.load(os.path.expanduser(path))
        except OSError as error:
            if named:
                raise UsageError(
                    f"source {source}: options.known_hosts {printable(str(path))!r} cannot be read:"
                    f" {error.strerror}"
                ) from None

    # fsspec loads no known hosts into its client, so that every host's key comes to the policy as an unknown
    # one.
    class KnownOnly(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko ships no types
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            if not known.check(hostname, key):
                raise paramiko.BadHostKeyException(hostname, key, key)

    return KnownOnly()
