"""Bytes of a bucket are hauled by our own HTTP client, each request signed, on two real S3 servers."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import secrets
from collections.abc import Iterator
from typing import Any

import botocore.auth
import botocore.session
import fsspec
import pytest
from botocore.config import Config
from object_store import BUCKET, REGION, ObjectStore

from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.errors import AccessRefused, CarriageError, MalformedAnswer, SourceChanged
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import KEY, PinnedObject
from sources.recording import fetch, first_opening
from stores.lossy_proxy import lossy
from stores.s3_server import running

ODD = "odd/a b+c&d=é!'(x)*~,;:@$ %41.txt"


@pytest.fixture(scope="module", params=["versitygw", pytest.param("minio", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """A server that the environment does not name: what is asked of it comes from the options."""
    yield from running(request.param)


@pytest.fixture
def options(store: ObjectStore) -> dict[str, Any]:
    return {
        "endpoint_url": store.endpoint,
        "key": store.access_key,
        "secret": store.secret_key,
        "client_kwargs": {"region_name": REGION},
    }


@pytest.fixture
def prefix(options: dict[str, Any]) -> str:
    return f"{BUCKET}/{secrets.token_hex(8)}"


def put(options: dict[str, Any], path: str, data: bytes) -> None:
    fsspec.filesystem("s3", **options).pipe_file(path, data)


def opened(prefix: str, options: dict[str, Any], pattern: str = "**") -> Source:
    return open_source("store", SourceSpec(url=f"s3://{prefix}/{pattern}", options=options))


def test_ranges_go_through_our_own_client_and_are_retried_by_it(
    prefix: str, options: dict[str, Any], store: ObjectStore
) -> None:
    put(options, f"{prefix}/one.txt", b"0123456789" * 1000)
    with lossy(store.endpoint) as proxy:
        source = opened(prefix, {**options, "endpoint_url": proxy.endpoint})
        (obj,) = source.listing()
        proxy.lose("User-Agent: skyhaul", 1)
        assert source.read_now(obj, 5, 10) == b"5678901234"
        assert proxy.lost == 1
        source.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    ],
    ids=["404", "412", "416", "a page of HTML"],
)
def test_odd_answers_to_signed_ranges_are_asked_for_again(
    answer: bytes, prefix: str, options: dict[str, Any], store: ObjectStore
) -> None:
    put(options, f"{prefix}/one.txt", b"0123456789" * 1000)
    with lossy(store.endpoint) as proxy:
        source = opened(prefix, {**options, "endpoint_url": proxy.endpoint})
        (obj,) = source.listing()
        proxy.lose("User-Agent: skyhaul", 2, answer)
        assert source.read_now(obj, 5, 10) == b"5678901234"
        assert proxy.lost == 2
        source.close()


def test_an_object_that_is_stored_with_an_encoding_is_read_as_it_is_stored(
    prefix: str, options: dict[str, Any]
) -> None:
    data = gzip.compress(b"0123456789" * 1000, mtime=0)
    fsspec.filesystem("s3", **options).pipe_file(f"{prefix}/one.gz", data, ContentEncoding="gzip")
    source = opened(prefix, options)
    (obj,) = source.listing()
    with pytest.raises(MalformedAnswer, match="content_encoding: stored"):
        source.read_now(obj, 0, len(data))
    source.close()
    source = opened(prefix, {**options, "content_encoding": "stored"})
    assert source.read_now(obj, 0, len(data)) == data
    source.close()


def test_channels_are_dialled_to_the_bucket_before_anything_is_asked(
    prefix: str, options: dict[str, Any]
) -> None:
    source = opened(prefix, options)
    assert asyncio.run(first_opening(source)).timed is True
    source.close()


def test_a_key_of_any_characters_is_signed_as_it_is(prefix: str, options: dict[str, Any]) -> None:
    put(options, f"{prefix}/{ODD}", b"odd")
    source = opened(prefix, options)
    (obj,) = source.listing()
    assert obj.path == ODD
    assert source.read_now(obj, 0, 3) == b"odd"
    source.close()


def test_many_ranges_of_many_objects_at_once(prefix: str, options: dict[str, Any]) -> None:
    data = {f"f{i:02d}": secrets.token_bytes(5000 + i) for i in range(12)}
    for name, content in data.items():
        put(options, f"{prefix}/{name}", content)
    source = opened(prefix, options)
    ranges = [(obj, at, 1000) for obj in source.listing() for at in (0, 3000, 1500)]
    outcomes, _ = asyncio.run(fetch(source, ranges, at_once=True))
    assert [o.whole for o in outcomes] == [data[o.path][at : at + n] for o, at, n in ranges]
    source.close()


def test_an_object_that_was_replaced_is_refused(prefix: str, options: dict[str, Any]) -> None:
    put(options, f"{prefix}/x", b"before")
    source = opened(prefix, options)
    (obj,) = source.listing()
    assert obj.version.startswith('etag:"')
    put(options, f"{prefix}/x", b"after!")
    with pytest.raises(SourceChanged):
        source.read_now(obj, 0, 6)
    source.close()


def test_with_version_ids_it_is_hauled_as_it_was_planned(prefix: str, options: dict[str, Any]) -> None:
    put(options, f"{prefix}/x", b"before")
    source = opened(prefix, {**options, "version_aware": True})
    (obj,) = source.listing()
    assert obj.version.startswith("vid:")
    put(options, f"{prefix}/x", b"after!")
    assert source.read_now(obj, 0, 6) == b"before"
    fsspec.filesystem("s3", **options).rm_file(f"{prefix}/x")
    assert source.read_now(obj, 2, 3) == b"for"
    source.close()


def test_wrong_keys_are_one_line_without_them(prefix: str, options: dict[str, Any]) -> None:
    put(options, f"{prefix}/x", b"data")
    source = opened(prefix, options)
    (obj,) = source.listing()
    source.close()
    wrong = "wrong-canary-of-a-secret"
    source = opened(prefix, {**options, "secret": wrong})
    with pytest.raises(AccessRefused) as refused:
        source.read_now(obj, 0, 4)
    assert wrong not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    source.close()


def test_without_keys_it_is_said_what_is_missing(
    prefix: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    put(options, f"{prefix}/x", b"data")
    source = opened(prefix, options)
    (obj,) = source.listing()
    source.close()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    bare = {"endpoint_url": options["endpoint_url"]}
    source = opened(prefix, bare)
    with pytest.raises(AccessRefused, match="AWS_ACCESS_KEY_ID"):
        source.read_now(obj, 0, 4)
    source.close()
    with pytest.raises(AccessRefused, match="no profile 'nobody'"):
        opened(prefix, {**bare, "profile": "nobody"}).read_now(obj, 0, 4)


def test_a_public_bucket_is_read_without_keys(
    prefix: str, options: dict[str, Any], store: ObjectStore
) -> None:
    put(options, f"{prefix}/x", b"data")
    source = opened(prefix, {"endpoint_url": store.endpoint, "anon": True})
    (obj,) = opened(prefix, options).listing()
    with pytest.raises(AccessRefused):
        source.read_now(obj, 0, 4)
    public = f"""{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": ["*"]}},
        "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::{prefix}/*"]}}]}}"""
    store.client().put_bucket_policy(Bucket=BUCKET, Policy=public)
    try:
        assert source.read_now(obj, 0, 4) == b"data"
    finally:
        store.client().delete_bucket_policy(Bucket=BUCKET)
        source.close()


def session(store: ObjectStore) -> dict[str, str]:
    """Temporary keys of MinIO's own security token service."""
    client = botocore.session.get_session().create_client(
        "sts",
        endpoint_url=store.endpoint,
        region_name=REGION,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=Config(retries={"max_attempts": 1}),
    )
    keys = client.assume_role(RoleArn="arn:xxx:xxx:xxx:xxxx", RoleSessionName="haul")["Credentials"]
    return dict(keys)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["minio"], indirect=True)  # versitygw hands out no session tokens
