"""What readers that are none of ours make of a file of the collection: how many records, and whether they
refuse it.

Tables are judged by DuckDB, Polars and pyarrow (`judges_of_tables`), archives by tarfile and warcio
(`judges_of_archives`), images by Pillow, the rest by Python's own modules; JSONTestSuite says itself what
must be taken and what must not.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from tests.hauling.collected import judges_of_archives, judges_of_tables
from tests.hauling.collected.unpacking import Corrupt, unpacked
from tests.hauling.collected.verdict import Verdict, gave_up


def judged(group: str, path: Path) -> list[Verdict]:
    """What each reader of a group's files says."""
    return [judge(path) for judge in _JUDGES[group]]


def _image(path: Path) -> Verdict:
    """An image where Pillow names the format, and that format has a media type."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(unpacked(path))) as image:
                known = image.format in Image.MIME
        except (OSError, ValueError, Image.DecompressionBombError):
            known = False
    return Verdict("Pillow", int(known), int(not known))


def _json(path: Path) -> Verdict:
    """Each element of an array, or the text's one value, is a record where it is an object. In JSONTestSuite
    a name's first letter says whether parsers must take it (y), must not (n), or may (i); they may take all
    of `test_transform`."""
    suite = "JSONTestSuite" in path.parts
    if suite and path.name.startswith("n_"):
        return gave_up("JSONTestSuite")
    try:
        value = _value(unpacked(path))
    except (ValueError, RecursionError):
        return gave_up("json")
    either = suite and ("test_transform" in path.parts or path.name.startswith("i_"))
    return _of_values(value if isinstance(value, list) else [value], either=either)


def _json_lines(path: Path) -> Verdict:
    return _of_values([_value(line) for line in unpacked(path).split(b"\n") if line.strip()])


def _value(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON (RFC 8259, section 6)")


def _of_values(values: list[Any], *, either: bool = False) -> Verdict:
    rows = sum(isinstance(one, dict) for one in values)
    return Verdict("json", rows, len(values) - rows, either=either)


def _delimited(delimiter: str) -> Callable[[Path], Verdict]:
    """A record is a line with as many cells as the header; what the header names is not asked."""

    def judge(path: Path) -> Verdict:
        try:
            text = io.StringIO(unpacked(path).decode("utf-8-sig"), newline="")
            header, *lines = [line for line in csv.reader(text, delimiter=delimiter) if line]
        except (ValueError, csv.Error):
            return gave_up("csv")
        right = sum(len(line) == len(header) for line in lines)
        return Verdict("csv", right, len(lines) - right)

    return judge


def _text(path: Path) -> Verdict:
    """One record, of UTF-8 without a NUL."""
    try:
        text = unpacked(path).decode("utf-8-sig")
    except (UnicodeDecodeError, Corrupt):
        return gave_up("codecs")
    return Verdict("codecs", 0, 1) if "\0" in text else _one_if(text, "codecs")


_BINARY = bytes({*range(9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)})
_HEADER = 1445
"""The bytes that no text begins with, and how many are looked at
(https://mimesniff.spec.whatwg.org/#binary-data-byte and #reading-the-resource-header)."""


def _packed(path: Path) -> Verdict:
    """One record of what was packed, where that is text of whatever encoding."""
    try:
        raw = unpacked(path)
    except Corrupt:
        return gave_up("unpacking")
    head = raw[:_HEADER]
    if b"\0" in raw or head.translate(None, _BINARY) != head:
        return Verdict("unpacking", 0, 1)
    return _one_if(raw, "unpacking")


def _whole(path: Path) -> Verdict:
    return _one_if(path.read_bytes(), "the file's size")


def _one_if(content: bytes | str, by: str) -> Verdict:
    """One record, unless there is nothing in it."""
    return Verdict(by, int(bool(content)), passed=int(not content))


_JUDGES: dict[str, tuple[Callable[[Path], Verdict], ...]] = {
    "images": (_image,),
    "json": (_json,),
    "jsonl": (_json_lines,),
    "csv": (_delimited(","),),
    "tsv": (_delimited("\t"),),
    "parquet": judges_of_tables.PARQUET,
    "arrow": judges_of_tables.ARROW,
    "html": (_whole,),
    "warc": (judges_of_archives.web,),
    "tar": (judges_of_archives.tar,),
    "packed": (_packed,),
    "text": (_text,),
    "binary": (_whole,),
}
