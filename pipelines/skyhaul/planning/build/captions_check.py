"""Whether a list of captions and the objects of a source speak of each other."""

from __future__ import annotations

from skyhaul_connectors.formats.media.captions import Captioned, Captions
from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

_UNNAMED = "an {} that no line of the captions list names"
_NONE = "a line of the captions list that names no {}"
"""As the plan's header counts them, and `plan` shows them; a plan's digest is not over these words."""

_FILES = {"image": "images", "audio": "audio files"}


class CaptionsCheck:
    """The objects of one source, looked at as they are planned; what is not captioned is told to `told`."""

    def __init__(self, told: LeftOut) -> None:
        self._told = told
        self._lists: dict[int, Captions | None] = {}
        self._strangers: dict[int, str] = {}
        self._used: set[int] = set()

    def look(self, obj: PinnedObject, decoder: Decoder) -> None:
        if id(decoder) not in self._lists:
            self._lists[id(decoder)] = decoder.captions if isinstance(decoder, Captioned) else None
        captions = self._lists[id(decoder)]
        if captions is None:
            return
        if captions.names(obj.path):
            self._used.add(id(decoder))
            return
        self._strangers.setdefault(id(decoder), obj.path)
        self._told.unchecked.add(obj.path, _UNNAMED.format(captions.what))

    def finish(self) -> None:
        """End the check, after all objects. Raises UsageError for a list that names none of them."""
        for key, captions in self._lists.items():
            if captions is None:
                continue
            unused = captions.unused()
            if key in self._strangers and key not in self._used:
                stranger = printable(self._strangers[key])
                first = next(unused, None)
                files = _FILES[captions.what]
                has = "it is empty" if first is None else f"it has {printable(first)!r}"
                raise UsageError(
                    f"captions {captions.where}: names none of the source's {files}: {has}, the source has"
                    f" {stranger!r}; its paths are to be relative to the source's root"
                )
            for path in unused:
                self._told.unchecked.add(path, _NONE.format(captions.what))
