"""The three readers of JSON lines (exact, one by one with orjson, in columns) are one."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from formats.decoding import Result, decode_with, settings
from skyhaul_connectors.formats.json import reader as json_reader
from skyhaul_connectors.formats.json.columns import JsonColumns
from skyhaul_connectors.formats.records import json_exact, json_quick
from skyhaul_connectors.formats.registry import decoder_for

SCRAPS = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b"\\",
        b" ",
        b"\t",
        b"\r",
        b"\n",
        b"\0",
        b"\x01",
        b"\xff",
        b"//",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"Infinity",
        b"-0",
        b"0",
        b"1e5",
        b"1.5",
        b"1234567890123456789012",
        b'":',
        b'" :',
    ),
    *(
        b'"text"',
        b'"text":"x"',
        b'"a":1,',
        b'":b"',
        b'\\"',
        b"\\ud800",
        b"\\u0041",
        b"\xc3\xa9",
        b"}{",
        b"\xef\xbb\xbf",
    ),
]
STRINGS = ["x", 'a"b', "é", "\n", "\\", '":', ":", "}", "{", " null", "\u0001", "😀", "\x7f", "", "\\u0041"]
NUMBERS = [
    0,
    1,
    -1,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    0.5,
    1.0,
    1e300,
    1e-7,
    123.25,
    -0.0,
    5e-324,
    1e16,
]
TIMES = [
    *("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123Z", "2020-13-01T00:00:00Z", "2020-01-01", "0000-01-01"),
    *(
        "2020-02-30T00:00:00Z",
        "2020-01-01T24:00:00Z",
        "2020-01-01T00:00:60Z",
        "2020-01-01T00:00:00+14:00",
        "9999",
    ),
]
NAMES = ["a", "b", "c-d", "e f", "id", "url", "language", "z", "é", 'q"', "x:"]


class Lines:
    """Random windows of lines that look alike, as real ones do, with now and then a flaw."""

    def __init__(self, seed: int, flaws: float) -> None:
        self._random = random.Random(seed)
        self._flaws = flaws

    def value(self, depth: int = 0) -> object:
        pick = self._random
        kind = pick.random()
        if kind < 0.35:
            return pick.choice(STRINGS)
        if kind < 0.6:
            return pick.choice(NUMBERS)
        if kind < 0.7:
            return pick.choice([True, False, None])
        if depth < 3 and kind < 0.85:
            return {pick.choice('abc"'): self.value(depth + 1) for _ in range(pick.randint(0, 2))}
        if depth < 3:
            return [self.value(depth + 1) for _ in range(pick.randint(0, 3))]
        return None

    def window(self) -> bytes:
        pick = self._random
        shape = {name: self.value() for name in pick.sample(NAMES, pick.randint(0, 6))}
        shape |= {"text": "t"} | ({"created": pick.choice(TIMES)} if pick.random() < 0.2 else {})
        colon = pick.choice([":", ": ", " : "])
        lines = []
        for number in range(pick.randint(1, 40)):
            record = {}
            for key, value in shape.items():
                dice = pick.random()
                if dice < self._flaws:
                    continue
                if dice < 2 * self._flaws:
                    value = None
                elif dice < 3 * self._flaws:
                    value = self.value()
                elif dice < 0.5 and isinstance(value, str) and key != "created":
                    value = f'v{number}"'
                record[key] = value
            line = _written(record, colon, pick)
            if pick.random() < self._flaws:
                at = pick.randint(0, len(line))
                line = line[:at] + pick.choice(SCRAPS) + line[at + pick.choice([0, 0, 1, 2]) :]
            lines.append(line)
        return pick.choice([b"\n", b"\n", b"\r\n", b"\n\n"]).join(lines) + pick.choice([b"", b"\n"])


def _written(record: dict[str, object], colon: str, pick: random.Random) -> bytes:
    separators = (pick.choice([",", ", "]), colon)
    return json.dumps(record, ensure_ascii=pick.random() < 0.5, separators=separators).encode()


def _read(raw: bytes, *, fast: bool, patch: pytest.MonkeyPatch) -> Result:
    given_settings = settings()
    decoder = decoder_for("jsonl", given_settings, "x.jsonl")
    if not fast:
        patch.setattr(JsonColumns, "usable", False)
        patch.setattr(json_quick, "loads", json_exact.loads)
    return decode_with(decoder, given_settings, raw, "x.jsonl")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each window was taken in columns, so that a screen that declines all cannot pass."""
    seen: list[bool] = []
    read = JsonColumns.read

    def counted(self, *args):
        columns = read(self, *args)
        seen.append(columns is not None)
        return columns

    monkeypatch.setattr(JsonColumns, "read", counted)
    monkeypatch.setattr(json_reader, "SMALLEST", 200)
    return seen


