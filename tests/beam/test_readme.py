"""The README's pipeline runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.beam.rig import committed, job_of, write_texts

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_pipeline_of_the_readme_hauls_the_job_beside_it(tmp_path: Path) -> None:
    (found,) = re.findall(r"```python\n(import apache_beam as beam\n.*?)```", README.read_text(), re.S)
    texts = write_texts(tmp_path / "texts", 3)
    job = job_of(tmp_path / "haul", {"texts": {"url": str(texts / "*.txt")}})
    done = subprocess.run(
        [sys.executable, "-c", found], cwd=job.parent, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert len(committed(job)) == 3
    assert sum(str(job.parent / "out") in line for line in done.stdout.splitlines()) == 3
