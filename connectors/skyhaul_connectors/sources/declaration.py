"""What a kind of source says of itself: its URL schemes, its options, and what opens it.

Each folder here declares its own in `scheme.py`; an installed package's is found by its entry point in the
group `skyhaul.sources` (see `skyhaul_schemas.plugins`). Declarations are light: `open` imports what is heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skyhaul_connectors.sources.catalogue.checksums import LoadChecksums
from skyhaul_connectors.sources.catalogue.documents import Document
from skyhaul_connectors.sources.protocol import Route, Source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.job.model import SourceSpec


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source is opened with. Nothing may be contacted yet.

    Attributes:
        name: The source's name in the job, which every message states.
        spec: The source as the job has it, with its `options` (which may be secret) and `max_connections`.
        scheme: Of its URLs, in lower case; `file` for a path.
        urls: Its URLs or paths as the job has them, globs and all; `ROOT/**` where a list names the objects.
        listed: The list that names the objects, by their paths below the root of `urls`; None: nothing does,
            and the source lists what its globs take.
        checksums: Loads the job's checksums file for the source; None: the job names none.
        timeouts: What channels wait for.
        receive_buffer: SO_RCVBUF in bytes of its connections; None: the system's own.
        route: How servers are reached while a plan is made.
    """

    # Everything that opening may depend on: a plug-in is called with this alone, so that more can be added
    # without breaking those that are installed.
    name: str
    spec: SourceSpec
    scheme: str
    urls: Sequence[str]
    listed: Document | None
    checksums: LoadChecksums | None
    timeouts: Timeouts
    receive_buffer: int | None
    route: Route


@dataclass(frozen=True, slots=True)
class SourceKind:
    """The declaration of one kind of source.

    Attributes:
        schemes: Of the URLs that it takes, in lower case, without `://`.
        about: What it reads, in a few words, for lists.
        open: Opens a source. Raises UsageError for a URL, a glob or an option that it does not take.
        selection: (source's name, URLs) -> the globs or names below the root of the URLs, without that root:
            what of the URLs belongs to a plan, so that another root with the same objects is no difference.
            Raises UsageError.
        options: What `options:` of such a source may say -> what it means; None: what the library behind it
            takes, which alone can check it. Where it is not None another key is refused.
        mixes: Whether URLs of several of its schemes may stand in one source.
        takes_lists: Whether a list may name its objects (`url: {list: …, root: …}`).
        shown: Whether messages offer its schemes to somebody who wrote another one.
    """

    schemes: tuple[str, ...]
    about: str
    open: Callable[[Opening], Source]
    selection: Callable[[str, Sequence[str]], list[str]]
    options: Mapping[str, str] | None = None
    mixes: bool = False
    takes_lists: bool = False
    shown: bool = True
