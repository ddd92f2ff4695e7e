"""Python in README and in the pages of docs/ runs as it stands there, a page at a time, beside a job."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts

ROOT = Path(__file__).resolve().parent.parent

FRAGMENTS = {
    "UngapOptions": "a part of examples/plugin, which tests of its own run",
    '"out/hauled"': "reads a dataset that tests/beam/datasets/test_docs.py has for it, and runs it",
}
"""What is in a snippet that is no whole program -> why not. It is compiled all the same."""

PAGES = [
    page
    for page in ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
    if "\n```python\n" in (ROOT / page).read_text()
]


def snippets(page: str) -> list[str]:
    return re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / page).read_text())


def is_whole(snippet: str) -> bool:
    return not any(part in snippet for part in FRAGMENTS)


def test_pages_with_python_are_found_and_every_fragment_is_there_still() -> None:
    assert {"README.md", "docs/api.md", "docs/plugins.md"} <= set(PAGES)
    told = "".join(snippet for page in PAGES for snippet in snippets(page))
    assert [part for part in FRAGMENTS if part not in told] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    for number, snippet in enumerate(snippets(page)):
        compile(snippet, f"{page}, snippet {number}", "exec")
    write_texts(tmp_path / "remote")
    write_job(tmp_path, dataset=str(tmp_path / "out" / "dataset"))
    write_job(tmp_path, name="redacted.yaml", dataset=str(tmp_path / "out" / "redacted"))
    script = tmp_path / "page.py"
    # In one file, as a reader goes on from snippet to snippet; in a file, so that functions have a module.
    script.write_text("\n".join(filter(is_whole, snippets(page))))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
