"""Transform `ungap` takes out what it says, is counted, and refuses what it cannot do."""

from __future__ import annotations

import pyarrow as pa
import pytest

from skyhaul.plugins import UsageError
from skyhaul.testing.transforms import build, rows


def test_gaps_and_stops_are_taken_out_and_what_is_empty_then_goes() -> None:
    ungap = build({"ungap": {}, "name": "all-gaps"})
    result = ungap(rows(text=["AC-GT*", "---", "", "ACGT"]))
    assert result.batch["text"].to_pylist() == ["ACGT", "ACGT"]
    assert result.filtered == {"all-gaps": 2}


def test_marks_and_column_are_the_jobs() -> None:
    ungap = build({"ungap": {"marks": "^-]", "column": "source_id"}})
    result = ungap(rows(text=["a-b"], source_id=["x^]y-"]))
    assert result.batch.select(["text", "source_id"]).to_pylist() == [{"text": "a-b", "source_id": "xy"}]
    assert isinstance(result.batch, pa.RecordBatch)


@pytest.mark.parametrize("options", [{"marks": ""}, {"mark": "-"}, {"column": "no_such"}])
def test_what_it_cannot_do_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="ungap"):
        build({"ungap": options})
