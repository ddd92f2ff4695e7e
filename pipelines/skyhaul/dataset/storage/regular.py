"""What lies under the name of a dataset's file and is none: a folder, a FIFO, a device, a link to nothing."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from skyhaul_schemas.errors import RecordDamaged

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(file: Path, path: str) -> os.stat_result:
    """The status of what is at `file`, links followed.

    Args:
        file: Where it lies.
        path: Its name in the dataset, for messages.

    Raises:
        RecordDamaged: It is no regular file: opening it might fail, or wait for ever.
        FileNotFoundError: The name is free.
        OSError: It cannot be looked at."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        # The name is taken (`LocalStore.exists`) though nothing is found: as "not there", a create would try
        # for ever.
        if os.path.islink(file):
            raise RecordDamaged(_said(path, "a link to nothing")) from None
        raise
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(file):
            raise RecordDamaged(_said(path, "a link that leads in a circle")) from None
        raise
    if not stat.S_ISREG(found.st_mode):
        raise RecordDamaged(_said(path, _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")))
    return found


def _said(path: str, what: str) -> str:
    return f"{path} is damaged: it is {what}, and no file; move it away, and run the same command again"
