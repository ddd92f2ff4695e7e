"""Keys of a bucket are opaque: each is listed, named and hauled as it is, and none stands for another."""

from __future__ import annotations

import functools
import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import s3fs
from moto.s3.models import FakeKey
from object_store import REGION, ObjectStore

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.sources.s3.signing import s3_options
from skyhaul_schemas.errors import ObjectMissing, SourceChanged, UsageError
from skyhaul_schemas.job.model import ListedUrls, SourceSpec
from skyhaul_schemas.plan import KEY
from stores.moto_server import key_store

__all__ = ["key_store"]

EMPTY_PARTS = ("top.txt", "/lead.txt", "//two.txt", "p/a.txt", "p//a.txt", "p///a.txt", "q/w//", "q/w/", "//")
FOLDED = ("./x.txt", "x.txt", "a/../b.txt", "b.txt", "a/./b.txt", "a/b.txt", "..", "../up.txt")
ODD = (
    "s p.txt", " lead.txt", "trail.txt ", "plus+.txt", "per%cent.txt", "%41.txt", "A.txt", "a.txt", "#.txt",
    "q?.txt", "q?versionId=1.txt", "st*r.txt", "br[1].txt", "br1.txt", "{a,b}.txt", "back\\slash.txt",
    "é.txt", "e\u0301.txt", "straße.txt", "STRASSE.txt", "bell\x07.txt", "tab\t.txt",
    "quo\"te'.txt", "<&>.txt", "\U0001f680.txt", "x" * 1000 + ".txt",
)  # fmt: skip


@functools.cache
def client_of(store: ObjectStore) -> Any:
    return store.client()


@pytest.fixture
def prefix(key_store: ObjectStore) -> str:
    """A bucket for each test, so that keys may start at its root."""
    bucket = f"keys-{secrets.token_hex(8)}"
    client_of(key_store).create_bucket(Bucket=bucket)
    return bucket


def options(store: ObjectStore, **more: Any) -> dict[str, Any]:
    return {
        "endpoint_url": store.endpoint,
        "key": store.access_key,
        "secret": store.secret_key,
        "client_kwargs": {"region_name": REGION},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
        **more,
    }


def put(store: ObjectStore, bucket: str, keys: Mapping[str, bytes]) -> None:
    client = client_of(store)
    for key, data in keys.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)


def opened(store: ObjectStore, *urls: str, **more: Any) -> Source:
    return open_source("store", SourceSpec(url=list(urls), options=options(store, **more)))


def hauled(source: Source, left_out: LeftOut | None = None) -> dict[str, bytes]:
    """Path -> bytes, each asked for as a haul asks."""
    found = {
        obj.path: source.read_now(obj, 0, obj.size) if obj.size else b"" for obj in source.listing(left_out)
    }
    source.close()
    return found


def test_a_glob_hauls_every_key_as_it_is(key_store: ObjectStore, prefix: str) -> None:
    bodies = {key: key.encode() for key in (*EMPTY_PARTS, *FOLDED, *ODD)}
    put(key_store, prefix, bodies)
    left_out = LeftOut()
    assert hauled(opened(key_store, f"s3://{prefix}/**"), left_out) == bodies
    assert left_out.counts() == {}


def test_exact_urls_haul_their_keys_and_no_twins(key_store: ObjectStore, prefix: str) -> None:
    keys = ("p//a.txt", "/lead.txt", "//two.txt", "a/../b.txt", "./x.txt", "plus+ %41é.txt", "trail.txt ")
    twins = ("p/a.txt", "lead.txt", "two.txt", "b.txt", "x.txt", "plus  Aé.txt", "plus+ Aé.txt", "trail.txt")
    put(key_store, prefix, {name: name.encode() for name in (*keys, *twins)})
    source = opened(key_store, *(f"s3://{prefix}/{key}" for key in keys))
    assert hauled(source) == {key: key.encode() for key in keys}


@pytest.mark.parametrize("key", ["p//a.txt", "/top.txt", "p/./a.txt", "p/../a.txt"])
def test_a_key_that_is_not_there_is_no_twin(key_store: ObjectStore, prefix: str, key: str) -> None:
    put(key_store, prefix, {"p/a.txt": b"twin", "a.txt": b"twin", "top.txt": b"twin"})
    with pytest.raises((ObjectMissing, UsageError)):
        list(opened(key_store, f"s3://{prefix}/{key}").listing())


def test_a_glob_below_an_empty_part_stays_there(key_store: ObjectStore, prefix: str) -> None:
    put(key_store, prefix, {name: name.encode() for name in EMPTY_PARTS})
    assert hauled(opened(key_store, f"s3://{prefix}/p//*.txt")) == {"a.txt": b"p//a.txt"}
    assert hauled(opened(key_store, f"s3://{prefix}//")) == {
        name[1:]: name.encode() for name in EMPTY_PARTS if name.startswith("/")
    }
    both = opened(key_store, f"s3://{prefix}/p//a.txt", f"s3://{prefix}/p/a.txt")
    assert hauled(both) == {"a.txt": b"p/a.txt", "/a.txt": b"p//a.txt"}


def test_only_keys_that_no_path_could_be_are_marked(key_store: ObjectStore, prefix: str) -> None:
    put(key_store, prefix, {"p/a.txt": b"1", "p//a.txt": b"2", "tab\t.txt": b"3"})
    source = opened(key_store, f"s3://{prefix}/**")
    assert {obj.path: obj.locator for obj in source.listing()} == {
        "p/a.txt": None,
        "p//a.txt": KEY,
        "tab\t.txt": KEY,
    }
    source.close()


