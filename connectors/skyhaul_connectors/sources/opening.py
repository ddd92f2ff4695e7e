"""The kinds of sources by their URLs' schemes: those built in, and those of installed packages.

A kind is declared in `scheme.py` of its folder, and named in KINDS. One of somebody else's package is found
by its entry point, whose name is the scheme (`skyhaul_schemas.plugins`), and loaded where a job names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from skyhaul_connectors.sources.catalogue.documents import Document
from skyhaul_connectors.sources.catalogue.globs import has_glob
from skyhaul_connectors.sources.catalogue.rooted import SCHEME
from skyhaul_connectors.sources.catalogue.url_list import FILE_CAP
from skyhaul_connectors.sources.declaration import Opening, SourceKind
from skyhaul_connectors.sources.fsspec.scheme import FSSPEC
from skyhaul_connectors.sources.http.job_documents import checksums_of, document
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.scheme import HTTP
from skyhaul_connectors.sources.local.scheme import LOCAL
from skyhaul_connectors.sources.memory.scheme import SYNTHETIC
from skyhaul_connectors.sources.protocol import Route, Source
from skyhaul_connectors.sources.s3.scheme import S3
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused, UsageError, ValueRefused
from skyhaul_schemas.job.model import ListedUrls, SourceSpec
from skyhaul_schemas.plugins import Listed, PlugIn
from skyhaul_schemas.printable import printable

KINDS = (
    LOCAL,
    HTTP,
    S3,
    FSSPEC,
    SYNTHETIC,
)
"""The built-in ones, as lists show them."""

PLAIN = Route()
"""The plain network: no address, proxy or base URL of a link's."""

_ADDRESS = re.compile(r"\[[^\]]*\]")
"""An IPv6 address in an authority (RFC 3986, 3.2.2)."""

_BUILT_IN = {scheme: kind for kind in KINDS for scheme in kind.schemes}


def open_source(
    name: str,
    spec: SourceSpec,
    *,
    timeouts: Timeouts | None = None,
    receive_buffer: int | None = None,
    route: Route = PLAIN,
) -> Source:
    """The source `name` as the job describes it. Nothing is contacted yet.

    Args:
        name: As the job calls it.
        spec: What the job says of it.
        timeouts: What its channels wait for.
        receive_buffer: SO_RCVBUF in bytes, for HTTP.
        route: How its servers are reached while planning, over HTTP.

    Raises:
        UsageError: A URL, an option or a list that cannot be meant, or a plug-in that cannot be used.
    """
    timeouts = timeouts or Timeouts()
    scheme, urls = _urls_of(name, spec)
    kind = _kind(name, scheme)
    listed = None
    if isinstance(spec.url, ListedUrls) and kind is not HTTP:
        listed = _list_of(name, kind, scheme, spec.url, timeouts)
    _check_options(name, scheme, kind, spec)
    opening = Opening(
        name=name,
        spec=spec,
        scheme=scheme,
        urls=urls,
        listed=listed,
        # HTTP sends its own headers for them, where they lie on the same servers.
        checksums=None if kind is HTTP else checksums_of(name, spec, HttpOptions(), timeouts),
        timeouts=timeouts,
        receive_buffer=receive_buffer,
        route=route,
    )
    return kind.open(opening)


def selection(spec: SourceSpec, name: str = "url") -> list[str]:
    """The glob patterns below the root, without the root.

    What of the URL belongs to the plan's digest, so that another base URL of the same region is no
    difference. `name` is the source's, for messages. Raises UsageError."""
    if isinstance(spec.url, ListedUrls):
        # Not the list's path, nor what is in it: the plan has its objects, and a list may be signed anew.
        return ["{list}"]
    scheme, urls = _urls_of(name, spec)
    return _kind(name, scheme).selection(name, urls)


def listed() -> Iterator[Listed[SourceKind]]:
    """The kinds of sources by scheme, the built-in ones first; `file` is that of paths.

    Loads what every installed package declares."""
    return plugins.listed(plugins.SOURCES, _BUILT_IN, _loaded)


def opener_fingerprint(name: str, spec: SourceSpec) -> dict[str, str]:
    """The package whose plug-in opens source `name`, for a plan's fingerprint; {} for built-in kinds.

    Loads no plug-in: a plan is compared before any code of a package runs. A scheme that nobody takes is not
    an error here, but when the source is opened.

    Raises:
        PlugInRefused: Several packages declare the scheme."""
    urls = [spec.url.root or ""] if isinstance(spec.url, ListedUrls) else spec.url
    match = SCHEME.match(urls[0])
    if match is None or match[1].lower() in _BUILT_IN:
        return {}
    found = plugins.find(plugins.SOURCES, match[1].lower())
    return {} if found is None else found.fingerprint