def test_a_session_token_goes_along(prefix: str, options: dict[str, Any], store: ObjectStore) -> None:
    keys = session(store)
    put(options, f"{prefix}/x", b"data")
    temporary = {
        "endpoint_url": store.endpoint,
        "key": keys["AccessKeyId"],
        "secret": keys["SecretAccessKey"],
        "token": keys["SessionToken"],
    }
    source = opened(prefix, temporary)
    (obj,) = source.listing()
    assert source.read_now(obj, 0, 4) == b"data"
    source.close()
    source = opened(prefix, {**temporary, "token": None})
    with pytest.raises(AccessRefused):
        source.read_now(obj, 0, 4)
    source.close()


def test_a_clock_that_is_off_is_named_in_the_listing_and_in_ranges(
    prefix: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(options, f"{prefix}/a.txt", b"one")
    late = opened(prefix, options)
    (obj,) = late.listing()
    real = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda **how: real(**how) + dt.timedelta(minutes=40)
    )
    with pytest.raises(AccessRefused, match=r"RequestTimeTooSkewed.*set the clock"):
        list(opened(prefix, options).listing())
    with pytest.raises(AccessRefused, match=r"RequestTimeTooSkewed.*set the clock"):
        late.read_now(obj, 0, 3)
    late.close()


def test_the_store_s_own_code_is_shown(prefix: str, options: dict[str, Any]) -> None:
    put(options, f"{prefix}/a.txt", b"one")
    known = opened(prefix, options)
    (obj,) = known.listing()
    known.close()
    stranger = opened(prefix, {**options, "secret": "not-the-one"})
    with pytest.raises(AccessRefused, match="SignatureDoesNotMatch"):
        list(stranger.listing())
    with pytest.raises(AccessRefused, match="SignatureDoesNotMatch"):
        stranger.read_now(obj, 0, 3)
    stranger.close()


@pytest.mark.parametrize(
    "name", ["new\nline.txt", "tab\t.txt", "trail .txt ", "q?versionId=1.txt", "br[1]*.txt"]
)
def test_a_key_that_few_clients_write_is_listed_and_signed_as_it_is(
    prefix: str, options: dict[str, Any], store: ObjectStore, name: str
) -> None:
    store.client().put_object(Bucket=BUCKET, Key=f"{prefix.partition('/')[2]}/{name}", Body=b"odd")
    source = opened(prefix, options)
    (obj,) = source.listing()
    assert obj.path == name
    assert source.read_now(obj, 0, 3) == b"odd"
    source.close()


@pytest.mark.parametrize("path", ["p//a.txt", "/a.txt", "p/../a.txt", "./a.txt", "p//", "a.txt/"])
def test_a_signature_holds_for_a_key_that_paths_would_fold(
    prefix: str, options: dict[str, Any], path: str
) -> None:
    # These servers keep no such key, but they look at the signature first.
    put(options, f"{prefix}/b.txt", b"one")
    source = opened(prefix, options)
    (known,) = source.listing()
    folded = PinnedObject(known.source, path, 3, known.version, locator=KEY)
    with pytest.raises(CarriageError) as refused:
        source.read_now(folded, 0, 3)
    assert not isinstance(refused.value, AccessRefused), refused.value
    source.close()
