"""Credentials reach workers through their environment alone: a canary is in nothing that travels or stays."""

from __future__ import annotations

import base64
import bz2
import os
import re
import subprocess
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path

import apache_beam as beam
import pytest
import yaml

from cli.test_secrets import CANARY, guarded
from links.sharing.redis_server import RedisServer
from skyhaul.beam.temporary import drop_pipeline_folder
from skyhaul.beam.transforms import HaulShards, SummarizeReceipts
from skyhaul.hauling.config import HaulConfig
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import load_job

__all__ = ["guarded"]

PASSWORD = "canary-redis-52c0e7"


def job_over(base: str, folder: Path, redis: str) -> Path:
    job = folder / "job.yaml"
    job.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "name": "secret",
                "dataset": str(folder / "dataset"),
                "spool": str(folder / "spool"),
                "sources": {
                    "web": {
                        "url": {"list": f"{base}/objects.jsonl"},
                        "format": "jsonl",
                        "fields": {"text": "text"},
                        "options": {"headers": {"Authorization": "Bearer ${SKYHAUL_TEST_TOKEN}"}},
                        "via": ["dish"],
                    }
                },
                "links": {"dish": {"down": "50Mbit/s", "shared": redis}},
                "shards": {"target_size": "10B"},
            }
        )
    )
    return job


def unpacked(proto: bytes) -> bytes:
    """All that is in the proto, and in the pickles that Beam packs into it: base64 of zlib or bz2."""
    found = [proto]
    for packed in re.findall(rb"[A-Za-z0-9+/=]{40,}", proto):
        for start in range(4):
            for unpack in (zlib.decompress, bz2.decompress):
                try:
                    found.append(unpack(base64.b64decode(packed[start:] + b"==")))
                except (zlib.error, OSError, ValueError):
                    continue
    return b"".join(found)


@pytest.mark.parametrize("adapter", ["lots", "splittable"])
def test_the_pipeline_that_a_runner_is_sent_holds_references_and_no_secret(
    adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYHAUL_TEST_TOKEN", CANARY)
    monkeypatch.setenv("SKYHAUL_TEST_REDIS", PASSWORD)
    loaded = load_job(
        job_over("http://127.0.0.1:1", tmp_path, "redis://:${SKYHAUL_TEST_REDIS}@127.0.0.1:2"), os.environ
    )
    assert loaded.job.links["dish"].shared == f"redis://:{PASSWORD}@127.0.0.1:2"
    assert CANARY in str(loaded.job.sources["web"].options)
    config = HaulConfig(
        run="20260101T000000Z-00000000",
        dataset=loaded.job.dataset,
        job_text=loaded.text,
        job_origin=str(loaded.path),
    )
    pipeline = beam.Pipeline()
    drop_pipeline_folder(pipeline)
    pipeline | HaulShards(config, parallelism=4, adapter=adapter) | SummarizeReceipts()  # type: ignore[arg-type]
    proto = pipeline.to_runner_api().SerializeToString()
    sent = unpacked(proto)
    assert b"Bearer ${SKYHAUL_TEST_TOKEN}" in sent, "the job goes along as it was written"
    assert CANARY.encode() not in sent
    assert PASSWORD.encode() not in sent


def test_a_haul_over_a_shared_link_leaves_no_secret_in_files_logs_or_argument_lists(
    guarded: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with ExitStack() as stack:
        server = RedisServer(tmp_path, password=PASSWORD)
        stack.callback(server.kill)
        url = server.url.replace(PASSWORD, "${SKYHAUL_TEST_REDIS}")
        job = job_over(guarded, place, url)
        environment = {
            **os.environ,
            "SKYHAUL_TEST_TOKEN": CANARY,
            "SKYHAUL_TEST_REDIS": PASSWORD,
            "TMPDIR": str(place),
        }
        program = Path(sys.executable).with_name("skyhaul")
        process = subprocess.Popen(
            [program, "run", "-v", "--log-format", "json", job],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        arguments: set[bytes] = set()
        deadline = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < deadline:
            arguments |= {line.read_bytes() for line in _command_lines(process.pid)}
            time.sleep(0.02)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 3, err.decode()
    assert b"AccessRefused" in err, "one object is refused at all times"
    kept = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert any(path.suffix == ".parquet" and "data" in path.parts for path in kept)
    assert any("commits" in path.parts for path in kept)
    assert arguments
    for secret in (CANARY.encode(), PASSWORD.encode()):
        assert secret not in out + err
        assert [path for path, data in kept.items() if secret in data] == []
        assert not any(secret in line for line in arguments)


def _command_lines(process: int) -> list[Path]:
    """Of the process and its children, as far as they live."""
    found = [Path(f"/proc/{process}/cmdline")]
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [Path(f"/proc/{child}/cmdline") for child in children.read_text().split()]
        except OSError:
            continue
    return [path for path in found if path.exists()]


def test_a_password_written_out_is_refused(tmp_path: Path) -> None:
    environment = {"SKYHAUL_TEST_TOKEN": CANARY}
    with pytest.raises(UsageError, match="a password in a URL"):
        load_job(job_over("http://127.0.0.1:1", tmp_path, "redis://:hunter2@127.0.0.1"), environment)
