"""A canary secret, put wherever a source may hold one, and looked for in all that a source says."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from skyhaul_connectors.sources.http.options import http_options
from skyhaul_connectors.sources.opening import open_source, selection
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import parse_url
from skyhaul_schemas.errors import SkyhaulError, UsageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject
from sources.recording import fetch

CANARY = "c4n4ry"
QUICK = Timeouts(connect=2.0, idle=0.2, total=1.0)
HEADERS = {"Authorization": f"Bearer {CANARY}", "X-Api-Key": CANARY}


def all_that_is_said(work: Callable[..., Any], *arguments: Any) -> str:
    """The result's repr, or the error with its chain, as a crash report would print it."""
    try:
        return repr(work(*arguments))
    except SkyhaulError as error:
        return "".join(traceback.format_exception(error, chain=True)[-1:]) + repr(error) + str(error)


def sources(server: HostileServer, folder: Path) -> dict[str, Source]:
    signed = server.url.replace("http://", f"http://user:{CANARY}@")
    rows = [{"url": f"{signed}a.bin?X-Amz-Signature={CANARY}", "path": "a.bin"}]
    (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    server.objects.replace("list.jsonl", json.dumps(rows[0]).encode() + b"\n")
    headers = {"headers": HEADERS}
    specs = {
        "tree": SourceSpec(url=f"{signed}*.bin", options=headers),
        "signed": SourceSpec(url=f"{signed}a.bin?sig={CANARY}", options=headers),
        "list": SourceSpec(url={"list": str(folder / "list.jsonl")}),
        "far list": SourceSpec(
            url={"list": f"{signed}list.jsonl?token={CANARY}"},
            options=headers,
            checksums=f"{signed}none?sig={CANARY}",
        ),
    }
    for spec in specs.values():
        assert CANARY not in repr(selection(spec))
    return {name: open_source(name, spec, timeouts=QUICK) for name, spec in specs.items()}


FAULTS = [
    None,
    HttpFault("status", status=403),
    HttpFault("status", status=404),
    HttpFault("status", status=500),
    HttpFault("redirect", location=f"http://evil.example/?token={CANARY}"),
    HttpFault("redirect", location=f"http://user:{CANARY}@evil.example/"),
    HttpFault("redirect-loop"),
    HttpFault("garbage"),
    HttpFault("gzip"),
    HttpFault("wrong-range"),
    HttpFault("changed-etag"),
    HttpFault("silent"),
    HttpFault("drop", after=3),
    HttpFault("busy", seconds=0),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind if fault else "none")
def test_no_secret_reaches_a_plan_an_error_or_a_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fault: HttpFault | None
) -> None:
    monkeypatch.setattr("skyhaul_connectors.sources.catalogue.blocking._PAUSE_CAP", 0.0)
    monkeypatch.setattr("skyhaul_connectors.sources.catalogue.blocking.ATTEMPTS", 1)
    with caplog.at_level(logging.DEBUG), HostileServer({"a.bin": b"0123456789"}) as server:
        for name, source in sources(server, tmp_path).items():
            objects: list[PinnedObject] = []
            said = all_that_is_said(objects.extend, source.listing()) + repr(objects)
            server.faults.always("a.bin", fault)
            for obj in objects:
                said += all_that_is_said(source.read_now, obj, 0, 5)
                outcomes, events = asyncio.run(fetch(source, [(obj, 0, 5)]))
                said += repr(outcomes) + repr(events.closed_with)
            said += all_that_is_said(list, source.listing())
            server.faults.always("a.bin", None)
            assert CANARY not in said, name
            assert said.count("a.bin") or name == "far list"
            source.close()
        assert any(CANARY in str(r.headers) for r in server.log), "the secret was really used"
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"headers": {"Bad Name": CANARY}}, "Bad Name"),
        ({"headers": {"X-Key": f"{CANARY}\r\nHost: evil"}}, "X-Key"),
        ({"headers": {"X-Key": 7}}, "X-Key"),
        ({"headers": {"Range": "bytes=0-1"}}, "Range"),
        ({"headers": {"host": CANARY}}, "host"),
        ({"headers": [CANARY]}, "headers"),
        ({"tokn": CANARY}, "tokn"),
        ({"private_redirects": CANARY}, "private_redirects"),
        ({"redirect_hosts": [7]}, "redirect_hosts"),
        ({"headers_for": [f"ftp://{CANARY}@h"]}, "headers_for"),
    ],
)
def test_bad_options_are_refused_by_their_key_alone(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        http_options("remote", options)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{CANARY}@h.example:99999/x",
        f"http://user:{CANARY}@/x",
        f"http://user:{CANARY}@h.example/\r\nX: y",
        f"gopher://user:{CANARY}@h.example/",
        f"http://user:{CANARY}@h..example/",
        f"http://user:{CANARY}@[::1/",
    ],
)
def test_a_url_that_cannot_be_used_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_url(text)
    assert CANARY not in str(caught.value)
    with pytest.raises(UsageError) as refused:
        open_source("remote", SourceSpec(url=text))
    assert CANARY not in str(refused.value)


def test_a_url_shows_itself_without_user_info_and_query() -> None:
    url = parse_url(f"HTTPS://user:{CANARY}@H.Example:443/a b/%C3%BC?sig={CANARY}#frag")
    assert str(url) == "https://h.example/a%20b/%C3%BC?…"
    assert url.stored() == "https://h.example/a%20b/%C3%BC"
    assert url.target == f"/a%20b/%C3%BC?sig={CANARY}"
    assert url.has_secret
    assert CANARY not in repr(url)
