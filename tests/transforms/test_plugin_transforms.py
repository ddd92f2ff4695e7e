"""A transform of somebody else's package: named, hauled with, missed and refused; as a user meets it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.jobs import write_job, write_texts
from cli.program import spawn
from dataset.hauled import JOB, plan_small
from installed import on_path, put
from skyhaul.planning.fingerprint import encoder_fingerprint
from skyhaul.shards.transform_step import apply
from skyhaul.transforms.registry import build_transforms, listed, transforms_fingerprint
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused, TransformFailed, UsageError
from skyhaul_schemas.job.transforms import parse_transform
from skyhaul_schemas.records import shard_schema

SHOUT = """
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.plugins import TransformDeclaration, TransformOptions, Transformed


class Shouting(TransformOptions):
    column: str | None = None
    mark: str = "!"
    times: int = 1


def build(options, target):
    column = target.column(options.column)

    def shout(batch):
        index = batch.schema.get_field_index(column)
        texts = batch.column(index)
        marks = pa.scalar(options.mark * options.times, texts.type)
        louder = pc.binary_join_element_wise(texts, marks, pa.scalar("", texts.type))
        return Transformed(batch.set_column(index, batch.schema.field(index), louder))

    return shout


SHOUT = TransformDeclaration("shout", "ends texts with a mark", Shouting, build)
LOUD = TransformDeclaration("loud", "declared under another name", Shouting, build)
"""

BREAKS = """
import pyarrow as pa
from skyhaul.plugins import TransformDeclaration, TransformOptions, Transformed


class Which(TransformOptions):
    how: str


def build(options, target):
    if options.how == "build":
        raise RuntimeError("no\\x1b[2J model")
    return {
        "raises": lambda batch: 1 / 0,
        "nothing": lambda batch: None,
        "loses": lambda batch: Transformed(batch.slice(1)),
        "columns": lambda batch: Transformed(batch.select(["id"])),
        "table": lambda batch: Transformed(pa.table(batch)),
        "ids": lambda batch: Transformed(batch.set_column(0, batch.schema.field(0), pa.array(["x", "y"]))),
        "order": lambda batch: Transformed(batch.take([1, 0])),
        "nulls": lambda batch: Transformed(batch.set_column(
            1, batch.schema.field(1), pa.nulls(2, batch.schema.field(1).type))),
    }[options.how]


BREAKS = TransformDeclaration("breaks", "breaks", Which, build)
"""

BOMB = "raise RuntimeError('imported, though nobody asked')"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder on the import path: acme-shout 0.3.1, and a package that must not be imported."""
    folder = tmp_path / "site"
    points = {"shout": "acme_shout:SHOUT", "quiet": "acme_shout:LOUD", "breaks": "acme_breaks:BREAKS"}
    modules = {"acme_shout": SHOUT, "acme_breaks": BREAKS}
    put(folder, "acme-shout", "0.3.1", points, group=plugins.TRANSFORMS, modules=modules)
    bomb = {"bomb_module": BOMB}
    put(folder, "bomb", "1", {"bomb": "bomb_module:X"}, group=plugins.TRANSFORMS, modules=bomb)
    with on_path(folder):
        yield folder


