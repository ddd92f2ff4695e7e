"""Small jobs on this machine's disk, for tests of the program."""

from __future__ import annotations

from pathlib import Path

import yaml

TEXTS = {"a.txt": "first text\n", "b/c.txt": "second text\n", "b/empty.txt": "", "d.txt": "ä ö ü\n" * 1000}


def write_texts(folder: Path, texts: dict[str, str] | None = None) -> Path:
    for name, text in (TEXTS if texts is None else texts).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_job(folder: Path, *, source: str | None = None, name: str = "job.yaml", **changes: object) -> Path:
    """A job over `folder`/remote into `folder`/dataset. `changes` are its keys; None drops one."""
    job: dict[str, object] = {
        "version": 1,
        "name": "small",
        "dataset": str(folder / "dataset"),
        "spool": str(folder / "spool"),
        "schema": "document",
        "sources": {"texts": {"url": source or f"{folder}/remote/**/*.txt", "format": "text"}},
        "shards": {"target_size": "4KiB"},
    }
    job.update(changes)
    path = folder / name
    path.write_text(yaml.safe_dump({k: v for k, v in job.items() if v is not None}, sort_keys=False))
    return path
