"""Which of several encodings a text is in, and how sure that is.

A candidate that the bytes do not fit is out. UTF-8 and ISO-2022-JP are taken where they fit and are used,
since hardly anything else fits them. Of the others each gives a text, and the most plausible one counts: one
whose characters outside ASCII are letters that are common in their script, of the script beside them, in the
case beside them, and not signs within words; a Chinese character counts as common where its standard lists it
in the first level. charset-normalizer's coherence (letter frequencies by language) counts for three tenths.

The confidence of a guess is plausibility ** 25 as a share of all candidates that give another text, times
n / (n + 1) for n characters outside ASCII, and less where even the best is implausible. On texts of 150
characters and more of some 20 languages the right one has 0.45 and more in nine of ten cases.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from skyhaul_connectors.formats.charsets.encodings import UTF_8, BadText, Encoding, encoding_named, is_utf8

_VERSION = 1
"""Raised whenever a guess would be another one."""

LEAST = 0.4
"""The confidence below which a guess is none, unless the job says otherwise: a little below what right
guesses have in nine of ten cases (see above)."""

_SAMPLE = 16 * 1024
"""Bytes that candidates are weighed by. Each is decoded in all candidates; the likeliest decodes the rest,
too."""

_BEFORE = 256
"""Bytes of ASCII before the first other byte that are weighed with it: words around tell the language."""

_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_SHARPNESS = 25
"""Power that plausibilities are compared at: a tenth less counts as a fourteenth. Plausibilities of one text
lie close together, since most of its characters are the same in all candidates."""

_PLAUSIBLE = 0.6
"""Plausibility below which even the best candidate is doubted; above it the factor is 1 and more, and
capped."""

_USUAL = (
    *(
        "utf-8",
        "iso-2022-jp",
        "shift_jis",
        "euc-jp",
        "euc-kr",
        "gb18030",
        "big5",
        "windows-1252",
        "windows-1250",
    ),
    *(
        "windows-1251",
        "koi8-r",
        "koi8-u",
        "iso-8859-5",
        "ibm866",
        "iso-8859-2",
        "windows-1253",
        "windows-1254",
    ),
    *(
        "windows-1255",
        "windows-1256",
        "windows-874",
        "iso-8859-7",
        "macintosh",
        "iso-8859-15",
    ),
)
"""Without x-mac-cyrillic: its small letters are those of windows-1251, so that a guess would be a toss."""

_COMMON = frozenset(
    "оеаинтсрвлкмдпуяыьгзбчйхжшюієї"
    "éèàäöüßçñáíóúâêîôûãõåæøąćęłńśźżěščřžýůőűăğışœº«»“”‘’„–—…©®°·€¿¡"
    "αειοντσρκλπμυάίέόήύώςηωθδγβφχ"
    "اليمنورتبةعدسفهكقحجشطخصىأإئءؤآزضغذثظ"
    "והילאתרמבשנםדעקפחכצגסטזןךץף"
)
"""Letters, and the punctuation that goes with them, that texts in Cyrillic, Latin, Greek, Arabic and Hebrew
use often; a letter outside of these speaks a little against a candidate, since wrong ones give rare
letters."""

_FIRST_LEVEL = {
    "shift_jis": ("euc_jp", 0xB0, 0xCE),
    "euc-jp": ("euc_jp", 0xB0, 0xCE),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
}
"""Encoding -> where the characters of the first level lie: JIS X 0208, GB 2312, Big5."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An encoding, and how sure it is.

    Attributes:
        encoding: The likeliest candidate.
        confidence: From 0 to 1, rounded to two digits."""

    encoding: Encoding
    confidence: float


@functools.cache
def fingerprint() -> Mapping[str, str]:
    return {
        "charset-normalizer": version("charset-normalizer"),
        "skyhaul.guessing": str(_VERSION),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",  # its Unicode
    }


def usual() -> tuple[Encoding, ...]:
    """The candidates where a job names none: the encodings of the web, of which the first wins a tie."""
    return tuple(encoding_named(name) for name in _USUAL)


def guess(raw: bytes, candidates: Sequence[Encoding]) -> Guess | None:
    """The likeliest of `candidates`, of which the first wins a tie; None where none fits."""
    sure = _sure(raw, candidates)
    if sure is not None:
        return sure
    texts: dict[str, tuple[Encoding, float]] = {}
    for candidate in candidates:
        text = _sample(raw, candidate)
        # Candidates that give the same text do not compete: which of them it is changes no record.
        if text and text not in texts:
            texts[text] = candidate, _plausibility(text, candidate.name)
    # Stable: of equals the first one stays before the others.
    order = sorted(texts.items(), key=lambda item: -item[1][1])
    # The sample is a part: what its bytes fit the rest may not. To decode all of it in every candidate would
    # cost too much, so the likeliest ones are tried in turn.
    while order and not _fits(raw, order[0][1][0]):
        del order[0]
    if not order:
        return None
    text, (best, plausibility) = order[0]
    if plausibility <= 0:
        return Guess(best, 0.0)
    # The best one is among them, with 1.
    others = sum((found / plausibility) ** _SHARPNESS for _, (_, found) in order)
    # Evidence is what ASCII does not explain; in UTF-16 and the like every character is evidence.
    count = sum(1 for c in text if c >= "\x80") if best.cuttable else len(text)
    confidence = min(1.0, (plausibility / _PLAUSIBLE) ** 2) / others * count / (count + 1)
    return Guess(best, round(confidence, 2))


def _sure(raw: bytes, candidates: Sequence[Encoding]) -> Guess | None:
    # ISO-2022-JP is ASCII by its bytes, so that it must be asked before ASCII is. Escapes alone (a terminal's
    # colours) do not make it: something must be switched to.
    if b"\x1b" in raw and raw.isascii():
        for candidate in candidates:
            if candidate.name == "iso-2022-jp" and _fits(raw, candidate):
                text = candidate.decode(raw)
                if not text.isascii():
                    return Guess(candidate, _certainty(sum(1 for c in text if c >= "\x80")))
    if raw.isascii():
        # All candidates that agree with ASCII give the same text, so that there is no doubt.
        first = next((one for one in candidates if one.cuttable and _fits(raw, one)), None)
        return None if first is None else Guess(first, 1.0)
    if UTF_8 in candidates and is_utf8(raw) and _fits(raw, UTF_8):
        return Guess(UTF_8, _certainty(sum(1 for byte in raw[:_SAMPLE] if byte >= 0xC0)))
    return None


def _certainty(count: int) -> float:
    """The confidence after `count` characters that fit: with each, chance is ten times less likely."""
    return round(1 - 0.1 ** max(count, 1), 2)


def _fits(raw: bytes, encoding: Encoding) -> bool:
    try:
        encoding.decode(raw)
    except BadText:
        return False
    return True


def _sample(raw: bytes, encoding: Encoding) -> str | None:
    """Text around the first byte that is not ASCII; None where the bytes do not fit."""
    start = 0
    if encoding.cuttable:
        # All before it is ASCII, so that no character is cut.
        first = _NOT_ASCII.search(raw)
        start = max(0, first.start() - _BEFORE) if first else 0
    piece = raw[start : start + _SAMPLE]
    # What is cut by the sample's end is four bytes at most.
    for stop in range(len(piece), max(len(piece) - 4, 0), -1) if len(piece) == _SAMPLE else (len(piece),):
        try:
            return encoding.decode(piece[:stop])
        except BadText:
            continue
    return None


def _plausibility(text: str, name: str) -> float:
    from charset_normalizer.cd import coherence_ratio  # takes longer to import than a format does

    # Each character costs a step in Python, for each candidate.
    text = text[:4000]
    count = sum(1 for c in text if c >= "\x80") or 1
    coherence = max((ratio for _, ratio in coherence_ratio(text, 0.1)), default=0.0)
    return max(0.0, 1 - _oddness(text, name) / count) * (0.7 + 0.3 * coherence)


# The weights say how much one character speaks against a candidate, from 0 (nothing) to 2 (a control
# character, which no text has). They are judged as a whole, by the languages of
# tests/formats/test_guessing.py; whoever changes one raises VERSION.
def _oddness(text: str, name: str) -> float:
    """How much speaks against the characters of `text`, summed."""
    odd = 0.0
    before, script_before = "", ""
    for c in text:
        in_word = before.isalpha()
        script = ("LATIN" if c.isalpha() else "") if c < "\x80" else _script(c)
        if c < "\x80":
            # An ASCII letter within a word of another script.
            odd += 0.8 * (
                bool(script) and in_word and before >= "\x80" and script_before not in ("", "LATIN")
            )
        elif script in _ODD:
            odd += _ODD[script] + 0.9 * (script == "sign" and in_word)
        elif script == "kana or hangul":
            odd += _syllable(c, name)
        elif script == "ideograph":
            # Wrong candidates give ideographs from all over their standard, and texts use those of the first
            # level.
            odd += 0.05 if _is_common_ideograph(c, name) else 0.6
        elif script != "mark":
            lower = c.lower()
            odd += _thai(c, before) if script == "THAI" else 0.25 * (lower not in _COMMON)
            # Two scripts in one word, and signs in a word, are what bytes look like that are read in
            # another's table.
            odd += 0.8 * (in_word and bool(script_before) and script_before != script)
            odd += 0.4 * (in_word and script == "LATIN" and before >= "\x80")
            # A capital behind a small letter: KOI8-R and windows-1251 have each other's cases in each other's
            # places.
            if c != lower:
                odd += 0.1 + 0.8 * (in_word and before == before.lower() != before.upper())
        before, script_before = c, script
    return odd


def _thai(c: str, before: str) -> float:
    """How odd a Thai character is behind `before`.

    A vowel or tone above or below stands on a consonant or another such mark; vowels that are written before
    a consonant do not follow each other."""
    if unicodedata.category(c) == "Mn":
        return 0.1 if "ก" <= before <= "ฮ" or unicodedata.category(before or " ") == "Mn" else 0.8
    return 0.8 if "เ" <= c <= "ไ" and "เ" <= before <= "ไ" else 0.1


_ODD = {"control": 2.0, "half width": 1.0, "sign": 0.6}


@functools.lru_cache(16384)
def _script(c: str) -> str:
    code, category = ord(c), unicodedata.category(c)
    if category[0] == "C":
        return "control"
    # Shift_JIS has these in single bytes from A1 to DF, where other encodings have their letters.
    if 0xFF61 <= code <= 0xFF9F:
        return "half width"
    if 0x3040 <= code <= 0x30FF or 0xAC00 <= code <= 0xD7A3:
        return "kana or hangul"
    if 0x3400 <= code <= 0x9FFF or code >= 0x20000:
        return "ideograph"
    if 0x3000 <= code <= 0x303F or 0xFF00 <= code <= 0xFF60:
        return "mark" if category[0] in "LPZN" else "sign"
    if category[0] in "LM":
        return unicodedata.name(c, "").partition(" ")[0]
    return "mark" if c in _COMMON or category[0] not in "SNZ" else "sign"


@functools.lru_cache(16384)
def _syllable(c: str, name: str) -> float:
    if ord(c) >= 0xAC00:
        raw = c.encode("cp949")
        return 0.0 if 0xB0 <= raw[0] <= 0xC8 and raw[1] >= 0xA1 else 0.5  # KS X 1001 has the common ones
    # Kana are in Chinese and Korean standards, too, but hardly in texts in them.
    return 0.3 if name in ("gb18030", "euc-kr", "big5") else 0.0


@functools.lru_cache(65536)
def _is_common_ideograph(c: str, name: str) -> bool:
    # Today's Korean is written without them.
    if name == "euc-kr":
        return False
    levels = [_FIRST_LEVEL[name]] if name in _FIRST_LEVEL else _FIRST_LEVEL.values()
    for codec, first, last in levels:
        raw = c.encode(codec, "ignore")
        if len(raw) == 2 and first <= raw[0] <= last:
            return True
    return False
