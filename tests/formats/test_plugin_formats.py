"""A format of somebody else's package: named, hauled with, listed, missed and refused; as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import skyhaul.plugins
from cli.jobs import write_job, write_texts
from cli.program import spawn
from formats.decoding import decode, settings
from installed import WORDS, on_path, put
from skyhaul_connectors.formats.registry import (
    check_name,
    decoder_for,
    fingerprint_of,
)
from skyhaul_schemas.errors import PlugInRefused, UsageError

BOMB = "raise RuntimeError('imported, though nobody asked')"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for the import path: acme-words 0.3.1 with format `words`, and a package that must not be
    imported."""
    folder = tmp_path / "site"
    put(folder, "acme-words", "0.3.1", {"words": "acme_words:FORMAT"}, modules={"acme_words": WORDS})
    return put(folder, "bomb", "1", {"bomb": "bomb_module:FORMAT"}, modules={"bomb_module": BOMB})


def job_of_words(folder: Path, **source: object) -> Path:
    write_texts(folder / "remote", {"a.words": "one two  three", "b.words": "four"})
    spec = {"url": f"{folder}/remote/*.words", "format": "words", **source}
    return write_job(folder, sources={"texts": spec})


def texts(folder: Path) -> list[str]:
    files = sorted((folder / "dataset" / "data").rglob("*.parquet"))
    return sorted(text for file in files for text in pq.read_table(file).column("text").to_pylist())


def fingerprint(folder: Path) -> dict[str, str]:
    file = folder / "dataset/_skyhaul/plan/shards.parquet"
    header = json.loads(pq.read_metadata(file).metadata[b"skyhaul"])
    found: dict[str, str] = header["fingerprint"]
    return found


@pytest.mark.timeout(400)  # five processes, one after the other
def test_a_job_hauls_with_it_and_its_plan_knows_the_package(tmp_path: Path, site: Path) -> None:
    job = job_of_words(tmp_path, decode={"upper": True})
    done = spawn("run", job, env={"PYTHONPATH": str(site)}, timeout=200)
    assert done.code == 0, done.err
    assert texts(tmp_path) == ["FOUR", "ONE", "THREE", "TWO"]
    assert fingerprint(tmp_path)["skyhaul.formats:words"] == "acme-words 0.3.1"

    # The package is gone: what needs no decoder works on, and what does names it.
    assert spawn("verify", job).code == 0
    missed = spawn("run", job)
    assert missed.code == 2
    assert len(missed.err.strip().splitlines()) == 1
    assert "format 'words' of this plan is of package acme-words 0.3.1, which is not installed" in missed.err

    # Another version of it would give other bytes, for all that is known.
    newer = put(tmp_path / "newer", "acme-words", "0.4", {"words": "acme_words:FORMAT"})
    (newer / "acme_words.py").write_text(WORDS)
    other = spawn("run", job, env={"PYTHONPATH": str(newer)})
    assert other.code == 2
    assert "skyhaul.formats:words: plan has acme-words 0.3.1, here is acme-words 0.4" in other.err


def test_a_plan_without_plug_ins_states_and_loads_none(tmp_path: Path, site: Path) -> None:
    write_texts(tmp_path / "remote")
    done = spawn("run", write_job(tmp_path), env={"PYTHONPATH": str(site)})
    assert done.code == 0, done.err
    assert not [key for key in fingerprint(tmp_path) if ":" in key]


@pytest.mark.parametrize(
    ("point", "module", "said"),
    [
        ({"bad": "bad_module:FORMAT"}, BOMB, "RuntimeError: imported, though nobody asked"),
        ({"bad": "bad_module:FORMAT"}, WORDS, "declares format 'words' under the name 'bad'"),
        ({"bad": "bad_module:WordOptions"}, WORDS, "is a ModelMetaclass, not a Format"),
        ({"bad": "bad_module:FORMAT"}, WORDS.replace("load=lambda: Impl", "load=lambda: 1 / 0 or Impl")
         .replace('"words"', '"bad"'), "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_used_is_one_line_with_the_package(
    tmp_path: Path, point: dict[str, str], module: str, said: str
) -> None:
    site = put(tmp_path / "site", "acme", "1.2", point, modules={"bad_module": module})
    done = spawn("plan", job_of_words(tmp_path, format="bad"), env={"PYTHONPATH": str(site)})
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    assert said in done.err
    assert "'bad'" in done.err


def test_a_name_that_says_two_things_is_refused_with_both(tmp_path: Path) -> None:
    put(tmp_path / "1", "acme", "1.2", {"x": "a:X", "csv": "a:CSV"})
    put(tmp_path / "2", "other", "3", {"x": "b:X"})
    with on_path(tmp_path / "1", tmp_path / "2"):
        with pytest.raises(PlugInRefused, match=r"'x' is claimed by acme 1\.2 and other 3"):
            decoder_for("x", settings(), "a")
        with pytest.raises(PlugInRefused, match=r"'csv' is claimed by skyhaul itself and acme 1\.2"):
            check_name("csv")
        check_name("jsonl")
    job = job_of_words(tmp_path, format="csv")
    done = spawn("plan", job, env={"PYTHONPATH": str(tmp_path / "1")})
    assert done.code == 2
    assert "format 'csv' is claimed by skyhaul itself and acme 1.2" in done.err


def test_what_is_installed_changes_no_job_that_does_not_name_it(site: Path) -> None:
    with on_path(site):
        with pytest.raises(UsageError, match="its suffix states no format"):
            decoder_for(None, settings(), "x.words")
        with pytest.raises(UsageError, match=r"'wrods' is unknown \(allowed: jsonl, .*, bomb, words\)"):
            decoder_for("wrods", settings(), "x")
        with pytest.raises(UsageError, match="format words gives document, not schema blob"):
            decoder_for("words", settings("blob"), "x")
        with pytest.raises(UsageError, match=r"'x' is not one of format words \(allowed: upper\)"):
            decoder_for("words", settings(options={"x": 1}), "x")
        assert fingerprint_of("words", settings())["skyhaul.formats:words"] == "acme-words 0.3.1"
        assert "bomb_module" not in sys.modules


def test_members_of_an_archive_are_decoded_by_it_where_the_job_names_it(site: Path) -> None:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a")
        member.size = 7
        archive.addfile(member, io.BytesIO(b"one two"))
    with on_path(site):
        found = decode(out.getvalue(), "x.tar", members={"format": "words", "upper": True})
        assert found.texts == ["ONE", "TWO"]
        decoder = decoder_for("tar", settings(options={"members": {"format": "words"}}), "x.tar")
        assert decoder.fingerprint["skyhaul.formats:words"] == "acme-words 0.3.1"


def test_every_public_name_is_there_and_nothing_else() -> None:
    assert sorted(skyhaul.plugins._PLACES) == sorted(skyhaul.plugins.__all__) == dir(skyhaul.plugins)
    for name in skyhaul.plugins.__all__:
        assert getattr(skyhaul.plugins, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        skyhaul.plugins.nothing  # noqa: B018  # asked for


def test_a_declaration_imports_no_arrow() -> None:
    code = (
        "import sys\nfrom skyhaul.plugins import Format, Implementation, FormatOptions\n"
        "from skyhaul_connectors.formats import json, media, archive\n"
        "assert 'pyarrow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
