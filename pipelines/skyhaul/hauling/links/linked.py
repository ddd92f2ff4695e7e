"""Which sources go over links, and which of them belong together for it."""

from __future__ import annotations

from collections.abc import Iterator

from skyhaul_schemas.job.model import Job, ListedUrls, SourceSpec


def is_fetched(spec: SourceSpec) -> bool:
    """Whether the source comes over a network or a link, and so through the spool."""
    urls = [spec.url.root or spec.url.list] if isinstance(spec.url, ListedUrls) else spec.url
    return bool(spec.via) or any("://" in url and not url.startswith("file://") for url in urls)


def linked(job: Job, names: list[str]) -> Iterator[list[str]]:
    """Groups of sources that share a link, in the order of their first source."""
    groups: list[tuple[set[str], list[str]]] = []
    for name in names:
        links = own_links(job, name)
        if not links:
            continue
        members = [name]
        apart: list[tuple[set[str], list[str]]] = []
        for group_links, group_names in groups:
            if group_links & links:
                links |= group_links
                members = group_names + members
            else:
                apart.append((group_links, group_names))
        groups = [*apart, (links, members)]
    for _, members in groups:
        yield members


def own_links(job: Job, name: str) -> set[str]:
    """The links of a source that one process has to itself."""
    return {via for via in job.sources[name].via if job.links[via].shared is None}
