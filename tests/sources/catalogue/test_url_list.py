"""Lists of URLs: what they state is believed, what they hide is refused with its line, secrets stay out."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from faults.hostile_http import HostileServer
from skyhaul_connectors.sources.catalogue import url_list
from skyhaul_connectors.sources.catalogue.url_list import LINE_CAP
from skyhaul_connectors.sources.opening import open_source
from skyhaul_schemas.block_digests import BlockDigests
from skyhaul_schemas.errors import DiskFull, ObjectMissing, RedirectRefused, SourceChanged, UsageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject
from sources.recording import fetch, first_opening

OBJECTS = {"a.txt": b"alpha", "b/ü.txt": b"beta-beta", "empty.txt": b""}
DIGESTS = base64.b64encode(bytes(range(64))).decode()
"""Of two blocks."""
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def write_list(folder: Path, rows: list[Any], name: str = "objects.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def listed(path: Path | str, **spec: Any) -> list[PinnedObject]:
    source = open_source("remote", SourceSpec(url={"list": str(path)}, **spec))
    return sorted(source.listing(), key=lambda obj: obj.path)


def test_an_object_of_which_the_list_states_all_is_not_asked_for(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        row = {"url": server.url + "a.txt", "path": "x/y.txt", "size": 5, "sha256": ABC.upper()}
        assert listed(write_list(tmp_path, [row])) == [
            PinnedObject(
                "remote", "x/y.txt", 5, f"sha256:{ABC}", f"sha256:{ABC}", locator=server.url + "a.txt"
            )
        ]
        assert not server.log


def test_digests_by_block_are_kept_with_the_object(tmp_path: Path) -> None:
    stated = {"size": 5, "block_size": 3, "blocks": DIGESTS}
    with HostileServer(OBJECTS) as server:
        rows = [
            {"url": server.url + "a.txt", "sha256": ABC, **stated},
            {"url": server.url + "a.txt", "path": "b", **stated},
            {"url": server.url + "empty.txt", "size": 0, "block_size": 3, "blocks": ""},
        ]
        a, b, empty = listed(write_list(tmp_path, rows))
    assert a.blocks == b.blocks == BlockDigests(3, ((0, bytes(range(64))),))
    assert b.version.startswith("etag:")
    assert empty.blocks is None
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "b").write_bytes(b"12345")
    path = write_list(tmp_path, [{"path": "b", **stated}])
    source = open_source("remote", SourceSpec(url={"list": str(path), "root": str(tmp_path / "root")}))
    assert [obj.blocks for obj in source.listing()] == [a.blocks]


def test_what_the_list_does_not_state_is_asked_for(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        rows = [{"url": server.url + "a.txt"}, {"url": server.url + "b/%C3%BC.txt", "crc32c": "0123abcd"}]
        a, b = listed(write_list(tmp_path, rows))
        assert (a.path, a.size, a.version) == ("a.txt", 5, f"etag:{server.objects.etag('a.txt')}")
        assert (b.path, b.size, b.checksum) == ("b/ü.txt", 9, "crc32c:0123abcd")
        assert [r.method for r in server.log] == ["HEAD", "HEAD"]


def test_a_csv_list_names_its_columns(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        path = tmp_path / "objects.csv"
        rows = f"extra,size,path,url\r\nx,5,one.txt,{server.url}a.txt\r\n\r\n,,,{server.url}empty.txt\r\n"
        path.write_bytes(b"\xef\xbb\xbf" + rows.encode())
        assert [(o.path, o.size) for o in listed(path)] == [("empty.txt", 0), ("one.txt", 5)]


def test_a_stated_size_of_0_is_asked_for_once_more(tmp_path: Path) -> None:
    nothing = {"size": 0, "sha256": hashlib.sha256().hexdigest()}
    with HostileServer(OBJECTS) as server:
        (obj,) = listed(write_list(tmp_path, [{"url": server.url + "empty.txt", **nothing}]))
        assert obj.size == 0
        assert server.log
        with pytest.raises(SourceChanged, match="the list says 0 bytes"):
            listed(write_list(tmp_path, [{"url": server.url + "a.txt", **nothing}]))


def test_a_size_that_the_server_denies_is_source_changed(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server, pytest.raises(SourceChanged, match="6 bytes"):
        listed(write_list(tmp_path, [{"url": server.url + "a.txt", "size": 6}]))


def test_secrets_of_listed_urls_stay_out_of_the_plan_and_are_read_again_to_haul(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        base = server.url.replace("http://", "http://user:CANARY@")
        rows = [{"url": f"{base}a.txt?sig=CANARY"}, {"url": f"{server.url}b/%C3%BC.txt?sig=CANARY"}]
        path = write_list(tmp_path, rows)
        objects = listed(path)
        assert "CANARY" not in repr(objects)
        source = open_source("remote", SourceSpec(url={"list": str(path)}))
        outcomes, _ = asyncio.run(fetch(source, [(o, 0, o.size) for o in objects], at_once=True))
        assert [o.whole for o in outcomes] == [b"alpha", b"beta-beta"]
        assert source.read_now(objects[0], 1, 2) == b"lp"
        assert server.ranges("a.txt")[0].headers["authorization"].startswith("Basic ")
        source.close()


def test_a_list_that_was_signed_anew_serves_as_well(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        rows = [{"url": f"{server.url}{p}?sig=OLD", "path": p} for p in ("a.txt", "empty.txt")]
        objects = listed(write_list(tmp_path, rows))
        renewed = [{"url": f"{server.url}{p}?sig=MUCH-NEWER", "path": p} for p in ("empty.txt", "a.txt")]
        path = write_list(tmp_path, renewed)
        source = open_source("remote", SourceSpec(url={"list": str(path)}))
        assert source.read_now(objects[0], 0, 5) == b"alpha"
        source.close()


def test_an_object_that_left_the_list_is_missing(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        objects = listed(write_list(tmp_path, [{"url": f"{server.url}a.txt?sig=1"}]))
        path = write_list(tmp_path, [{"url": f"{server.url}empty.txt?sig=1"}])
        source = open_source("remote", SourceSpec(url={"list": str(path)}))
        with pytest.raises(ObjectMissing, match="not in the source's list"):
            source.read_now(objects[0], 0, 5)
        source.close()
        path.unlink()
        with pytest.raises(ObjectMissing, match="cannot be read"):
            open_source("remote", SourceSpec(url={"list": str(path)})).read_now(objects[0], 0, 5)


def test_signed_urls_in_the_job_itself_are_taken_one_by_one() -> None:
    with HostileServer(OBJECTS) as server:
        spec = SourceSpec(url=[f"{server.url}a.txt?sig=CANARY", f"{server.url}b/%C3%BC.txt?sig=CANARY"])
        source = open_source("remote", spec)
        objects = sorted(source.listing(), key=lambda obj: obj.path)
        assert [obj.path for obj in objects] == ["a.txt", "b/ü.txt"]
        assert "CANARY" not in repr(objects)
        assert source.read_now(objects[0], 0, 5) == b"alpha"
        source.close()


def test_a_channel_that_waits_for_a_request_to_know_its_server_tells_no_round_trip() -> None:
    with HostileServer(OBJECTS) as server:
        urls = [f"{server.url}a.txt?sig=CANARY", f"{server.url}b/%C3%BC.txt?sig=CANARY"]
        one_by_one = open_source("remote", SourceSpec(url=urls))
        below_a_root = open_source("remote", SourceSpec(url=f"{server.url}*.txt"))
        assert asyncio.run(first_opening(one_by_one)).timed is False
        assert asyncio.run(first_opening(below_a_root)).timed is True


def test_a_list_may_lie_on_a_server() -> None:
    with HostileServer(dict(OBJECTS)) as server:
        rows = "".join(json.dumps({"url": server.url + p.replace("ü", "%C3%BC")}) + "\n" for p in OBJECTS)
        server.objects.replace("lists/all.jsonl", rows.encode())
        found = listed(server.url + "lists/all.jsonl", options={"headers": {"X-Key": "CANARY"}})
        assert [o.path for o in found] == sorted(OBJECTS)
        assert all(r.headers["x-key"] == "CANARY" for r in server.log)


def test_a_list_from_afar_leads_to_no_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "skyhaul_connectors.sources.http.network.is_public_address", lambda a: a == "127.0.0.1"
    )
    with HostileServer(dict(OBJECTS)) as server, HostileServer(OBJECTS, host="127.0.0.9") as inner:
        row = {"url": inner.url + "a.txt", "size": 5, "sha256": ABC}
        server.objects.replace("all.jsonl", (json.dumps(row) + "\n").encode())
        source = open_source("remote", SourceSpec(url={"list": server.url + "all.jsonl"}))
        (obj,) = source.listing()
        outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 5)]))
        assert isinstance(outcomes[0].error, RedirectRefused)
        row = {"url": inner.url + "a.txt"}
        server.objects.replace("all.jsonl", (json.dumps(row) + "\n").encode())
        with pytest.raises(RedirectRefused):
            list(source.listing())
        assert not inner.connections


def test_headers_with_a_local_list_need_to_say_whose_they_are(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        path = write_list(tmp_path, [{"url": server.url + "a.txt"}])
        with pytest.raises(UsageError, match="headers_for"):
            listed(path, options={"headers": {"X-Key": "CANARY"}})
        listed(path, options={"headers": {"X-Key": "CANARY"}, "headers_for": ["http://elsewhere.example"]})
        assert "x-key" not in server.log[-1].headers
        listed(path, options={"headers": {"X-Key": "CANARY"}, "headers_for": [server.url]})
        assert server.log[-1].headers["x-key"] == "CANARY"


HOSTILE = [
    ({"url": "file:///etc/passwd"}, "scheme 'file'"),
    ({"url": "simplecache::file:///etc/passwd"}, "chained"),
    ({"url": "simplecache::http://h/x"}, "chained"),
    ({"url": "reference://x"}, "scheme 'reference'"),
    ({"url": "/etc/passwd"}, "scheme ''"),
    ({"url": "s3://bucket/key"}, "scheme 's3'"),
    ({"url": "http://h/a\nb"}, "control"),
    ({"url": "http:///x"}, "host"),
    ({"url": "http://h:99999/x"}, "taken apart"),
    ({"url": 7}, "no url"),
    ({"path": "a"}, "no url"),
    ({"url": "http://h/x", "path": "../x"}, "part"),
    ({"url": "http://h/x", "path": "/x"}, "absolute"),
    ({"url": "http://h/x", "path": "a//b"}, "part"),
    ({"url": "http://h/x", "path": "a\x1b[2Jb"}, "control"),
    ({"url": "http://h/x", "path": "a" * 5000}, "longer"),
    ({"url": "http://h/x", "path": "\ud800"}, "UTF-8"),
    ({"url": "http://h/x", "path": 5}, "no text"),
    ({"url": "http://h/%2e%2e/x"}, "part"),
    ({"url": "http://h/%ff"}, "UTF-8"),
    ({"url": "http://h/x", "size": -1}, "size"),
    ({"url": "http://h/x", "size": True}, "size"),
    ({"url": "http://h/x", "size": 1.5}, "size"),
    ({"url": "http://h/x", "sha256": "abc"}, "64 hex"),
    ({"url": "http://h/x", "crc32c": "xyz"}, "8 hex"),
    ({"url": "http://h/x", "size": 40, "block_size": 20, "blocks": DIGESTS[:-4]}, "not base64 of SHA-256"),
    ({"url": "http://h/x", "size": 40, "block_size": 20, "blocks": "ä" * 88}, "not base64 of SHA-256"),
    ({"url": "http://h/x", "size": 40, "block_size": 20, "blocks": "z" * 64 + "!"}, "not base64 of SHA-256"),
    ({"url": "http://h/x", "size": 40, "block_size": 20, "blocks": 64}, "not base64 of SHA-256"),
    (
        {"url": "http://h/x", "size": 41, "block_size": 20, "blocks": DIGESTS},
        "2 digests, and 41 bytes have 3",
    ),
    (
        {"url": "http://h/x", "size": 20, "block_size": 20, "blocks": DIGESTS},
        "2 digests, and 20 bytes have 1",
    ),
    ({"url": "http://h/x", "size": 40, "block_size": 0, "blocks": DIGESTS}, "no positive number"),
    ({"url": "http://h/x", "size": 40, "block_size": -20, "blocks": DIGESTS}, "no positive number"),
    ({"url": "http://h/x", "size": 40, "block_size": True, "blocks": DIGESTS}, "no positive number"),
    ({"url": "http://h/x", "size": 40, "block_size": 20.0, "blocks": DIGESTS}, "no positive number"),
    ({"url": "http://h/x", "size": 40, "block_size": 1 << 90, "blocks": DIGESTS}, "no positive number"),
    ({"url": "http://h/x", "size": 40, "blocks": DIGESTS}, "belong together"),
    ({"url": "http://h/x", "size": 40, "block_size": 20}, "belong together"),
    ({"url": "http://h/x", "block_size": 20, "blocks": DIGESTS}, "belong together"),
    ('{"url": "http://h/x", "blocks": "", "blocks": ""}', "blocks is there twice"),
    ('{"url": "http://h/x", "url": "http://h/y"}', "twice"),
    ("not json", "not JSON"),
    ("[1]", "not a JSON object"),
    ("[" * 50_000, "not JSON"),
    ('"' + "x" * LINE_CAP + '"', "longer than"),
]


@pytest.mark.parametrize(
    ("row", "reason"), HOSTILE, ids=[reason + str(i) for i, (_, reason) in enumerate(HOSTILE)]
)
def test_a_hostile_entry_is_refused_with_its_line(tmp_path: Path, row: Any, reason: str) -> None:
    path = write_list(tmp_path, [{"url": "http://h/good", "size": 1, "sha256": ABC}, row])
    with pytest.raises(UsageError) as caught:
        listed(path)
    text = str(caught.value)
    assert "line 2" in text
    assert reason in text
    assert text.isprintable()
    assert len(text) < 600


def test_a_path_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    rows = [{"url": f"http://h/{p}", "path": p, "size": 1, "sha256": ABC} for p in ("x", "a.txt", "a.txt")]
    with pytest.raises(UsageError, match=r"line 3: the path .a\.txt. is there twice"):
        listed(write_list(tmp_path, rows))


@pytest.mark.parametrize(
    ("one", "two"), [("a.txt", "A.TXT"), ("\u00e9", "e\u0301"), ("ﬁ", "fi"), ("ß", "SS"), ("x²", "x2")]
)
def test_paths_that_differ_in_case_or_form_are_two_objects(tmp_path: Path, one: str, two: str) -> None:
    rows = [{"url": f"http://h/{i}", "path": p, "size": 1, "sha256": ABC} for i, p in enumerate((one, two))]
    assert sorted(obj.path for obj in listed(write_list(tmp_path, rows))) == sorted((one, two))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,size\na,1\n", "url among them"),
        ("url,size\nhttp://h/x\n", "1 cells"),
        ('url,size\n"http://h/x,1\n', "not CSV"),
        ("url,size\nhttp://h/x,1e3\n", "no number"),
    ],
)
def test_a_csv_that_is_none_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "objects.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        listed(path)


def test_a_list_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_list, "FILE_CAP", 200)
    rows = [{"url": f"http://h/{i}", "size": 1, "sha256": ABC} for i in range(10)]
    with pytest.raises(UsageError, match="200 bytes"):
        listed(write_list(tmp_path, rows))


def test_a_list_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.jsonl or a \.csv"):
        listed(write_list(tmp_path, [], name="objects.yaml"))
    with pytest.raises(UsageError, match="cannot be read"):
        listed(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="http"):
        open_source("remote", SourceSpec(url={"list": "s3://bucket/list.jsonl"}))


def test_a_disk_that_is_full_while_a_list_is_fetched_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda prefix: Full())
    with HostileServer({"objects.jsonl": b'{"url": "a"}\n'}) as server:
        with pytest.raises(
            DiskFull, match=r"the temporary copy of .*objects.jsonl \(TMPDIR\): no space left"
        ):
            listed(server.url + "objects.jsonl")
        assert len([entry for entry in server.log if "GET" in str(entry)]) == 1, "asking again helps nothing"
    assert not caplog.records, "the event loop has nothing to say of it"
