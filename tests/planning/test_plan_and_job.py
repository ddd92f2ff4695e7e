"""The digest, the fingerprint and the recipe: when a plan is a job's plan, and when it is not."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults.hostile_http import HostileServer
from planning.planned import Listing, job_for, pinned, plan_into
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning import fingerprint
from skyhaul.planning.fingerprint import check_fingerprint, encoder_fingerprint
from skyhaul.planning.make_plan import check_plan, make_plan
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.versions import DEALING_VERSION
from skyhaul_schemas import layout
from skyhaul_schemas.errors import FingerprintMismatch, PlanMismatch, UsageError
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.plan import PlanHeader

CANARY = "canary-5up3r-53cr37"


def local_job(folder: Path, **changes: str) -> LoadedJob:
    """A job over real files of `folder`/in; changes: key of the job file -> its text."""
    lines = {
        "version": "1",
        "name": "local",
        "dataset": f"{folder}/dataset",
        "spool": f"{folder}/spool",
        "seed": "1",
        "sources": f"{{files: {{url: '{folder}/in/**/*.txt'}}}}",
        **changes,
    }
    return parse_job("".join(f"{k}: {v}\n" for k, v in lines.items()), "job.yaml", {"SECRET": CANARY})


def files(folder: Path) -> None:
    for number in range(12):
        path = folder / "in" / f"{number % 3}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text " * number)


def planned(folder: Path, **changes: str) -> tuple[PlanHeader, DatasetStore]:
    loaded = local_job(folder, **changes)
    store = open_store(loaded.job.dataset, writable=True)
    try:
        return make_plan(loaded, store), store
    finally:
        store.close()


def test_local_files_are_planned_and_the_job_is_kept_as_it_was_written(tmp_path: Path) -> None:
    files(tmp_path)
    header, store = planned(tmp_path)
    assert (header.objects, header.unpinned) == (12, 0)
    assert header.source_bytes == sum(5 * n for n in range(12))
    assert store.read_bytes(layout.JOB).decode() == local_job(tmp_path).text
    assert sorted(path.name for path in (tmp_path / "dataset").rglob("*") if path.is_file()) == [
        "job.yaml",
        "objects.parquet",
        "shards.parquet",
    ]


def test_no_secret_of_a_source_is_in_any_file_of_its_plan(tmp_path: Path) -> None:
    objects = {f"open/{n}.txt": b"text" for n in range(5)}
    with HostileServer(objects, require={"X-Token": CANARY}) as server:
        url = server.url.rstrip("/").replace("http://", "http://me:${SECRET}@")
        sources = f"{{far: {{url: '{url}/open/*.txt', options: {{headers: {{X-Token: '${{SECRET}}'}}}}}}}}"
        header, store = planned(tmp_path, sources=sources)
        assert any(CANARY in value for seen in server.log for value in seen.headers.values()), "it was sent"
    assert header.objects == 5
    recipe = Recipe.of(local_job(tmp_path, sources=sources).job, header)
    shown = [repr(header).encode(), pickle.dumps(header), repr(recipe).encode(), pickle.dumps(recipe)]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(stored) == 3
    for column in (list(Plan.open(store).objects()), list(Plan.open(store).shards())):
        shown.append(repr(column).encode())
    assert not any(CANARY.encode() in text for text in shown + stored)


def test_a_second_plan_uses_the_first_and_lists_nothing(tmp_path: Path) -> None:
    files(tmp_path)
    header, _ = planned(tmp_path)
    (tmp_path / "in" / "0" / "0.txt").unlink()
    again, _ = planned(tmp_path, name="other", spool=f"{tmp_path}/elsewhere", patience="1m")
    assert again == header


@pytest.mark.parametrize(
    ("key", "value", "difference"),
    [
        ("seed", "2", "seed: plan has 1, job says 2"),
        ("on_damage", "fail", "on_damage: plan has reject, job says fail"),
        ("shards", "{target_size: 32MiB}", "shards.target_size: plan has 256 MiB, job says 32 MiB"),
        ("shards", "{splits: {train: 0.5, test: 0.5}}", "shards.splits.test: plan has nothing, job says 0.5"),
    ],
)
def test_a_job_that_differs_is_refused_with_the_difference_and_the_way_out(
    tmp_path: Path, key: str, value: str, difference: str
) -> None:
    files(tmp_path)
    header, store = planned(tmp_path)
    before = store.read_bytes(layout.SHARDS)
    with pytest.raises(PlanMismatch) as caught:
        planned(tmp_path, **{key: value})
    message = str(caught.value)
    assert difference in message
    assert "choose another `dataset`" in message
    assert "\n" not in message
    assert caught.value.exit_code == 2
    assert store.read_bytes(layout.SHARDS) == before
    check_plan(local_job(tmp_path).job, header)


def test_another_selection_is_a_difference_and_another_root_is_none(tmp_path: Path) -> None:
    files(tmp_path)
    header, _ = planned(tmp_path)
    other = f"{{files: {{url: '{tmp_path}/mirror/**/*.txt'}}}}"
    check_plan(local_job(tmp_path, sources=other).job, header)
    with pytest.raises(
        PlanMismatch, match=r"sources\.files\.selection: plan has \*\*/\*\.txt, job says \*\*/\*\.md"
    ):
        check_plan(local_job(tmp_path, sources=other.replace("txt", "md")).job, header)


def digest_of(folder: Path, *objects: Any, top: str = "", **more: str) -> str:
    header, _ = plan_into(folder, job_for(folder, top=top, **more), {"s": Listing("s", list(objects))})
    return header.digest


def test_the_digest_is_of_the_pinned_objects_but_not_of_where_they_are_found(tmp_path: Path) -> None:
    one = pinned("s", "a.jsonl", 10)
    same = [
        (one,),
        (replace(one, locator="https://elsewhere/a"),),
    ]
    others = [
        (replace(one, path="b.jsonl"),),
        (replace(one, size=11),),
        (replace(one, version='etag:"2"'),),
        (replace(one, checksum="sha256:" + "0" * 64),),
        (one, pinned("s", "b.jsonl", 0)),
    ]
    digests = [digest_of(tmp_path / str(n), *objects) for n, objects in enumerate(same + others)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 1 + len(others)


def test_the_digest_is_of_what_reaches_a_shard_and_of_nothing_else(tmp_path: Path) -> None:
    one = pinned("s", "a.jsonl", 10)
    links = "links: {leo: {preset: leo}}"
    cases: list[dict[str, str]] = [
        {},
        {"top": links, "source": "via: [leo]"},
        {"source": "max_connections: 3"},
        {"source": "min_rate: 5kB/s"},
        {"source": "options: {a: b}"},
        {"top": "patience: 1m"},
        {"top": "spool_limit: 1GiB"},
        {"top": "seed: 1"},
        {"top": "on_damage: fail"},
        {"top": "on_drift: fail"},
        {"source": "fields: {text: body}"},
        {"source": "decode: {max_line: 1MB}"},
        {"source": "checksums: SHA256SUMS"},
        {"format": "text"},
        {"shards": "target_size: 1MiB"},
        {"shards": "chunk_size: 1MiB"},
        {"shards": "row_group_size: 1MiB"},
        {"shards": "file_size: 1MiB"},
        {"shards": "compression: snappy"},
        {"shards": "splits: {train: 0.5, test: 0.5}"},
    ]
    digests = [digest_of(tmp_path / str(n), one, **case) for n, case in enumerate(cases)]
    assert len(set(digests[:7])) == 1
    assert len(set(digests[6:])) == len(cases) - 6


def test_another_encoder_is_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = pinned("s", "a.jsonl", 10)
    before = digest_of(tmp_path / "a", one)
    monkeypatch.setattr(fingerprint, "ENCODER_VERSION", 99)
    assert digest_of(tmp_path / "b", one) != before


def test_the_fingerprint_names_our_encoders_and_every_library_that_reaches_a_shard(tmp_path: Path) -> None:
    sources = {"s": Listing("s", [pinned("s", "a.jsonl", 10), pinned("s", "b.txt", 10)])}
    header, _ = plan_into(tmp_path, job_for(tmp_path, format=None), sources)
    assert header.fingerprint == encoder_fingerprint(
        Recipe.of(job_for(tmp_path, format=None).job, header).decoder("s", path)
        for path in ("a.jsonl", "b.txt")
    )
    assert {"skyhaul.dealing", "skyhaul.shards", "pyarrow", "orjson"} <= header.fingerprint.keys()
    assert list(header.fingerprint) == sorted(header.fingerprint)


def test_a_worker_with_other_encoders_refuses_to_start_and_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path)
    header, store = planned(tmp_path)
    recipe = Recipe.of(local_job(tmp_path).job, header)
    check_fingerprint(header, recipe)
    check_fingerprint(Plan.open(store).header, recipe)
    monkeypatch.setattr(fingerprint, "ENCODER_VERSION", 99)
    with pytest.raises(FingerprintMismatch, match=r"skyhaul\.shards: plan has \d+, here is 99") as caught:
        check_fingerprint(header, recipe)
    assert "install those versions, or plan into another `dataset`" in str(caught.value)
    older = replace(header, fingerprint={**header.fingerprint, "gone\n": "1"})
    monkeypatch.undo()
    with pytest.raises(FingerprintMismatch, match=r"gone\\n: plan has 1, here is none"):
        check_fingerprint(older, recipe)


def test_the_dealing_is_part_of_the_fingerprint() -> None:
    assert encoder_fingerprint([])["skyhaul.dealing"] == str(DEALING_VERSION)


def test_a_recipe_crosses_to_a_worker_and_decodes_there(tmp_path: Path) -> None:
    files(tmp_path)
    header, _ = planned(tmp_path)
    recipe = Recipe.of(local_job(tmp_path).job, header)
    first = recipe.decoder("files", "0/0.txt")
    assert recipe.decoder("files", "1/1.txt") is first
    sent = pickle.dumps(recipe)
    assert len(sent) < 10_000
    received = pickle.loads(sent)
    assert received == recipe
    assert received.plan == header.digest
    assert (received.codec, received.level, received.splits) == ("zstd", 3, {"train": 1.0})
    assert dict(received.decoder("files", "0/0.txt").fingerprint) == dict(first.fingerprint)


def test_a_plan_s_source_that_the_job_has_not_is_named(tmp_path: Path) -> None:
    files(tmp_path)
    header, _ = planned(tmp_path)
    recipe = Recipe.of(local_job(tmp_path).job, header)
    with pytest.raises(UsageError, match="the job file has no source 'other', but the plan does"):
        recipe.decoder("other", "x.txt")
