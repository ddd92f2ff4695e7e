"""A real S3 server on loopback, for datasets that several workers write.

versitygw (Apache 2.0) serves a local folder over S3, with conditional puts that hold against races
and with versions. MinIO does the same and is used to see that neither is leant on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fetch import go_tool
from processes import LOOPBACK, Processes, answers, free_port, processes

BUCKET = "hauls"
REGION = "us-east-1"


@dataclasses.dataclass(frozen=True)
class ObjectStore:
    """Where it answers, and with which keys. Made for one run; the keys mean nothing elsewhere."""

    endpoint: str
    access_key: str
    secret_key: str = dataclasses.field(repr=False)

    def environment(self) -> dict[str, str]:
        """What s3fs and every other S3 client reads; credentials stay out of argument lists."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A botocore client."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )


def start(children: Processes, folder: Path, tool: str = "versitygw") -> ObjectStore:
    """A server over `folder` with the versioned bucket `hauls`. Raises Unavailable, NotReady."""
    program = go_tool(tool)
    port = free_port()
    store = ObjectStore(f"http://{LOOPBACK}:{port}", "skyhaul", secrets.token_hex(16))
    data, versions = folder / "objects", folder / "versions"
    data.mkdir(parents=True)
    versions.mkdir()
    environment: Mapping[str, str]
    if tool == "versitygw":
        command = [str(program), "--quiet", "--keep-alive", "--port", f"{LOOPBACK}:{port}", "posix"]
        # Metadata lies in a folder of its own, since not every file system has extended attributes.
        metadata = folder / "metadata"
        metadata.mkdir()
        command += ["--versioning-dir", str(versions), "--sidecar", str(metadata), str(data)]
        environment = {"ROOT_ACCESS_KEY": store.access_key, "ROOT_SECRET_KEY": store.secret_key}
    else:
        command = [str(program), "server", "--quiet", "--address", f"{LOOPBACK}:{port}", str(data)]
        environment = {
            "MINIO_ROOT_USER": store.access_key,
            "MINIO_ROOT_PASSWORD": store.secret_key,
            "MINIO_BROWSER": "off",
        }
    children.start(tool, command, environment)
    children.wait_for(tool, lambda: answers(port), 30)
    _make_bucket(store, children, tool)
    return store


def _make_bucket(store: ObjectStore, children: Processes, tool: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    client = store.client()

    def made() -> bool:
        try:
            client.create_bucket(Bucket=BUCKET)
        except ClientError as error:  # MinIO listens a moment before it serves
            return bool(error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou")
        except BotoCoreError:
            return False
        return True

    children.wait_for(tool, made, 30)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


@contextlib.contextmanager
def object_store(tool: str = "versitygw") -> Iterator[ObjectStore]:
    """A server over a temporary folder, gone with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="skyhaul-s3-") as folder,
        processes(Path(folder) / "logs") as children,
    ):
        yield start(children, Path(folder), tool)


def main() -> None:
    """Serve until interrupted, printing what to export."""
    with object_store() as store, contextlib.suppress(KeyboardInterrupt):
        for name, value in store.environment().items():
            print(f"export {name}={value}", flush=True)
        print(f"# dataset: s3://{BUCKET}/NAME; Ctrl-C ends the server", flush=True)
        os.waitid(os.P_ALL, 0, os.WEXITED)


if __name__ == "__main__":
    main()
