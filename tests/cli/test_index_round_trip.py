"""What `skyhaul index` writes, a job takes: the same objects as the folder itself has."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.program import call

NAMES = (
    "A.txt", "a.txt", "x².txt", "x2.txt", "é.txt", "e\u0301.txt", "straße.txt", "STRASSE.txt", "ﬁ.txt",
    "fi.txt",
    " lead.txt", "trail.txt ", "back\\slash.txt", "#.txt", "%41.txt", "a%2Fb.txt", "q?.txt", "st*r.txt",
    "br[1].txt", "br1.txt", "{a,b}.txt", "plus+.txt", "quo\"te'.txt",
    "line\u2028.txt", "no\u00a0break.txt",
    "d/a.txt", "D/a.txt", "d.txt", "\U0001f680.txt", "-dash.txt", "~.txt", "a,b.txt", "\ufeffbom.txt",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        file = tmp_path / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"= {name}")
    return tmp_path / "src"


def texts(tmp_path: Path, name: str, url: str) -> list[str]:
    """What a haul of the source leaves."""
    import pyarrow.parquet as pq

    job = tmp_path / f"{name}.yaml"
    job.write_text(
        f"version: 1\nname: {name}\ndataset: {tmp_path / name}\nspool: {tmp_path / 'spool'}\n"
        f"schema: document\nsources:\n  s: {{url: {url}, format: text}}\n"
    )
    ran = call("run", "-q", job)
    assert ran.code == 0, ran.err
    files = sorted((tmp_path / name / "data").rglob("*.parquet"))
    return sorted(text for f in files for text in pq.read_table(f, columns=["text"])["text"].to_pylist())


def test_an_index_of_odd_names_is_taken_and_gives_the_folder_s_objects(folder: Path, tmp_path: Path) -> None:
    index = call("index", "-q", folder)
    assert index.code == 0
    (tmp_path / "list.jsonl").write_text(index.out)
    by_list = texts(tmp_path, "by-list", f"{{list: {tmp_path / 'list.jsonl'}, root: {folder}}}")
    assert by_list == texts(tmp_path, "by-folder", f"{folder}/**")
    assert by_list == sorted(f"= {name}" for name in NAMES)