def _urls_of(name: str, spec: SourceSpec) -> tuple[str, Sequence[str]]:
    """(scheme, URLs) of a source; of one with a list, all that is below the root."""
    if not isinstance(spec.url, ListedUrls):
        return _common_scheme(name, spec.url), spec.url
    root = spec.url.root
    if root is None:
        return HTTP.schemes[0], ()  # each line has its own
    return _scheme_of(name, root, "root"), [f"{root}**" if root.endswith("/") else f"{root}/**"]


def _scheme_of(name: str, url: str, *where: str | int) -> str:
    """In lower case; `file` for a path. where: Which of the source's URLs it is.

    Raises:
        ValueRefused: Nobody takes it.
        UsageError: It is no URL to be opened, or a package claims a scheme that is built in.
    """
    match = SCHEME.match(url)
    if match is None:
        return LOCAL.schemes[0]
    scheme = match[1].lower()
    # fsspec would open `simplecache::file://…`, and so read files of this machine for a list from outside.
    if match[0].endswith("::"):
        raise UsageError(f"source {name}: chained URLs ('{printable(scheme)}::') are not taken")
    # A package must not take over what jobs mean by `https`, nor be passed over in silence.
    if scheme in _BUILT_IN:
        plugins.refuse_clash(plugins.SOURCES, scheme)
    elif plugins.find(plugins.SOURCES, scheme) is None:
        shown = [offered for kind in KINDS if kind.shown for offered in kind.schemes]
        known = sorted({*shown, *map(printable, plugins.names(plugins.SOURCES))})
        allowed = f"a path, or a URL with one of {', '.join(known)}"
        raise ValueRefused(
            f"source {name}: the scheme {printable(scheme)!r} is not taken; write {allowed}",
            ("sources", name, "url", *where),
            scheme,
            allowed,
            tuple(known),
        )
    # An IPv6 address, which stands in brackets, has `::` rightly; so may a path.
    if "::" in _ADDRESS.sub("", url.partition("://")[2].partition("/")[0]):
        raise UsageError(f"source {name}: chained URLs (`::` behind {printable(scheme)}://) are not taken")
    return scheme


def _common_scheme(name: str, urls: Sequence[str]) -> str:
    schemes = sorted({_scheme_of(name, url, index) for index, url in enumerate(urls)})
    kind = _kind(name, schemes[0])
    if len(schemes) > 1 and not (kind.mixes and set(schemes) <= set(kind.schemes)):
        raise UsageError(f"source {name}: URLs of several schemes; make them several sources")
    return schemes[0]


def _kind(name: str, scheme: str) -> SourceKind:
    """The kind of a scheme that `_scheme_of` gave."""
    built_in = _BUILT_IN.get(scheme)
    if built_in is not None:
        return built_in
    plug_in = plugins.find(plugins.SOURCES, scheme)
    assert plug_in is not None
    return _loaded(plug_in)


@cache
def _loaded(plug_in: PlugIn) -> SourceKind:
    kind = plug_in.load(SourceKind)
    if plug_in.name not in kind.schemes:
        raise PlugInRefused(
            f"source scheme {printable(plug_in.name)!r} of package {printable(plug_in.package)}: its"
            f" declaration is for {printable(', '.join(kind.schemes))}"
        )
    return kind


def _list_of(name: str, kind: SourceKind, scheme: str, listed: ListedUrls, timeouts: Timeouts) -> Document:
    """The list of a source with a root that is not HTTP's."""
    assert listed.root is not None
    if not kind.takes_lists:
        raise UsageError(f"source {name}: no list can name objects of {printable(scheme)}://")
    if has_glob(listed.root):
        raise UsageError(f"source {name}: the list's root is one folder; it takes no globs")
    return document(name, "list", listed.list, HttpOptions(), timeouts, FILE_CAP)


def _check_options(name: str, scheme: str, kind: SourceKind, spec: SourceSpec) -> None:
    """A kind gets the options that it declares, and no others. Raises ValueRefused."""
    for key in spec.options:
        if kind.options is not None and key not in kind.options:
            known = ", ".join(map(printable, kind.options)) or "none"
            raise ValueRefused(
                f"source {name}: no option {printable(str(key))!r}; {printable(scheme)}:// has {known}",
                ("sources", name, "options", key),
                allowed=known,
                known=tuple(map(printable, kind.options)),
                of_key=True,
            )
