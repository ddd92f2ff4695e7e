"""The ends of lines are found in two ways, by how far apart they are; both give the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.formats.json import columns as json_columns
from skyhaul_connectors.formats.json.columns import _line_ends


@pytest.mark.parametrize("far_apart", [0, 1 << 40])
@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=100), st.integers(0, 5))
def test_ends_of_lines(far_apart: int, lengths: list[int], rest: int) -> None:
    data = b"".join(b"x" * length + b"\n" for length in lengths) + b"x" * rest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_columns, "_FAR_APART", far_apart)
        assert _line_ends(data).tolist() == (np.cumsum(np.array(lengths, np.int64) + 1) - 1).tolist()
