"""A rig for whole hauls: a region of files, a job over it, the command as its users start it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import yaml

WORDS = (Path(os.__file__).read_text() + Path(json.__file__).read_text()).split()


def write_region(root: Path, seed: int, *, jsonl_bytes: int, texts: int) -> None:
    """A folder of JSONL files (one line in about 200 is broken) and small texts, from the seed alone."""
    rng = random.Random(seed)
    (root / "lines").mkdir(parents=True)
    (root / "texts").mkdir()
    for index in range(3):
        size = 0
        with (root / "lines" / f"part-{index}.jsonl").open("w", encoding="utf-8") as file:
            number = 0
            while size < jsonl_bytes // 3:
                text = " ".join(rng.choices(WORDS, k=rng.randrange(5, 120))) + " \N{SNOWMAN}"
                line = json.dumps({"id": f"{index}-{number}", "body": text, "n": rng.randrange(10**6)})
                if rng.random() < 0.005:
                    line = line[:-2]
                file.write(line + "\n")
                size += len(line) + 1
                number += 1
    for index in range(texts):
        (root / "texts" / f"{index:04d}.txt").write_text(
            " ".join(rng.choices(WORDS, k=rng.randrange(3, 900)))
        )


def job(
    dataset: Path | str,
    spool: Path,
    lines: str,
    texts: str,
    *,
    link: dict[str, object] | None = None,
    target_size: str = "1MiB",
    **more: object,
) -> dict[str, object]:
    """The rig's job; with `link` both sources go over it."""
    via: dict[str, object] = {"via": ["sky"]} if link else {}
    return {
        "version": 1,
        "name": "rig",
        "dataset": str(dataset),
        "spool": str(spool),
        "seed": 5,
        "sources": {
            "lines": {
                "url": lines, "format": "jsonl", "fields": {"text": "body", "source_id": "id"}, **via,
                "max_connections": 32,
            },
            "texts": {"url": texts, "format": "text", **via, "max_connections": 32},
        },
        **({"links": {"sky": link}} if link else {}),
        "shards": {
            "target_size": target_size, "chunk_size": "256KiB", "splits": {"train": 0.9, "validation": 0.1},
        },
        **more,
    }  # fmt: skip


def write_job(path: Path, content: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def skyhaul(
    *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [command(), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def command() -> str:
    return str(Path(sys.executable).with_name("skyhaul"))


def data_digests(dataset: Path) -> dict[str, str]:
    """sha256 of every file below `data/`, by path."""
    return {
        str(path.relative_to(dataset)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((dataset / "data").rglob("*.parquet"))
    }


def reject_digests(dataset: Path) -> dict[str, str]:
    return {
        str(path.relative_to(dataset)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((dataset / "_skyhaul" / "rejects").rglob("*.parquet"))
    }
