"""A bucket's keys, as they are: listed and pinned through s3fs's client, which folds no name here.

A key is opaque to S3. `a//b`, `/b`, `./b` and `b/` are keys of their own, so a folder's name may be empty
here, and an object's too. Globs part keys at their slashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from skyhaul_connectors.sources.catalogue.object_names import fault_in_key, fault_in_path
from skyhaul_connectors.sources.fsspec.errors import translated
from skyhaul_connectors.sources.fsspec.listed import ListedFsspecFiles
from skyhaul_connectors.sources.fsspec.pin import still_holds
from skyhaul_connectors.sources.fsspec.source import FsspecFiles, Info
from skyhaul_connectors.sources.left_out import MARKER, LeftOut
from skyhaul_schemas.errors import SourceChanged, UsageError
from skyhaul_schemas.plan import KEY, PinnedObject
from skyhaul_schemas.printable import printable

_PAGE = 1000
"""Entries that are drawn from s3fs's loop at a time: as many as S3 puts in one page of a listing."""
_OF_ROOT = "the key of the source's root itself; a source that begins one folder higher has it"
_UNOPENED = "a key that the store's options keep us from asking for"
"""Reasons as they are shown and counted; without a name in them (`LeftOut.add`)."""


class S3Files(FsspecFiles):
    """Objects of the bucket and prefix `root` ("bucket/prefix", to which `/` and a path are put)."""

    by_key = True
    """Whether data is asked for by key. s3fs's own files fold some keys into others."""

    fault_in = staticmethod(fault_in_key)

    def _ask(self, path: str) -> Info:
        bucket, key = self._split(path)
        if any(part in (".", "..") for part in key.split("/")):
            # HTTP clients may fold such a path; in a listing's query it stays as it is. Of the keys with a
            # prefix the prefix itself sorts first.
            found = self._first_below(bucket, key)
            if found is None or found["Key"] != key:
                raise FileNotFoundError
            return {**found, "size": found["Size"], "type": "file"}
        try:
            answer = self._call("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            # HEAD knows keys only: what lies below one makes it a folder, which is told as that.
            if self._first_below(bucket, f"{key}/") is None:
                raise
            return {"type": "directory"}
        return {**answer, "size": answer["ContentLength"], "type": "file"}

    def _again(self, obj: PinnedObject, left_out: LeftOut) -> PinnedObject | None:
        # A size of 0 is a claim that no later byte disproves, since nothing is hauled of such an object. On
        # S3 a GET decides, and states the size that listing and HEAD withheld.
        bucket, key = self._split(obj.path)
        version = {"VersionId": obj.version[4:]} if obj.version.startswith("vid:") else {}
        with translated(self.place(obj.path)):
            found = self._sized(bucket, key, version)
        if found["size"] is None:
            raise UsageError(
                f"source {self._name}: {printable(obj.path)!r}: the store states no size and gives bytes;"
                " leave it out"
            )
        if obj.version and not still_holds(obj.version, found):
            raise SourceChanged(f"{self.place(obj.path)} is another object now; plan again")
        if not found["size"]:
            # Consoles and tools make such keys for folders; one with bytes in it is an object.
            if obj.path.endswith("/"):
                left_out.add(obj.path, MARKER)
                return None
            return obj
        if obj.version.startswith("sha256:"):
            raise SourceChanged(
                f"{obj.source}: {printable(obj.path)!r} has {found['size']} bytes, the list says 0; make the"
                " list anew"
            )
        return replace(self._pin(obj.path, found), checksum=obj.checksum)

    def _sized(self, bucket: str, key: str, version: dict[str, str]) -> dict[str, Any]:
        """What a GET states of the object, with its `size`: None where it has bytes and states no size."""
        filesystem = self.filesystem()

        async def asked() -> dict[str, Any]:
            answer = await filesystem._call_s3(
                "get_object", filesystem.kwargs, Bucket=bucket, Key=key, **version
            )
            # Closed after a byte at most, so that a large object is not read.
            async with answer["Body"] as body:
                size = answer.get("ContentLength")
                if not size:
                    size = None if await body.read(1) else 0
            return {**answer, "size": size}

        return self._done(asked())

    def _children(self, folder: str) -> Iterator[tuple[str, Info]]:
        bucket, prefix = self._split(folder)
        # Names are cut off by length: to strip slashes would fold keys.
        skipped = len(bucket) + 1 + len(prefix)
        filesystem = self.filesystem()
        pages = _drawn(filesystem.loop, lambda: filesystem._iterdir(bucket, delimiter="/", prefix=prefix))
        for info in self._entries(folder, f"{bucket}/{prefix}", lambda: pages):
            yield str(info["name"])[skipped:], info

    def _may_be_part(self, name: str, path: str, left_out: LeftOut) -> bool:
        return True  # a part may be empty, or `..`: a key's slashes lead nowhere

    def _may_be_name(self, name: str, path: str, info: Info, left_out: LeftOut) -> bool:
        if not path:
            left_out.add(self.full_path(path), _OF_ROOT)
            return False
        self._check_name(path)
        # s3fs takes the first for a version of another key, and strips slashes off the other's end.
        if not self.by_key and ("?versionId=" in path or path.endswith("/")):
            left_out.add(path, _UNOPENED)
            return False
        return True

    def _pin(self, path: str, info: Info) -> PinnedObject:
        pinned = super()._pin(path, info)
        # So that no other kind of source takes it for a path (`HttpSource.url_of`).
        return replace(pinned, locator=KEY) if fault_in_path(path) else pinned

    def _split(self, path: str) -> tuple[str, str]:
        bucket, key = self.filesystem()._find_bucket_key(self.full_path(path))
        return str(bucket), str(key)

    def _first_below(self, bucket: str, prefix: str) -> dict[str, Any] | None:
        answer = self._call("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
        contents = answer.get("Contents") or [None]
        found: dict[str, Any] | None = contents[0]
        return found

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        filesystem = self.filesystem()
        return self._done(filesystem._call_s3(method, filesystem.kwargs, **arguments))

    def _done(self, work: Any) -> dict[str, Any]:
        # s3fs's loop runs in fsspec's own thread, where its connections live; this one waits for it.
        answer: dict[str, Any] = asyncio.run_coroutine_threadsafe(work, self.filesystem().loop).result()
        return answer


def _drawn(loop: asyncio.AbstractEventLoop, start: Callable[[], AsyncIterator[Info]]) -> Iterator[Info]:
    """An async iterator of another thread's loop, a page at a time.

    The next page is drawn only once this one is used up.
    """
    items = start()

    async def page() -> list[Info]:
        return [item async for item in _limited(items)]

    while batch := asyncio.run_coroutine_threadsafe(page(), loop).result():
        yield from batch


async def _limited(items: AsyncIterator[Info]) -> AsyncIterator[Info]:
    for _ in range(_PAGE):
        try:
            yield await anext(items)
        except StopAsyncIteration:
            return


class ListedS3Files(ListedFsspecFiles, S3Files):
    """Keys of a bucket that `listed` names."""