def test_markers_of_folders_are_counted_and_no_objects(key_store: ObjectStore, prefix: str) -> None:
    put(key_store, prefix, {"p/": b"", "p/q/": b"", "p/q/a.txt": b"a", "p/empty.txt": b"", "p//": b""})
    left_out = LeftOut()
    assert hauled(opened(key_store, f"s3://{prefix}/**"), left_out) == {"p/q/a.txt": b"a", "p/empty.txt": b""}
    assert left_out.names() == {"a marker of a folder": ["p/", "p//", "p/q/"]}
    of_text = LeftOut()
    assert hauled(opened(key_store, f"s3://{prefix}/**/*.txt"), of_text).keys() == {
        "p/q/a.txt",
        "p/empty.txt",
    }
    assert of_text.names() == {}


def test_the_root_s_own_key_is_counted(key_store: ObjectStore, prefix: str) -> None:
    put(key_store, prefix, {"p/": b"bytes", "p/a.txt": b"a"})
    left_out = LeftOut()
    assert hauled(opened(key_store, f"s3://{prefix}/p/**"), left_out) == {"a.txt": b"a"}
    assert left_out.counts() == {
        "the key of the source's root itself; a source that begins one folder higher has it": 1
    }
    assert hauled(opened(key_store, f"s3://{prefix}/p*/**")) == {"p/": b"bytes", "p/a.txt": b"a"}


def test_what_the_options_keep_from_being_asked_for_is_counted(key_store: ObjectStore, prefix: str) -> None:
    # With an option of s3fs that is not ours the bytes are read through s3fs, which folds these.
    put(key_store, prefix, {"p//a.txt": b"1", "q//": b"2", "q?versionId=1": b"3", "r.txt": b"4"})
    left_out = LeftOut()
    source = opened(key_store, f"s3://{prefix}/**", s3_additional_kwargs={})
    assert hauled(source, left_out) == {"p//a.txt": b"1", "r.txt": b"4"}
    assert left_out.names() == {
        "a key that the store's options keep us from asking for": ["q//", "q?versionId=1"]
    }


@pytest.mark.parametrize("stated", [True, False], ids=["size and sha256", "path alone"])
def test_a_list_names_keys_as_they_are(
    key_store: ObjectStore, prefix: str, tmp_path: Path, stated: bool
) -> None:
    keys = ("p//a.txt", "/lead.txt", "a/../b.txt", "tab\t.txt", "A.txt", "a.txt", "q/")
    put(key_store, prefix, {name: name.encode() for name in keys})
    put(key_store, prefix, {"p/a.txt": b"twin", "lead.txt": b"twin", "b.txt": b"twin"})
    rows: list[dict[str, Any]] = [{"path": key} for key in keys]
    if stated:
        for row, key in zip(rows, keys, strict=True):
            row |= {"size": len(key), "sha256": hashlib.sha256(key.encode()).hexdigest()}
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    url = ListedUrls(list=str(tmp_path / "list.jsonl"), root=f"s3://{prefix}")
    source = open_source("store", SourceSpec(url=url, options=options(key_store)))
    assert hauled(source) == {key: key.encode() for key in keys}


@pytest.mark.parametrize("url", ["s3://{}/**", "s3://{}/a.txt"])
def test_a_size_of_0_that_a_store_states_is_asked_for_once_more(
    key_store: ObjectStore, prefix: str, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    put(key_store, prefix, {"a.txt": b"bytes", "p/": b"more"})
    # Listings and HEAD state 0 from now on; GET does as before.
    monkeypatch.setattr(FakeKey, "size", 0)
    found = hauled(opened(key_store, url.format(prefix)))
    assert found["a.txt"] == b"bytes"
    assert found == ({"a.txt": b"bytes", "p/": b"more"} if "**" in url else {"a.txt": b"bytes"})


def test_a_size_of_0_in_a_list_is_held_against_the_store(
    key_store: ObjectStore, prefix: str, tmp_path: Path
) -> None:
    put(key_store, prefix, {"a.txt": b"bytes", "empty.txt": b""})
    nothing = hashlib.sha256().hexdigest()

    def listed(name: str) -> dict[str, bytes]:
        (tmp_path / "list.jsonl").write_text(json.dumps({"path": name, "size": 0, "sha256": nothing}))
        url = ListedUrls(list=str(tmp_path / "list.jsonl"), root=f"s3://{prefix}")
        return hauled(open_source("store", SourceSpec(url=url, options=options(key_store))))

    assert listed("empty.txt") == {"empty.txt": b""}
    with pytest.raises(SourceChanged, match="has 5 bytes, the list says 0"):
        listed("a.txt")


@pytest.mark.parametrize(
    ("said", "secure"),
    [
        ({"use_ssl": True, "client_kwargs": {"use_ssl": False}}, False),
        ({"use_ssl": False, "client_kwargs": {"use_ssl": True}}, True),
        ({"use_ssl": False}, False),
        ({"client_kwargs": {"use_ssl": False}}, False),
        ({}, True),
    ],
)
def test_ranges_go_over_tls_where_the_listing_does(said: dict[str, Any], secure: bool) -> None:
    options = s3_options({"key": "k", "secret": "s", **said})
    assert options is not None
    assert options.client.get("use_ssl", True) is secure
    listing = s3fs.S3FileSystem(key="k", secret="s", skip_instance_cache=True, **said)
    client = listing.connect()
    assert client._endpoint.host.startswith("https:" if secure else "http:")