def _compare(windows: int, seed: int, flaws: float) -> None:
    lines = Lines(seed, flaws)
    for _ in range(windows):
        raw = lines.window()
        with pytest.MonkeyPatch.context() as patch:
            fast = _read(raw, fast=True, patch=patch)
        with pytest.MonkeyPatch.context() as patch:
            exact = _read(raw, fast=False, patch=patch)
        assert fast.rows == exact.rows, (seed, raw)
        key = lambda reject: reject.offset  # noqa: E731
        assert sorted(fast.rejects, key=key) == sorted(exact.rejects, key=key), (seed, raw)


@pytest.mark.parametrize(("seed", "flaws"), [(1, 0.0), (2, 0.005), (3, 0.03), (4, 0.1)])
def test_columns_and_exact_reading_agree(seed: int, flaws: float, taken: list[bool]) -> None:
    _compare(80, seed, flaws)
    assert sum(taken) > (20 if flaws < 0.1 else 3)


@pytest.mark.parametrize(
    "metadata",
    [
        '{"a":[[[null,null]],null],"b":[null,[]]}',
        '{"a":[],"b":[null]}',
        '{"a":{"b":null}}',
        '{"a":null,"b":1.0,"c":-0.0}',
        '{"a":{"b":{"c":[{"d":"\\""}]}}}',
    ],
)
def test_nulls_and_doubles_in_metadata_stay_what_they_were(metadata: str, taken: list[bool]) -> None:
    raw = (f'{{"text":"t",{metadata[1:]}\n' * 40).encode()
    found = decode_with(decoder_for("jsonl", settings(), "x"), settings(), raw, "x.jsonl")
    assert [row["metadata"] for row in found.rows] == [metadata] * 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_columns_and_exact_reading_agree_over_a_long_campaign(seed: int, taken: list[bool]) -> None:
    _compare(1500, seed, [0.0, 0.002, 0.02, 0.1][seed % 4])


@hypothesis(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*SCRAPS, b'{"text":"a"}', b'"k":', b'"v"', b"[1]"]), max_size=12))
def test_quick_and_exact_agree_on_scraps(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    outcomes = []
    for loads in (json_quick.loads, json_exact.loads):
        try:
            value = loads(raw)
            outcomes.append((repr(value), json_quick.canonical(value), json_exact.canonical(value)))
        except json_exact.BadJson as bad:
            outcomes.append((str(bad),))
    assert outcomes[0] == outcomes[1]
    if len(outcomes[0]) == 3:
        assert outcomes[0][1] == outcomes[0][2]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@hypothesis(max_examples=150, deadline=None)
@given(_VALUES)
def test_canonical_text_reads_back_equal_and_is_one(value: object) -> None:
    text = json_exact.canonical(value)
    assert json_quick.canonical(value) == text
    assert json_exact.canonical(json_exact.loads(text.encode())) == text
    assert repr(json_quick.loads(text.encode())) == repr(json_exact.loads(text.encode()))


def test_doubles_that_kernels_write_are_written_as_canonical_writes_them() -> None:
    pick = random.Random(5)
    numbers = [pick.uniform(-1e9, 1e9) for _ in range(5000)]
    numbers += [round(pick.uniform(-1e6, 1e6), pick.randint(1, 6)) for _ in range(5000)]
    numbers += [10.0**power * pick.random() for power in range(-20, 25) for _ in range(100)]
    raw = "".join(f'{{"text":"a","x":{json_exact.canonical(number)}}}\n' for number in numbers).encode()
    found = decode_with(decoder_for("jsonl", settings(), "x"), settings(), raw, "x.jsonl")
    wanted = [f'{{"x":{json_exact.canonical(number)}}}' for number in numbers]
    assert [row["metadata"] for row in found.rows] == wanted
