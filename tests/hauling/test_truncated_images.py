"""Images that were cut off are counted: in the commit record, wherever records are shown, and by `verify`."""

from __future__ import annotations

import io
import json
import random
import re
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from tests.hauling.living import Living

from skyhaul.dataset.sums import CommitSums
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.self_digest import digested_line

PIL = pytest.importorskip("PIL.Image", reason="Pillow makes and judges the images")

NOISE = random.Random(5).randbytes(40 * 30 * 3)
KINDS = ("GIF", "JPEG", "PNG", "WEBP", "TIFF", "BMP")
RECORD = layout.commit_file(0)


def made(kind: str) -> bytes:
    out = io.BytesIO()
    PIL.frombytes("RGB", (40, 30), NOISE).save(out, kind)
    return out.getvalue()


WHOLE = {kind: made(kind) for kind in KINDS}
CUT = {kind: raw[: len(raw) * 2 // 3] for kind, raw in WHOLE.items()}


def is_whole(raw: bytes) -> bool:
    """Pillow's judgement."""
    try:
        PIL.open(io.BytesIO(raw)).load()
    except (OSError, SyntaxError):
        return False
    return True


def tar(*images: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, raw in enumerate(images):
            member = tarfile.TarInfo(f"{number}.img")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def table(*images: bytes, **columns: list[Any]) -> pa.Table:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": raw, "path": f"{number}.img"} for number, raw in enumerate(images)]
    return pa.table({"image": pa.array(rows, kind), **columns})


def parquet(rows: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(rows, out)
    return out.getvalue()


def arrow(rows: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, rows.schema) as writer:
        writer.write_table(rows)
    return out.getvalue()


def living(folder: Path, files: dict[str, bytes], **more: Any) -> Living:
    made = Living(
        folder,
        schema="image",
        sources={"s": {"url": f"{folder}/region/*", **more}},
        shards={"target_size": "10MB"},
    )
    for name, raw in files.items():
        (made.region / name).write_bytes(raw)
    return made


def recorded(made: Living) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made.dataset / RECORD).read_bytes())
    return found


def doctor(made: Living, change: Callable[[dict[str, Any]], object]) -> None:
    record = recorded(made)
    change(record)
    (made.dataset / RECORD).write_bytes(digested_line(record))


EVERYWHERE = {
    **{f"cut.{kind.lower()}": raw for kind, raw in CUT.items()},
    **{f"whole.{kind.lower()}": raw + bytes(64) for kind, raw in WHOLE.items()},
    "images.tar": tar(CUT["PNG"], WHOLE["PNG"], CUT["JPEG"]),
    "images.parquet": parquet(table(CUT["PNG"], WHOLE["GIF"], CUT["GIF"])),
    "images.arrow": arrow(table(WHOLE["JPEG"], CUT["WEBP"], CUT["PNG"])),
}


def test_they_are_counted_wherever_they_lie_as_pillow_judges_them(tmp_path: Path) -> None:
    hauled = living(tmp_path, EVERYWHERE)
    run = hauled.program("run", "--json", "-q")
    assert run.returncode == 0, run.stderr
    rows = ds.dataset(hauled.dataset / "data").to_table(columns=["bytes", "format", "metadata"]).to_pylist()
    cut = [row for row in rows if not is_whole(row["bytes"])]
    judged = dict(sorted(Counter(row["format"] for row in cut).items()))
    assert (len(rows), sum(judged.values())) == (21, 12)
    assert all(json.loads(row["metadata"])["truncated"] is True for row in cut)

    assert recorded(hauled)["truncated_by"] == judged
    assert json.loads(run.stdout)["truncated_by"] == judged
    assert hauled.status().to_json()["records"]["truncated_by"] == judged
    said = ", ".join(f"{count} {kind}" for kind, count in judged.items())
    assert re.search(f"truncated +{said}\n", hauled.program("status").stdout)
    verify = hauled.program("verify", "--deep")
    assert (verify.returncode, "12 truncated images" in verify.stdout) == (0, True), verify.stdout
    assert hauled.verify().to_json()["truncated"] == 12
    assert (
        "Truncated images, which their metadata names: bmp 1, gif 2"
        in (hauled.dataset / "README.md").read_text()
    )
    again = hauled.program("run", "--json", "-q")
    assert json.loads(again.stdout)["truncated_by"] == {}, "nothing was hauled"


def test_the_summary_of_a_run_names_them(tmp_path: Path) -> None:
    hauled = living(tmp_path, {"a.png": CUT["PNG"], "b.gif": CUT["GIF"], "c.gif": CUT["GIF"]})
    assert re.search("truncated +2 gif, 1 png\n", hauled.program("run").stdout)


def test_those_that_are_rejected_or_filtered_are_counted_as_that(tmp_path: Path) -> None:
    files = {"a.png": CUT["PNG"], "b.gif": CUT["GIF"], "c.png": WHOLE["PNG"]}
    (tmp_path / "one").mkdir()
    rejecting = living(tmp_path / "one", files, decode={"truncated": "reject"})
    rejecting.run()
    assert recorded(rejecting)["truncated_by"] == {}
    assert recorded(rejecting)["records"]["rejected"] == 2
    (tmp_path / "two").mkdir()
    filtering = living(tmp_path / "two", files, transforms=[{"drop": "format == 'gif'"}])
    filtering.run()
    assert recorded(filtering)["truncated_by"] == {"png": 1}
    assert recorded(filtering)["records"]["filtered"] == 1
    assert rejecting.verify().findings == filtering.verify().findings == []


def test_a_column_of_that_name_is_no_count_of_them(tmp_path: Path) -> None:
    """Object detection has it for what reaches beyond the picture."""
    rows = table(WHOLE["PNG"], CUT["PNG"], WHOLE["GIF"], truncated=[True, False, None])
    hauled = living(tmp_path, {"a.parquet": parquet(rows)})
    hauled.run()
    assert recorded(hauled)["truncated_by"] == {"png": 1}
    assert hauled.verify().findings == []


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({}, "its rows hold 1 png truncated, its commit record says no truncated image"),
        ({"png": 2}, "its rows hold 1 png truncated, its commit record says 2 png truncated"),
        ({"gif": 1}, "its rows hold 1 png truncated, its commit record says 1 gif truncated"),
    ],
)
def test_verify_counts_the_rows_anew(tmp_path: Path, stated: dict[str, int], said: str) -> None:
    hauled = living(tmp_path, {"a.png": CUT["PNG"], "b.png": WHOLE["PNG"]})
    hauled.run()
    doctor(hauled, lambda record: record.update(truncated_by=stated))
    (finding,) = hauled.verify().findings
    assert (finding.code, finding.path, said in finding.message) == ("counts-differ", RECORD, True)


