"""The children in which hostile formats are read: whose they are, what they load, when they end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

FORKS = """
import os
from skyhaul_connectors.formats.isolated import reader
from skyhaul_connectors.formats.web.html_extraction import READER, extract

PAGE = b"<p>" + b"".join(b"<a href=%d>word</a> " % n for n in range(3000))


def read():
    text = extract(PAGE, main_content=False).text
    return text, reader._local.children[READER]._process.pid


text, child = read()
fork = os.fork()
if not fork:
    again, own = read()
    print(own, flush=True)
    os._exit(again != text or own == child)
assert os.waitpid(fork, 0)[1] == 0
assert read() == (text, child)
print(child)
"""


def is_over(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_fork_reads_in_a_child_of_its_own_and_all_children_end_with_their_parents() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    children = done.stdout.split()
    assert len(set(children)) == 2
    until = time.monotonic() + 10
    while not all(map(is_over, children)):
        assert time.monotonic() < until, "a child outlives its parent"
        time.sleep(0.01)


def test_a_child_for_pages_loads_nothing_of_tables_nor_of_the_side_that_asks() -> None:
    loads = (
        "import sys, skyhaul_connectors.formats.isolated.__main__, skyhaul_connectors.formats.web.html_child;"
        "print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True).stdout
    ours = {name for name in found.split() if name.startswith("skyhaul_connectors.formats.")}
    assert "skyhaul_connectors.formats.web.html_text" in ours
    for name in ("bytes.stream", "columnar", "isolated.reader", "records", "protocol"):
        assert f"skyhaul_connectors.formats.{name}" not in ours
    assert not {"subprocess", "pydantic", "pyarrow.parquet"} & set(found.split())
