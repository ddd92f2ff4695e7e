"""What every store of a dataset must do, as a class of tests: subclass it, and pytest runs them.

    import pytest
    from skyhaul.dataset.storage.opening import open_store
    from skyhaul.testing.stores import StoreSuite

    class TestAcme(StoreSuite):
        @pytest.fixture
        def url(self, tmp_path):
            return f"acme://{tmp_path.name}/set"

A dataset is safe where many workers commit into it only because a file that stands is never replaced by
another one. So the suite asks most of all that: of two that create, one does; a lost answer is no second
file; what is refused leaves what stood.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import ClassVar

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.errors import CommitConflict

__all__ = ["StoreSuite"]

__all__ = ["NAMES", "StoreSuite"]

NAMES = (
    "plain.json",
    "deep/er/and/deeper.json",
    "data/train/00000.parquet",
    "with space.json",
    "p%41+q=1.json",
    "ü.json",
)
"""Names that a store keeps as they are."""


class StoreSuite:
    """Tests of one store. The fixture `url` gives the path or URL of a dataset that nothing has written to.

    Attributes:
        names: Of files, relative to the dataset.
        racing: Threads that create the same file at once.
        repeats: The client behind the store asks again by itself where an answer is lost, so that the store
            may find its own file standing and cannot tell whose it is.
    """

    names: ClassVar[tuple[str, ...]] = NAMES
    racing: ClassVar[int] = 8
    repeats: ClassVar[bool] = False

    def loses_an_answer(self, store: DatasetStore) -> AbstractContextManager[None] | None:
        """A context in which the next create is carried out, and its answer does not arrive.

        None: the store has no answers that could be lost.
        """
        return None

    def test_its_probe_finds_that_it_creates_only(self, url: str) -> None:
        with _opened(url) as store:
            store.probe()
            assert list(store.list("")) == [], "a probe leaves nothing"

    def test_what_is_created_stands_under_its_name_for_everybody(self, url: str) -> None:
        # Two stores over one URL are as two processes: neither knows what the other keeps in memory.
        with _opened(url) as store, _opened(url) as other:
            for number, name in enumerate(self.names):
                data = b"%d" % number * number
                assert not store.exists(name)
                assert store.create_bytes(name, data), "the first to create it"
                assert other.exists(name)
                assert other.read_bytes(name) == data
                assert other.size(name) == len(data)
                assert other.digest(name) == hashlib.sha256(data).hexdigest()
            assert list(other.list("")) == sorted(self.names, key=lambda name: name.split("/"))

    def test_a_second_create_never_replaces(self, url: str) -> None:
        with _opened(url) as store, _opened(url) as other:
            assert store.create_bytes("a/b.json", b"one")
            assert not other.create_bytes("a/b.json", b"one"), "equal bytes stand already: success, not ours"
            assert _refused(lambda: other.create_bytes("a/b.json", b"two"))
            assert not other.create_bytes("a/b.json", b"ONE", same=lambda a, b: a.lower() == b.lower())
            assert store.read_bytes("a/b.json") == b"one"

    def test_of_many_that_create_at_once_exactly_one_does(self, url: str) -> None:
        with _opened(url) as store, ThreadPoolExecutor(self.racing) as pool:
            for round in range(3):
                name = f"race/{round}.json"

                def create(number: int, name: str = name) -> bool | None:
                    try:
                        return store.create_bytes(name, b"%d" % number)
                    except CommitConflict:
                        return None

                # Each writes other bytes, so that the file itself tells who has won.
                results = list(pool.map(create, range(self.racing)))
                assert results.count(True) == 1, results
                assert results.count(None) == self.racing - 1, results
                assert store.read_bytes(name) == b"%d" % results.index(True)

    def test_a_finished_file_is_published_once(self, url: str) -> None:
        data = b"rows" * 1000
        with _opened(url) as store:
            ours = _finished(store, data)
            assert store.publish(ours, "data/0.parquet", _sha256(data))
            assert not ours.exists(), "the temporary name is gone"
            again = _finished(store, data)
            assert not store.publish(again, "data/0.parquet", _sha256(data)), "it stands already"
            assert not again.exists()
            kept = _finished(store, data)
            assert store.publish(kept, "data/1.parquet", _sha256(data), keep=True)
            assert kept.read_bytes() == data
            other = _finished(store, b"other")
            assert _refused(lambda: store.publish(other, "data/0.parquet", _sha256(b"other")))
            assert store.read_bytes("data/0.parquet") == data

    def test_a_create_whose_answer_is_lost_is_ours(self, url: str) -> None:
        with _opened(url) as store:
            for number, publish in enumerate((False, True)):
                losing = self.loses_an_answer(store)
                if losing is None:
                    return
                data, name = b"said nothing %d" % number, f"lost/{number}.json"
                # The store has to read what stands there, and finds its own bytes: the create went well.
                with losing:
                    if publish:
                        ours = store.publish(_finished(store, data), name, _sha256(data))
                    else:
                        ours = store.create_bytes(name, data)
                assert ours or self.repeats
                assert store.read_bytes(name) == data

    def test_a_lost_answer_hides_no_file_of_somebody_else(self, url: str) -> None:
        with _opened(url) as store, _opened(url) as other:
            losing = self.loses_an_answer(store)
            if losing is None:
                return
            assert other.create_bytes("lost.json", b"theirs")
            with losing:
                assert _refused(lambda: store.create_bytes("lost.json", b"ours"))
            assert store.read_bytes("lost.json") == b"theirs"

    def test_what_may_be_replaced_is_replaced_as_a_whole(self, url: str) -> None:
        with _opened(url) as store:
            # Shorter and then longer than before: one that is written over in place would keep an old end.
            for data in (b"first", b"", b"second and longer"):
                store.replace_bytes("state/latest.json", data)
                assert store.read_bytes("state/latest.json") == data
            assert list(store.list("state")) == ["state/latest.json"], "nothing is left beside it"

    def test_a_replaced_file_is_kept_aside(self, url: str) -> None:
        old, new = b"old rows", b"new rows"
        with _opened(url) as store:
            assert store.create_bytes("data/0.parquet", old)
            aside = f"{layout.SET_ASIDE}/data/0.parquet.0"
            store.replace_file(_finished(store, new), "data/0.parquet", _sha256(new), aside)
            assert (store.read_bytes("data/0.parquet"), store.read_bytes(aside)) == (new, old)

    def test_what_is_set_aside_is_what_was_meant(self, url: str) -> None:
        with _opened(url) as store:
            assert store.create_bytes("a.json", b"damaged")
            assert store.set_aside("a.json", _sha256(b"other")) is None
            assert store.read_bytes("a.json") == b"damaged", "other bytes stay"
            aside = store.set_aside("a.json", _sha256(b"damaged"))
            assert aside is not None
            assert not store.exists("a.json")
            assert store.read_bytes(aside) == b"damaged"
            assert store.set_aside("a.json", _sha256(b"damaged")) is None, "gone"

    def test_lists_are_whole_and_sorted_at_every_depth(self, url: str) -> None:
        names = [f"{a}/{b:02d}/{c}.json" for a in "xy" for b in range(12) for c in range(3)]
        with _opened(url) as store, _opened(url) as other:
            for name in reversed(names):
                store.create_bytes(name, name.encode())
            assert list(other.list("")) == names
            assert list(other.list("x")) == names[: len(names) // 2]
            assert list(other.list("y/07")) == [f"y/07/{c}.json" for c in range(3)]
            assert [name for name in other.folders("") if name != layout.CONTROL] == ["x", "y"]
            assert other.folders("x") == tuple(f"{b:02d}" for b in range(12))
            assert list(other.list("nowhere")) == []
            assert other.folders("nowhere") == ()
            # Listed before: fsspec keeps listings, and one that is kept hides another worker's commit.
            store.create_bytes("x/later.json", b"")
            assert "x/later.json" in list(other.list("x")), "no listing is kept from before"

    def test_what_is_not_there_is_file_not_found(self, url: str) -> None:
        with _opened(url) as store:
            assert not store.exists("no.json")
            for call in (store.size, store.read_bytes, store.digest):
                try:
                    call("no.json")
                except FileNotFoundError:
                    continue
                raise AssertionError(f"{call.__name__} found what is not there")
            store.remove("no.json")
            store.sync_folder("nowhere")

    def test_what_is_removed_is_gone_and_may_be_created_again(self, url: str) -> None:
        with _opened(url) as store:
            assert store.create_bytes("a.json", b"1")
            store.remove("a.json")
            assert not store.exists("a.json")
            assert store.create_bytes("a.json", b"2")
            assert store.read_bytes("a.json") == b"2"

    def test_an_input_is_read_at_any_place(self, url: str) -> None:
        data = bytes(range(256)) * 100
        with _opened(url) as store:
            store.create_bytes("a.bin", data)
            with store.open_input("a.bin") as file:
                assert file.seek(-10, 2) == len(data) - 10
                assert file.read() == data[-10:]
                file.seek(1000)
                assert file.read(5) == data[1000:1005]
                assert file.tell() == 1005
            store.copy("a.bin", "b.bin")
            assert store.read_bytes("b.bin") == data

    def test_a_copy_in_another_process_is_the_same_dataset(self, url: str) -> None:
        with _opened(url) as store:
            store.create_bytes("a.json", b"here")
            # As Beam sends a store to its workers.
            with closing(pickle.loads(pickle.dumps(store))) as copy:
                assert copy.place == store.place
                assert copy.read_bytes("a.json") == b"here"

    def test_a_store_that_is_closed_leaves_no_temporary_file_and_may_be_used_again(self, url: str) -> None:
        with _opened(url) as store:
            folder = store.temp_dir()
            _finished(store, b"never published")
            store.close()
            assert not folder.exists()
            assert store.create_bytes("a.json", b"later")
            assert list(store.list("")) == ["a.json"]


@contextmanager
def _opened(url: str) -> Iterator[DatasetStore]:
    with closing(open_store(url, writable=True)) as store:
        yield store


def _finished(store: DatasetStore, data: bytes) -> Path:
    """A file of the store's temporary folder."""
    path = store.temp_path(".parquet")
    path.write_bytes(data)
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refused(call: object) -> bool:
    """Whether `call` raises CommitConflict, of one line."""
    assert callable(call)
    try:
        call()
    except CommitConflict as error:
        return "\n" not in str(error)
    return False
