"""Listing over HTTP: index pages of nginx and Apache, single URLs, pins by HEAD."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import quote

import pytest

from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from skyhaul_connectors.sources.http.listing.autoindex import read_index
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import parse_url
from skyhaul_schemas.errors import (
    AccessRefused,
    MalformedAnswer,
    ObjectMissing,
    ServerError,
    StalledError,
    UsageError,
)
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject
from sources.recording import fetch

TREE = {
    **{f"year={y}/part {i}.jsonl": f"{y}/{i}".encode() * (i + 1) for y in (2024, 2025) for i in range(7)},
    "year=2024/ünï & <tag>.jsonl": b"unicode",
    "year=2024/100%.jsonl": b"percent",
    "year=2024/notes.txt": b"not asked for",
    "deep/a/b/c/d.jsonl": b"deep",
    "top.jsonl": b"",
    ".hidden/x.jsonl": b"hidden",
}
QUICK = Timeouts(connect=5.0, idle=0.3, total=2.0)


def listed(server: HostileServer, *patterns: str, **spec: object) -> list[PinnedObject]:
    source = open_source("remote", SourceSpec(url=[server.url + p for p in patterns], **spec), timeouts=QUICK)  # type: ignore[arg-type]  # fields of a SourceSpec
    try:
        return sorted(source.listing(), key=lambda obj: obj.path)
    finally:
        source.close()


@pytest.mark.parametrize("index", ["nginx", "apache", "json"])
def test_globs_walk_index_pages_and_find_every_object_once(index: str) -> None:
    with HostileServer(TREE, index=index) as server:
        found = listed(server, "**/*.jsonl")
        expected = sorted(p for p in TREE if p.endswith(".jsonl") and not p.startswith("."))
        assert [obj.path for obj in found] == expected
        for obj in found:
            assert replace(obj, locator=None) == PinnedObject(
                "remote", obj.path, len(TREE[obj.path]), f"etag:{server.objects.etag(obj.path)}"
            )
            spelled = None if index == "json" or "=" not in obj.path else f"./{quote(obj.path)}"
            assert obj.locator == spelled, "these HTML pages write %3D for ="


def test_only_folders_in_which_something_can_match_are_asked_for() -> None:
    with HostileServer(TREE) as server:
        found = listed(server, "year=2025/*.jsonl")
        assert len(found) == 7
        assert {r.path for r in server.log if r.method == "GET"} == {"year=2025/"}


def test_a_single_url_needs_no_index_page() -> None:
    with HostileServer(TREE, index="none") as server:
        (obj,) = listed(server, "year=2024/part%203.jsonl")
        assert obj.path == "part 3.jsonl"
        assert obj.size == len(TREE["year=2024/part 3.jsonl"])
        assert [r.method for r in server.log] == ["HEAD"]


def test_several_urls_of_one_server_share_their_longest_folder_as_root() -> None:
    with HostileServer(TREE) as server:
        found = listed(server, "year=2024/part%203.jsonl", "year=2025/*.jsonl")
        assert found[0].path == "year=2024/part 3.jsonl"
        assert len(found) == 8


def test_what_is_listed_can_be_fetched() -> None:
    with HostileServer(TREE) as server:
        source = open_source("remote", SourceSpec(url=server.url + "**/*.jsonl"))
        objects = [obj for obj in source.listing() if obj.size]
        outcomes, _ = asyncio.run(fetch(source, [(obj, 0, obj.size) for obj in objects]))
        assert {obj.path: o.whole for obj, o in zip(objects, outcomes, strict=True)} == {
            obj.path: TREE[obj.path] for obj in objects
        }
        for obj in objects[:3]:
            assert source.read_now(obj, 1, obj.size - 1) == TREE[obj.path][1:]
        source.close()


def test_read_now_tries_again_what_may_pass_and_says_what_does_not() -> None:
    with HostileServer({"a.bin": b"0123456789" * 100}) as server:
        source = open_source("remote", SourceSpec(url=server.url + "a.bin"), timeouts=QUICK)
        (obj,) = source.listing()
        server.faults.on("a.bin", HttpFault("status", status=502), HttpFault("status", status=502))
        server.faults.on("a.bin", HttpFault("drop", after=3))
        assert source.read_now(obj, 5, 10) == b"5678901234"
        server.faults.always("a.bin", HttpFault("delete"))
        with pytest.raises(ObjectMissing):
            source.read_now(obj, 0, 10)
        source.close()


def test_heads_are_made_side_by_side_and_at_most_as_many_as_allowed() -> None:
    objects = {f"{i:03d}.bin": b"x" for i in range(40)}
    with HostileServer(objects) as server:
        assert len(listed(server, "*.bin", max_connections=6)) == 40
        assert 2 <= server.connections <= 7


@pytest.mark.parametrize(
    ("etags", "modified", "kind"),
    [("strong", True, "etag:"), ("weak", True, "lm:"), ("none", True, "lm:"), ("weak", False, "")],
)
def test_pins_take_the_strong_etag_else_last_modified_else_nothing(
    etags: str, modified: bool, kind: str
) -> None:
    with HostileServer({"a.bin": b"abc"}, etags=etags, last_modified=modified) as server:
        (obj,) = listed(server, "a.bin")
        assert obj.version.startswith(kind)
        assert "W/" not in obj.version
        assert bool(kind) == bool(obj.version)
        source = open_source("remote", SourceSpec(url=server.url + "a.bin"))
        outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 3)]))
        assert outcomes[0].whole == b"abc"
        assert all("W/" not in r.headers.get("if-match", "") for r in server.log)


def test_a_server_without_head_is_asked_for_the_first_byte() -> None:
    with HostileServer({"a.bin": b"abc", "empty.bin": b""}) as server:
        server.faults.on("a.bin", HttpFault("status", status=405))
        server.faults.on("empty.bin", HttpFault("status", status=405))
        found = listed(server, "a.bin")
        assert found[0].size == 3
        assert [r.method for r in server.log] == ["HEAD", "GET"]


def test_a_passing_error_is_tried_again_and_a_lasting_one_is_reported() -> None:
    with HostileServer(TREE) as server:
        server.faults.on("top.jsonl", HttpFault("status", status=502))
        server.faults.on("", HttpFault("busy", seconds=0), HttpFault("drop"))
        assert [obj.path for obj in listed(server, "*.jsonl")] == ["top.jsonl"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (HttpFault("status", status=403), AccessRefused),
        (HttpFault("status", status=404), ObjectMissing),
        (HttpFault("garbage"), MalformedAnswer),
    ],
)
def test_what_cannot_be_pinned_ends_the_listing_with_its_reason(
    fault: HttpFault, error: type[Exception]
) -> None:
    with HostileServer(TREE) as server:
        server.faults.always("top.jsonl", fault)
        with pytest.raises(error, match=r"top\.jsonl|/: not HTTP"):
            listed(server, "*.jsonl")


def test_lasting_server_trouble_ends_the_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyhaul_connectors.sources.catalogue.blocking._PAUSE_CAP", 0.01)
    with HostileServer(TREE) as server:
        server.faults.always("top.jsonl", HttpFault("status", status=500))
        with pytest.raises(ServerError):
            listed(server, "*.jsonl")
        assert len(server.log) > 4
        server.faults.always("top.jsonl", HttpFault("silent"))
        with pytest.raises(StalledError):
            listed(server, "*.jsonl")


def test_a_folder_without_an_index_page_says_what_to_do() -> None:
    with HostileServer(TREE, index="none") as server, pytest.raises(ObjectMissing, match="list the objects"):
        listed(server, "**/*.jsonl")


def test_credentials_of_the_url_and_headers_are_sent_while_listing_and_hauling() -> None:
    with HostileServer({"a.bin": b"abc"}, require={"Authorization": "Basic dTpwQHc="}) as server:
        url = server.url.replace("http://", "http://u:p%40w@")
        source = open_source("remote", SourceSpec(url=url + "*.bin"))
        (obj,) = source.listing()
        outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 3)]))
        assert outcomes[0].whole == b"abc"
        with pytest.raises(AccessRefused):
            listed(server, "*.bin")


def test_checksums_are_attached_from_a_server_too() -> None:
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with HostileServer({"d/a.bin": b"abc", "SHA256SUMS": f"{digest} *a.bin\n".encode()}) as server:
        (obj,) = listed(server, "d/*.bin", checksums=server.url + "SHA256SUMS")
        assert obj.checksum == f"sha256:{digest}"


PAGE_URL = parse_url("http://h.example/data/")


@pytest.mark.parametrize(
    "href",
    [
        "../",
        "..",
        "/",
        "/data/",
        "./",
        "",
        "#top",
        "?C=N;O=D",
        "?sort=name&order=desc",
        "./?C=M",
        "/data/?F=2",
        "http://evil.example",
        "http://evil.example/",
        "javascript:x",
        "mailto:admin@h.example",
    ],
)
def test_links_to_the_page_itself_and_above_it_are_no_children(href: str) -> None:
    page = read_index(PAGE_URL, "text/html", f'<a href="{href}">x</a><a href="good">'.encode(), "here")
    assert [e.name for e in page.entries] == ["good"]
    assert page.passed == page.next_pages == []


@pytest.mark.parametrize("href", ["..%2f..%2fetc", "%2e%2e", "a%00b", "a%0ab", "%ff", "a//b", "%2Fa"])
def test_names_that_cannot_name_an_object_are_refused(href: str) -> None:
    with pytest.raises(MalformedAnswer, match="name"):
        read_index(PAGE_URL, "text/html", f'<a href="/data/{href}">x</a>'.encode(), "here")


@pytest.mark.parametrize(
    "page", [b"{}", b"[1]", b'[{"name": 1, "type": "file"}]', b"nonsense", b"[" * 100_000]
)
def test_json_that_is_no_index_is_refused(page: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read_index(PAGE_URL, "application/json", page, "here")


def test_folders_that_never_end_are_found_out() -> None:
    with HostileServer({"/".join(["a"] * 70) + "/x.txt": b"x"}) as server, pytest.raises(MalformedAnswer):
        listed(server, "**/*.txt")


def test_a_glob_with_a_query_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="glob"):
        open_source("remote", SourceSpec(url="http://h.example/*.txt?token=CANARY"))
