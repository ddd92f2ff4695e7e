"""`${file:/path}`: where it is taken, what it may be, and that its value goes nowhere else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from schemas.job.job_texts import FULL, LEAST, changed
from skyhaul_schemas.errors import StorageError, UsageError
from skyhaul_schemas.job import outside
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.job.outside import FILE_CAP

CANARY = "canary-5up3r-53cr37"
LINE = "job.yaml:8:14: sources.here.options.token: "


def naming(path: str | Path) -> str:
    return changed(LEAST, "url: data/*.txt", f"url: a\n    options:\n      token: '${{file:{path}}}'")


def loaded(text: str, **env: str) -> LoadedJob:
    return parse_job(text, "job.yaml", env)


def refused(path: str | Path) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(naming(path))
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_text_of_the_file_is_taken_without_the_newlines_at_its_end(tmp_path: Path, end: str) -> None:
    (tmp_path / "token").write_bytes(f" {CANARY}\n{CANARY} {end}".encode())
    job = loaded(naming(tmp_path / "token"))
    assert job.job.sources["here"].options == {"token": f" {CANARY}\n{CANARY} "}
    assert job.secrets == {f" {CANARY}\n{CANARY} "}


def test_a_file_and_a_variable_may_stand_in_one_value_and_a_link_is_followed(tmp_path: Path) -> None:
    # Kubernetes mounts secrets as symbolic links that it swaps.
    (tmp_path / "..data").write_text(f"{CANARY}\n")
    (tmp_path / "token").symlink_to("..data")
    text = changed(LEAST, "data/*.txt", f"https://${{USER}}:${{file:{tmp_path}/token}}@host/x.txt")
    job = loaded(text, USER="me")
    assert job.job.sources["here"].url == [f"https://me:{CANARY}@host/x.txt"]
    assert job.secrets == {"me", CANARY}
    assert CANARY not in job.text


def test_a_reference_in_a_value_of_a_file_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("${HOME} ${file:/etc/passwd}")
    options = loaded(naming(tmp_path / "token"), HOME="x").job.sources["here"].options
    assert options == {"token": "${HOME} ${file:/etc/passwd}"}


def test_each_reading_takes_what_the_file_says_then(tmp_path: Path) -> None:
    for value in ("old", "new"):
        (tmp_path / "token").write_text(value)
        assert loaded(naming(tmp_path / "token")).secrets == {value}


@pytest.mark.parametrize("path", ["token", "./token", "~/token", "", " /token"])
def test_a_relative_path_is_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(CANARY)
    where = f"{LINE}found ${{file:{path}}}, allowed: an absolute path"
    assert refused(path).startswith(where)


def test_a_file_that_is_not_there_is_named_with_key_and_line(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert refused(path) == (
        f"{LINE}found ${{file:{path}}}, allowed: a file that is there; this machine has none of that name"
    )


def test_what_is_no_file_of_text_is_refused_and_not_shown(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "nul").write_bytes(CANARY.encode() + b"\0")
    (tmp_path / "bytes").write_bytes(CANARY.encode() + b"\xff")
    (tmp_path / "long").write_text(CANARY * FILE_CAP)
    for path, allowed in (
        (tmp_path, "a plain file"),
        (tmp_path / "pipe", "a plain file"),
        ("/dev/zero", "a plain file"),
        (tmp_path / "empty", "a file that is not empty"),
        (tmp_path / "nul", "a file of text in UTF-8"),
        (tmp_path / "bytes", "a file of text in UTF-8"),
        (tmp_path / "long", f"a file of at most {FILE_CAP} bytes"),
        (tmp_path / "empty" / "below", "a file that this user can read (Not a directory)"),
    ):
        line = refused(path)
        assert line.startswith(f"{LINE}found ${{file:{path}}}, allowed: {allowed}")
        assert CANARY not in line


def test_a_file_at_the_cap_is_taken(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * FILE_CAP)
    assert loaded(naming(tmp_path / "token")).secrets == {"x" * FILE_CAP}


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(errno.EACCES, UsageError, 2), (errno.EIO, StorageError, 75), (errno.EMFILE, StorageError, 75)],
)
def test_a_file_that_cannot_be_read_is_2_unless_that_may_pass(
    number: int, kind: type[Exception], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: str, limit: int) -> bytes:
        raise OSError(number, os.strerror(number), path)

    (tmp_path / "token").write_text(CANARY)
    monkeypatch.setattr(outside, "read_start", failing)
    with pytest.raises(kind) as caught:
        loaded(naming(tmp_path / "token"))
    assert caught.value.exit_code == code  # type: ignore[attr-defined]
    assert f"${{file:{tmp_path}/token}}" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: ${file:PATH}"),
        ("down: 130Mbit/s", "down: ${file:PATH}"),
        ("url: /usr/lib/python3*/**/*.py", "url: ['${file:PATH}', 1]"),
        ("fields: {text: body}", "fields: {text: '${file:PATH}'}"),
        ("fields: {text: body}", "decode: {option: '${file:PATH}'}"),
    ],
)
def test_a_value_in_a_wrong_place_is_in_no_message(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY)
    with pytest.raises(UsageError) as caught:
        loaded(changed(FULL, old, new.replace("PATH", f"{tmp_path}/token")))
    assert f"${{file:{tmp_path}/token}}" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_path_that_would_steer_a_terminal_is_shown_with_escapes() -> None:
    text = changed(LEAST, "url: data/*.txt", 'url: "${file:/no\\e[2Jwhere}"')
    with pytest.raises(UsageError) as caught:
        loaded(text)
    assert "\x1b" not in str(caught.value)
    assert r"/no\x1b[2Jwhere" in str(caught.value)
