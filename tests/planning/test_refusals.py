"""What a plan is not made of: one line that says why, and nothing in the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planning.planned import InPlace, Listing, chunks_of, job_for, pinned, plan_into
from skyhaul.dataset.storage.opening import open_store
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.errors import SkyhaulError, UsageError
from skyhaul_schemas.job.file import parse_job

MIB = 1024**2


def refused(folder: Path, loaded: Any, sources: dict[str, Any], patterns: Any = None) -> str:
    """The one line; also holds that there is no plan and nothing in the making is left."""
    with pytest.raises(UsageError) as caught:
        plan_into(folder, loaded, sources, patterns)
    store = open_store(str(folder / "dataset"), writable=False)
    assert not Plan.exists(store)
    assert list(store.list("")) == []
    assert not list((folder / "spool").glob("*"))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_empty_selection_says_which_pattern_matched_nothing(tmp_path: Path) -> None:
    sources = {"a": Listing("a", [pinned("a", "x", 1)]), "b": Listing("b", [])}
    message = refused(
        tmp_path, job_for(tmp_path, ["a", "b"]), sources, {"a": ["*"], "b": ["**/*.md", "x\n*"]}
    )
    assert message == "source 'b': nothing matches **/*.md, x\\n*; check `sources.b.url`"


def test_an_object_listed_twice_is_refused(tmp_path: Path) -> None:
    objects = [pinned("s", "a\x1b[2J", 1), pinned("s", "b", 1), pinned("s", "a\x1b[2J", 2)]
    message = refused(tmp_path, job_for(tmp_path), {"s": Listing("s", objects)})
    assert message == "source 's' lists 'a\\\\x1b[2J' twice; each object needs a path of its own"


def test_names_that_differ_only_in_case_or_normal_form_are_two_objects(tmp_path: Path) -> None:
    paths = [
        "a.jsonl",
        "A.jsonl",
        "\u00e9.jsonl",
        "e\u0301.jsonl",
        "a\nb\x00.jsonl",
        "-rf",
        "CON",
        "a\\b",
        " ",
    ]
    sources = {"s": Listing("s", [pinned("s", path, 1) for path in paths])}
    header, store = plan_into(tmp_path, job_for(tmp_path), sources)
    assert header.objects == len(paths)
    assert {row[3] for row in chunks_of(store)} == set(paths)


@pytest.mark.parametrize(
    ("path", "size", "why"),
    [
        ("/etc/passwd", 1, "a path that leads out of the source's root"),
        ("../x", 1, "a path that leads out of the source's root"),
        ("a/../../x", 1, "a path that leads out of the source's root"),
        ("", 1, "a name of 0 bytes"),
        ("x" * 4097, 1, "a name of 4097 bytes"),
        ("caf\udce9", 1, "a name that is no UTF-8"),
        ("x", -1, "with a size of -1 bytes"),
        ("x", 1 << 60, "with a size of"),
    ],
)
def test_an_object_that_no_plan_can_hold_is_named(tmp_path: Path, path: str, size: int, why: str) -> None:
    message = refused(tmp_path, job_for(tmp_path), {"s": Listing("s", [pinned("s", path, size)])})
    assert message.startswith("source 's' lists ")
    assert why in message
    message.encode()


def test_a_chunk_larger_than_the_spool_is_refused_with_object_and_setting(tmp_path: Path) -> None:
    job = job_for(tmp_path, top="spool_limit: 1MiB", format="binary", shards="target_size: 64KiB")
    job = parse_job(job.text.replace("name: test", "name: test\nschema: blob"), "job.yaml", {})
    sources = {"s": Listing("s", [pinned("s", "big\r.bin", 3 * MIB, checksum="sha256:" + "0" * 64)])}
    message = refused(tmp_path, job, sources)
    assert message == (
        "object s/big\\r.bin, which has a checksum of the whole and so is not cut: a chunk of it needs"
        " 3.0 MiB of spool, and `spool_limit` is 1 MiB; raise `spool_limit`"
    )


def test_a_chunk_that_can_be_cut_smaller_names_that_setting_too(tmp_path: Path) -> None:
    job = job_for(tmp_path, top="spool_limit: 1MiB", shards="chunk_size: 2MiB\ntarget_size: 64KiB")
    message = refused(tmp_path, job, {"s": Listing("s", [pinned("s", "big.jsonl", 3 * MIB)])})
    assert "`spool_limit` is 1 MiB" in message
    assert message.endswith("raise `spool_limit`, or lower `shards.chunk_size`")


def test_a_shard_may_be_larger_than_the_spool_that_its_chunks_pass_through(tmp_path: Path) -> None:
    job = job_for(tmp_path, top="spool_limit: 1MiB", shards="chunk_size: 64KiB\ntarget_size: 2MiB")
    sources = {"s": Listing("s", [pinned("s", f"{n}", MIB // 4) for n in range(8)])}
    header, _ = plan_into(tmp_path, job, sources)
    assert header.shards == 1


def test_objects_read_in_place_need_no_spool(tmp_path: Path) -> None:
    job = job_for(tmp_path, top="spool_limit: 1MiB", shards="chunk_size: 8MiB\ntarget_size: 8MiB")
    header, _ = plan_into(tmp_path, job, {"s": InPlace("s", [pinned("s", "big.jsonl", 5 * MIB)])})
    assert header.shards == 1


def test_files_here_behind_a_link_do_need_spool(tmp_path: Path) -> None:
    top = "spool_limit: 1MiB\nlinks: {leo: {preset: leo, emulate: true}}"
    job = job_for(tmp_path, top=top, shards="chunk_size: 8MiB", source="via: [leo]")
    assert "`spool_limit`" in refused(tmp_path, job, {"s": InPlace("s", [pinned("s", "big.jsonl", 5 * MIB)])})


def test_bad_decode_options_are_refused_before_anything_is_listed(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError("listed")
        yield

    for source, said in [("decode: {maxline: 3}", "maxline"), ("fields: {txt: body}", "txt")]:
        message = refused(tmp_path, job_for(tmp_path, source=source), {"s": Listing("s", never)})
        assert ": sources.s." in message
        assert said in message


def test_an_unknown_format_is_refused_with_its_source(tmp_path: Path) -> None:
    message = refused(tmp_path, job_for(tmp_path, format="jsonlx"), {"s": Listing("s", [])})
    assert ": sources.s.format: found 'jsonlx', allowed: jsonl, json" in message


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "dataset" / "data" / "0000"
    data.mkdir(parents=True)
    (data / "train-0000000-000.parquet").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"holds data/0000/train-0000000-000\.parquet but no plan"):
        plan_into(tmp_path, job_for(tmp_path), {"s": Listing("s", [pinned("s", "x", 1)])})
    assert [path.name for path in (tmp_path / "dataset").rglob("*") if path.is_file()] == [
        "train-0000000-000.parquet"
    ]


def test_a_spool_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(UsageError, match=r"spool .* cannot be made: .*; choose another `spool`"):
        plan_into(tmp_path, job_for(tmp_path), {"s": Listing("s", [pinned("s", "x", 1)])})


def test_an_error_of_the_listing_passes_and_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield pinned("s", "x", 1)
        raise SkyhaulError("the listing broke")

    with pytest.raises(SkyhaulError, match="the listing broke"):
        plan_into(tmp_path, job_for(tmp_path), {"s": Listing("s", broken)})
    assert [p for p in (tmp_path / "dataset").rglob("*") if p.is_file()] == []


def test_a_secret_that_would_reach_the_plan_is_refused_unshown(tmp_path: Path) -> None:
    canary = "canary-5up3r"
    (tmp_path / "in" / canary).mkdir(parents=True)
    (tmp_path / "in" / canary / "a.txt").write_text("x")
    text = f"version: 1\nname: t\ndataset: {tmp_path}/d\nspool: {tmp_path}/spool\nsources:\n"
    text += f"  s: {{url: '{tmp_path}/i*/${{SECRET}}/*.txt'}}\n"
    loaded = parse_job(text, "job.yaml", {"SECRET": canary})
    with pytest.raises(UsageError, match=r"sources\.s\.url: what selects objects") as caught:
        make_plan(loaded, open_store(f"{tmp_path}/d", writable=True))
    assert canary not in str(caught.value)
