"""`skyhaul status --watch` follows a haul of another process from the dataset alone, to its end."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from cli.jobs import write_job
from cli.program import PROGRAM, call, start

RATE = 3e6


def test_watching_a_haul_tells_pace_and_time_left_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    for number in range(60):
        (tmp_path / "remote" / f"{number}.txt").write_text("a line of text\n" * 4_000)
    source = {"url": f"{tmp_path}/remote/*.txt", "format": "text", "via": ["sky"], "max_connections": 2}
    links = {"sky": {"emulate": True, "down": f"{RATE:.0f}bit/s", "rtt": "20ms"}}
    job = write_job(tmp_path, sources={"texts": source}, links=links, shards={"target_size": "150kB"})
    assert call("plan", "-q", job).code == 0
    # Watched by the dataset's folder: neither job file nor spool are looked at.
    with (
        start("run", "-q", job) as haul,
        subprocess.Popen(
            [*PROGRAM, "status", "--watch", "--every", "250ms", "--json", str(tmp_path / "dataset")],
            stdout=subprocess.PIPE,
            text=True,
        ) as watcher,
    ):
        try:
            assert watcher.stdout is not None
            looks: list[int] = []
            foreseen: list[float] = []
            document = ""
            for line in watcher.stdout:
                document += line
                if line == "}\n":
                    look = json.loads(document)
                    document = ""
                    looks.append(look["shards"]["committed"])
                    gain = look.get("gain")
                    if (
                        gain
                        and 0.3 < look["source_bytes"]["committed"] / look["source_bytes"]["planned"] < 0.6
                    ):
                        foreseen.append(time.monotonic() + gain["seconds_left"])
            ended = time.monotonic()
            assert watcher.wait(60) == 0
            assert haul.wait(60) == 0
        finally:
            watcher.kill()
            haul.kill()
    assert looks == sorted(looks)
    assert looks[-1] >= 20
    assert len(foreseen) >= 2
    # About 10 s of link.
    assert all(abs(when - ended) < 6 for when in foreseen), (foreseen, ended)