def rows(*texts: str) -> pa.RecordBatch:
    schema = shard_schema("document")
    made: dict[str, Sequence[object]] = {"id": [str(n) for n in range(len(texts))], "text": texts}
    place = {"source": "s", "object": "o", "version": "", "offset": 0, "length": 1}
    made["provenance"] = [place] * len(texts)
    arrays = [pa.array(made.get(f.name, [None] * len(texts)), f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def test_it_is_built_with_its_options_and_after_the_rules_before_it(site: Path) -> None:
    rules = [{"min_length": 2}, {"shout": {"mark": "?", "times": 2}}, {"deduplicate": "text"}]
    counts: dict[str, int] = {}
    built = build_transforms([parse_transform(rule) for rule in rules], "document")
    left = apply(built, rows("a", "bc", "bc", "d?"), counts)
    assert left["text"].to_pylist() == ["bc??", "d???"]
    assert counts == {"min_length 2": 1, "deduplicate text": 1}
    assert "bomb_module" not in sys.modules


def test_the_fingerprint_has_its_package_where_a_rule_uses_it_and_only_there(site: Path) -> None:
    rule = parse_transform({"shout": {}})
    assert transforms_fingerprint([rule]) == {
        "skyhaul.transforms": "2",
        "skyhaul.transforms:shout": "acme-shout 0.3.1",
    }
    assert "skyhaul.transforms:shout" not in encoder_fingerprint([], [parse_transform({"min_length": 1})])
    assert rule.to_json() == {"shout": {}}
    named = {"shout": {"times": 2}, "name": "x"}
    assert parse_transform(named).to_json() == named


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "shout: {tims: 2}",
            r"job\.yaml:21:13: transforms\.0\.shout\.tims: found an unknown key, allowed: times$",
        ),
        (
            "shout: {times: many}",
            r"job\.yaml:21:20: transforms\.0\.shout\.times: found 'many', .*integer",
        ),
        (
            "shout: {column: txet}",
            r"job\.yaml:21:21: transforms\.0\.shout\.column: found 'txet', allowed: text$",
        ),
        ("breaks: {}", r"job\.yaml:21:13: transforms\.0\.breaks\.how: found nothing, allowed: \(required\)"),
        ("shuot: {times: 2}", r"job\.yaml:21:5: transforms\.0\.shuot: found an unknown key, allowed: shout$"),
        ("quiet: {}", r"acme-shout 0\.3\.1 declares transform 'loud' under the name 'quiet'"),
        ("bomb: {}", r"transform 'bomb' of package bomb 1 cannot be loaded: RuntimeError: imported"),
        ("breaks: {how: build}", r"^transform 'breaks' cannot be used: RuntimeError: no\\x1b"),
    ],
)
def test_what_it_does_not_take_is_refused_at_planning_with_its_line(
    tmp_path: Path, site: Path, rule: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        plan_small(tmp_path, job=JOB + f"transforms:\n  - {rule}\n".replace("{", "{{").replace("}", "}}"))
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "ZeroDivisionError"),
        ("nothing", "it gave a NoneType"),
        ("loses", "2 rows in, 1 out, 0 counted"),
        ("columns", "it changed the columns"),
        ("table", "it gave a Table, not a RecordBatch"),
        ("ids", "it changed ids, or made up rows"),
        ("order", "it gave rows twice, or in another order"),
        ("nulls", "it gave nulls in the column text, which has none"),
    ],
)
def test_one_that_breaks_fails_the_shard_in_one_line_with_its_name(site: Path, how: str, said: str) -> None:
    (rule,) = build_transforms([parse_transform({"breaks": {"how": how}})], "document")
    with pytest.raises(TransformFailed, match=f"^transform 'breaks': .*{said}"):
        rule(rows("a", "b"))


def test_a_name_that_is_built_in_is_refused_to_a_package(tmp_path: Path) -> None:
    put(tmp_path / "s", "acme", "1", {"drop": "a:X"}, group=plugins.TRANSFORMS)
    with (
        on_path(tmp_path / "s"),
        pytest.raises(PlugInRefused, match=r"'drop' is claimed by skyhaul itself and acme 1"),
    ):
        plan_small(tmp_path, job=JOB + "transforms:\n  - drop: text == 'a'\n")


def test_all_are_listed_with_whence_they_come_and_why_not(site: Path) -> None:
    found = {entry.name: entry for entry in listed()}
    assert list(found)[:2] == ["keep", "drop"]
    assert found["keep"].plug_in is None
    shout = found["shout"]
    assert shout.plug_in is not None
    assert shout.declaration is not None
    assert (shout.plug_in.package, shout.declaration.about) == ("acme-shout 0.3.1", "ends texts with a mark")
    assert "cannot be loaded" in (found["bomb"].problem or "")


@pytest.mark.timeout(400)  # three processes, one after the other
def test_a_job_hauls_with_it_and_a_plan_that_misses_it_names_the_package(tmp_path: Path, site: Path) -> None:
    write_texts(tmp_path / "remote", {"a.txt": "one", "b.txt": "two"})
    sources = {"texts": {"url": f"{tmp_path}/remote/*.txt", "transforms": [{"shout": {"times": 2}}]}}
    job = write_job(tmp_path, sources=sources)
    done = spawn("run", job, env={"PYTHONPATH": str(site)}, timeout=200)
    assert done.code == 0, done.err
    files = (tmp_path / "dataset" / "data").rglob("*.parquet")
    assert sorted(t for f in files for t in pq.read_table(f)["text"].to_pylist()) == ["one!!", "two!!"]
    header = json.loads(
        pq.read_metadata(tmp_path / "dataset/_skyhaul/plan/shards.parquet").metadata[b"skyhaul"]
    )
    assert header["fingerprint"]["skyhaul.transforms:shout"] == "acme-shout 0.3.1"
    assert spawn("verify", job).code == 0
    missed = spawn("run", job)
    assert missed.code == 2
    assert len(missed.err.strip().splitlines()) == 1
    assert "transform 'shout' of this plan is of package acme-shout 0.3.1, which is not" in missed.err
