"""What cannot be seen in a name is shown as an escape, and nothing else is."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from skyhaul_schemas.printable import brief, json_printable, printable

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_no_character_of_a_hidden_category_comes_through() -> None:
    for point in range(sys.maxunicode + 1):
        c = chr(point)
        category = unicodedata.category(c)
        if category in HIDDEN or (category == "Zs" and c != " "):
            assert printable(c).isascii(), hex(point)
            assert printable(c).startswith("\\"), hex(point)


@pytest.mark.parametrize(
    "c",
    ["\u202e", "\u2066", "\u200b", "\u200d", "\u200e", "\ufeff", "\u2028", "\ufe0f", "\u3164", "\U000e0101"],
)
def test_what_is_drawn_as_nothing_or_turns_the_line_is_escaped(c: str) -> None:
    assert c not in printable(f"a{c}b")
    assert printable(f"a{c}b").isascii()
    assert printable(f"a{c}b", 3) == printable(f"a{c}b")
    assert len(brief("x" * 1000)) == 200
    assert printable(f"{c}bcd", 3) == printable(f"{c}b…")


@pytest.mark.parametrize("text", ["plain name.txt", "Ä öß", "Ἀθῆναι", "数据", "e\u0301", "☂", "a\\b"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert printable(text) == text


def test_json_shows_no_more_than_text_does_and_says_the_same() -> None:
    for point in range(sys.maxunicode + 1):
        c = chr(point)
        for escaped in (True, False):
            text = json_printable(json.dumps(c, ensure_ascii=escaped))
            assert json.loads(text) == c, hex(point)
            assert printable(text) == text, hex(point)


def test_json_says_the_same_with_escapes() -> None:
    value = {"n\u202eame": "x\u200b\U000e0101 ä\n数"}
    text = json_printable(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == value
    assert "ä" in text
    assert "\u202e" not in text
    assert "\u200b" not in text
