"""What a running haul and `skyhaul links` tell each other: two small files beside the haul's spool.

`links.json` is the haul's: what its links do, written anew each second. `rates.json` is the command's: rates
that hold until the haul ends. Both go with the haul; one that was killed leaves them, and its lock not.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from skyhaul_connectors.transfer.spool.lock import is_locked
from skyhaul_connectors.transfer.spool.spool import folder_name
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import storage_error

STATE, RATES = "links.json", "rates.json"
"""Two files, so that each has one writer."""


def live_folders(spool: Path, plan: str) -> Iterator[Path]:
    """The spool folders of this machine in which a haul of the plan runs now."""
    name = folder_name(plan)
    for folder in (spool / name, *sorted(spool.glob(f"worker-*/{name}"))):
        if folder.is_dir() and is_locked(folder):
            yield folder


def write(folder: Path, name: str, content: Mapping[str, Any]) -> None:
    """Write a file in one step. Raises StorageError."""
    temporary = folder / f"{name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        temporary.write_text(json.dumps(content))
        os.replace(temporary, folder / name)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise storage_error(error, f"{printable(str(folder / name))} cannot be written") from None


def read(folder: Path, name: str) -> dict[str, Any]:
    """The content of a file; empty where there is none, or it is not whole."""
    try:
        content = json.loads((folder / name).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(folder: Path) -> None:
    for name in (STATE, RATES):
        with suppress(OSError):
            (folder / name).unlink()
