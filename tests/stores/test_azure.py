"""Azure Blob Storage, as its emulator Azurite serves it (npm install azurite), through adlfs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.hauling.rig import skyhaul

from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.opening import open_source
from skyhaul_schemas.errors import CommitConflict, SourceChanged, UsageError
from skyhaul_schemas.job.model import SourceSpec

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's own, the same everywhere and documented."""
VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    adlfs = pytest.importorskip("adlfs", reason="adlfs is not installed: pip install 'skyhaul[azure]'")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("no azurite-blob on the PATH: npm install azurite")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [program, "--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    server = subprocess.Popen(
        [*command, "--blobHost", "127.0.0.1", "--blobPort", str(port)],
        cwd=tmp_path_factory.mktemp("azurite"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/devstoreaccount1"
    text = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint={address};"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, text)
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and server.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                    break
                time.sleep(0.1)
            adlfs.AzureBlobFileSystem(connection_string=text, skip_instance_cache=True).mkdir("hauls")
            yield "hauls"
        finally:
            server.terminate()
            server.wait(20)


def put(path: str, data: bytes) -> None:
    import adlfs

    store = adlfs.AzureBlobFileSystem(connection_string=os.environ[VARIABLE], skip_instance_cache=True)
    store.pipe_file(path, data)


def test_a_blob_that_was_replaced_is_refused(container: str) -> None:
    put(f"{container}/one/x.txt", b"0123456789")
    spec = SourceSpec(url=f"az://{container}/one/*.txt", options={"connection_string": os.environ[VARIABLE]})
    source = open_source("azure", spec)
    (obj,) = source.listing()
    assert source.read_now(obj, 3, 4) == b"3456"
    put(f"{container}/one/x.txt", b"9876543210")
    with pytest.raises(SourceChanged):
        source.read_now(obj, 3, 4)
    source.close()


def test_a_key_is_created_once(container: str, tmp_path: Path) -> None:
    with closing(open_store(f"az://{container}/keys", writable=True)) as store:
        store.probe()
        assert list(store.list("")) == []
        assert store.create_bytes("a/b.json", b"one") is True
        assert store.create_bytes("a/b.json", b"one") is False
        with pytest.raises(CommitConflict):
            store.create_bytes("a/b.json", b"two")
        assert store.read_bytes("a/b.json") == b"one"


def test_a_whole_haul(container: str, tmp_path: Path) -> None:
    for number in range(12):
        put(f"{container}/region/{number}.txt", f"{number} page ".encode() * 200)
    (tmp_path / "job.yaml").write_text(
        f"version: 1\nname: azure\ndataset: az://{container}/dataset\nspool: spool\n"
        f"sources:\n  pages:\n    url: az://{container}/region/*.txt\n    format: text\n"
        f"    options: {{connection_string: '${{{VARIABLE}}}'}}\nshards: {{target_size: 5kB}}\n"
    )
    done = skyhaul("run", "job.yaml", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(open_store(f"az://{container}/dataset", writable=False)) as store:
        assert verify_dataset(store, deep=True).exit_code() == 0
        assert sum(record.records.written for record in commits(store)) == 12
        assert all(KEY.encode() not in store.read_bytes(path) for path in store.list("_skyhaul"))


def test_what_the_filesystem_folds_is_counted_or_refused(container: str) -> None:
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient.from_connection_string(os.environ[VARIABLE]).create_container("folded")
    bodies = {"top.txt": b"top", "p/a.txt": b"a", "s p+%41.txt": b"odd", "empty.txt": b""}
    for name, data in bodies.items():
        client.upload_blob(name, data)
    for name in ("/lead.txt", "p//a.txt", "only//x.txt", "q/", "q//"):
        client.upload_blob(name, b"another")
    client.upload_blob("marker/", b"")
    options = {"connection_string": os.environ[VARIABLE]}
    left_out = LeftOut()
    source = open_source("azure", SourceSpec(url="az://folded/**", options=options))
    found = {obj.path: source.read_now(obj, 0, obj.size) for obj in source.listing(left_out)}
    source.close()
    assert found == bodies
    assert left_out.names() == {
        "a marker of a folder": ["marker/"],
        "an empty part in the name": ["/", "only//", "p//", "q/", "q//"],
    }
    for url in (
        "az://folded/p//a.txt",
        "az://folded//lead.txt",
        "az://folded/only//*.txt",
        "az://folded/q//",
    ):
        with pytest.raises(UsageError, match="folds"):
            open_source("azure", SourceSpec(url=url, options=options))