def test_more_of_them_than_rows_are_found_without_reading_the_rows(tmp_path: Path) -> None:
    hauled = living(tmp_path, {"a.png": CUT["PNG"]})
    hauled.run()
    doctor(hauled, lambda record: record.update(truncated_by={"png": 2}))
    (finding,) = verify_dataset(hauled.store(), deep=False).findings
    assert (finding.code, "2 truncated images written" in finding.message) == ("counts-differ", True)


def test_records_of_before_they_were_counted_are_verified(tmp_path: Path) -> None:
    hauled = living(tmp_path, {"a.png": CUT["PNG"]})
    hauled.run()
    doctor(hauled, lambda record: record.pop("truncated_by"))
    assert hauled.verify().findings == []
    assert hauled.verify().to_json()["truncated"] == 0


def test_the_count_of_a_release_that_told_them_otherwise_is_its_own(tmp_path: Path) -> None:
    hauled = living(tmp_path, {"a.png": CUT["PNG"]})
    hauled.run()
    other = {"skyhaul.image": "another"}
    doctor(hauled, lambda record: record.update(truncated_by={}, versions=record["versions"] | other))
    assert hauled.verify().findings == []


def test_texts_state_no_count(tmp_path: Path) -> None:
    texts = Living(tmp_path)
    texts.write([1])
    texts.run()
    assert recorded(texts)["truncated_by"] is None


def test_a_sealed_group_keeps_the_sums(tmp_path: Path) -> None:
    hauled = living(tmp_path, EVERYWHERE)
    hauled.run()
    record = CommitRecord.model_validate(recorded(hauled))
    added, of_groups = CommitSums(), CommitSums()
    added.add(record)
    of_groups.add_group(added.of_group(0))
    of_groups.add(record)
    assert of_groups.truncated_by == {kind: 2 * count for kind, count in (record.truncated_by or {}).items()}
