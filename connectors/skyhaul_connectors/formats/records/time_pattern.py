"""Times by a pattern of `strptime` whose names are English and whose zones are UTC, in every process.

Python's own `strptime` knows the names of months, weekdays and halves of the day in the language that
`locale.setlocale` chose, and of zones those of the machine's (`TZ`), so that one file would be other records
elsewhere. Names are read here; the rest is Python's `strptime`, which gets numbers only.
The directives: https://docs.python.org/3/library/datetime.html#format-codes
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

# As in Python's `_strptime`, so that what is read with names is what would be read without.
_NUMBERS = {
    "d": r"3[01]|[12]\d|0[1-9]|[1-9]| [1-9]",
    "f": r"\d{1,6}",
    "G": r"\d{4}",
    "H": r"2[0-3]|[01]\d|\d",
    "I": r"1[0-2]|0[1-9]|[1-9]",
    "j": r"36[0-6]|3[0-5]\d|[12]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]",
    "m": r"1[0-2]|0[1-9]|[1-9]",
    "M": r"[0-5]\d|\d",
    "S": r"6[01]|[0-5]\d|\d",
    "U": r"5[0-3]|[0-4]\d|\d",
    "u": r"[1-7]",
    "V": r"5[0-3]|0[1-9]|[1-4]\d|\d",
    "W": r"5[0-3]|[0-4]\d|\d",
    "w": r"[0-6]",
    "Y": r"\d{4}",
    "y": r"\d\d",
    "z": r"[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|Z",
}
_NAMES = {
    "A": "|".join(_DAYS),
    "a": "|".join(day[:3] for day in _DAYS),
    "B": "|".join(_MONTHS),
    "b": "|".join(month[:3] for month in _MONTHS),
    "p": "am|pm",
    "Z": "utc|gmt",
}
_WRITTEN_OUT = {"c": "%a %b %d %H:%M:%S %Y", "x": "%m/%d/%y", "X": "%H:%M:%S"}
"""What the C locale writes for directives that mean something else in each language."""

_DIRECTIVE = re.compile(r"%(.?)|(\s+)|([^%\s]+)", re.DOTALL)


class TimePattern:
    """One pattern. Raises ValueError where it is none."""

    def __init__(self, pattern: str) -> None:
        pattern = re.sub(r"%(.)", lambda m: _WRITTEN_OUT.get(m[1], m[0]), pattern, flags=re.DOTALL)
        self._named: dict[str, None] = {}  # in the order of the pattern
        parts: list[str] = []
        for directive, space, text in _DIRECTIVE.findall(pattern):
            if text:
                parts.append(re.escape(text))
            elif space:
                # As Python's: white space in a pattern stands for any, but for some.
                parts.append(r"\s+")
            elif directive == "%":
                parts.append("%")
            else:
                parts.append(self._group(directive))
        if not self._named:
            raise ValueError("no directive such as %Y in it")
        # What has no names is read by Python at once, in half the time.
        self._plain = None if self._named.keys() & _NAMES.keys() else pattern
        self._regex = re.compile("".join(parts), re.ASCII | re.IGNORECASE)
        # One order for the pattern and for the values of `parse`: `_fields` keeps that of the directives.
        self._numeric = " ".join(f"%{name}" for name in self._fields(dict.fromkeys(self._named, "1")))
        # A pattern that can read nothing (`%V` without a year of its own) is refused when the job is read.
        # The names in `_sample` are those of this moment, a Saturday in February, in the morning.
        self.parse(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(self._sample(pattern)))

    def parse(self, text: str) -> datetime:
        """The moment; without a zone where the pattern has none. Raises ValueError."""
        if self._plain is not None:
            return datetime.strptime(text, self._plain)
        found = self._regex.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} does not match")
        moment = datetime.strptime(" ".join(self._fields(found.groupdict()).values()), self._numeric)
        # `%Z` only takes UTC and GMT; which zone another name is depends on the machine.
        return moment.replace(tzinfo=UTC) if "Z" in self._named and moment.tzinfo is None else moment

    def _group(self, directive: str) -> str:
        known = _NUMBERS.get(directive) or _NAMES.get(directive)
        if known is None:
            raise ValueError(f"there is no directive %{directive}")
        if directive in self._named:
            raise ValueError(f"%{directive} is there twice")
        self._named[directive] = None
        return f"(?P<{directive}>{known})"

    @staticmethod
    def _fields(found: dict[str, str]) -> dict[str, str]:
        """The directives with their values, all as numbers: names and halves of the day, too."""
        fields = {name: text for name, text in found.items() if name in _NUMBERS and name != "I"}
        for name in ("B", "b"):
            if name in found:
                fields["m"] = str(_number_of(found[name], _MONTHS) + 1)
        for name in ("A", "a"):
            if name in found:
                fields["w"] = str(_number_of(found[name], _DAYS))
        # Twelve hours become twenty-four here: `%p` is one of those that follow the locale.
        if "I" in found:
            fields["H"] = str(int(found["I"]) % 12 + 12 * (found.get("p", "").lower() == "pm"))
        return fields

    @staticmethod
    def _sample(pattern: str) -> str:
        """The pattern with an English name in each name's place, to try it out on a moment."""
        names = {"A": "Saturday", "a": "Sat", "B": "February", "b": "Feb", "p": "AM", "Z": "UTC"}
        return re.sub(r"%(.)", lambda m: names.get(m[1], m[0]), pattern, flags=re.DOTALL)


def _number_of(text: str, names: tuple[str, ...]) -> int:
    """Place in `names` of the name that `text` is or shortens; its first three letters tell them apart."""
    return next((n for n, name in enumerate(names) if name.startswith(text[:3].lower())), 0)
