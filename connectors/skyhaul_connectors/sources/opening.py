"""From a job's source spec to a Source: by the URL's scheme, from a list of schemes that are allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from skyhaul_connectors.sources.catalogue.checksums import LINE_CAP, Checksums, LoadChecksums
from skyhaul_connectors.sources.catalogue.globs import below, common_root, has_glob, keys_root, split_root
from skyhaul_connectors.sources.catalogue.object_names import refuse_folded
from skyhaul_connectors.sources.http.fetch import fetched, lines_of, opened
from skyhaul_connectors.sources.http.listing.patterns import select
from skyhaul_connectors.sources.http.options import HttpOptions, http_options, takes_stored
from skyhaul_connectors.sources.local.open_files import affordable
from skyhaul_connectors.sources.local.source import LocalFiles
from skyhaul_connectors.sources.memory.synthetic import SCHEME, Rule, SyntheticSource
from skyhaul_connectors.sources.protocol import Route, Source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, parse_url
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import ListedUrls, SourceSpec
from skyhaul_schemas.printable import printable

if TYPE_CHECKING:
    from skyhaul_connectors.sources.fsspec.source import FsspecFiles

HTTP = frozenset(("http", "https"))
S3 = frozenset(("s3", "s3a"))
FSSPEC = frozenset(
    ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "sftp", "ssh", "ftp", "hdfs", "webhdfs", "hf", "memory")
)
"""Filesystems that a job may name. Not `file` through fsspec, nor wrappers such as simplecache, nor
`reference`, which reads whatever its index names."""
SUMS_CAP = 4 * 1024**3
"""Bytes of a checksums file that is fetched."""

PLAIN = Route()

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://|:)")

Files = TypeVar("Files", bound="FsspecFiles")


@dataclass(frozen=True, slots=True)
class _Rooted:
    """Patterns relative to the longest common folder without globs. `root` is without the scheme."""

    scheme: str
    root: str
    patterns: list[str]


def open_source(
    name: str,
    spec: SourceSpec,
    *,
    timeouts: Timeouts | None = None,
    receive_buffer: int | None = None,
    route: Route = PLAIN,
) -> Source:
    """The source `name` as the job describes it. Nothing is contacted yet. `receive_buffer`: SO_RCVBUF in
    bytes, for HTTP. `route`: how its servers are reached while planning, over HTTP. Raises UsageError."""
    timeouts = timeouts or Timeouts()
    if isinstance(spec.url, ListedUrls):
        return _listed(name, spec, spec.url, timeouts, receive_buffer, route)
    scheme = _common_scheme(name, spec.url)
    if scheme in HTTP:
        return _http(name, spec, spec.url, timeouts, receive_buffer, route)
    if scheme == SCHEME:
        return SyntheticSource(name, _rule(name, spec.url), timeouts=timeouts)
    rooted = _rooted(name, spec.url)
    if scheme == "file":
        if spec.options:
            raise UsageError(f"source {name}: local files take no options")
        sums = _checksums(name, spec, HttpOptions(), timeouts)
        return LocalFiles(name, rooted.root, rooted.patterns, checksums=sums, timeouts=timeouts)
    from skyhaul_connectors.sources.fsspec.source import FsspecFiles
    from skyhaul_connectors.sources.s3.files import S3Files

    kind = S3Files if rooted.scheme in S3 else FsspecFiles
    files = _fsspec(name, spec, rooted, timeouts, kind)
    return _over_http(name, spec, rooted, files, timeouts, receive_buffer)


def selection(spec: SourceSpec) -> list[str]:
    """The glob patterns below the root, without the root: what of the URL belongs to the plan's digest,
    so that another base URL of the same region is no difference. Raises UsageError."""
    if isinstance(spec.url, ListedUrls):
        return ["{list}"]
    scheme = _common_scheme("url", spec.url)
    if scheme == SCHEME:
        return [_rule("url", spec.url).pattern]
    if scheme in HTTP:
        urls = [_parsed("url", url) for url in spec.url]
        if _share_root(urls):
            return list(select("url", urls).shown)
        return sorted(unquote(url.path).lstrip("/") for url in urls)
    return _rooted("url", spec.url).patterns


def _scheme_of(name: str, url: str) -> str:
    """In lower case; `file` for a path."""
    match = _SCHEME.match(url)
    if match is None:
        return "file"
    scheme = match[1].lower()
    if match[0].endswith("::") or "::" in url.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        raise UsageError(f"source {name}: chained URLs ('{printable(scheme)}::') are not taken")
    if scheme not in HTTP | FSSPEC | {"file", SCHEME}:
        allowed = ", ".join(sorted(HTTP | FSSPEC))
        raise UsageError(
            f"source {name}: the scheme {printable(scheme)!r} is not taken; write a path or one of {allowed}"
        )
    return scheme


def _common_scheme(name: str, urls: Sequence[str]) -> str:
    schemes = {_scheme_of(name, url) for url in urls}
    if schemes <= HTTP:
        return "https"
    if len(schemes) > 1:
        raise UsageError(f"source {name}: URLs of several schemes; make them several sources")
    return schemes.pop()


def _rule(name: str, urls: Sequence[str]) -> Rule:
    if len(urls) > 1:
        raise UsageError(f"source {name}: one synthetic URL a source; make them several sources")
    return Rule.parse(name, urls[0])


def _rooted(name: str, urls: Sequence[str]) -> _Rooted:
    scheme = _scheme_of(name, urls[0])
    texts = [url.partition("://")[2] if _SCHEME.match(url) else url for url in urls]
    if any("\0" in text or not text for text in texts):
        raise UsageError(f"source {name}: a URL that names nothing")
    several = f"source {name}: URLs of several buckets or hosts; make them several sources"
    if scheme in S3:
        bucket, patterns = keys_root(texts)
        if not bucket or bucket.startswith("/"):
            raise UsageError(several)
        return _Rooted(scheme, bucket, patterns)
    refuse_folded(name, scheme, texts)
    split = [split_root(text) for text in texts]
    if len({folder.startswith("/") for folder, _ in split}) > 1:
        raise UsageError(f"source {name}: some paths are absolute and some relative; write them all alike")
    root = common_root([folder for folder, _ in split])
    if scheme != "file" and not root:
        raise UsageError(several)
    return _Rooted(scheme, root, [below(root, folder) + rest for folder, rest in split])


# HTTP


def _parsed(name: str, text: str) -> HttpUrl:
    if "#" in text:
        raise UsageError(f"source {name}: what follows a '#' in a URL is never asked for; write %23 for it")
    try:
        url = parse_url(text)
        urlsplit(text).path.encode()
        unquote(url.path, errors="strict")
    except ValueError as error:
        reason = "the URL's path is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise UsageError(f"source {name}: {reason}") from None
    return url


def _share_root(urls: Sequence[HttpUrl]) -> bool:
    first = urls[0]
    return all(u.origin == first.origin and u.userinfo == first.userinfo and not u.has_query for u in urls)


def _http(
    name: str,
    spec: SourceSpec,
    texts: Sequence[str],
    timeouts: Timeouts,
    receive_buffer: int | None,
    route: Route,
) -> Source:
    from skyhaul_connectors.sources.http.listing.tree_source import HttpTree
    from skyhaul_connectors.sources.http.listing.url_list_source import HttpListed, NamedUrls
    from skyhaul_connectors.sources.http.source import HttpCatalogue, HttpSource

    options = replace(http_options(name, spec.options), route=route)
    urls = [_parsed(name, text) for text in texts]
    sums = _checksums(name, spec, options, timeouts)
    catalogue: HttpCatalogue
    if _share_root(urls):
        catalogue = HttpTree(
            name,
            select(name, urls),
            options,
            connections=affordable(spec.max_connections),
            timeouts=timeouts,
            checksums=sums,
        )
    else:
        if any(has_glob(url.path) for url in urls):
            raise UsageError(
                f"source {name}: globs need URLs of one server without a query; make them several sources"
            )
        catalogue = HttpListed(
            name,
            NamedUrls(name, urls),
            options,
            own=frozenset(url.origin for url in urls),
            from_afar=False,
            connections=affordable(spec.max_connections),
            timeouts=timeouts,
            checksums=sums,
        )
    return HttpSource(name, catalogue, options, timeouts=timeouts, receive_buffer=receive_buffer)


def _listed(
    name: str,
    spec: SourceSpec,
    listed: ListedUrls,
    timeouts: Timeouts,
    receive_buffer: int | None,
    route: Route,
) -> Source:
    scheme = None if listed.root is None else _scheme_of(name, listed.root)
    if listed.root is not None and scheme not in HTTP:
        return _listed_files(name, spec, listed.list, listed.root, timeouts, receive_buffer)
    from skyhaul_connectors.sources.catalogue.url_list import FILE_CAP
    from skyhaul_connectors.sources.http.listing.url_list_source import HttpListed, ListFile
    from skyhaul_connectors.sources.http.source import HttpSource

    root = None if listed.root is None else _parsed(name, listed.root)
    options = replace(http_options(name, spec.options), route=route)
    what = f"source {name}: the list"
    afar = _document_url(what, listed.list)
    if options.headers and afar is None and root is None and not options.headers_for:
        raise UsageError(
            f"source {name}: options.headers with a list needs options.headers_for, the servers that get them"
        )
    own = {url.origin for url in (afar, root) if url is not None}
    catalogue = HttpListed(
        name,
        ListFile(
            str(afar) if afar is not None else listed.list,
            _document(name, what, listed.list, afar, options, timeouts, FILE_CAP),
            root=root,
        ),
        options,
        own=frozenset(own) or options.headers_for,
        from_afar=afar is not None and root is None,
        connections=affordable(spec.max_connections),
        timeouts=timeouts,
        checksums=_checksums(name, spec, options, timeouts),
        root=root,
    )
    return HttpSource(name, catalogue, options, timeouts=timeouts, receive_buffer=receive_buffer)


def _listed_files(
    name: str, spec: SourceSpec, where: str, root: str, timeouts: Timeouts, receive_buffer: int | None
) -> Source:
    """Files or objects of a filesystem, by a list of their paths below `root`."""
    from skyhaul_connectors.sources.catalogue.url_list import FILE_CAP
    from skyhaul_connectors.sources.listed_files import (
        ListedFsspecFiles,
        ListedLocalFiles,
        ListedS3Files,
        PathList,
    )

    what = f"source {name}: the list"
    if has_glob(root):
        raise UsageError(f"source {name}: the list's root is one folder; it takes no globs")
    afar = _document_url(what, where)
    document = _document(name, what, where, afar, HttpOptions(), timeouts, FILE_CAP)
    rooted = _rooted(name, [f"{root}**" if root.endswith("/") else f"{root}/**"])
    keyed = rooted.scheme in S3
    listed = PathList(str(afar) if afar is not None else where, document, keyed=keyed)
    if rooted.scheme == "file":
        if spec.options:
            raise UsageError(f"source {name}: local files take no options")
        sums = _checksums(name, spec, HttpOptions(), timeouts)
        local = ListedLocalFiles(name, rooted.root, rooted.patterns, checksums=sums, timeouts=timeouts)
        local.listed = listed
        return local
    kind = ListedS3Files if keyed else ListedFsspecFiles
    files = _fsspec(name, spec, rooted, timeouts, kind)
    files.listed = listed
    return _over_http(name, spec, rooted, files, timeouts, receive_buffer)


# Documents that the job names: lists and checksums


def _document_url(what: str, where: str) -> HttpUrl | None:
    """None for a local path. Raises UsageError for what is neither."""
    match = _SCHEME.match(where)
    if match is None:
        return None
    try:
        return parse_url(where)
    except ValueError as error:
        raise UsageError(f"{what}: {error}; write a path or an http or https URL") from None


def _document(
    name: str,
    what: str,
    where: str,
    url: HttpUrl | None,
    options: HttpOptions,
    timeouts: Timeouts,
    cap: int,
) -> Callable[[], IO[bytes]]:
    if url is None:
        return lambda: opened(what, where)
    return lambda: fetched(name, url, options, timeouts, cap)


def _checksums(name: str, spec: SourceSpec, options: HttpOptions, timeouts: Timeouts) -> LoadChecksums | None:
    if spec.checksums is None:
        return None
    where = spec.checksums
    what = f"source {name}: the checksums"
    url = _document_url(what, where)
    document = _document(name, what, where, url, _for_sums(spec, options, url), timeouts, SUMS_CAP)

    def load() -> Checksums:
        with document() as file:
            return Checksums(str(url) if url is not None else where, lines_of(file, LINE_CAP))

    return load


def _for_sums(spec: SourceSpec, options: HttpOptions, url: HttpUrl | None) -> HttpOptions:
    """The source's headers go to a checksums URL only where it lies on one of the source's own servers."""
    if url is None or url.origin in options.headers_for:
        return options
    texts = [] if isinstance(spec.url, ListedUrls) else [u for u in spec.url if _SCHEME.match(u)]
    own = any(parse_url(text).origin == url.origin for text in texts if text.lower().startswith("http"))
    return options if own else replace(options, headers={})


# fsspec


def _over_http(
    name: str,
    spec: SourceSpec,
    rooted: _Rooted,
    files: FsspecFiles,
    timeouts: Timeouts,
    receive_buffer: int | None,
) -> Source:
    """`files`, or the same objects with their bytes hauled by our own client where their store speaks HTTP
    in a way that it knows."""
    if rooted.scheme not in S3:
        return files
    from skyhaul_connectors.sources.s3.files import S3Files
    from skyhaul_connectors.sources.s3.source import over_http

    stored = takes_stored(name, spec.options)
    source = over_http(name, files, rooted.root, _own(spec), timeouts, receive_buffer, stored)
    if source is None and isinstance(files, S3Files):
        files.by_key = False
    return source or files


def _own(spec: SourceSpec) -> dict[str, Any]:
    """The filesystem's own options."""
    return {key: value for key, value in spec.options.items() if key != "content_encoding"}


def _fsspec(name: str, spec: SourceSpec, rooted: _Rooted, timeouts: Timeouts, made: type[Files]) -> Files:
    import fsspec

    try:
        kind = fsspec.get_filesystem_class(rooted.scheme)
    except ImportError:
        raise UsageError(
            f"source {name}: {rooted.scheme}:// needs a package that is not installed;"
            f" see fsspec's list of implementations"
        ) from None
    if takes_stored(name, spec.options) and rooted.scheme not in S3:
        raise UsageError(
            f"source {name}: options.content_encoding is for http, https and s3 URLs, not {rooted.scheme}://"
        )
    base = f"{rooted.scheme}://{rooted.root}"
    return made(
        name,
        rooted.scheme,
        rooted.root if rooted.scheme in S3 else str(kind._strip_protocol(base)).rstrip("/"),
        rooted.patterns,
        {**kind._get_kwargs_from_urls(base), **_own(spec)},
        checksums=_checksums(name, spec, HttpOptions(), timeouts),
        timeouts=timeouts,
    )
