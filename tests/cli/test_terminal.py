"""On a real terminal (a pty) progress is bars that redraw; NO_COLOR takes the colour, not the bars."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from cli.program import PROGRAM

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


def on_terminal(*args: str | Path, env: dict[str, str], timeout: float = 60) -> tuple[int, str, str]:
    """Exit code, what the terminal got (stderr), and stdout, which is a pipe."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [*PROGRAM, *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "COLUMNS": "100", **env},
        )
        os.close(slave)
        seen = bytearray()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ready, _, _ = select.select([master], [], [], 0.1)
            if ready:
                try:
                    data = os.read(master, 65536)
                except OSError:  # Linux: the last holder of the other end has closed it
                    break
                if not data:
                    break
                seen += data
        else:
            process.kill()
        out = process.communicate(timeout=timeout)[0].decode()
        return process.returncode, seen.decode(), out
    finally:
        os.close(master)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A haul of about a second over an emulated link."""
    write_texts(tmp_path / "remote", {f"{n}.txt": f"text {n}\n" * 2000 for n in range(20)})
    return write_job(
        tmp_path,
        sources={"texts": {"url": f"{tmp_path}/remote/*.txt", "format": "text", "via": ["leo"]}},
        links={"leo": {"emulate": True, "down": "2400kbit/s", "up": "1Mbit/s", "rtt": "20ms"}},
        shards={"target_size": "64KiB"},
    )


def test_a_terminal_gets_bars_that_redraw_and_stdout_only_the_summary(job: Path) -> None:
    code, screen, out = on_terminal("run", job, env={"TERM": "xterm-256color"})
    assert code == 0, screen
    assert screen.count("shards") > 3, "it was drawn several times"
    assert re.search(r"\x1b\[\d*[AF]", screen), "and in place"
    assert "█" in screen
    assert "2.4 Mbit/s" in screen, "the rate stands against the link's"
    assert COLOUR.search(screen)
    assert "\x1b" not in out
    assert "all is committed" in out


def test_no_color_draws_the_same_without_colour(job: Path) -> None:
    code, screen, _ = on_terminal("run", job, env={"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert code == 0
    assert "█" in screen
    assert not COLOUR.search(screen)


def test_quiet_draws_nothing_on_a_terminal(job: Path) -> None:
    code, screen, out = on_terminal("run", "--quiet", job, env={"TERM": "xterm-256color"})
    assert (code, screen) == (0, "")
    assert "all is committed" in out


def test_a_dumb_terminal_gets_lines(job: Path) -> None:
    code, screen, _ = on_terminal("run", job, env={"TERM": "dumb"})
    assert code == 0
    assert "\x1b" not in screen
    assert "hauling" in screen
