"""`skyhaul formats`: what a job can name, of every kind, and the package that it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.program import call
from installed import WORDS, on_path, put
from skyhaul.transforms.registry import TRANSFORMS
from skyhaul_connectors.formats.registry import FORMATS
from skyhaul_connectors.sources.opening import KINDS
from skyhaul_schemas import plugins

SHOUT = """
from skyhaul.plugins import TransformDeclaration, TransformOptions

SHOUT = TransformDeclaration("shout", "ends texts with a mark", TransformOptions, build=None)
"""

STATION = """
from skyhaul.plugins import SourceKind

KIND = SourceKind(("station", "stations"), "what a station has", open=None, selection=None)
"""

KIND_OF = {plugins.FORMATS: "format", plugins.TRANSFORMS: "transform", plugins.SOURCES: "source"}

BUILT_IN = {
    "format": list(FORMATS),
    "transform": list(TRANSFORMS),
    "source": [scheme for kind in KINDS for scheme in kind.schemes],
}

GIVEN = {
    plugins.FORMATS: ({"words": "acme_words:FORMAT"}, {"acme_words": WORDS}, "words between spaces"),
    plugins.TRANSFORMS: ({"shout": "acme_shout:SHOUT"}, {"acme_shout": SHOUT}, "ends texts with a mark"),
    plugins.SOURCES: (
        {"station": "acme_station:KIND", "stations": "acme_station:KIND"},
        {"acme_station": STATION},
        "what a station has",
    ),
}


@pytest.mark.parametrize("group", plugins.KINDS)
def test_all_of_a_kind_are_listed_with_their_packages_and_what_is_refused(tmp_path: Path, group: str) -> None:
    kind = KIND_OF[group]
    points, modules, about = GIVEN[group]
    taken = BUILT_IN[kind][1]
    put(tmp_path / "1", "acme", "0.3.1", points, group=group, modules=modules)
    put(tmp_path / "2", "rival", "2", {taken: "x:Y"}, group=group)
    bomb = {"bomb_module": "raise RuntimeError('imported, though nobody asked')"}
    put(tmp_path / "3", "bomb", "1", {"bomb": "bomb_module:X"}, group=group, modules=bomb)
    with on_path(tmp_path / "1", tmp_path / "2", tmp_path / "3"):
        done, shown = call("formats", "--json"), call("formats")
    assert (done.code, shown.code) == (0, 0)
    everything = json.loads(done.out)
    found = {(entry["name"], entry["package"]): entry for entry in everything if entry["kind"] == kind}
    assert [name for name, package in found if package is None] == BUILT_IN[kind]
    for name in points:
        ours = found[name, "acme"]
        assert (ours["version"], ours["about"], ours["problem"]) == ("0.3.1", about, None)
    assert "imported, though nobody asked" in found["bomb", "bomb"]["problem"]
    assert "claimed by skyhaul itself and rival 2" in found[taken, "rival"]["problem"]
    lines = shown.out.splitlines()
    (line,) = (line for line in lines if about in line)
    assert line.split() == [*points, "acme", "0.3.1", *line.split()[len(points) + 2 :]]
    said = plugins.KINDS[group]
    assert any(
        line.startswith(f"refused: {said} 'bomb' of package bomb 1 cannot be loaded") for line in lines
    )
    assert any(line.startswith(f"refused: {said} {taken!r} is claimed by") for line in lines)


def test_every_kind_is_listed_with_the_keys_that_formats_have(tmp_path: Path) -> None:
    with on_path():
        everything = json.loads(call("formats", "--json").out)
    assert [entry["name"] for entry in everything] == [name for names in BUILT_IN.values() for name in names]
    keys = ["name", "package", "version", "schemas", "suffixes", "about", "problem", "kind"]
    assert all(list(entry) == keys and entry["about"] for entry in everything)
    assert {tuple(entry["schemas"]) for entry in everything if entry["kind"] != "format"} == {()}
