"""The program as a user meets it: called in this process, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from skyhaul.cli.main import cli

PROGRAM = [sys.executable, "-c", "from skyhaul.cli.main import main; main()"]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def call(*args: str | Path, env: Mapping[str, str] | None = None) -> Answer:
    """Run in this process. An exception that no command expects is raised here."""
    result = CliRunner().invoke(cli, [str(a) for a in args], env=dict(env or {}), prog_name="skyhaul")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def start(
    *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Start it as a process, off any terminal."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


def spawn(
    *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 60
) -> Answer:
    """Run it as a process, off any terminal, to its end."""
    with start(*args, env=env, cwd=cwd) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Answer(process.returncode, out, err)
