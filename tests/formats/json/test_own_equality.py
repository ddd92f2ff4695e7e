"""The readers of JSON lines are one for a schema of the job's own, too: in columns and one by one."""

from __future__ import annotations

import json
import math
import random

import pytest

from formats.decoding import Result, decode_with
from formats.records.own_schemas import CHAT
from skyhaul_connectors.formats.json import reader as json_reader
from skyhaul_connectors.formats.json.columns import JsonColumns
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.records import json_exact, json_quick
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.own_schema import OwnSchema, Rest

TEXTS = ["x", 'a"b', "é", "\n", "", "1", "true", "2020-01-01"]
NUMBERS = [0, 1, -1, 2**24 + 1, 2**31, 2**53 + 1, 2**63, 2**64 - 1, 0.1, 1.0, -0.0, 3.5e38, 1e-46, 123.25]
TIMES = ["2020-01-01", "2020-01-01T00:00:00.1239Z", "0999-01-01", "2020-02-30", "2020-01-01T01:00:00+01:00"]


class Lines:
    """Windows of lines that mostly fit `CHAT`, with now and then a value that does not."""

    def __init__(self, seed: int, flaws: float) -> None:
        self._pick = random.Random(seed)
        self._flaws = flaws

    def fitting(self, name: str) -> object:
        pick = self._pick
        made = {
            "prompt": lambda: pick.choice(TEXTS),
            "score": lambda: pick.choice([0, 1, 2**24, 0.1, 1e-46, 3.4e38]),
            "weight": lambda: pick.choice([0, 2**53, 0.1, 1e300]),
            "count": lambda: pick.randint(-(2**15), 2**15 - 1),
            "big": lambda: pick.choice([0, 2**64 - 1]),
            "good": lambda: pick.random() < 0.5,
            "day": lambda: pick.choice(["2020-01-01", "1969-12-31"]),
            "taken": lambda: pick.choice(
                ["2020-01-01T00:00:00.1239Z", "1969-12-31T23:59:59.9999Z", "2020-01-01"]
            ),
            "tags": lambda: [pick.choice([*TEXTS, None]) for _ in range(pick.randint(0, 3))],
            "turns": lambda: [self.turn() for _ in range(pick.randint(0, 3))],
            "grid": lambda: [[pick.choice([1, 0.1, None])] * pick.randint(0, 2), None, []],
            "where": lambda: {"lat": 1.5} if pick.random() < 0.5 else {"lat": 1, "lon": None},
            "offset": lambda: pick.randint(-(2**63), 2**63 - 1),
            "length": lambda: pick.choice(TEXTS),
            "more": lambda: pick.choice([1, "x", None]),
        }
        return made[name]()

    def turn(self) -> object:
        turn = {"role": "user", "tokens": self._pick.randint(0, 9), "at": "2020-01-01T00:00:00Z"}
        return None if self._pick.random() < 0.1 else dict(self._pick.sample(list(turn.items()), 2))

    def unfit(self) -> object:
        pick = self._pick
        scalar = pick.choice([*TEXTS, *NUMBERS, *TIMES, True, None])
        return pick.choice(
            [scalar, [scalar], {"role": scalar}, [{"role": "u", "tokens": scalar}], [[scalar]]]
        )

    def window(self) -> bytes:
        pick = self._pick
        names = [*(field.name for field in CHAT.columns), *(["more"] if pick.random() < 0.3 else [])]
        names = ["prompt", *pick.sample(names[1:], pick.randint(0, len(names) - 1))]
        lines = []
        for _ in range(pick.randint(1, 40)):
            record = {}
            for name in names:
                dice = pick.random()
                if dice >= self._flaws:
                    record[name] = self.unfit() if dice < 2 * self._flaws else self.fitting(name)
            lines.append(json.dumps(record, ensure_ascii=pick.random() < 0.5))
        return "\n".join(lines).encode()


def _read(raw: bytes, schema: OwnSchema, *, on_drift: str, fast: bool) -> Result:
    settings = DecodeSettings(schema, on_drift=on_drift)
    with pytest.MonkeyPatch.context() as patch:
        decoder = decoder_for("jsonl", settings, "x.jsonl")
        if not fast:
            patch.setattr(JsonColumns, "usable", False)
            patch.setattr(json_quick, "loads", json_exact.loads)
        return decode_with(decoder, settings, raw, "x.jsonl")


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


def _compare(windows: int, seed: int, flaws: float, rest: Rest, on_drift: str) -> None:
    lines = Lines(seed, flaws)
    schema = OwnSchema(CHAT.name, CHAT.columns, rest)
    for _ in range(windows):
        raw = lines.window()
        fast = _read(raw, schema, on_drift=on_drift, fast=True)
        exact = _read(raw, schema, on_drift=on_drift, fast=False)
        # repr: -0.0 equals 0.0, and 1 equals 1.0 and True.
        assert repr(fast.rows) == repr(exact.rows), (seed, raw)
        key = lambda reject: reject.offset  # noqa: E731
        assert sorted(fast.rejects, key=key) == sorted(exact.rejects, key=key), (seed, raw)


@pytest.mark.parametrize("rest", ["metadata", "drop", "reject"])
@pytest.mark.parametrize("on_drift", ["reject", "null"])
@pytest.mark.parametrize(("seed", "flaws"), [(1, 0.0), (2, 0.002), (3, 0.03)])
def test_columns_and_exact_reading_agree_on_a_schema_of_the_jobs_own(
    seed: int, flaws: float, rest: Rest, on_drift: str, taken: list[bool]
) -> None:
    _compare(40, seed, flaws, rest, on_drift)
    assert sum(taken) > (10 if flaws < 0.01 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_columns_and_exact_reading_agree_over_a_long_campaign(seed: int, taken: list[bool]) -> None:
    rests: list[Rest] = ["metadata", "drop", "reject"]
    _compare(700, seed, [0.0, 0.002, 0.02, 0.1][seed % 4], rests[seed % 3], "reject")


@pytest.mark.parametrize(
    "text", ["-0", "0.1", "16777217.0", "3.4028235677973362e38", "1e-46", "-1e-45", "5.960464832810452e-08"]
)
def test_a_number_of_32_bits_is_rounded_once_from_the_double_and_minus_nought_is_an_integer(
    text: str, taken: list[bool]
) -> None:
    raw = (f'{{"prompt":"a","score":{text}}}\n' * 3).encode()
    (fast, exact) = (_read(raw, CHAT, on_drift="reject", fast=fast) for fast in (True, False))
    assert repr(fast.rows) == repr(exact.rows)
    assert all(math.isfinite(row["score"]) for row in exact.rows)
