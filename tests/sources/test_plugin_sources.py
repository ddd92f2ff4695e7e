"""A source scheme of somebody else's package: named, hauled with, missed and refused; as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli.jobs import write_job
from cli.program import spawn
from installed import on_path, put
from skyhaul_connectors.sources.opening import KINDS, open_source, opener_fingerprint, selection
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused, UsageError
from skyhaul_schemas.job.model import SourceSpec

STATION = '''
"""Readings that a station has in its memory: `station://NAME/*`."""

from skyhaul.plugins import MemorySource, SourceKind


def opened(opening):
    hello = opening.spec.options.get("hello", "hello")
    objects = {f"{n}.txt": f"{hello} {n}".encode() for n in range(3)}
    return MemorySource(opening.name, objects, timeouts=opening.timeouts)


SOURCE = SourceKind(
    schemes=("station",),
    about="readings in a station's memory",
    open=opened,
    selection=lambda name, urls: [url.rpartition("/")[2] for url in urls],
    options={"hello": "what each reading begins with"},
)
'''
"""A module that declares scheme `station`."""

BOMB = "raise RuntimeError('imported, though nobody asked')"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for the import path: acme-station 2.0 with scheme `station`, and a package that must not be
    imported."""
    folder = tmp_path / "site"
    points, modules = {"station": "acme_station:SOURCE"}, {"acme_station": STATION}
    put(folder, "acme-station", "2.0", points, group=plugins.SOURCES, modules=modules)
    return put(
        folder,
        "bomb",
        "1",
        {"bomb": "bomb_module:SOURCE"},
        group=plugins.SOURCES,
        modules={"bomb_module": BOMB},
    )


@pytest.mark.timeout(400)  # three processes, one after the other
def test_a_job_hauls_from_it_and_its_plan_knows_the_package(tmp_path: Path, site: Path) -> None:
    source = {"url": "station://north/*", "options": {"hello": "wind"}}
    job = write_job(tmp_path, sources={"far": source})
    done = spawn("run", job, env={"PYTHONPATH": str(site)}, timeout=200)
    assert done.code == 0, done.err
    files = sorted((tmp_path / "dataset" / "data").rglob("*.parquet"))
    assert sorted(t for f in files for t in pq.read_table(f).column("text").to_pylist()) == [
        "wind 0",
        "wind 1",
        "wind 2",
    ]
    plan = tmp_path / "dataset/_skyhaul/plan/shards.parquet"
    header = json.loads(pq.read_metadata(plan).metadata[b"skyhaul"])
    assert header["fingerprint"]["skyhaul.sources:station"] == "acme-station 2.0"

    missed = spawn("run", job)
    assert missed.code == 2
    assert len(missed.err.strip().splitlines()) == 1
    assert "source scheme 'station' of this plan is of package acme-station 2.0, which" in missed.err


def test_it_is_loaded_where_a_job_names_it_and_nothing_else_is(site: Path) -> None:
    spec = SourceSpec(url="station://north/*.txt")
    with on_path(site):
        source = open_source("far", spec)
        assert [obj.path for obj in source.listing()] == ["0.txt", "1.txt", "2.txt"]
        assert selection(spec) == ["*.txt"]
        assert opener_fingerprint("far", spec) == {"skyhaul.sources:station": "acme-station 2.0"}
        with pytest.raises(PlugInRefused, match="of package bomb 1 cannot be loaded: RuntimeError"):
            open_source("far", SourceSpec(url="bomb://x"))
    assert opener_fingerprint("far", SourceSpec(url="https://h.example/a")) == {}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"options": {"token": "CANARY"}}, "no option 'token'; station:// has hello"),
        ({"url": ["station://a", "https://h.example/x"]}, "URLs of several schemes"),
        ({"url": {"list": "l.jsonl", "root": "station://a"}}, "no list can name objects of station://"),
        ({"url": "stations://a"}, "is not taken; write a path, or a URL with one of abfs.*station"),
    ],
)
def test_what_it_does_not_take_is_a_usage_error(site: Path, spec: dict[str, object], said: str) -> None:
    with on_path(site), pytest.raises(UsageError, match=said) as caught:
        open_source("far", SourceSpec(**{"url": "station://a/*", **spec}))  # type: ignore[arg-type]
    assert "CANARY" not in str(caught.value)


def test_a_scheme_that_says_two_things_is_refused_with_both(tmp_path: Path, site: Path) -> None:
    other = tmp_path / "other"
    points = {"station": "x:SOURCE", "https": "x:SOURCE"}
    put(other, "other-station", "1", points, group=plugins.SOURCES)
    with on_path(site, other):
        with pytest.raises(PlugInRefused, match=r"acme-station 2\.0 and other-station 1"):
            open_source("far", SourceSpec(url="station://a/*"))
        with pytest.raises(PlugInRefused, match="skyhaul itself and other-station 1"):
            open_source("far", SourceSpec(url="https://h.example/a"))


def test_a_declaration_under_another_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    points = {"stazione": "acme_station:SOURCE", "number": "acme_station:opened"}
    put(folder, "acme-station", "2.0", points, group=plugins.SOURCES, modules={"acme_station": STATION})
    with on_path(folder):
        with pytest.raises(PlugInRefused, match="its declaration is for station"):
            open_source("far", SourceSpec(url="stazione://a/*"))
        with pytest.raises(PlugInRefused, match="is a function, not a SourceKind"):
            open_source("far", SourceSpec(url="number://a/*"))


def test_each_kind_declares_schemes_of_its_own() -> None:
    schemes = [scheme for kind in KINDS for scheme in kind.schemes]
    assert len(schemes) == len(set(schemes))
    assert all(kind.about for kind in KINDS)
