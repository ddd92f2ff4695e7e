"""A list of captions is held against the images, and where one says nothing of the other, it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.program import call

UNNAMED = "an image that no line of the captions list names"
NO_IMAGE = "a line of the captions list that names no image"


def job(folder: Path, captions: list[str]) -> Path:
    (folder / "img").mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        (folder / "img" / name).write_bytes(b"not looked at while planning")
    lines = [json.dumps({"file_name": name, "text": "said"}) for name in captions]
    (folder / "metadata.jsonl").write_text("".join(f"{line}\n" for line in lines))
    path = folder / "job.yaml"
    path.write_text(
        f"version: 1\nname: c\ndataset: {folder}/out\nspool: {folder}/spool\nschema: image\nsources:\n"
        f"  s: {{url: '{folder}/img/*.png', format: image, decode: {{captions: {folder}/metadata.jsonl}}}}\n"
    )
    return path


def test_images_without_captions_and_captions_without_images_are_counted(tmp_path: Path) -> None:
    planned = call("plan", "--json", job(tmp_path, ["a.png", "c.png", "d.png"]))
    assert planned.code == 0, planned.err
    told = json.loads(planned.out)
    assert told["unchecked"] == {NO_IMAGE: 2, UNNAMED: 1}
    assert told["unchecked_names"] == {NO_IMAGE: ["s/c.png", "s/d.png"], UNNAMED: ["s/b.png"]}


def test_a_list_for_just_the_images_has_nothing_to_tell(tmp_path: Path) -> None:
    planned = call("plan", "--json", job(tmp_path, ["a.png", "b.png"]))
    assert json.loads(planned.out)["unchecked"] == {}


@pytest.mark.parametrize(
    ("captions", "said"),
    [(["img/a.png", "img/b.png"], "it has 'img/a.png', the source has 'a.png'"), ([], "it is empty")],
)
def test_a_list_that_names_none_of_the_images_is_refused(
    tmp_path: Path, captions: list[str], said: str
) -> None:
    planned = call("plan", job(tmp_path, captions))
    assert planned.code == 2
    assert "names none of the source's images" in planned.err
    assert said in planned.err
