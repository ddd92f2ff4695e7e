"""A whole dataset to be doctored, and what verify says of it then."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.hauled import Hauled, plan_small
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import VerifyReport, verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.self_digest import digested_line

COMMIT = layout.commit_file(0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    hauled = plan_small(tmp_path_factory.mktemp("whole"))
    hauled.haul()
    hauled.store.close()
    return hauled


@pytest.fixture
def root(whole: Hauled, tmp_path: Path) -> Path:
    """A copy of a whole dataset, to be doctored."""
    shutil.copytree(whole.root, tmp_path / "set")
    return tmp_path / "set"


def verified(root: Path, *, deep: bool = False) -> VerifyReport:
    return verify_dataset(open_store(str(root), writable=False), deep=deep)


def codes(report: VerifyReport) -> set[str]:
    return {finding.code for finding in report.findings}


def only(report: VerifyReport, code: str, words: str) -> None:
    """The one finding there is."""
    assert [finding.code for finding in report.findings] == [code], [str(f) for f in report.findings]
    assert words in str(report.findings[0])
    assert report.exit_code() == 4


def doctor(root: Path, change: Callable[[dict[str, Any]], None], path: str = COMMIT) -> None:
    record = json.loads((root / path).read_text())
    change(record)
    (root / path).write_bytes(digested_line(record))


def first_file(root: Path) -> Path:
    return root / json.loads((root / COMMIT).read_text())["files"][0]["path"]


def recommit(root: Path, path: Path) -> None:
    """Make the commit record say what the doctored file is, so that only its content is wrong."""
    data = path.read_bytes()
    footer = pq.read_metadata(path)
    raw = sum(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups))

    def change(record: dict[str, Any]) -> None:
        for file in [*record["files"], record["rejects"]]:
            if file and root / file["path"] == path:
                file.update(
                    bytes=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                    rows=footer.num_rows,
                    raw_bytes=raw,
                )

    doctor(root, change)


def rewrite(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite the first file with other rows, and have the commit record agree with it."""
    path = first_file(root)
    table = change(pq.read_table(path))
    pq.write_table(table, path, write_page_checksum=True)
    recommit(root, path)
