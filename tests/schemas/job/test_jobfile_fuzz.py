"""Whatever text a job file holds: it is read, or refused with lines that can be printed."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.job.job_texts import FULL
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import parse_job

LINES = FULL.splitlines(keepends=True)
BITS = st.sampled_from(
    ["${A}", "${", "$${", "*x", "&x ", "<<: *x", "!!str ", "!!python/name:os.system ", "? ", "- ", "{", "}",
     "[", "]", ": ", "#", "|\n", ">\n", "'", '"', "\\", "\t", "\0", "\x85", "\u2028", "\ufeff", "~", "null",
     "0x", "1e999", "-", "%YAML 1.1\n---\n", "...\n", "---\n", '"\\ud800"', '"\\UFFFFFFFF"', "\U0001f600",
     "a: 1", "\n", "  "]
)  # fmt: skip


def fate(text: str) -> str:
    try:
        loaded = parse_job(text, "job.yaml", {"A": "value-of-a"})
    except UsageError as error:
        message = str(error)
        message.encode()
        assert message
        assert all(line.startswith("job.yaml:") and line.isprintable() for line in message.split("\n")), (
            message
        )
        return "refused"
    assert loaded.text == text
    repr(loaded.job).encode()
    return "read"


@settings(max_examples=400, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=200) | st.lists(BITS, max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    fate(text)


@settings(max_examples=250, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(FULL)), st.integers(0, 20), BITS | st.text(max_size=3)), max_size=4
    ),
)
@example([])
def test_a_damaged_job_file_is_read_or_refused(changes: list[tuple[int, int, str]]) -> None:
    text = FULL
    for place, gone, put in changes:
        text = text[:place] + put + text[place + gone :]
    if any("\ud800" <= c <= "\udfff" for c in text):
        return
    fate(text)


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(len(LINES))), st.integers(0, len(LINES)))
def test_shuffled_lines_are_read_or_refused(order: list[int], count: int) -> None:
    fate("".join(LINES[i] for i in order[:count]))


@pytest.mark.parametrize(
    "text",
    [
        '"\\UFFFFFFFF": 1\n',
        'a: "\\UFFFFFFFF"\n',
        'name: "\\ud800"\n',
        '"\\ud800": 1\n',
        "%YAML 9.9\n---\na: 1\n",
        "%YAML " + "9" * 5000 + ".1\n---\na: 1\n",
        "a: !<" + "x" * 100 + "> 1\n",
        "=: 1\n",
        "a: 0o\n",
        "a: !!int x\n",
        "a: !!float x\n",
        "a: !!bool x\n",
        "a: !!binary '='\n",
        "a: !!set {x}\n",
        "<<: 1\n",
        "<<: [1, 2]\n",
        "a: " + "x" * 2_000_000,
        "a: !!null x\n",
    ],
)
def test_odd_yaml_is_refused(text: str) -> None:
    assert fate(text) == "refused"
