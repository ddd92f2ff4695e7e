"""A real sshd on loopback with keys of its own, over a folder of this machine; skipped without one."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class SshServer:
    """`key` opens it, `stranger` does not. `known_hosts` names its host key."""

    port: int
    folder: Path
    key: Path
    stranger: Path
    known_hosts: Path

    @property
    def url(self) -> str:
        return f"sftp://127.0.0.1:{self.port}"

    def options(self) -> dict[str, Any]:
        return {
            "username": getpass.getuser(),
            "key_filename": str(self.key),
            "known_hosts": str(self.known_hosts),
            "look_for_keys": False,
            "allow_agent": False,
        }


def _key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[SshServer]:
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd on this machine: install openssh-server")
    if os.getuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd as root needs the folder /run/sshd: mkdir -m 755 /run/sshd")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    host = _key(folder / "host")
    (folder / "authorized").write_text(_key(folder / "key"))
    _key(folder / "stranger")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(host.split()[:2])}\n")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "config"], stdout=log, stderr=log)
    try:
        _wait(port, server, folder / "log")
        files = folder / "region"
        files.mkdir()
        yield SshServer(port, files, folder / "key", folder / "stranger", folder / "known")
    finally:
        server.terminate()
        server.wait(10)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {log.read_text('utf-8', 'replace')[-500:]}")


@pytest.fixture(scope="module")
def ssh() -> Iterator[SshServer]:
    with tempfile.TemporaryDirectory(prefix="skyhaul-ssh-") as folder, _serving(Path(folder)) as server:
        yield server
