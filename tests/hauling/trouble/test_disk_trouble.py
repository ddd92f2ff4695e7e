"""A disk that fails in a haul: 75 and shards stay as they were, or 2 where trying again is for nothing."""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.hauling.rig import data_digests, write_job

from dataset.standing_of import failures
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_connectors.transfer.spool.disk import PosixDisk
from skyhaul_connectors.transfer.spool.journal import Journal
from skyhaul_schemas.errors import SkyhaulError, StorageError
from skyhaul_schemas.job.file import load_job

COUNT = 8
PASSING = [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EROFS]
"""Of each kind in the table one; `tests/schemas/test_storage_errors.py` has them all."""

Breaks = Callable[[object], bool]


def write_haul(folder: Path, *, link: bool) -> Path:
    (folder / "region").mkdir()
    for number in range(COUNT):
        (folder / "region" / f"{number}.txt").write_text(f"text {number}\n" * 300)
    source = {"url": str(folder / "region" / "*.txt"), "format": "text", "via": ["sky"] if link else []}
    content = {
        "version": 1,
        "name": "trouble",
        "dataset": str(folder / "out"),
        "spool": str(folder / "spool"),
        "sources": {"texts": source},
        "links": {"sky": {"down": "1Gbit/s"}},
        "shards": {"target_size": "4kB"},
    }
    return write_job(folder / "job.yaml", content)


def run(path: Path) -> HaulOutcome:
    loaded = load_job(path, {})
    with closing(open_store(loaded.job.dataset, writable=True)) as store:
        return haul_on_beam(loaded, store, HaulOptions())


def code_of(path: Path) -> tuple[int, str]:
    try:
        outcome = run(path)
    except SkyhaulError as error:
        return error.exit_code, str(error)
    return outcome.exit_code, "\n".join(outcome.messages)


def left_by(folder: Path) -> tuple[int, int, int]:
    """What `status` and `verify` say, and the number of failure records."""
    with (
        closing(open_store(str(folder / "out"), writable=False)) as store,
        closing(Plan.open(store)) as plan,
    ):
        verified = verify_dataset(store, deep=False).exit_code()
        return survey(plan, store).exit_code(), verified, len(list(failures(store)))


@contextmanager
def failing(target: object, name: str, number: int, breaks: Breaks) -> Iterator[None]:
    """Calls of `target.name` whose arguments `breaks` picks raise OSError(number)."""
    before = getattr(target, name)

    def call(*arguments: object, **more: object) -> object:
        if breaks(arguments):
            raise OSError(number, os.strerror(number))
        return before(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, name, call)
        yield


def _into_data(arguments: object) -> bool:
    return isinstance(arguments, tuple) and "/out/data/" in str(arguments[-1])


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
def test_a_dataset_that_takes_nothing_puts_shards_off_again_and_again_and_a_later_run_ends(
    number: int, tmp_path: Path
) -> None:
    path = write_haul(tmp_path, link=False)
    for _ in range(2):
        with failing(os, "link", number, _into_data):
            code, words = code_of(path)
        assert code == 75, words
        assert "run the same command again" in words
    assert left_by(tmp_path) == (75, 75, 0), "nothing of it is held against the shards"
    assert code_of(path)[0] == 0
    assert left_by(tmp_path) == (0, 0, 0)


def test_a_dataset_that_may_not_be_written_is_a_matter_of_usage(tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=False)
    with failing(os, "link", errno.EACCES, _into_data):
        code, words = code_of(path)
    assert code == 2, words
    assert "cannot link" in words
    assert left_by(tmp_path) == (75, 75, 0)
    assert code_of(path)[0] == 0


@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("open", errno.EMFILE),
        ("write_at", errno.EDQUOT),
        ("write_at", errno.EIO),
        ("sync_folder", errno.EROFS),
    ],
)
def test_a_spool_that_fails_puts_shards_off(step: str, number: int, tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=True)
    with failing(PosixDisk, step, number, lambda arguments: True):
        code, words = code_of(path)
    assert code == 75, words
    assert left_by(tmp_path) == (75, 75, 0)
    assert code_of(path)[0] == 0
    assert left_by(tmp_path) == (0, 0, 0)


def test_a_spool_that_may_not_be_written_is_a_matter_of_usage(tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=True)
    with failing(PosixDisk, "open", errno.EACCES, lambda arguments: True):
        code, words = code_of(path)
    assert code == 2, words
    assert left_by(tmp_path) == (75, 75, 0)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_a_journal_that_fails_puts_shards_off(number: int, tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=True)
    with failing(Journal, "_apply", number, lambda arguments: True):
        code, words = code_of(path)
    assert code == 75, words
    assert left_by(tmp_path) == (75, 75, 0)
    assert code_of(path)[0] == 0


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 75), (errno.EIO, 75), (errno.EACCES, 2)])
def test_a_card_that_is_not_written_is_not_done_though_all_is_committed(
    number: int, code: int, tmp_path: Path
) -> None:
    path = write_haul(tmp_path, link=False)
    with failing(os, "replace", number, lambda arguments: "README.md" in str(arguments)):
        found, words = code_of(path)
    assert found == code, words
    assert "card not written" in words
    assert left_by(tmp_path)[0] == 0
    assert not (tmp_path / "out" / "README.md").exists()
    assert code_of(path)[0] == 0
    assert (tmp_path / "out" / "README.md").exists()


def test_memory_that_runs_out_in_a_decoder_is_no_bug(tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=False)

    def short(*arguments: object, **more: object) -> object:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skyhaul.hauling.conductor.encode_shard", short)
        code, words = code_of(path)
    assert code == 75, words
    assert "memory" in words
    assert left_by(tmp_path) == (75, 75, 0)


def test_verify_that_cannot_read_says_nothing_of_the_files(tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=False)
    assert code_of(path)[0] == 0
    digests = data_digests(tmp_path / "out")
    with closing(open_store(str(tmp_path / "out"), writable=False)) as store:
        for number in (errno.EMFILE, errno.ENOMEM, errno.EIO):
            with (
                failing(builtins, "open", number, lambda arguments: "/out/data/" in str(arguments)),
                pytest.raises(StorageError, match="run the same command again") as caught,
            ):
                verify_dataset(store, deep=True)
            assert caught.value.exit_code == 75
        assert verify_dataset(store, deep=True).exit_code() == 0
    assert data_digests(tmp_path / "out") == digests


def _of_the_region(arguments: object) -> bool:
    return "/region/" in str(arguments)


@pytest.mark.parametrize("link", [False, True], ids=["in place", "over a link"])
def test_a_source_that_this_machine_cannot_read_now_is_put_off(link: bool, tmp_path: Path) -> None:
    path = write_haul(tmp_path, link=link)
    loaded = load_job(path, {})
    with closing(open_store(loaded.job.dataset, writable=True)) as store:
        make_plan(loaded, store)
    with failing(os, "open", errno.EMFILE, _of_the_region):
        code, words = code_of(path)
    assert code == 75, words
    assert "oo many open files" in words
    assert left_by(tmp_path) == (75, 75, 0)
    assert code_of(path)[0] == 0
