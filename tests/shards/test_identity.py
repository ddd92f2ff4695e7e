"""Ids tell rows apart and can be read back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shards.made import documents
from skyhaul.shards.identity import identified
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.records import shard_schema

SOURCES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
PATHS = st.text(st.sampled_from("a/#0123456789é% "), min_size=1, max_size=12)


@given(st.lists(st.tuples(SOURCES, PATHS), min_size=1, max_size=5), st.integers(0, 1 << 40))
def test_source_object_and_offset_can_be_read_back_from_an_id(
    names: list[tuple[str, str]], start: int
) -> None:
    objects = [PinnedObject(source, path, 9, "v") for source, path in names]
    which = np.array([n % len(objects) for n in range(7)], np.int32)
    rows = identified(documents(["x"] * 7, start=start), objects, which, "document")
    assert rows.schema.equals(shard_schema("document"))
    for row, number in zip(rows.to_pylist(), which, strict=True):
        source, _, rest = row["id"].partition("/")
        path, _, offset = rest.rpartition("#")
        assert (source, path) == names[number]
        assert int(offset) == row["provenance"]["offset"]
        assert (row["provenance"]["source"], row["provenance"]["object"]) == names[number]


def test_rows_of_no_object_are_fine() -> None:
    rows = identified(documents([]), [], np.array([], np.int32), "document")
    assert rows.num_rows == 0
    assert pa.types.is_string(rows.schema.field("id").type)
