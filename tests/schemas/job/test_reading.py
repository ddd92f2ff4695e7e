"""A job file may be a pipe, a device or a folder: none of them is waited for, or read, for ever."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from skyhaul_connectors.links.profile.contact_files import load_contacts
from skyhaul_schemas import reading
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import load_job


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reading, "PIPE_WAIT", 0.2)
    path = tmp_path / "job.yaml"
    os.mkfifo(path)
    return path


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(pipe: Path) -> None:
    with pytest.raises(UsageError, match="it is a pipe, and nothing was written to it"):
        load_job(pipe, {})


def test_a_pipe_with_a_writer_that_says_nothing_is_not_waited_for(pipe: Path) -> None:
    held = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(UsageError, match="nothing was written to it"):
            load_job(pipe, {})
    finally:
        os.close(held)


def test_a_pipe_is_read_to_its_end(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIPE_WAIT", 30.0)
    text = b"x" * 300_000
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    assert reading.read_start(pipe, 1 << 20) == text
    writer.join()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_job_file(device: str) -> None:
    with pytest.raises(UsageError, match="it is a device, not a file"):
        load_job(device, {})


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(100_000))
    assert len(reading.read_start(tmp_path / "x", 70_000)) == 70_000
    with pytest.raises(IsADirectoryError):
        reading.read_start(tmp_path, 10)


def test_a_contact_plan_may_not_be_waited_for_either(pipe: Path) -> None:
    with pytest.raises(UsageError, match=r"contact plan .* nothing was written to it"):
        load_contacts(str(pipe))
