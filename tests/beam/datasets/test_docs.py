"""What docs/derived.md shows runs as it stands."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from dataset.hauled import plan_small
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset

PAGE = Path(__file__).resolve().parents[3] / "docs" / "derived.md"


def test_the_pipeline_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan_small(tmp_path / "out", name="hauled")
    made.haul()
    monkeypatch.chdir(tmp_path)
    # Beam's own default first asks the network for another runner.
    monkeypatch.setattr("apache_beam.pipeline.create_runner", lambda name: FnApiRunner())
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    exec(compile(code[1], str(PAGE), "exec"), {"__name__": "__main__"})  # what the page says
    with closing(open_store("out/long", writable=False)) as store:
        report = verify_dataset(store, deep=True)
    assert report.exit_code() == 0
    assert f"'rows': {report.rows}" in capsys.readouterr().out
    assert report.rows > 0
