"""`skyhaul reshard` and `skyhaul describe`, as users run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.jobs import write_job, write_texts
from tests.cli.program import call, spawn

from skyhaul_schemas import layout


@pytest.fixture
def job(tmp_path: Path) -> Path:
    write_texts(tmp_path / "remote", {f"{number}.txt": f"text {number} " * number for number in range(1, 60)})
    made = write_job(
        tmp_path, about={"licence": "CC-BY-4.0", "published": "2026-11-22"}, shards={"target_size": "2KiB"}
    )
    assert call("run", made, "--quiet").code == 0
    return made


def test_a_shuffled_dataset_is_one_that_all_commands_open(job: Path, tmp_path: Path) -> None:
    into = tmp_path / "shuffled"
    said = spawn("reshard", job, "--into", into, "--shuffle", "7", "--target-size", "8KiB")
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == f"59 rows shuffled by seed 7: {into}"
    assert said.out.splitlines()[-1] == f"next: skyhaul verify --deep {into}"
    assert said.err == ""
    verified = call("verify", "--deep", into)
    assert verified.code == 0, verified.out
    assert "59 rows" in verified.out
    assert call("status", into).code == 0
    assert call("failures", into).code == 0
    certified = call("certify", into, "--engine", "pyarrow", "--quiet")
    assert certified.code == 0, certified.out
    for name in ("run", "plan", "replay"):
        refused = spawn(name, into)
        assert refused.code == 2
        assert "the dataset is derived from others" in refused.err
    again = call("reshard", job, "--into", into, "--shuffle", "7", "--target-size", "8KiB", "--json")
    told = json.loads(again.out)
    assert told["rows"] == {"in": 59, "out": 59, "dropped": {}}
    assert told["exit_code"] == 0
    # What holds for the rows holds for them in another order.
    assert "license: cc-by-4.0" in (into / layout.CARD).read_text()


def test_small_shards_are_put_together(job: Path, tmp_path: Path) -> None:
    into = tmp_path / "compact"
    said = call("reshard", tmp_path / "dataset", "--into", into, "--json")
    told = json.loads(said.out)
    assert told["shards"] == 1
    assert told["derived"]["inputs"][0]["shards"] > 1
    assert call("verify", "--deep", into).code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--target-size", "many"), "target_size"),
        (("--runner", "NoSuchRunner"), "NoSuchRunner"),
        (("--shuffle", "-1"), "shuffle"),
    ],
)
def test_bad_usage_is_2(job: Path, tmp_path: Path, more: tuple[str, ...], words: str) -> None:
    said = spawn("reshard", job, "--into", tmp_path / "into", *more)
    assert said.code == 2
    assert words in said.err
    assert not (tmp_path / "into" / layout.DERIVATION).exists()


def test_a_folder_of_something_else_is_2_and_an_unfinished_dataset_75(job: Path, tmp_path: Path) -> None:
    said = spawn("reshard", job, "--into", tmp_path / "dataset")
    assert said.code == 2
    assert said.err == (
        f"skyhaul: error: dataset {tmp_path / 'dataset'} holds a dataset already; choose another folder\n"
    )
    first = next((tmp_path / "dataset" / layout.COMMITS / "0000").glob("*.json"))
    first.unlink()
    said = spawn("reshard", job, "--into", tmp_path / "into")
    assert said.code == 75
    assert "1 of" in said.err
    assert "skyhaul run" in said.err


def test_rows_are_described_for_people_and_for_scripts(job: Path, tmp_path: Path) -> None:
    said = spawn("describe", tmp_path / "dataset", "--tokenizer", "builtins:len")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == f"59 rows in {tmp_path / 'dataset'}: train 59"
    assert lines[1].split() == ["column", "nulls", "in", "min", "median", "95%", "max"]
    assert any(line.startswith("text ") for line in lines)
    assert lines[-1].endswith("tokens by builtins:len")
    told = json.loads(call("describe", "--json", job).out)
    assert told["all"]["rows"] == 59
    assert told["exit_code"] == 0
    assert told["tokenizer"] is None
    assert "| text | 0 | characters |" in (tmp_path / "dataset" / layout.CARD).read_text()
    # The next haul makes the card anew, with what still holds.
    assert call("run", job, "--quiet").code == 0
    assert "| text | 0 | characters |" in (tmp_path / "dataset" / layout.CARD).read_text()


def test_what_cannot_be_described_is_told(job: Path, tmp_path: Path) -> None:
    said = spawn("describe", tmp_path / "dataset", "--tokenizer", "no.such:thing")
    assert said.code == 2
    assert "tokenizer no.such:thing: No module named 'no'" in said.err
    assert spawn("describe", tmp_path / "nothing").code == 2
