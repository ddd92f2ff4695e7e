"""A column that is nearly one of ours is refused, and a digest that is not checked is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from skyhaul_connectors.sources.catalogue.list_columns import NOT_CHECKED
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.opening import open_source
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject

NOTHING = hashlib.sha256().hexdigest()


def listed(folder: Path, text: str, suffix: str = "jsonl") -> tuple[list[PinnedObject], LeftOut]:
    """A list of local files, as the planner reads it."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "a.txt").write_text("a")
    (folder / "data" / " lead.txt ").write_text("lead")
    (folder / "data" / "empty.txt").touch()
    (folder / f"list.{suffix}").write_text(text)
    told = LeftOut()
    url = {"list": str(folder / f"list.{suffix}"), "root": str(folder / "data")}
    return list(open_source("s", SourceSpec.model_validate({"url": url})).listing(told)), told


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sha265", "sha256"),
        ("SHA256", "sha256"),
        ("sha-256", "sha256"),
        ("sha256sum", "sha256"),
        ("file_sha256", "sha256"),
        ("sha_265", "sha256"),
        ("CRC32C", "crc32c"),
        ("Size", "size"),
        ("blocksize", "block_size"),
        ("block-size", "block_size"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_misspelt_column_is_refused_with_the_one_that_is_meant(
    tmp_path: Path, name: str, meant: str, suffix: str
) -> None:
    text = json.dumps({"path": "a.txt", name: "1"}) if suffix == "jsonl" else f"path,{name}\na.txt,1\n"
    with pytest.raises(UsageError, match=f"line 1: '{name}' is not read; if {meant} is meant"):
        listed(tmp_path, text, suffix)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_digests_that_are_not_checked_are_told_and_other_columns_are_not(tmp_path: Path, suffix: str) -> None:
    row: dict[str, Any] = {
        "path": "a.txt",
        "md5": "0",
        "sha1": "0",
        "crc32": "0",
        "licence": "x",
        "purl": "y",
    }
    text = json.dumps(row) + "\n"
    if suffix == "csv":
        text = f"{','.join(row)}\n{','.join(row.values())}\n"
    objects, told = listed(tmp_path, text, suffix)
    assert [obj.path for obj in objects] == ["a.txt"]
    assert told.unchecked.names() == {NOT_CHECKED: ["crc32", "md5", "sha1"]}


def test_a_csv_below_a_root_needs_no_url_and_keeps_names_as_they_are(tmp_path: Path) -> None:
    objects, _ = listed(tmp_path, "path, size\n lead.txt , 4\na.txt,1\n", "csv")
    assert [obj.path for obj in objects] == [" lead.txt ", "a.txt"]
    with pytest.raises(UsageError, match="path among them"):
        listed(tmp_path, "url,size\na.txt,1\n", "csv")


def test_a_size_of_0_with_the_digest_of_some_bytes_is_refused(tmp_path: Path) -> None:
    stated = {"path": "empty.txt", "size": 0}
    objects, _ = listed(tmp_path, json.dumps({**stated, "sha256": NOTHING, "crc32c": "00000000"}))
    assert [(obj.path, obj.size) for obj in objects] == [("empty.txt", 0)]
    for digest in ({"sha256": hashlib.sha256(b"x").hexdigest()}, {"crc32c": "00000001"}):
        with pytest.raises(UsageError, match="not that of no bytes"):
            listed(tmp_path, json.dumps(stated | digest))
